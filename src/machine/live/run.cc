#include "machine/live/run.h"

#include <time.h>

#include <algorithm>

#include "kernel/entry.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "machine/live/bus.h"
#include "machine/live/fiber.h"
#include "machine/live/lines.h"
#include "machine/live/live_machine.h"

namespace kdpc::live::run {

namespace {

// How long the processor may run before the condition is asked again: a hundred times what the way to the host and back costs.
constexpr std::uint64_t kSlice = 20'000;
// Two full ticks with nothing but the clock: whatever a tick brings about has happened by the next one.
constexpr std::uint64_t kQuietTime = 2 * kClockIncrementNanoseconds;

std::optional<host::Outcome> the_end;

// The machine's time passes while there is one of these.
class TimePasses {
 public:
  TimePasses() {
    state().origin = host_clock() - state().stopped_at;
    state().time_passes = true;
  }
  ~TimePasses() {
    state().stopped_at = Machine::now();
    state().time_passes = false;
  }
  TimePasses(const TimePasses&) = delete;
  TimePasses& operator=(const TimePasses&) = delete;
};

void sleep_until(std::uint64_t time) {
  const std::uint64_t wake = state().origin + time;
  const timespec when{static_cast<time_t>(wake / 1'000'000'000), static_cast<long>(wake % 1'000'000'000)};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
}

// The idle processor has nothing to do, and nobody but its own clock will ever give it anything.
bool is_quiet() { return scheduler::is_at_rest(*state().processor) && bus::is_quiet(); }

}  // namespace

std::uint64_t host_clock() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

host::Outcome until(const std::function<bool()>& condition, Nanoseconds limit) {
  State& all = state();
  const TimePasses time_passes;
  const std::uint64_t start = Machine::now();
  const std::uint64_t deadline = limit > kForever - start ? kForever : start + limit;
  std::uint64_t quiet_since = kForever;
  for (;;) {
    if (the_end) return *the_end;
    if (condition && condition()) return {host::Ended::ConditionMet, {}, {}};
    const std::uint64_t time = Machine::now();
    if (time >= deadline) return {host::Ended::TimeLimit, {}, {}};
    bus::advance(time);
    if (time >= all.clock) {
      all.clock = kForever;
      lines::pend(entry::kClockVector);
    }
    if (all.departure == Departure::Idle && !has_deliverable()) {
      quiet_since = is_quiet() ? std::min(quiet_since, time) : kForever;
      if (condition && quiet_since <= time && time - quiet_since >= kQuietTime)
        return {host::Ended::Quiescent,
                "nothing will ever happen again: the processor is idle, no DPC is queued, no timer is set, no device has anything to do, and no "
                "thread is ready.",
                {}};
      sleep_until(std::min({all.clock, bus::due(), deadline}));
      continue;
    }
    all.leave_at = std::min({time + kSlice, bus::due(), deadline});
    all.windows_left = 0;
    fiber::enter();
  }
}

void finish(host::Outcome outcome) {
  if (outcome.report && !the_end) sys().bugcheck = *outcome.report;
  if (!the_end) the_end = std::move(outcome);
  state().leave_at = 0;
  state().windows_left = 0;
}

const std::optional<host::Outcome>& ended() { return the_end; }
void forget_end() { the_end.reset(); }

}  // namespace kdpc::live::run
