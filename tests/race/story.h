// Short stories for the race detector: who comes, what he accesses and what he leaves, fact for fact as the kernel states them.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "check/race/detector.h"

namespace kdpc::race::test {

inline constexpr std::uintptr_t kExtension = 0x400000010000;  // a driver's memory
inline constexpr std::uintptr_t kDpc = 0x400000020000, kOtherDpc = 0x400000020040, kTimer = 0x400000020080, kEvent = 0x4000000200c0;
inline constexpr std::uintptr_t kInterrupt = 0x400000021000, kOtherInterrupt = 0x400000021100, kItem = 0x400000022000;
inline constexpr std::uintptr_t kSpinLock = 0x400000010800, kIsrLock = 0x400000021200;
inline constexpr std::uintptr_t kIsrRoutine = 0x10001000, kDpcRoutine = 0x10002000, kOtherRoutine = 0x10003000;
inline constexpr std::uint8_t kVector = 0x50;  // IRQL 5

// The processor's word for the DPC that is running: what the kernel releases when one has.
constexpr std::uintptr_t active_of(std::uint16_t processor) { return 0x400000001000 + processor * std::uintptr_t{0x100}; }

struct Told {
  Detector detector;
  std::uint64_t time = 0;
  std::map<std::uint16_t, std::uint64_t> steps;  // of each processor

  explicit Told(unsigned processors = 2, Options options = {}, Surroundings surroundings = {}) : detector(processors, surroundings, options) {}

  const std::vector<Race>& races() const { return detector.races(); }
  std::vector<Race> certain() const {
    std::vector<Race> found;
    for (const Race& race : races())
      if (race.verdict == Verdict::Certain) found.push_back(race);
    return found;
  }
  // Of a run in which nothing at all has been found; or only what chance has ordered.
  bool is_clean() const { return races().empty(); }
  bool is_suspicion() const { return !races().empty() && certain().empty(); }
};

// Whoever runs on a processor.
struct On {
  Told& told;
  std::uint16_t processor = 0;
  std::uint32_t thread = 10;
  std::uint8_t irql = 0;

  template <class Fact>
  On& say(const Fact& fact) {
    told.detector.event({++told.time, processor, irql, thread, told.steps[processor]}, fact);
    return *this;
  }
  On& access(std::uintptr_t at, std::uintptr_t pc, std::uint64_t size, bool write, bool atomic = false, bool is_volatile = false) {
    const Access one{at, pc | size << 48 | std::uint64_t{atomic} << 61 | std::uint64_t{is_volatile} << 62 | std::uint64_t{write} << 63};
    told.detector.accesses({++told.time, processor, irql, thread, ++told.steps[processor]}, {&one, 1});
    return *this;
  }
  On& read(std::uintptr_t at, std::uintptr_t pc, std::uint64_t size = 4) { return access(at, pc, size, false); }
  On& write(std::uintptr_t at, std::uintptr_t pc, std::uint64_t size = 4) { return access(at, pc, size, true); }
  On& change(std::uintptr_t at, std::uintptr_t pc) { return read(at, pc).write(at, pc + 1); }
  On& interlocked(std::uintptr_t at, std::uintptr_t pc) { return access(at, pc, 4, true, true); }

  On& raise(std::uint8_t to) {
    say(IrqlChanged{irql, to});
    irql = to;
    return *this;
  }
  On& lower(std::uint8_t to) { return raise(to); }
  On& lock(std::uintptr_t lock, LockKind kind = LockKind::Spin, bool shared = false) {
    return say(LockAcquired{Address::at(lock), kind, false, LockForm::Kernel, shared});
  }
  On& unlock(std::uintptr_t lock, LockKind kind = LockKind::Spin, bool shared = false) {
    return say(LockReleased{Address::at(lock), kind, LockForm::Kernel, shared});
  }
  // KeAcquireSpinLock and KeReleaseSpinLock, which say nothing of the level.
  On& acquire(std::uintptr_t its_lock) {
    irql = 2;
    return lock(its_lock);
  }
  On& release(std::uintptr_t its_lock, std::uint8_t to = 0) {
    unlock(its_lock);
    irql = to;
    return *this;
  }
  On& connect(std::uintptr_t interrupt = kInterrupt, std::uint8_t vector = kVector) {
    return say(InterruptConnected{Address::at(interrupt), Address::at(kIsrRoutine), vector, true});
  }
  On& queue(std::uintptr_t dpc, std::uint16_t target) {
    say(OrderReleased{Address::at(dpc)});
    return say(DpcQueued{Address::at(dpc), Address::at(kDpcRoutine), target, 1, 1, true, false, {}, {}});
  }
  On& refuse(std::uintptr_t dpc) {
    say(OrderReleased{Address::at(dpc)});
    return say(DpcRefused{Address::at(dpc), Address::at(kDpcRoutine), {}, {}});
  }
  On& set_event(std::uintptr_t event) { return say(OrderReleased{Address::at(event)}).say(ObjectSignalled{Address::at(event), 0, 1}); }
  // KeFlushQueuedDpcs has returned.
  On& flushed() {
    for (std::uint16_t each = 0; each < 2; ++each) say(OrderAcquired{Address::at(active_of(each))});
    return *this;
  }
  On& waited(std::uintptr_t event) { return say(OrderAcquired{Address::at(event)}); }

  template <class Body>
  On& isr(Body&& body, std::uintptr_t interrupt = kInterrupt, std::uint8_t level = 5, std::uintptr_t its_lock = kIsrLock,
          std::uintptr_t routine = kIsrRoutine) {
    On it{told, processor, thread, level};
    it.lock(its_lock, LockKind::Interrupt);
    it.say(ActivityBegan{ActivityKind::Isr, level, Address::at(routine), Address::at(interrupt)});
    body(it);
    it.say(ActivityEnded{ActivityKind::Isr, true, Address::at(routine), Address::at(interrupt)});
    it.unlock(its_lock, LockKind::Interrupt);
    return *this;
  }
  template <class Body>
  On& dpc(Body&& body, std::uintptr_t object = kDpc, std::uintptr_t routine = kDpcRoutine, ActivityKind kind = ActivityKind::Dpc) {
    On it{told, processor, thread, 2};
    it.say(DrainBegan{1});
    it.say(OrderAcquired{Address::at(object)});
    it.say(ActivityBegan{kind, 2, Address::at(routine), Address::at(object)});
    body(it);
    it.say(ActivityEnded{kind, true, Address::at(routine), Address::at(object)});
    it.say(OrderReleased{Address::at(active_of(processor))});
    it.say(DrainEnded{1});
    return *this;
  }
  template <class Body>
  On& synchronized(Body&& body) {  // KeSynchronizeExecution
    On it{told, processor, thread, 5};
    it.lock(kIsrLock, LockKind::Interrupt);
    it.say(ActivityBegan{ActivityKind::SynchronizedRoutine, 5, Address::at(kOtherRoutine), Address::at(kInterrupt)});
    body(it);
    it.say(ActivityEnded{ActivityKind::SynchronizedRoutine, true, Address::at(kOtherRoutine), Address::at(kInterrupt)});
    it.unlock(kIsrLock, LockKind::Interrupt);
    return *this;
  }
};

}  // namespace kdpc::race::test
