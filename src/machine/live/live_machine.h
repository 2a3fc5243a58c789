// The live machine: real time instead of virtual time, several processors that really run at once, under the same kernel.
//
// A processor is a pthread (processors.h). It is interrupted by a signal wherever it is (delivery.h), unless its level is too high: levels are masked lazily, by
// an instruction that stores the new one. NT threads are fibers that any processor runs (fiber.h). The host is none of the processors: it freezes them to look
// (gate.h, run.h).
#pragma once
#include <type_traits>

#include "kernel/machine.h"
#include "machine/live/calls.h"
#include "machine/live/clock.h"
#include "machine/live/delivery.h"
#include "machine/live/facts.h"
#include "machine/live/fiber.h"
#include "machine/live/lines.h"
#include "machine/live/signals.h"
#include "machine/live/slot.h"

namespace kdpc::live {

class Machine {
 public:
  static Irql irql() { return live::irql(); }
  static void set_irql(Irql level) { live::set_irql(level); }
  static void request_here(Requests requests) { add_requests(requests); }
  static Requests requests() { return requests_here(); }
  static Requests take_requests() {
    const Requests taken = requests_here();
    clear_requests();
    return taken;
  }
  static Processor& here() { return *processor_here(); }

  static void window() {
    if constexpr (signals::kPolled) delivery::look();
    if (has_deliverable()) [[unlikely]]
      delivery::take_all_here();
  }
  static void lower(Irql level) {
    live::set_irql(level);
    if constexpr (signals::kPolled) delivery::look();
    if (has_deliverable(level)) [[unlikely]]
      delivery::take_all_here();
  }

  static bool observes() { return shared().observed; }
  // Changes of level are too many and too cheap to be told in real time.
  template <class E>
  static void observe(const E& event) {
    if constexpr (!std::is_same_v<E, IrqlChanged>)
      if (shared().observed) [[unlikely]]
        tell(event);
  }

  static void spin_pause(SpinWord word, std::uint64_t until = kForever);
  static std::uint64_t now() { return clock::now(); }
  static std::uint64_t mark() { return shared().marks_are_wanted ? clock::mark() : 0; }  // it costs as much as half a DPC
  static std::uint64_t since(std::uint64_t mark);
  static void arm_clock(std::uint64_t when);
  static void send_ipi(ProcessorSet targets);
  static void fence_everywhere() { calls::fence_everywhere(); }
  static void route(Routing routing) { lines::route(routing.vector, routing.processor, routing.enabled); }
  static bool end_of_interrupt(std::uint8_t vector) { return lines::end(vector); }
  static bool is_asserted(std::uint8_t vector) { return lines::is_asserted(vector); }
  static bool make_stack(Thread& thread) { return fiber::make(thread); }
  static void free_stack(Thread& thread);
  static void switch_to(Thread& from, Thread& to) { fiber::switch_to(from, to); }
  static void call_on(StackKind stack, void (*function)(void*), void* argument);
  static StackLimits stack_limits();
  static void idle();
  static void stall(std::uint64_t nanoseconds);
  static void edge();
  static constexpr bool hears_accesses() { return false; }
  static void access(std::uintptr_t, std::uint64_t) {}
  [[noreturn]] static void stop(const BugcheckReport& report);
};

}  // namespace kdpc::live
