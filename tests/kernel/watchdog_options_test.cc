// What the watchdogs are made of, what they can be told, and what a driver can ask them: SEMANTICS 9.3 to 9.6.
#include <wdm.h>

#include "kdpc/test.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr ULONG kMicrosecondsPerTick = 15'625;

KDPC dpc, behind;
int runs = 0;
KDPC_WATCHDOG_INFORMATION information;
NTSTATUS status;

void stall_ticks(ULONG ticks) { KeStallExecutionProcessor(ticks * kMicrosecondsPerTick); }

// -- how the cumulative one works -----------------------------------------------------------------------------------------------------------

KDPC_TEST(DispatchWatchdog, IsReloadedByAThreadedDpcOfAPeriodicTimer, .processors = 2) {
  RULE("WDG-1");
  RULE("THR-6");
  m.run_for(31s);
  const auto reloads = m.events("watchdog-reloaded");
  ASSERT_EQ(reloads.size(), 4u);  // every 15 s on each processor, as on Windows 7
  for (const auto& reload : reloads) {
    EXPECT_EQ(reload.irql, unsigned{PASSIVE_LEVEL});
    EXPECT_EQ(reload["period"], 7680u);
    EXPECT_NEAR(static_cast<double>(reload["left"]), 7680.0 - 960.0, 1.0);
  }
  EXPECT_NE(reloads[0].processor, reloads[1].processor);
}

KDPC_TEST(DispatchWatchdog, APassiveThreadDoesNotHelpIfTheDpcThreadCannotRun, .options = {{"dpc_watchdog_period", "16"}}) {
  RULE("WDG-1");
  // The count is the processor's: what it has lost before is lost until the timer has come and its DPC has run.
  m.on(0, PASSIVE_LEVEL, [] {
    for (int turn = 0; turn < 4; ++turn) {
      KIRQL old;
      KeRaiseIrql(DISPATCH_LEVEL, &old);
      stall_ticks(12);
      KeLowerIrql(old);
    }
  });
  EXPECT_NO_FINDINGS();
  m.on(0, DISPATCH_LEVEL, [] { stall_ticks(17); });
  EXPECT_BUGCHECK(0x133, 1, 16, 0, 0);
}

KDPC_TEST(DispatchWatchdog, WithThreadedDpcsDisabledItWatchesAllTheSame, .options = {{"dpc_watchdog_period", "10"}, {"threaded_dpc", "disabled"}}) {
  RULE("WDG-1");
  m.run_for(1s);
  EXPECT_NO_FINDINGS();
  m.on(0, DISPATCH_LEVEL, [] { stall_ticks(20); });
  EXPECT_BUGCHECK(0x133, 1, 10, 0, 0);
}

// -- what they do ---------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(WatchdogAction, OnWindows7ItPrintsAndAllowsTwiceTheTime, .options = {{"dpc_watchdog_period", "10"}, {"watchdog_action", "windows_7"}}) {
  RULE("WDG-2");
  m.on(0, DISPATCH_LEVEL, [] { stall_ticks(29); });
  ASSERT_EQ(m.debug_lines().size(), 1u);
  EXPECT_EQ(m.debug_lines()[0].irql, unsigned{CLOCK_LEVEL});
  EXPECT_NO_FINDINGS();
  m.on(0, DISPATCH_LEVEL, [] { stall_ticks(32); });
  EXPECT_EQ(m.debug_lines().size(), 3u);  // after 10 ticks, and after 20 more
}

KDPC_TEST(WatchdogAction, OnWindows7ASingleDpcIsToldOnce, .options = {{"dpc_time_limit", "3"}, {"watchdog_action", "windows_7"}}) {
  RULE("WDG-2");
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(
        &dpc, [](PKDPC, PVOID, PVOID, PVOID) NTAPI { stall_ticks(10); }, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_EQ(m.debug_lines().size(), 1u);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(WatchdogAction, OnVistaTheCodeIsTheOlderOne, .options = {{"dpc_watchdog_period", "10"}, {"watchdog_action", "vista"}}) {
  RULE("WDG-5");
  m.on(0, DISPATCH_LEVEL, [] { stall_ticks(20); });
  EXPECT_BUGCHECK(0x102, 10, any, 0, 0);
}

// -- asking ---------------------------------------------------------------------------------------------------------------------------------

VOID NTAPI query_after_ticks(PKDPC, PVOID, PVOID, PVOID) {
  stall_ticks(5);
  status = KeQueryDpcWatchdogInformation(&information);
}

KDPC_TEST(WatchdogInformation, SaysWhatRemainsOfBothLimits) {
  RULE("9.4");
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, query_after_ticks, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_EQ(status, STATUS_SUCCESS);
  EXPECT_EQ(information.DpcTimeLimit, 1280u);
  EXPECT_EQ(information.DpcTimeCount, 1275u);
  EXPECT_EQ(information.DpcWatchdogLimit, 7680u);
  EXPECT_EQ(information.DpcWatchdogCount, 7675u);
  m.on(0, DISPATCH_LEVEL, [] {
    stall_ticks(2);
    status = KeQueryDpcWatchdogInformation(&information);
  });
  EXPECT_EQ(status, STATUS_SUCCESS);
  EXPECT_EQ(information.DpcTimeCount, 1280u);  // no DPC has used any of it
  EXPECT_EQ(information.DpcWatchdogCount, 7673u);
}

KDPC_TEST(WatchdogInformation, AnswersInADpcOrAtDispatchOnly) {
  RULE("9.4");
  for (const unsigned level : {unsigned{PASSIVE_LEVEL}, unsigned{APC_LEVEL}}) {
    m.on(0, level, [] { status = KeQueryDpcWatchdogInformation(&information); });
    EXPECT_EQ(status, STATUS_UNSUCCESSFUL);
  }
  m.on(0, HIGH_LEVEL, [] { status = KeQueryDpcWatchdogInformation(&information); });
  EXPECT_EQ(status, STATUS_SUCCESS);
  status = STATUS_UNSUCCESSFUL;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeThreadedDpc(&dpc, query_after_ticks, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_EQ(status, STATUS_SUCCESS);
}

KDPC_TEST(WatchdogInformation, ADisabledLimitIsZero, .options = {{"dpc_time_limit", "0"}, {"dpc_watchdog_period", "0"}}) {
  RULE("9.4");
  information.DpcTimeLimit = information.DpcTimeCount = information.DpcWatchdogLimit = information.DpcWatchdogCount = 1;
  m.on(0, DISPATCH_LEVEL, [] { status = KeQueryDpcWatchdogInformation(&information); });
  EXPECT_EQ(status, STATUS_SUCCESS);
  EXPECT_EQ(information.DpcTimeLimit + information.DpcTimeCount + information.DpcWatchdogLimit + information.DpcWatchdogCount, 0u);
}

// -- yielding -------------------------------------------------------------------------------------------------------------------------------

ULONG microseconds_until_told;
VOID NTAPI work_until_told(PKDPC, PVOID, PVOID, PVOID) {
  for (microseconds_until_told = 0; !KeShouldYieldProcessor() && microseconds_until_told < 1'000'000; ++microseconds_until_told)
    KeStallExecutionProcessor(1);
}

KDPC_TEST(ShouldYield, WhenADpcHasUsedItsBudget) {
  RULE("9.5");
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, work_until_told, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_GE(microseconds_until_told, 90u);
  EXPECT_LE(microseconds_until_told, 100u);
  EXPECT_EQ(m.events("yield-advised").at(0)["reason"], 1u);
}

KDPC_TEST(ShouldYield, TheBudgetIsAnOption, .options = {{"yield_budget_us", "1000"}}) {
  RULE("9.5");
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, work_until_told, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_GE(microseconds_until_told, 900u);
  EXPECT_LE(microseconds_until_told, 1000u);
}

KDPC_TEST(ShouldYield, WhenADpcWaitsBehindAndAThreadIsReady, .options = {{"yield_budget_us", "0"}, {"dpc_time_limit", "0"}}) {
  RULE("9.5");
  static BOOLEAN alone, with_dpc, with_both;
  static KEVENT event;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeEvent(&event, SynchronizationEvent, FALSE); });
  m.start(0, PASSIVE_LEVEL, [] { KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr); });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(
        &behind, [](PKDPC, PVOID, PVOID, PVOID) NTAPI { ++runs; }, nullptr);
    KeInitializeDpc(
        &dpc,
        [](PKDPC, PVOID, PVOID, PVOID) NTAPI {
          alone = KeShouldYieldProcessor();
          KeInsertQueueDpc(&behind, nullptr, nullptr);
          with_dpc = KeShouldYieldProcessor();
          KeSetEvent(&event, 0, FALSE);
          with_both = KeShouldYieldProcessor();
        },
        nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_FALSE(alone);
  EXPECT_FALSE(with_dpc);
  EXPECT_TRUE(with_both);
}

KDPC_TEST(ShouldYield, WhenHalfOfAWatchdogIsUsed, .options = {{"yield_budget_us", "0"}, {"dpc_time_limit", "8"}, {"dpc_watchdog_period", "100"}}) {
  RULE("9.5");
  static BOOLEAN before, after, in_thread_before, in_thread_after;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(
        &dpc,
        [](PKDPC, PVOID, PVOID, PVOID) NTAPI {
          stall_ticks(3);
          before = KeShouldYieldProcessor();
          stall_ticks(2);
          after = KeShouldYieldProcessor();
        },
        nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_FALSE(before);
  EXPECT_TRUE(after);
  m.run_for(500ms);
  m.on(0, DISPATCH_LEVEL, [] {
    stall_ticks(30);
    in_thread_before = KeShouldYieldProcessor();
    stall_ticks(30);
    in_thread_after = KeShouldYieldProcessor();
  });
  EXPECT_FALSE(in_thread_before);
  EXPECT_TRUE(in_thread_after);
}

KDPC_TEST(ShouldYield, BelowDispatchTheQuestionIsRefused) {
  RULE("9.5");
  m.on(0, APC_LEVEL, [] { KeShouldYieldProcessor(); });
  EXPECT_BUGCHECK(0xC4, 0xE5, APC_LEVEL);
}

// -- the clock ------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(ClockWatchdog, AProcessorThatTakesNoClockInterruptIsFoundByAnother, .processors = 3) {
  RULE("9.6");
  m.start(2, CLOCK_LEVEL, [] { KeStallExecutionProcessor(5'000'000); });
  m.run_for(900ms);
  EXPECT_NO_FINDINGS();
  m.run_for(1s);
  EXPECT_BUGCHECK(0x101, 64, 0, any, 2);
  EXPECT_NE(m.outcome().bugcheck->processor, 2u);
}

KDPC_TEST(ClockWatchdog, TheLimitIsAnOption, .processors = 2, .options = {{"clock_watchdog_ticks", "4"}}) {
  RULE("9.6");
  m.on(1, CLOCK_LEVEL, [] { stall_ticks(3); });
  EXPECT_NO_FINDINGS();
  m.on(1, CLOCK_LEVEL, [] { stall_ticks(10); });
  EXPECT_BUGCHECK(0x101, 4, 0, any, 1);
}

KDPC_TEST(ClockWatchdog, WithALimitOfZeroThereIsNone, .processors = 2, .options = {{"clock_watchdog_ticks", "0"}}) {
  RULE("9.6");
  m.on(1, HIGH_LEVEL, [] { stall_ticks(200); });
  EXPECT_NO_FINDINGS();
}

}  // namespace
