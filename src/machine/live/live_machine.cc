#include "machine/live/live_machine.h"

#include <cstdio>

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/entry.h"
#include "machine/frames.h"
#include "machine/live/apic.h"
#include "machine/live/arena.h"
#include "machine/live/calls.h"
#include "machine/live/gate.h"
#include "machine/live/idle.h"
#include "machine/live/lock.h"
#include "machine/live/processors.h"
#include "machine/live/run.h"
#include "machine/live/tls.h"
#include "machine/stack_switch.h"

namespace kdpc::live {

namespace {

// Who is waited for may need the host's processor that this one spins on.
constexpr std::uint32_t kSpinsPerLook = 64, kLooksPerYield = 16;

void spin_outside() {
  thread_local std::uint32_t spins = 0;
  if (++spins % (kSpinsPerLook * kLooksPerYield) != 0) return;
  calls::give_way();
  gate::wait_as_host();
}

}  // namespace

void Machine::spin_pause(SpinWord, std::uint64_t) {
  __builtin_ia32_pause();
  if (!tls::on_processor()) {
    spin_outside();
    return;
  }
  if constexpr (signals::kPolled) window();
  const std::uint32_t spins = ++live::here().spins;  // a rough count: below Dispatch it may be another processor's
  if (spins % kSpinsPerLook != 0) return;
  // First: after the host's processor has been given away, the word may be another.
  if (const Irql before = irql(); before >= apic::kGateLevel && gate::is_closed() && gate::wait_for_another(live::here(), before))
    delivery::take_all(before);
  if (shared().oversubscribed || spins % (kSpinsPerLook * kLooksPerYield) == 0) calls::give_way();
}

std::uint64_t Machine::since(std::uint64_t mark) {
  shared().marks_are_wanted = true;
  if (mark == 0) return 0;
  // Two readings of both clocks, the first of them at the machine's start, say how long a unit of the processor's takes.
  const std::uint64_t units = __builtin_ia32_rdtsc() - shared().first_mark, nanoseconds = calls::host_clock() - shared().first_clock;
  const std::uint64_t time = __builtin_ia32_rdtsc(), now = time - shared().stood;
  return now <= mark ? 0
                     : static_cast<std::uint64_t>(static_cast<double>(now - mark) * static_cast<double>(nanoseconds) / static_cast<double>(units));
}

void Machine::arm_clock(std::uint64_t when) {
  const Undisturbed undisturbed;
  clock::arm(live::here(), when);
}

void Machine::send_ipi(ProcessorSet targets) {
  const Undisturbed undisturbed;
  for (const unsigned number : targets) apic::pend(slot_of(number), entry::kIpiVector);
}

void Machine::free_stack(Thread& thread) {
  fiber::forget(thread);
  run::ask_host(run::kThreadEnded);
}

void Machine::call_on(StackKind stack, void (*function)(void*), void* argument) {
  Slot& slot = live::here();
  if (slot.stack == stack || slot.stack == StackKind::Isr) {
    function(argument);
    return;
  }
  // The kind says `Isr` from before that stack is used until after it has been left: an interrupt in between stays on the stack it finds.
  const StackLimits outer{slot.stack_low, slot.stack_high, slot.stack};
  const auto [low, high] = slot.own_stacks[static_cast<unsigned>(stack)];
  slot.stack = stack;
  slot.stack_low = low;
  slot.stack_high = high;
  std::uintptr_t saved_pointer;
  call_on_stack(low, high, function, argument, &saved_pointer);
  slot.stack_low = outer.low;
  slot.stack_high = outer.high;
  asm volatile("" : : : "memory");
  slot.stack = outer.kind;
}

StackLimits Machine::stack_limits() {
  const Undisturbed undisturbed;
  const Slot& slot = live::here();
  return {slot.stack_low, slot.stack_high, slot.stack};
}

void Machine::idle() {
  Slot& slot = live::here();
  const std::uint64_t taken = slot.taken;
  set_irql(Irql::Dispatch);
  idle::wait(slot, taken);
  set_irql(Irql::High);
  delivery::take_all(Irql::Dispatch);
  set_irql(Irql::High);
}

void Machine::stall(std::uint64_t nanoseconds) {
  const std::uint64_t until = now() + nanoseconds;
  observe(Stalled{nanoseconds});
  do {
    window();
    __builtin_ia32_pause();
  } while (now() < until);
}

// Where interrupts come by signal, edges need not be counted.
void Machine::edge() {
  __atomic_store_n(&shared().edge_budget, signals::kEdgeBudget, __ATOMIC_RELAXED);
  if constexpr (signals::kPolled) window();
}

void Machine::stop(const BugcheckReport& report) {
  if (!tls::on_processor()) {
    std::fprintf(stderr, "kdpc: bug check 0x%X in code that the host runs: %s\n", report.code, report.sentence);
    KDPC_INVARIANT("K.LIVE-21", !"a bug check is a processor's");  // there is nothing the host could leave for good
  }
  BugcheckReport complete = report;
  frames::fill(complete.frames);
  run::finish({host::Ended::Bugcheck, {}, complete});
  processors::end_here();
}

}  // namespace kdpc::live
