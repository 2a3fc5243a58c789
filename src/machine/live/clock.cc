#include "machine/live/clock.h"

#include <signal.h>
#include <time.h>

#include "base/invariant.h"
#include "kernel/entry.h"
#include "machine/live/apic.h"
#include "machine/live/calls.h"
#include "machine/live/signals.h"

namespace kdpc::live::clock {

namespace {

void set(const Slot& slot) {
  const std::uint64_t wake = shared().origin + slot.clock;
  const itimerspec when{{0, 0}, {static_cast<time_t>(wake / 1'000'000'000), static_cast<long>(wake % 1'000'000'000)}};
  ::timer_settime(slot.timer, TIMER_ABSTIME, &when, nullptr);
}

}  // namespace

std::uint64_t now() { return shared().time_passes ? calls::host_clock() - shared().origin : shared().stopped_at.load(); }

void let_time_pass() {
  shared().origin = calls::host_clock() - shared().stopped_at;
  shared().time_passes = true;
  for (unsigned number = 0; number < shared().processors; ++number)
    if (const Slot& slot = slot_of(number); slot.clock != kForever) set(slot);
}

void stop_time() {
  shared().stopped_at = now();
  shared().time_passes = false;
}

void make_timer(Slot& slot) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signals::kInterrupt;
  event._sigev_un._tid = static_cast<pid_t>(slot.tid);
  KDPC_INVARIANT("K.LIVE-11", ::timer_create(CLOCK_MONOTONIC, &event, &slot.timer) == 0);
}

void delete_timer(Slot& slot) { ::timer_delete(slot.timer); }

void arm(Slot& slot, std::uint64_t when) {
  slot.clock = kForever;  // in this order: the handler, which comes at any level, must not find the old time once more
  apic::withdraw(slot, entry::kClockVector);
  slot.clock = when;
  set(slot);
}

void look(Slot& slot) {
  if (slot.clock == kForever || now() < slot.clock) return;
  slot.clock = kForever;
  apic::mark(slot, entry::kClockVector);
}

}  // namespace kdpc::live::clock
