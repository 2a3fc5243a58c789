// What a workload works with, read from its files: a recording that is played, or what a serial line carries.
#pragma once
#include <optional>
#include <string>

#include "tools/kdpc/player.h"
#include "tools/kdpc/recording.h"
#include "tools/kdpc/refusal.h"
#include "tools/kdpc/scenario.h"
#include "tools/kdpc/terminal.h"

namespace kdpc::tool {

struct WorkloadFiles {
  std::optional<Recording> recording;
  std::string to_receive, to_send;  // by the application, over a serial line
};

// Of a scenario that has a workload. A file that is not what it must be is bad input, said with its place in the scenario.
std::optional<Refusal> read_workload_files(const Scenario& scenario, WorkloadFiles& files);

// The application that does it, and has not begun. The files must outlive it.
Player player_for(const WorkloadWanted& workload, const WorkloadFiles& files);
Terminal terminal_for(const WorkloadWanted& workload, const WorkloadFiles& files);

}  // namespace kdpc::tool
