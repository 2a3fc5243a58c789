// Tolerant timers and accuracy: SEMANTICS TIM-5, TIM-6, and setting the clock (TIM-2).
#include <wdm.h>

#include <limits>

#include "kdpc/test.h"
#include "tests/kernel/timer_pair.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr ULONGLONG kMs = 10'000;  // 100 ns

// -- TIM-5 ----------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(CoalescableTimer, WithoutToleranceItIsAsKeSetTimerEx) {
  RULE("TIM-5");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    prepare(two, "2");
    KDPC_EXPECT_EQ(KeSetCoalescableTimer(&one.timer, in_ms(47), 94, 0, &one.dpc), FALSE);
    KDPC_EXPECT_EQ(KeSetTimerEx(&two.timer, in_ms(47), 94, &two.dpc), FALSE);
    KDPC_EXPECT_EQ(one.timer.DueTime.QuadPart, two.timer.DueTime.QuadPart);
    KDPC_EXPECT_EQ(KeSetCoalescableTimer(&one.timer, in_ms(47), 94, 0, &one.dpc), TRUE);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 8; }, 2s));
  EXPECT_STREQ(order, "21212121");  // one was set anew, after two
  for (int run = 0; run < 8; run += 2) EXPECT_EQ(calls[run].interrupt_time, calls[run + 1].interrupt_time);
}

KDPC_TEST(CoalescableTimer, ExpiresFirstBetweenItsDueTimeAndTheEndOfItsTolerance) {
  RULE("TIM-5");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    for (int due = 1; due < 3000; due += 37) {
      for (const ULONG tolerance : {1u, 31u, 32u, 50u, 99u, 100u, 250u, 1000u}) {
        const ULONGLONG nominal = KeQueryInterruptTime() + static_cast<ULONGLONG>(due) * kMs;
        KeSetCoalescableTimer(&one.timer, in_ms(due), 0, tolerance, &one.dpc);
        KDPC_EXPECT(one.timer.DueTime.QuadPart >= nominal, one.timer.DueTime.QuadPart, nominal);
        KDPC_EXPECT(one.timer.DueTime.QuadPart <= nominal + tolerance * kMs, one.timer.DueTime.QuadPart, nominal);
        if (tolerance < 32) KDPC_EXPECT_EQ(one.timer.DueTime.QuadPart, nominal);
      }
    }
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), TRUE);
  });
}

KDPC_TEST(CoalescableTimer, LaterIntervalsArePeriodMoreOrLessTheTolerance) {
  RULE("TIM-5");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetCoalescableTimer(&one.timer, in_ms(130), 230, 100, &one.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 20; }, 10s));
  bool is_ever_off = false;
  for (int run = 1; run < 20; ++run) {
    const ULONGLONG interval = calls[run].interrupt_time - calls[run - 1].interrupt_time;
    EXPECT_GE(interval + kTick, 130 * kMs) << run;  // an expiry is seen on a tick
    EXPECT_LE(interval, 330 * kMs + kTick) << run;
    if (interval + kTick < 230 * kMs || interval > 230 * kMs + kTick) is_ever_off = true;
  }
  EXPECT_TRUE(is_ever_off);
}

KDPC_TEST(CoalescableTimer, ManyThatAreTolerantExpireTogetherAndThoseThatAreNotDoNot) {
  RULE("TIM-5");
  static Pair timers[20];
  const auto ticks_used = [&m](ULONG tolerance) {
    reset();
    m.on(0, PASSIVE_LEVEL, [tolerance] {
      for (int index = 0; index < 20; ++index) {
        prepare(timers[index], "t");
        KeSetCoalescableTimer(&timers[index].timer, in_ms(100 + index * 20), 0, tolerance, &timers[index].dpc);
      }
    });
    EXPECT_TRUE(m.run_until([] { return runs == 20; }, 5s));
    int used = 1;
    for (int run = 1; run < 20; ++run) used += calls[run].interrupt_time != calls[run - 1].interrupt_time ? 1 : 0;
    return used;
  };
  EXPECT_GE(ticks_used(0), 18);
  EXPECT_LE(ticks_used(250), 4);
}

KDPC_TEST(CoalescableTimer, APeriodBeyondMaxlongIsRefused) {
  RULE("TIM-5");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetCoalescableTimer(&one.timer, in_ms(10), 0x80000000, 0, &one.dpc);
  });
  EXPECT_BUGCHECK(0x1E, 0xC000000D, &one.timer, 0x80000000);
}

KDPC_TEST(CoalescableTimer, ANegativeToleranceIsRefused) {
  RULE("TIM-5");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetCoalescableTimer(&one.timer, in_ms(10), 0, static_cast<ULONG>(-1), &one.dpc);
  });
  EXPECT_BUGCHECK(0x1E, 0xC000000D, &one.timer, 0xFFFFFFFF);
}

KDPC_TEST(TimerPeriod, ThatIsNegativeIsRefused) {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimerEx(&one.timer, in_ms(10), -5, &one.dpc);
  });
  EXPECT_BUGCHECK(0x1E, 0xC000000D, &one.timer, 0xFFFFFFFB);
}

KDPC_TEST(TimerPeriod, ThatIsNegativeIsForAFreeBuildALongOne, .options = {{"irql_checks", "free"}}) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimerEx(&one.timer, in_ms(10), -5, &one.dpc);
  });
  m.run_for(1s);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(one.timer.DueTime.QuadPart, calls[0].interrupt_time + 0xFFFFFFFBull * kMs);
}

// -- TIM-6: accuracy ------------------------------------------------------------------------------------------------------------------------

ULONGLONG set_at, ran_at;
VOID NTAPI note_time(PKDPC, PVOID, PVOID, PVOID) { ran_at = performance_count(); }

// Sets a timer `into` the tick and measures, in 100 ns, how long it takes until its DPC runs.
ULONGLONG measured(kdpc::lab::Machine& m, std::chrono::microseconds into, LONGLONG relative) {
  m.run_for((15'625us - std::chrono::microseconds(m.now() / 1000 % 15'625)) + into);
  m.on(0, PASSIVE_LEVEL, [relative] {
    prepare(one, "1", note_time);
    ran_at = 0;
    set_at = performance_count();
    KeSetTimer(&one.timer, hundreds_of_ns(-relative), &one.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return ran_at != 0; }, 1s));
  return ran_at - set_at;
}

KDPC_TEST(TimerAccuracy, OfARelativeTimeIsOneTickEitherWay) {
  RULE("TIM-6");
  bool was_early = false, was_late = false;
  for (const auto into : {100us, 5'000us, 10'000us, 15'500us}) {
    for (const ULONGLONG relative : {16 * kMs, 20 * kMs, 31 * kMs, 50 * kMs}) {
      const ULONGLONG took = measured(m, into, static_cast<LONGLONG>(relative));
      EXPECT_GE(took + kTick, relative);
      EXPECT_LE(took, relative + kTick + 100);  // and what the interrupt and the drain cost
      was_early = was_early || took < relative;
      was_late = was_late || took > relative;
    }
  }
  EXPECT_TRUE(was_early);
  EXPECT_TRUE(was_late);
}

KDPC_TEST(TimerAccuracy, ATimeOfAboutATickMayExpireAtOnce) {
  RULE("TIM-6");
  EXPECT_LT(measured(m, 15'500us, kTick), 2 * kMs);
}

KDPC_TEST(TimerAccuracy, AnExpiryIsSeenOnATickOnly) {
  RULE("TIM-6");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimerEx(&one.timer, hundreds_of_ns(-1), 1, &one.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 10; }, 1s));
  for (int run = 0; run < 10; ++run) EXPECT_EQ(calls[run].interrupt_time, static_cast<ULONGLONG>(run + 1) * kTick);
}

KDPC_TEST(TimerAccuracy, ADelayedThreadNeverReturnsEarly) {
  RULE("TIM-6");
  m.on(0, PASSIVE_LEVEL, [] {
    for (int round = 0; round < 30; ++round) {
      KeStallExecutionProcessor(static_cast<ULONG>(round) * 517);
      LARGE_INTEGER interval = hundreds_of_ns(-(1 + round * 7'919));
      const ULONGLONG before = performance_count();
      KeDelayExecutionThread(KernelMode, FALSE, &interval);
      const ULONGLONG took = performance_count() - before;
      KDPC_EXPECT(took >= static_cast<ULONGLONG>(-interval.QuadPart), took, interval.QuadPart);
      KDPC_EXPECT(took <= static_cast<ULONGLONG>(-interval.QuadPart) + kTick + 200, took, interval.QuadPart);
    }
  });
}

// Delays of 31 ms, each begun late in a tick: how many were early?
int early_delays() {
  int early = 0;
  for (int round = 0; round < 10; ++round) {
    const ULONGLONG tick = KeQueryInterruptTime();
    while (KeQueryInterruptTime() == tick) KeStallExecutionProcessor(10);
    KeStallExecutionProcessor(14'000);
    LARGE_INTEGER interval = in_ms(31);
    const ULONGLONG before = performance_count();
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    early += performance_count() - before < 31 * kMs ? 1 : 0;
  }
  return early;
}

KDPC_TEST(TimerAccuracy, ADelayCountsFromTheExactTime) {
  RULE("TIM-6");
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(early_delays(), 0); });
}

KDPC_TEST(TimerAccuracy, ADelayThatCountsFromTheTickAsBeforeWindows8MayBeEarly, .options = {{"delay", "from_tick"}}) {
  RULE("TIM-6");
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(early_delays(), 10); });
}

// -- TIM-2: the clock on the wall is set -------------------------------------------------------------------------------------------------------

KDPC_TEST(SystemTime, AbsoluteTimersFollowItAndRelativeOnesDoNot) {
  RULE("TIM-2");
  reset();
  static Pair third;
  static ULONGLONG now;
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "a");
    prepare(two, "r");
    prepare(third, "A");
    now = system_time();
    KeSetTimer(&one.timer, hundreds_of_ns(static_cast<LONGLONG>(now + 3600'0000'000)), &one.dpc);
    KeSetTimer(&two.timer, in_ms(100), &two.dpc);
    KeSetTimer(&third.timer, hundreds_of_ns(static_cast<LONGLONG>(now + 100 * kMs)), &third.dpc);
  });
  m.set_system_time(now + 3600'0000'000 - 200 * kMs);  // nearly an hour forward: one is due in 0.2 s, the third long ago
  m.run_for(50ms);
  EXPECT_STREQ(order, "A");
  m.run_for(950ms);
  EXPECT_STREQ(order, "Ara");
  m.on(0, PASSIVE_LEVEL, [] {
    runs = 0;
    now = system_time();
    KeSetTimer(&one.timer, hundreds_of_ns(static_cast<LONGLONG>(now + 100 * kMs)), &one.dpc);
    KeSetTimer(&two.timer, in_ms(100), &two.dpc);
  });
  const auto interrupt_time = [&m] {
    static ULONGLONG time;
    m.on(0, PASSIVE_LEVEL, [] { time = KeQueryInterruptTime(); });
    return time;
  };
  const ULONGLONG before = interrupt_time();
  m.set_system_time(now - 500 * kMs);  // back
  EXPECT_LT(interrupt_time() - before, kTick + 1);
  m.run_for(300ms);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(calls[0].dpc, &two.dpc);
  m.run_for(400ms);
  EXPECT_EQ(runs, 2);
}

KDPC_TEST(SystemTime, OnlyTheFirstExpiryOfAPeriodicTimerIsAbsolute) {
  RULE("TIM-2");
  RULE("TIM-10");
  reset();
  static ULONGLONG now;
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "a");
    now = system_time();
    KeSetTimerEx(&one.timer, hundreds_of_ns(static_cast<LONGLONG>(now + 50 * kMs)), 100, &one.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 100ms));
  m.set_system_time(now - 3600'0000'000);  // back: periods are relative
  EXPECT_TRUE(m.run_until([] { return runs == 2; }, 120ms));
  m.set_system_time(now + 3600'0000'000);  // forward
  m.run_for(90ms);
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(m.run_until([] { return runs == 3; }, 30ms));
}

KDPC_TEST(SystemTime, AbsoluteTimeLimitsOfWaitsFollowItAndRelativeOnesDoNot) {
  RULE("TIM-2");
  static KEVENT never;
  static volatile int over[2];
  static ULONGLONG now;
  over[0] = 0;
  over[1] = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    now = system_time();
  });
  for (int index = 0; index < 2; ++index)
    m.start(0, PASSIVE_LEVEL, [index] {
      LARGE_INTEGER limit = hundreds_of_ns(index == 0 ? static_cast<LONGLONG>(now + 3600'0000'000) : -3600'0000'000);
      if (KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, &limit) == STATUS_TIMEOUT) over[index] = 1;
    });
  m.run_for(100ms);
  EXPECT_EQ(over[0], 0);
  m.set_system_time(now + 3601'0000'000);
  m.run_for(100ms);
  EXPECT_EQ(over[0], 1);
  EXPECT_EQ(over[1], 0);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&never, 0, FALSE); });
}

}  // namespace
