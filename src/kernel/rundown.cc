#include "kernel/rundown.h"

#include "kernel/bugcheck.h"
#include "kernel/pageable.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

// On the stack of a thread that waits; the first one's counts, the others wait with it.
struct RundownWait {
  std::uint64_t references;
  EventObject over;
  RundownWait* other;
};

namespace {

RundownWait* wait_of(std::uintptr_t word) { return reinterpret_cast<RundownWait*>(word & ~std::uintptr_t{1}); }

[[noreturn]] void refuse_release(const void* reference) {
  bug_check(stop::ReferenceByPointer, {0, as_parameter(reference), 0, 0}, "Run-down protection was released more often than it was acquired.",
            "LCK-3");
}

}  // namespace

bool RundownReference::exchange(std::uintptr_t& seen, std::uintptr_t wanted) {
  return __atomic_compare_exchange_n(&word_, &seen, wanted, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

bool RundownReference::acquire(std::uint32_t count) {
  std::uintptr_t seen = word_;
  do {
    if ((seen & kActive) != 0) return false;
  } while (!exchange(seen, seen + std::uintptr_t{2} * count));
  Machine::observe(OrderAcquired{this});
  return true;
}

void RundownReference::release(std::uint32_t count) {
  Machine::observe(OrderReleased{this});
  std::uintptr_t seen = word_;
  do {
    if ((seen & kActive) != 0) {
      release_while_waited_for(count);
      return;
    }
    if (seen < std::uintptr_t{2} * count) refuse_release(this);
  } while (!exchange(seen, seen - std::uintptr_t{2} * count));
}

void RundownReference::release_while_waited_for(std::uint32_t count) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const MayTouchPageable the_reference(previous);
  RundownWait* waiter = wait_of(word_);
  if (waiter == nullptr || waiter->references < count) refuse_release(this);
  waiter->references -= count;
  if (waiter->references == 0) {
    word_ = kActive;
    while (waiter != nullptr) {
      RundownWait* other = waiter->other;
      waiter->over.header.signal_state = 1;
      wait::signal_locked(waiter->over.header, 0);
      waiter = other;
    }
  }
  scheduler::release_dispatcher_lock(previous);
}

void RundownReference::wait_for_release() {
  RundownWait own{0, {}, nullptr};
  wait::initialize_event(own.over, ObjectType::NotificationEvent, false);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const MayTouchPageable the_reference(previous);
  std::uintptr_t seen = word_;
  std::uintptr_t wanted;
  do {
    if (seen == kActive) break;
    RundownWait* first = (seen & kActive) != 0 ? wait_of(seen) : nullptr;
    if (first != nullptr) {  // it is being run down by somebody else: the word stays, and both are told
      own.other = first->other;
      first->other = &own;
      break;
    }
    own.references = seen / 2;
    wanted = own.references != 0 ? reinterpret_cast<std::uintptr_t>(&own) | kActive : kActive;
  } while (!exchange(seen, wanted));
  const bool must_wait = seen != 0 && seen != kActive;
  scheduler::release_dispatcher_lock(previous);
  if (must_wait) wait::for_object(own.over.header, nullptr);
  Machine::observe(OrderAcquired{this});
}

void RundownReference::reinitialize() {
  std::uintptr_t run_down = kActive;
  if (!exchange(run_down, 0))
    bug_check(stop::DriverVerifierDetectedViolation, {0x1005, as_parameter(this), 0, 0},
              "Run-down protection was initialised again for an object that has not been run down.", "LCK-3");
}

void RundownReference::completed() { word_ = kActive; }

}  // namespace kdpc
