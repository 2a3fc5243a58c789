#include "kernel/fast_mutex.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::fast_mutex {

namespace {

// The Verifier's deadlock detection.
constexpr std::uint64_t kSelfDeadlock = 0x1000;
constexpr std::uint64_t kWrongThread = 0x1004;
constexpr std::uint64_t kNotAcquired = 0x1007;

bool is_unchecked() { return sys().options.irql_checks == Options::IrqlChecks::Free; }

void check_recursion(const FastMutex& mutex, const Thread& self) {
  if (mutex.owner != &self || is_unchecked()) return;
  bug_check(stop::DriverVerifierDetectedViolation, {kSelfDeadlock, as_parameter(&mutex), 0, 0},
            "A thread acquires a fast or guarded mutex that it owns already: it would wait for itself.", "LCK-3");
}

void check_owner(const FastMutex& mutex, const Thread& self) {
  if (mutex.owner == &self || is_unchecked()) return;
  bug_check(stop::DriverVerifierDetectedViolation,
            {mutex.owner == nullptr ? kNotAcquired : kWrongThread, as_parameter(&mutex), as_parameter(mutex.owner), as_parameter(&self)},
            "A thread releases a fast or guarded mutex that it does not own.", "LCK-3");
}

}  // namespace

void initialize(FastMutex& mutex) {
  mutex.count = 1;
  mutex.owner = nullptr;
  mutex.contention = 0;
  wait::initialize_event(mutex.event, ObjectType::SynchronizationEvent, false);
}

void acquire(FastMutex& mutex) {
  Thread& self = thread::current();
  check_recursion(mutex, self);
  if (__atomic_sub_fetch(&mutex.count, 1, __ATOMIC_ACQUIRE) != 0) {
    __atomic_add_fetch(&mutex.contention, 1u, __ATOMIC_RELAXED);
    wait::for_object(mutex.event.header, nullptr);
  }
  mutex.owner = &self;
  Machine::observe(OrderAcquired{&mutex});
}

bool try_acquire(FastMutex& mutex) {
  std::int32_t free = 1;
  if (!__atomic_compare_exchange_n(&mutex.count, &free, 0, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return false;
  mutex.owner = &thread::current();
  Machine::observe(OrderAcquired{&mutex});
  return true;
}

void release(FastMutex& mutex) {
  check_owner(mutex, thread::current());
  Machine::observe(OrderReleased{&mutex});
  mutex.owner = nullptr;
  constexpr std::int32_t kIncrement = 1;
  if (__atomic_add_fetch(&mutex.count, 1, __ATOMIC_RELEASE) <= 0) wait::set_event(mutex.event, kIncrement);
}

}  // namespace kdpc::fast_mutex
