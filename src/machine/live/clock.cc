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

// The machine's time may jump by so much while it stands still: to set every timer anew takes the host as long.
constexpr std::uint64_t kJump = 50'000;

void set(const Slot& slot) {
  const std::uint64_t wake = shared().origin + slot.clock;
  const itimerspec when{{0, 0}, {static_cast<time_t>(wake / 1'000'000'000), static_cast<long>(wake % 1'000'000'000)}};
  ::timer_settime(slot.timer, TIMER_ABSTIME, &when, nullptr);
}

}  // namespace

std::uint64_t now() {
  for (;;) {
    const std::uint64_t round = shared().time_round;
    if (round % 2 == 0) {
      if (const std::uint64_t time = shared().stopped_at; time != kForever) return time;
    } else {
      // Whoever is frozen between the two clocks reads both again: the origin may have moved.
      const std::uint64_t time = calls::host_clock() - shared().origin;
      if (shared().time_round == round) return time;
    }
    __builtin_ia32_pause();
  }
}

bool passes() { return shared().time_round % 2 != 0; }

void let_time_pass() {
  const std::uint64_t origin = calls::host_clock() - shared().stopped_at;
  const bool moves = origin - shared().origin >= kJump;
  if (moves) {
    shared().stood += __builtin_ia32_rdtsc() - shared().stopped_mark;
    shared().origin = origin;
  }
  ++shared().time_round;
  // What came due during a jump has told a processor that found it too early.
  const std::uint64_t time = now();
  for (unsigned number = 0; number < shared().processors; ++number)
    if (const Slot& slot = slot_of(number); slot.clock != kForever && (moves || slot.clock <= time)) set(slot);
}

// In this order: nobody has read a later time than the one at which it stops.
void stop_time() {
  shared().stopped_at = kForever;
  ++shared().time_round;
  shared().stopped_mark = __builtin_ia32_rdtsc();
  shared().stopped_at = calls::host_clock() - shared().origin;
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
