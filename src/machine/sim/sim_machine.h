// The deterministic simulated machine: every processor in one host thread, virtual time, and the World.
//
// It keeps the contract of kernel/machine.h; the operations that run at every call of a driver are here, the others in sim_machine.cc.
#pragma once
#include <type_traits>

#include "kernel/machine.h"
#include "machine/sim/accesses.h"
#include "machine/sim/state.h"

namespace kdpc::sim {

class Machine {
 public:
  static Irql irql() { return current().irql; }
  static void set_irql(Irql level) {
    accesses::tell();
    current().irql = level;
    close_pages_at(level);
  }
  static void request_here(Requests requests) { current().requests |= requests; }
  static Requests requests() { return current().requests; }
  static Requests take_requests() {
    Slot& slot = current();
    const Requests taken = slot.requests;
    slot.requests = 0;
    return taken;
  }
  static Processor& here() { return *current().processor; }

  static void window() {
    Slot& slot = current();
    settle(slot);
    if (slot.time > slot.limit || has_deliverable(slot) || fixed().exploring) [[unlikely]]
      window_slow();
  }

  static void lower(Irql level) {
    set_irql(level);
    window();
  }

  static constexpr bool observes() { return true; }  // facts cost time, whoever listens
  // What the fact costs is charged before anything that follows from it.
  template <class E>
  static void observe(const E& event) {
    Slot& slot = current();
    if (const std::uint64_t cost = cost_of(state().costs, event); cost != 0) pass(slot, cost);
    if constexpr (std::is_same_v<E, LockAcquired>) acquired(slot, event.lock, event.kind);
    if constexpr (std::is_same_v<E, LockReleased>) released(slot, event.lock, event.kind);
    if constexpr (std::is_same_v<E, OrderAcquired>) receive(slot, event.object);
    if constexpr (std::is_same_v<E, OrderReleased>) hand_over(slot, event.object);
    if (fixed().observed) [[unlikely]]
      tell(event);
  }

  static void spin_pause(SpinWord word, std::uint64_t until = kForever);
  static std::uint64_t now() {
    Slot& slot = current();
    settle(slot);
    return slot.time;
  }
  static std::uint64_t mark() { return now(); }
  static std::uint64_t since(std::uint64_t mark) { return now() - mark; }
  static void arm_clock(std::uint64_t when);
  static void send_ipi(ProcessorSet targets);
  static void fence_everywhere() {}  // one host thread is all of them
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
  [[noreturn]] static void stop(const BugcheckReport& report);
  // Driver code has used up its edge budget: time passes, interrupts are taken, the budget is filled up to the next event.
  static void edge();
  static constexpr bool hears_accesses() { return true; }
  static void access(std::uintptr_t at, std::uint64_t how);

  // The machine's own: what is not stated as a fact costs time too, and what was done to a board may have brought its next event nearer.
  static void charge(std::uint64_t nanoseconds) { pass(current(), nanoseconds); }
  static void refresh_limit();

 private:
  static void window_slow();
  static void tell(const Event& event);

  // Whoever takes over what another processor handed over cannot be earlier than it.
  static void hand_over(Slot& slot, Address object) {
    settle(slot);
    set_order(pointer(object), slot.time);
  }
  static void receive(Slot& slot, Address object) {
    const std::uint64_t handed_over = order_of(pointer(object));
    if (handed_over == 0) return;
    settle(slot);
    if (slot.time < handed_over) pass(slot, handed_over - slot.time);
  }
  static void acquired(Slot& slot, Address lock, LockKind kind) {
    receive(slot, lock);
    if (!belongs_to_processor(kind)) return;
    if (slot.held_count < kMaxHeldLocks) slot.held[slot.held_count] = {pointer(lock), slot.time, slot.thread_id};
    ++slot.held_count;
  }
  static void released(Slot& slot, Address lock, LockKind kind) {
    hand_over(slot, lock);
    if (!belongs_to_processor(kind)) return;
    const std::uint32_t top = slot.held_count - 1;
    if (top < kMaxHeldLocks && slot.held[top].lock == pointer(lock) && state().spinners == 0) [[likely]] {
      slot.held_count = top;
    } else {
      released_slow(slot, pointer(lock));
    }
  }
  static void released_slow(Slot& slot, const void* lock);

  static const void* pointer(Address address) { return reinterpret_cast<const void*>(address.value); }
};

}  // namespace kdpc::sim
