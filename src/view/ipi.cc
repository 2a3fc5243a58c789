#include <fmt/format.h>

#include "kernel/entry.h"
#include "view/views.h"

namespace kdpc::view {

namespace {

std::string names_of_requests(std::uint32_t requests) {
  std::string text;
  for (const auto& [bit, name] : {std::pair{kIpiDispatch, "Dispatch"}, {kIpiClock, "Clock"}, {kIpiCall, "Call"}, {kIpiApc, "Apc"}})
    if ((requests & bit) != 0) text += fmt::format(" [{}]", name);
  return text;
}

}  // namespace

std::string ipi(const World& world, const Request& request) {
  const System& system = world.system();
  const IpiCall& call = system.ipi_call;
  const int caller = call.lock.owner();  // of the KeIpiGenericCall that is under way
  const std::uint64_t all = ProcessorSet::first(world.processors()).mask();
  const bool stopped = system.bugcheck.code != 0;
  std::string text;
  for (unsigned number = 0; number < world.processors(); ++number) {
    if (!request.wants(number)) continue;
    const auto processor = world.processor(number);
    const bool calls = caller == static_cast<int>(number);
    const std::uint64_t others = all & ~(std::uint64_t{1} << number);
    const std::uint32_t requests = processor ? std::uint32_t{processor->ipi_requests} : 0;
    const bool owner = stopped && system.bugcheck.processor == number;
    if (!text.empty()) text += '\n';
    text += fmt::format("IPI State for Processor {}\n", number);
    if (!processor) {
      text += fmt::format("  The processor's block at {:016x} cannot be read\n", processor.address());
      continue;
    }
    text += fmt::format("  Worker Routine:  {}{}\n", call.routine == nullptr ? "0" : world.name(at(call.routine)),
                        call.routine != nullptr && caller < 0 ? " [Stale]" : "");
    for (int parameter = 0; parameter < 3; ++parameter)
      text += fmt::format("  Parameter[{}]:    {:x}\n", parameter, parameter == 0 ? call.argument : 0);
    text += "  Ipi Trap Frame:  0\n";
    text += fmt::format("  Signal Done:     {:x}\n", caller >= 0 && !calls ? world.address_of(call) : 0);
    text += fmt::format("  IPI Frozen:      {}\n", owner ? "24 [FreezeActive] [Owner]" : stopped ? "2 [Frozen]" : "0");
    text += fmt::format("  Request Summary: {:x}{}\n", requests, names_of_requests(requests));
    text += fmt::format("  Target Set:      {:x}\n", calls ? others : 0);
    text += fmt::format("  Packet Barrier:  {:x}\n", calls && call.finished != static_cast<std::uintptr_t>(std::popcount(others)) ? 1 : 0);
    const std::uint64_t arrives = world.machine_keeps(world.header().ipi, number);
    const bool pending = (world.machine_keeps(world.header().pending_levels, number) >> static_cast<unsigned>(irql_of(entry::kIpiVector)) & 1) != 0;
    const bool flies = world.header().ipi.first != 0 && arrives != ~std::uint64_t{0};
    text += fmt::format("  Interrupt:       {}\n", pending ? "pending"
                                                   : flies ? fmt::format("arrives at {}.{:03} us", arrives / 1000, arrives % 1000)
                                                           : "none");
  }
  return text;
}

}  // namespace kdpc::view
