// The contract between the kernel and the machine it runs on: one page, two machines (machine/sim, machine/live), chosen by include path.
//
// `this_machine.h` of the chosen machine says `using Machine = …;` and the kernel calls Machine::operation() statically. What the kernel may
// rely on in both worlds:
//
//  irql(), set_irql(l)      This processor's level. set_irql changes the level and nothing else: it delivers nothing.
//  request_here(bits)       Leaves software interrupt requests for this processor; legal at any level, from any interrupt.
//  requests()               A glance at them; they may have been taken when it returns, by an interrupt.
//  take_requests()          Takes all of them, as one snapshot; called at High only.
//  here()                   The current processor. Only at Dispatch or above; the reference dies at the next lowering, window or switch.
//  window()                 A point where every interrupt above the current level that is due is taken, through entry::interrupt().
//  lower(l)                 set_irql(l), then window().
//  observes()               False: nobody would be told, a fact need not even be put together.
//  observe(event)           States a fact. Any level, any lock; nothing listens that could call back.
//  spin_pause(word, until)  One turn of a wait for `word` to change, or for the time `until` if one is given; interrupts above the current level are
//                           taken meanwhile. `word.lock` is what LockAcquired and LockReleased call the lock for which the word stands.
//  now()                    Nanoseconds since start, on this processor; never goes back.
//  mark(), since(mark)      A moment of this processor's, in a unit of the machine's own, and the nanoseconds since one. A machine that takes no moment
//                           for nothing begins when since() is first asked, and answers 0 for those before.
//  arm_clock(when)          The clock vector comes to this processor once, at `when` or as soon after it as the level allows.
//  send_ipi(targets)        The IPI vector comes to each of them soon; requests made before are visible to its handler.
//  fence_everywhere()       Every processor has passed a full memory fence between the call and its return.
//  route(routing)           Lets a device vector through to a processor, or stops it; a line that is asserted at that moment interrupts.
//  end_of_interrupt(v)      The controller may deliver `v` again. True: its line is still asserted, it will come again at once.
//  is_asserted(v)           Some line with this vector is asserted now.
//  make_stack, free_stack   A kernel stack for a thread, whose first switch_to() enters entry::thread_begins(thread).
//  switch_to(from, to)      `from` stops here and goes on when somebody switches to it, perhaps on another processor; at Synch, with the
//                           dispatcher lock held by this processor before and after.
//  call_on(stack, f, x)     Calls f(x) on this processor's DPC or ISR stack, or directly when already on it (or on the ISR stack).
//  stack_limits()           The stack in use now.
//  idle()                   Entered and left at High: waits, open to every interrupt above Dispatch, until one was taken; or there is entry::has_work_while_idle().
//  stall(ns)                At least that long passes; interrupts above the current level are taken meanwhile.
//  edge()                   Driver code has used up the edge budget it counts down: time passes, a window is opened, the budget is refilled.
//  hears_accesses()         Drivers' check variants may run here.
//  access(at, how)          One of their accesses comes next, and no budget was left for it: a window is opened, the budget is refilled.
//  stop(report)             The end of this run. Unwinds nothing, never returns.
//
// An ISR of the live machine runs inside a signal handler. Therefore kernel/ allocates nothing from the host, throws nothing, and has no
// lazily initialised statics.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "base/processor_set.h"
#include "kernel/events.h"
#include "kernel/irql.h"

namespace kdpc {

struct Processor;
struct Thread;
struct BugcheckReport;

// Software interrupts a processor can ask of itself.
using Requests = std::uint32_t;
inline constexpr Requests kApcRequest = 1u << static_cast<unsigned>(Irql::Apc);
inline constexpr Requests kDispatchRequest = 1u << static_cast<unsigned>(Irql::Dispatch);

enum class StackKind : std::uint8_t { Thread, Dpc, Isr };

struct StackLimits {
  std::uintptr_t low;
  std::uintptr_t high;
  StackKind kind;
};

struct Routing {
  std::uint8_t vector;
  std::uint16_t processor;
  bool enabled;
};

// What a spinning processor watches. An in-stack queued lock is waited for at the waiter's own place, so word and lock may be two things.
class SpinWord {
 public:
  SpinWord(const volatile std::uintptr_t* word, const volatile void* lock = nullptr)  // NOLINT(google-explicit-constructor)
      : word_(word), lock_(lock != nullptr ? lock : word), wide_(true) {}
  SpinWord(const volatile std::uint32_t* word, const volatile void* lock = nullptr)  // NOLINT(google-explicit-constructor)
      : word_(word), lock_(lock != nullptr ? lock : word), wide_(false) {}
  SpinWord() = default;

  const void* word() const { return const_cast<const void*>(word_); }
  const void* lock() const { return const_cast<const void*>(lock_); }
  const volatile void* const* place_of_lock() const { return &lock_; }  // for those who look from outside
  std::uintptr_t value() const {
    return wide_ ? *static_cast<const volatile std::uintptr_t*>(word_) : *static_cast<const volatile std::uint32_t*>(word_);
  }

 private:
  const volatile void* word_ = nullptr;
  const volatile void* lock_ = nullptr;
  bool wide_ = true;
};

template <class M>
concept MachineContract = requires(Irql level, Requests requests, std::uint64_t nanoseconds, ProcessorSet set, Thread& thread, Routing routing,
                                   std::uint8_t vector, SpinWord word, const BugcheckReport& report, void (*function)(void*), void* argument) {
  { M::irql() } -> std::same_as<Irql>;
  { M::set_irql(level) } -> std::same_as<void>;
  { M::request_here(requests) } -> std::same_as<void>;
  { M::requests() } -> std::same_as<Requests>;
  { M::take_requests() } -> std::same_as<Requests>;
  { M::here() } -> std::same_as<Processor&>;
  { M::window() } -> std::same_as<void>;
  { M::lower(level) } -> std::same_as<void>;
  { M::observes() } -> std::same_as<bool>;
  { M::observe(ClockTicked{}) } -> std::same_as<void>;
  { M::spin_pause(word) } -> std::same_as<void>;
  { M::spin_pause(word, nanoseconds) } -> std::same_as<void>;
  { M::now() } -> std::same_as<std::uint64_t>;
  { M::mark() } -> std::same_as<std::uint64_t>;
  { M::since(nanoseconds) } -> std::same_as<std::uint64_t>;
  { M::arm_clock(nanoseconds) } -> std::same_as<void>;
  { M::send_ipi(set) } -> std::same_as<void>;
  { M::fence_everywhere() } -> std::same_as<void>;
  { M::route(routing) } -> std::same_as<void>;
  { M::end_of_interrupt(vector) } -> std::same_as<bool>;
  { M::is_asserted(vector) } -> std::same_as<bool>;
  { M::make_stack(thread) } -> std::same_as<bool>;
  { M::free_stack(thread) } -> std::same_as<void>;
  { M::switch_to(thread, thread) } -> std::same_as<void>;
  { M::call_on(StackKind::Dpc, function, argument) } -> std::same_as<void>;
  { M::stack_limits() } -> std::same_as<StackLimits>;
  { M::idle() } -> std::same_as<void>;
  { M::stall(nanoseconds) } -> std::same_as<void>;
  { M::edge() } -> std::same_as<void>;
  { M::hears_accesses() } -> std::same_as<bool>;
  { M::access(std::uintptr_t{}, nanoseconds) } -> std::same_as<void>;
  { M::stop(report) } -> std::same_as<void>;
};

}  // namespace kdpc
