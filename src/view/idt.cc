#include <fmt/format.h>

#include "kernel/entry.h"
#include "kernel/job.h"
#include "view/views.h"

namespace kdpc::view {

namespace {

std::string_view kernels_own(unsigned vector) {
  switch (vector) {
    case entry::kClockVector: return "nt clock interrupt";
    case entry::kIpiVector: return "nt IPI";
    case kJobVector: return "nt job of the host";
    default: return {};
  }
}

// KINTERRUPT's own, and what WinDbg asks a second command for.
std::string text_of(const World& world, const Interrupt& interrupt, std::uintptr_t address) {
  const std::uintptr_t routine = interrupt.message_routine != nullptr ? at(interrupt.message_routine) : at(interrupt.routine);
  std::string text = fmt::format("{} (KINTERRUPT {:016x})", world.name(routine), address);
  const auto level = static_cast<unsigned>(interrupt.irql);
  text += fmt::format("  IRQL {} {}{}", level, interrupt.trigger == Trigger::Level ? "level" : "latched", interrupt.shared ? " shared" : "");
  if (interrupt.message_routine != nullptr) text += fmt::format(" message {}", interrupt.message);
  if (interrupt.active_count == 0) text += " inactive";
  return text + fmt::format(", claimed {} of {} calls\n", interrupt.service_count, interrupt.dispatch_count);
}

std::string chain_of(const World& world, unsigned vector, std::uintptr_t first) {
  std::string text;
  std::unordered_set<std::uintptr_t> seen;
  for (std::uintptr_t address = first; address != 0;) {
    const auto interrupt = world.read<Interrupt>(address);
    const std::string indent = text.empty() ? fmt::format("{:02x}:", vector) : std::string(9, ' ');
    if (!interrupt || interrupt->type != Interrupt::kType) return text + indent + fmt::format("Failed to read KINTERRUPT at 0x{:016x}\n", address);
    if (!seen.insert(address).second) return text + indent + fmt::format("Corrupt chain: it never ends, 0x{:016x} comes a second time\n", address);
    const std::uintptr_t routine = interrupt->message_routine != nullptr ? at(interrupt->message_routine) : at(interrupt->routine);
    text += indent + (text.empty() ? fmt::format("{:016x} ", routine) : "") + text_of(world, *interrupt, address);
    address = at(interrupt->next);
  }
  return text;
}

}  // namespace

std::string idt(const World& world, const Request& request) {
  std::string text;
  for (unsigned number = 0; number < world.processors(); ++number) {
    if (!request.wants(number)) continue;
    const auto processor = world.processor(number);
    text += fmt::format("\nDumping IDT: {:016x} (processor {})\n\n", processor.address_of(processor->vectors), number);
    if (!processor) {
      text += "It cannot be read.\n";
      continue;
    }
    for (unsigned vector = 0; vector < 256; ++vector) {
      if (processor->vectors[vector] != nullptr) text += chain_of(world, vector, at(processor->vectors[vector]));
      if (request.all && !kernels_own(vector).empty()) text += fmt::format("{:02x}:{:016x} {}\n", vector, 0, kernels_own(vector));
    }
  }
  return text;
}

}  // namespace kdpc::view
