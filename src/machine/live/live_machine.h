// The live machine: real time instead of virtual time, under the same kernel. Today one processor whose interrupts are polled.
//
// The processor is the host thread: NT threads are fibers on it, and an interrupt is taken where the kernel or driver code opens a window, never
// in between. So nothing is preempted asynchronously yet, code that opens no window cannot be interrupted or ended, and a fault of driver code is
// not yet a finding: it ends the process.
#pragma once
#include <type_traits>

#include "kernel/machine.h"
#include "machine/live/state.h"

namespace kdpc::live {

class Machine {
 public:
  static Irql irql() { return state().irql; }
  static void set_irql(Irql level) { state().irql = level; }
  static void request_here(Requests requests) { state().requests |= requests; }
  static Requests take_requests() {
    const Requests taken = state().requests;
    state().requests = 0;
    return taken;
  }
  static Processor& here() { return *state().processor; }

  static void window() {
    if (--state().windows_left < 0 || has_deliverable()) [[unlikely]]
      window_slow();
  }

  // Changes of level are too many and too cheap to be told in real time.
  template <class E>
  static void observe(const E& event) {
    if constexpr (!std::is_same_v<E, IrqlChanged>)
      if (state().observed) [[unlikely]]
        tell(event);
  }

  static void spin_pause(SpinWord word, std::uint64_t until = kForever);
  static std::uint64_t now();
  static std::uint64_t mark() { return state().marks_are_wanted ? __builtin_ia32_rdtsc() : 0; }  // it costs as much as half a DPC
  static std::uint64_t since(std::uint64_t mark);
  static void arm_clock(std::uint64_t when);
  static void send_ipi(ProcessorSet targets);
  static void fence_everywhere() {}  // there is one
  static void route(Routing routing);
  static bool end_of_interrupt(std::uint8_t vector);
  static bool is_asserted(std::uint8_t vector);
  static bool make_stack(Thread& thread);
  static void free_stack(Thread& thread);
  static void switch_to(Thread& from, Thread& to);
  static void call_on(StackKind stack, void (*function)(void*), void* argument);
  static StackLimits stack_limits();
  static void idle();
  static void stall(std::uint64_t nanoseconds);
  static void edge();
  [[noreturn]] static void stop(const BugcheckReport& report);

 private:
  static void window_slow();
  static void tell(const Event& event);
};

// States a fact for the processor; from any context.
void tell(const Event& event);

}  // namespace kdpc::live
