#include "lab/profiles.h"

namespace kdpc::lab {

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all = {
      {"strict", {}},
      {"checked", {{"irql_checks", "checked"}}},
      {"free", {{"irql_checks", "free"}, {"page_trim", "off"}}},
      // Server 2003: before per-processor timer tables, charging by cycles, threaded DPCs and the DPC watchdog.
      {"nt52",
       {{"timer_table", "global"},
        {"delay", "from_tick"},
        {"connect_interrupt_ex", "nt52"},
        {"remove_semantics", "pre_vista_sp1"},
        {"threaded_dpc", "disabled"},
        {"dpc_time_limit", "0"},
        {"dpc_watchdog_period", "0"}}},
      // Idle processors have no clock interrupts any more.
      {"win7", {{"quantum", "cycles"}, {"idle_ticks", "timekeeper_only"}, {"delay", "from_tick"}, {"watchdog_action", "windows_7"}}},
      {"win10", {{"quantum", "cycles"}, {"idle_ticks", "timekeeper_only"}}},
  };
  return all;
}

}  // namespace kdpc::lab
