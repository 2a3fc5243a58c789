// The DPC watchdogs: SEMANTICS 9.2, 9.3. A tick is 15.625 ms.
#include <unistd.h>
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr unsigned kVector = 0x51;
constexpr ULONG kMicrosecondsPerTick = 15'625;

KDPC dpc, second;
KTIMER timer;
PKINTERRUPT interrupt;
ULONG ticks_to_stall;
volatile int runs = 0;

VOID NTAPI stall_dpc(PKDPC, PVOID, PVOID, PVOID) {
  KeStallExecutionProcessor(ticks_to_stall * kMicrosecondsPerTick);
  runs = runs + 1;
}
BOOLEAN NTAPI stall_isr(PKINTERRUPT, PVOID) {
  KeStallExecutionProcessor(ticks_to_stall * kMicrosecondsPerTick);
  runs = runs + 1;
  return TRUE;
}

void insert_stalling_dpcs(ULONG ticks, int count = 1) {
  ticks_to_stall = ticks;
  runs = 0;
  KeInitializeDpc(&dpc, stall_dpc, nullptr);
  KeInitializeDpc(&second, stall_dpc, nullptr);
  KIRQL old;
  KeRaiseIrql(DISPATCH_LEVEL, &old);
  KeInsertQueueDpc(&dpc, nullptr, nullptr);
  if (count > 1) KeInsertQueueDpc(&second, nullptr, nullptr);
  KeLowerIrql(old);
}

void connect(ULONG ticks) {
  ticks_to_stall = ticks;
  runs = 0;
  KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, stall_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE), STATUS_SUCCESS);
}

// -- one DPC or ISR -------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(DpcWatchdog, ADpcThatExceedsItsAllotmentIsStoppedWithTheCountAndTheLimit, .options = {{"dpc_time_limit", "3"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] { insert_stalling_dpcs(10); });
  EXPECT_BUGCHECK(0x133, 0, 4, 3, 0);
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(m.outcome().bugcheck->irql, unsigned{CLOCK_LEVEL});
  // The stack is the DPC's: the routine is on it.
  bool found = false;
  for (const auto& place : m.outcome().bugcheck->stack) found = found || place.function.find("stall_dpc") != std::string::npos;
  EXPECT_TRUE(found);
}

KDPC_TEST(DpcWatchdog, ADpcWithinItsAllotmentIsLeftAlone, .options = {{"dpc_time_limit", "3"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] { insert_stalling_dpcs(3); });
  EXPECT_EQ(runs, 1);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DpcWatchdog, EveryDpcHasAnAllotmentOfItsOwn, .options = {{"dpc_time_limit", "3"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] { insert_stalling_dpcs(3, 2); });  // six ticks in one drain
  EXPECT_EQ(runs, 2);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DpcWatchdog, TheDpcOfATimerHasOneToo, .options = {{"dpc_time_limit", "3"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] {
    ticks_to_stall = 10;
    KeInitializeDpc(&dpc, stall_dpc, nullptr);
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, in_ms(20), &dpc);
  });
  m.run_for(500ms);
  EXPECT_BUGCHECK(0x133, 0, 4, 3, 0);
}

KDPC_TEST(DpcWatchdog, AnIsrThatExceedsTheAllotmentIsStoppedInTheSameWay, .options = {{"dpc_time_limit", "3"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] { connect(10); });
  m.send_message(kVector);
  m.run_for(500ms);
  EXPECT_BUGCHECK(0x133, 0, 4, 3, 0);
  EXPECT_EQ(runs, 0);
}

KDPC_TEST(DpcWatchdog, EveryIsrHasAnAllotmentOfItsOwn, .options = {{"dpc_time_limit", "3"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] { connect(3); });
  for (int time = 0; time < 3; ++time) {
    m.send_message(kVector);
    EXPECT_TRUE(m.run_until([time] { return runs == time + 1; }, 1s));
  }
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DpcWatchdog, TheTimeOfAnIsrThatInterruptsADpcIsTheDpcs, .options = {{"dpc_time_limit", "3"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] { connect(2); });
  m.start(0, PASSIVE_LEVEL, [] { insert_stalling_dpcs(2); });
  m.run_for(20ms);
  m.send_message(kVector);  // the DPC's two ticks pass while the ISR has its two
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([] { return runs == 2; }, 1s));
  EXPECT_NO_FINDINGS();
  m.start(0, PASSIVE_LEVEL, [] { insert_stalling_dpcs(5); });
  m.run_for(20ms);
  m.send_message(kVector);
  m.run_for(500ms);
  EXPECT_BUGCHECK(0x133, 0, 4, 3, 0);
}

KDPC_TEST(DpcWatchdog, AThreadThatHasRaisedItselfIsNeitherADpcNorAnIsr, .options = {{"dpc_time_limit", "3"}}) {
  RULE("WDG-3");
  for (const unsigned level : {unsigned{PASSIVE_LEVEL}, unsigned{DISPATCH_LEVEL}, 5u})
    m.on(0, level, [] { KeStallExecutionProcessor(10 * kMicrosecondsPerTick); });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DpcWatchdog, WithALimitOfZeroThereIsNone, .options = {{"dpc_time_limit", "0"}, {"dpc_watchdog_period", "0"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] { insert_stalling_dpcs(2000); }, {.limit = 60s});
  EXPECT_EQ(runs, 1);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DpcWatchdog, TheDefaultLimitIs1280Ticks) {
  RULE("9.2");
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] { insert_stalling_dpcs(2000); }, {.limit = 60s});
  EXPECT_BUGCHECK(0x133, 0, 0x501, 0x500, 0);
}

// A debugger that holds this process lets host time pass, and no tick of the machine's.
KDPC_TEST(DpcWatchdog, WhileADebuggerHoldsTheMachineNoTickCounts, .options = {{"dpc_time_limit", "2"}}) {
  RULE("WDG-4");
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(
        &dpc, [](PKDPC, PVOID, PVOID, PVOID) NTAPI { ::usleep(5 * kMicrosecondsPerTick); }, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_NO_FINDINGS();
  EXPECT_EQ(m.count("clock-ticked"), 0u);
}

// -- everything at Dispatch and above together ----------------------------------------------------------------------------------------------

int requeues_left;
VOID NTAPI stall_and_requeue(PKDPC Dpc, PVOID, PVOID, PVOID) {
  KeStallExecutionProcessor(5000);
  if (--requeues_left > 0) KeInsertQueueDpc(Dpc, nullptr, nullptr);
}

KDPC_TEST(DispatchWatchdog, ManyShortDpcsInARowAreStoppedWithThePeriod, .options = {{"dpc_watchdog_period", "10"}}) {
  RULE("WDG-1");
  requeues_left = 100;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, stall_and_requeue, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0x133, 1, 10, 0, 0);
}

KDPC_TEST(DispatchWatchdog, AThreadAtDispatchOrAboveIsStoppedToo, .options = {{"dpc_watchdog_period", "10"}}) {
  RULE("WDG-1");
  m.on(0, 5, [] { KeStallExecutionProcessor(20 * kMicrosecondsPerTick); });
  EXPECT_BUGCHECK(0x133, 1, 10, 0, 0);
  EXPECT_EQ(m.events("clock-ticked").size(), 10u);
}

KDPC_TEST(DispatchWatchdog, AThreadBelowDispatchIsNotWatched, .options = {{"dpc_watchdog_period", "10"}}) {
  RULE("WDG-1");
  m.on(0, APC_LEVEL, [] { KeStallExecutionProcessor(30 * kMicrosecondsPerTick); });
  m.run_for(1s);  // nor is an idle processor, although its idle loop is at Dispatch
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DispatchWatchdog, StartsAnewWheneverThreadsCouldRun, .options = {{"dpc_watchdog_period", "10"}}) {
  RULE("WDG-1");
  m.on(0, PASSIVE_LEVEL, [] {
    for (int turn = 0; turn < 5; ++turn) {
      KIRQL old;
      KeRaiseIrql(DISPATCH_LEVEL, &old);
      KeStallExecutionProcessor(8 * kMicrosecondsPerTick);
      KeLowerIrql(old);  // too short for a clock interrupt to see it
    }
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DispatchWatchdog, InterruptsThatLeaveNoTimeToAnIdleProcessorAreSeen, .options = {{"dpc_watchdog_period", "10"}}) {
  RULE("WDG-1");
  m.on(0, PASSIVE_LEVEL, [] { connect(20); });
  m.run_for(5ms);
  m.send_message(kVector);
  m.run_for(1s);
  EXPECT_BUGCHECK(0x133, 1, 10, 0, 0);
}

}  // namespace
