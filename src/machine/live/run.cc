#include "machine/live/run.h"

#include <algorithm>
#include <utility>

#include "kernel/entry.h"
#include "kernel/ipi.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "machine/live/apic.h"
#include "machine/live/bus.h"
#include "machine/live/calls.h"
#include "machine/live/clock.h"
#include "machine/live/facts.h"
#include "machine/live/gate.h"
#include "machine/live/idle.h"
#include "machine/live/processors.h"
#include "machine/live/segments.h"
#include "machine/live/slot.h"

namespace kdpc::live::run {

namespace {

// How long the processors may run before the condition is asked again, if nothing worth asking about happens.
constexpr std::uint64_t kFirstPatience = 50'000, kLastPatience = 1'000'000;
// To ask costs the processors the time that they stand still: no more than an eighth of all, by the host's clock. A debugger may look for an hour.
constexpr std::uint64_t kShare = 8, kLongestShare = 1'000'000'000;
// Two full ticks with nothing but the clock: whatever a tick brings about has happened by the next one.
constexpr std::uint64_t kQuietTime = 2 * kClockIncrementNanoseconds;

std::atomic<bool> end_claimed{false}, end_known{false};
std::optional<host::Outcome> the_end;  // by whoever claimed it, before it is known

std::atomic<std::uint32_t> reasons{0};
calls::Futex alarm{0};
std::atomic<bool> host_sleeps{false};

// While there is one of these, what the host looks at is not to be destroyed.
class Runs {
 public:
  Runs() { shared().runs = true; }
  ~Runs() { shared().runs = false; }
  Runs(const Runs&) = delete;
  Runs& operator=(const Runs&) = delete;
};

// Everybody is idle, and nobody but their clocks will ever give them anything.
class Quiet {
 public:
  bool has_lasted(std::uint64_t time) {
    std::uint64_t work = 0;
    for (unsigned number = 0; number < shared().processors; ++number) work += slot_of(number).work;
    const bool quiet = is_now() && work == work_;
    work_ = work;
    since_ = quiet ? std::min(since_, time) : kForever;
    return since_ <= time && time - since_ >= kQuietTime;
  }

 private:
  static bool is_now() {
    for (unsigned number = 0; number < shared().processors; ++number)
      if (!idle::is(slot_of(number)) || !scheduler::is_at_rest(processor(number))) return false;
    return bus::is_quiet();
  }

  std::uint64_t since_ = kForever, work_ = 0;
};

// A short limit is meant for processors that run. Where the host is busy with other things, those that have something to do get the time they were promised
// on the host's processors, within reason.
class Promise {
 public:
  explicit Promise(std::uint64_t limit) : limit_(limit) {
    if (limit_ <= kLongestPromise)
      for (unsigned number = 0; number < shared().processors; ++number) before_[number] = processors::time_of(number);
  }
  bool is_kept(std::uint64_t late) const {
    if (limit_ > kLongestPromise || late > kReason) return true;
    for (unsigned number = 0; number < shared().processors; ++number)
      if (!idle::is(slot_of(number)) && processors::time_of(number) - before_[number] < limit_) return false;
    return true;
  }

 private:
  static constexpr std::uint64_t kLongestPromise = 100'000'000, kReason = 1'000'000'000;
  std::uint64_t limit_;
  std::uint64_t before_[kMaxProcessors] = {};
};

// What the kernel has asked of "this processor" while the host was lent processor 0.
void hand_over_requests() {
  Slot& host = host_slot();
  if (host.requests == 0) return;
  std::uint32_t asked = 0;
  if ((host.requests & kDispatchRequest) != 0) asked |= kIpiDispatch;
  if ((host.requests & kApcRequest) != 0) asked |= kIpiApc;
  host.requests = 0;
  __atomic_or_fetch(&processor(0).ipi_requests, asked, __ATOMIC_RELEASE);
  apic::pend(slot_of(0), entry::kIpiVector);
}

void sleep_until(std::uint64_t time) {
  const std::uint32_t seen = alarm;
  host_sleeps = true;
  const std::uint64_t now = clock::now();
  if (reasons == 0 && now < time) calls::wait(alarm, seen, std::min<std::uint64_t>(time - now, 1'000'000'000));
  host_sleeps = false;
}

// With the gate open. `earliest`: before that only what cannot wait ends the wait.
void wait(std::uint64_t earliest, std::uint64_t latest) {
  constexpr std::uint32_t kUrgent = kEnd | kMakeRoom, kWorthAsking = kAllIdle | kThreadEnded;
  bool worth_asking = false;
  for (;;) {
    const std::uint32_t why = reasons.exchange(0);
    worth_asking = worth_asking || (why & kWorthAsking) != 0;
    const std::uint64_t time = clock::now();
    if ((why & kUrgent) != 0 || has_ended() || time >= latest || (worth_asking && time >= earliest)) return;
    const std::uint64_t due = bus::due();
    if (due <= time) {
      bus::advance(time);
      continue;
    }
    const std::uint64_t due_by_then = bus::is_empty() ? kForever : time + kLastPatience;  // boards have other ends, which say nothing
    sleep_until(std::min({latest, due, due_by_then, worth_asking ? earliest : kForever}));
  }
}

}  // namespace

host::Outcome until(const std::function<bool()>& condition, Nanoseconds limit) {
  segments::set_gs(reinterpret_cast<std::uintptr_t>(&host_slot()));
  host_slot().home_fs = segments::fs();
  const Runs runs;
  const std::uint64_t start = clock::now();
  const std::uint64_t deadline = limit > kForever - start ? kForever : start + limit;
  std::uint64_t patience = kFirstPatience, closing = calls::host_clock();
  Quiet quiet;
  const Promise promise(limit);
  for (;;) {
    facts::drain();
    if (has_ended()) return *the_end;
    if (condition && condition()) return {host::Ended::ConditionMet, {}, {}};
    if (const std::uint64_t time = clock::now(); time >= deadline && promise.is_kept(time - deadline)) return {host::Ended::TimeLimit, {}, {}};
    if (condition && quiet.has_lasted(clock::now()))
      return {host::Ended::Quiescent,
              "nothing will ever happen again: every processor is idle, no DPC is queued, no timer is set, no device has anything to do, and no "
              "thread is ready.",
              {}};
    hand_over_requests();
    clock::let_time_pass();
    gate::open();
    const std::uint64_t opened = clock::now(), looked = calls::host_clock() - closing;
    const std::uint64_t earliest = opened + std::min(looked * kShare, kLongestShare), latest = std::max(earliest, opened + patience);
    wait(earliest, opened >= deadline ? latest : condition ? std::min(deadline, latest) : deadline);
    patience = std::min(patience * 2, kLastPatience);
    closing = calls::host_clock();
    gate::close();
    clock::stop_time();
  }
}

void finish(host::Outcome outcome) {
  if (end_claimed.exchange(true)) return;
  if (outcome.report) sys().bugcheck = *outcome.report;
  the_end = std::move(outcome);
  end_known = true;
  ask_host(kEnd);
}

bool has_ended() { return end_known; }

void forget_end() {
  the_end.reset();
  end_claimed = end_known = false;
  reasons = 0;
}

void ask_host(std::uint32_t why) {
  reasons.fetch_or(why);
  alarm.fetch_add(1);
  if (host_sleeps.exchange(false)) calls::wake(alarm);
}

}  // namespace kdpc::live::run
