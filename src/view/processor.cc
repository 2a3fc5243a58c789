// !pcr and !prcb.
#include <fmt/format.h>

#include "view/dpcs.h"
#include "view/views.h"

namespace kdpc::view {

namespace {

// What NT has and a World has not.
constexpr std::string_view kNone = "-";

std::string line(std::string_view name, std::string_view value) { return fmt::format("\t{:>19}: {}\n", name, value); }
std::string line(std::string_view name, std::uint64_t value) { return line(name, fmt::format("{:016x}", value)); }

std::string of_thread(const World& world, std::string_view name, const Thread* thread) {
  if (thread == nullptr) return line(name, 0);
  const auto copy = world.read<Thread>(thread);
  if (!copy) return line(name, fmt::format("{:016x} (cannot be read)", at(thread)));
  const std::string its_name(copy->name, ::strnlen(copy->name, sizeof copy->name));
  return line(name, fmt::format("{:016x} (thread {} {})", at(thread), copy->id, its_name));
}

std::string pcr_of(const World& world, unsigned number) {
  const auto processor = world.processor(number);
  std::string text = fmt::format("KPCR for Processor {} at {:016x}:\n", number, processor.address());
  if (!processor) return text + "    It cannot be read.\n";
  const auto current = world.read<Thread>(processor->current_thread);
  text += "    Major 1 Minor 1\n";
  text += line("NtTib.ExceptionList", kNone);
  text += line("NtTib.StackBase", current ? current->machine.stack_high : 0);
  text += line("NtTib.StackLimit", current ? current->machine.stack_low : 0);
  for (const char* const name : {"NtTib.SubSystemTib", "NtTib.Version", "NtTib.UserPointer", "NtTib.SelfTib"}) text += line(name, kNone);
  text += '\n';
  text += line("SelfPcr", processor.address());
  text += line("Prcb", processor.address());
  text += line("Irql", world.machine_keeps(world.header().irql, number));
  text += line("IRR", world.machine_keeps(world.header().pending_levels, number));
  text += line("IDR", world.machine_keeps(world.header().requests, number));
  text += line("InterruptMode", kNone);
  text += line("IDT", processor.address_of(processor->vectors));
  text += line("GDT", kNone);
  text += line("TSS", kNone);
  text += '\n';
  text += of_thread(world, "CurrentThread", processor->current_thread);
  text += of_thread(world, "NextThread", processor->next_thread);
  text += of_thread(world, "IdleThread", processor->idle_thread);
  text += '\n';
  std::string name = "DpcQueue";
  for (const bool threaded : {false, true}) {
    const Queue queue = read_queue(world, processor, threaded);
    for (const QueuedDpc& queued : queue.dpcs) {
      text += line(name, queued.readable ? fmt::format("0x{:016x} 0x{:016x} {} [{}]", queued.address, at(queued.dpc.routine),
                                                       world.name(at(queued.dpc.routine)), queued.type())
                                         : fmt::format("Failed to read DPC at 0x{:016x}", queued.address));
      name.clear();
    }
    text += queue.trouble;
  }
  return name.empty() ? text : text + line(name, "");
}

std::string prcb_of(const World& world, unsigned number) {
  const auto processor = world.processor(number);
  std::string text = fmt::format("PRCB for Processor {} at {:016x}:\n", number, processor.address());
  if (!processor) return text + "It cannot be read.\n";
  const Processor& its = *processor;
  text += fmt::format("Threads--  Current {:016x} Next {:016x} Idle {:016x}\n", at(its.current_thread), at(its.next_thread), at(its.idle_thread));
  text += fmt::format("Number {} SetMember {:x}\n", number, std::uint64_t{1} << number);
  text += fmt::format("Interrupt Count -- {:08x}\n", its.interrupt_count);
  text += fmt::format("Times -- Dpc    {:08x} Interrupt {:08x}\n", its.dpc_ticks, its.interrupt_ticks);
  text += fmt::format("         Kernel {:08x} User      {:08x}\n", its.kernel_ticks, 0);
  text += fmt::format("         Idle   {:08x}\n", its.idle_ticks);
  text += fmt::format("Dpcs --  Queued {} Count {} Maximum Depth {} Request Rate {} Watchdog Count {}\n", its.dpcs.depth(), its.dpcs.inserted(),
                      its.maximum_dpc_queue_depth, its.dpc_request_rate, its.dpc_watchdog_count);
  text += fmt::format("         Threaded {} Count {}\n", its.threaded_dpcs.depth(), its.threaded_dpcs.inserted());
  text += fmt::format("         Active {:016x} Active Threaded {:016x}{}{}\n", at(its.active_dpc), at(its.active_threaded_dpc),
                      its.dpc_routine_active ? " [RoutineActive]" : "", its.dpc_interrupt_requested ? " [InterruptRequested]" : "");
  return text;
}

std::string each(const World& world, const Request& request, std::string (*one)(const World&, unsigned)) {
  std::string text;
  for (unsigned number = 0; number < world.processors(); ++number) {
    if (!request.wants(number)) continue;
    if (!text.empty()) text += '\n';
    text += one(world, number);
  }
  return text;
}

}  // namespace

std::string pcr(const World& world, const Request& request) { return each(world, request, pcr_of); }
std::string prcb(const World& world, const Request& request) { return each(world, request, prcb_of); }

}  // namespace kdpc::view
