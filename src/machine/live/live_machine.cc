#include "machine/live/live_machine.h"

#include <unwind.h>

#include "kernel/bugcheck.h"
#include "kernel/entry.h"
#include "kernel/system.h"
#include "machine/live/fiber.h"
#include "machine/live/lines.h"
#include "machine/live/run.h"
#include "machine/stack_switch.h"

namespace kdpc::live {

namespace {

// Reading the host's clock costs as much as some forty windows do, and the kernel's own clock needs no better than a millisecond.
constexpr std::int32_t kWindowsPerLook = 64;
// Some 200 µs of driver code: often enough for the clock interrupt, too seldom to be felt.
constexpr std::int64_t kEdgesPerLook = 100'000;

// The clock interrupt becomes pending when it is due, and the host gets the processor when it wants it.
void look_at_the_clock() {
  State& all = state();
  all.windows_left = kWindowsPerLook;
  const std::uint64_t time = Machine::now();
  if (time >= all.clock) {
    all.clock = kForever;
    lines::pend(entry::kClockVector);
  }
  if (time >= all.leave_at) fiber::leave(Departure::Yield);
}

bool take_interrupts() {
  bool any = false;
  while (has_deliverable()) {
    entry::interrupt(lines::take());
    any = true;
  }
  return any;
}

struct Frames {
  std::uintptr_t* addresses;
  unsigned count;
};

_Unwind_Reason_Code collect(_Unwind_Context* context, void* argument) {
  auto& frames = *static_cast<Frames*>(argument);
  const std::uintptr_t instruction = _Unwind_GetIP(context);
  if (instruction == 0) return _URC_END_OF_STACK;
  frames.addresses[frames.count++] = instruction;
  return frames.count == kMaxFrames - 1 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

void Machine::window_slow() {
  if (!state().inside) return;  // at boot
  if (state().windows_left < 0) look_at_the_clock();
  take_interrupts();
}

void Machine::tell(const Event& event) { live::tell(event); }

void Machine::spin_pause(SpinWord, std::uint64_t) {
  look_at_the_clock();
  take_interrupts();
  __builtin_ia32_pause();
}

std::uint64_t Machine::now() { return state().time_passes ? run::host_clock() - state().origin : state().stopped_at; }

std::uint64_t Machine::since(std::uint64_t mark) {
  state().marks_are_wanted = true;
  if (mark == 0) return 0;
  // Two readings of both clocks, the first of them at the machine's start, say how long a unit of the processor's takes.
  const std::uint64_t units = __builtin_ia32_rdtsc() - state().first_mark, nanoseconds = run::host_clock() - state().first_clock;
  return static_cast<std::uint64_t>(static_cast<double>(__builtin_ia32_rdtsc() - mark) * static_cast<double>(nanoseconds) / static_cast<double>(units));
}

void Machine::arm_clock(std::uint64_t when) { state().clock = when; }

void Machine::send_ipi(ProcessorSet targets) {
  if (targets.has(0)) lines::pend(entry::kIpiVector);
}

void Machine::route(Routing routing) { lines::route(routing.vector, routing.enabled); }
bool Machine::end_of_interrupt(std::uint8_t vector) { return lines::end(vector); }

bool Machine::is_asserted(std::uint8_t vector) { return lines::is_asserted(vector); }

bool Machine::make_stack(Thread& thread) { return fiber::take_stack(thread); }
void Machine::free_stack(Thread& thread) { fiber::give_stack(thread); }
void Machine::switch_to(Thread& from, Thread& to) { fiber::switch_to(from, to); }

void Machine::call_on(StackKind stack, void (*function)(void*), void* argument) {
  State& all = state();
  if (all.stack == stack || all.stack == StackKind::Isr) {
    function(argument);
    return;
  }
  const StackLimits outer = stack_limits();
  const fiber::Bounds bounds = stack == StackKind::Isr ? fiber::isr_stack() : fiber::dpc_stack();
  all.stack = stack;
  all.stack_low = bounds.low;
  all.stack_high = bounds.high;
  std::uintptr_t saved_pointer;
  call_on_stack(bounds.low, bounds.high, function, argument, &saved_pointer);
  all.stack = outer.kind;
  all.stack_low = outer.low;
  all.stack_high = outer.high;
}

StackLimits Machine::stack_limits() { return {state().stack_low, state().stack_high, state().stack}; }

void Machine::idle() {
  set_irql(Irql::Dispatch);
  while (!take_interrupts()) fiber::leave(Departure::Idle);
  set_irql(Irql::High);
}

void Machine::stall(std::uint64_t nanoseconds) {
  const std::uint64_t until = now() + nanoseconds;
  observe(Stalled{nanoseconds});
  do {
    look_at_the_clock();
    take_interrupts();
    __builtin_ia32_pause();
  } while (now() < until);
}

void Machine::edge() {
  if (!state().inside) {
    // A driver's static constructors run on the host while it is loaded.
    state().edge_budget = std::int64_t{1} << 62;
    return;
  }
  state().edge_budget = kEdgesPerLook;
  look_at_the_clock();
  take_interrupts();
}

void Machine::stop(const BugcheckReport& report) {
  BugcheckReport complete = report;
  Frames frames{complete.frames, 0};
  _Unwind_Backtrace(collect, &frames);
  complete.frames[frames.count] = 0;
  run::finish({host::Ended::Bugcheck, {}, complete});
  fiber::abandon();
}

}  // namespace kdpc::live
