#include <fmt/format.h>

#include "view/views.h"

namespace kdpc::view {

std::string_view name_of_level(unsigned level) {
  switch (level) {
    case 0: return "LOW_LEVEL";
    case 1: return "APC_LEVEL";
    case 2: return "DISPATCH_LEVEL";
    case 12: return "SYNCH_LEVEL";
    case 13: return "CLOCK_LEVEL";
    case 14: return "IPI_LEVEL";
    case 15: return "HIGH_LEVEL";
    default: return level < 12 ? "DIRQL" : "invalid";
  }
}

std::string_view description_of_level(unsigned level) {
  switch (level) {
    case 0: return "Threads: waiting, paging and preemption are allowed";
    case 1: return "Asynchronous procedure calls are held off";
    case 2: return "Dispatcher: DPCs run, no thread is switched to";
    case 12: return "Synchronization level";
    case 13: return "Clock interrupt";
    case 14: return "Interprocessor interrupt";
    case 15: return "Everything is held off";
    default: return level < 12 ? "Device interrupt" : "There is no such level";
  }
}

std::string irql(const World& world, const Request& request) {
  std::string text;
  for (unsigned number = 0; number < world.processors(); ++number) {
    if (!request.wants(number)) continue;
    const auto level = static_cast<unsigned>(world.machine_keeps(world.header().irql, number));
    text += fmt::format("Debugger saved IRQL for processor 0x{:x} -- {} ({})", number, level, name_of_level(level));
    if (request.verbose) text += fmt::format(" [{}]", description_of_level(level));
    text += '\n';
  }
  return text;
}

}  // namespace kdpc::view
