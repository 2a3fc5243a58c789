// Threaded DPCs: SEMANTICS 4.11, and what is different about them elsewhere.
#include <wdm.h>

#include <cstring>
#include <string>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/dpc_order.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace dpc_order;
using namespace kdpc::test;

namespace {

struct Call {
  KIRQL irql;
  ULONG processor;
  KPRIORITY priority;
  PVOID context, argument1, argument2;
  PKTHREAD thread;
  bool still_queued;
};
Call calls[16];
KDPC dpc, other;
KTIMER timer;
volatile int inside = 0;
volatile bool go_on = false;

VOID NTAPI record(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  calls[runs % 16] = {KeGetCurrentIrql(),   KeGetCurrentProcessorNumber(), KeQueryPriorityThread(KeGetCurrentThread()), Context, Argument1, Argument2,
                      KeGetCurrentThread(), Dpc->DpcData != nullptr};
  ++runs;
}

VOID NTAPI work_until_told(PKDPC, PVOID, PVOID, PVOID) {
  inside = inside + 1;
  while (!go_on) KeStallExecutionProcessor(20);
  inside = inside - 1;
  ++runs;
}

void prepare_threaded(PKDPC which, PKDEFERRED_ROUTINE routine = record, int target = -1, PVOID context = nullptr) {
  KeInitializeThreadedDpc(which, routine, context);
  if (target >= 0) KeSetTargetProcessorDpc(which, static_cast<CCHAR>(target));
}

// From now on `dpc` is at work on processor 0, until it is told to go on.
void start_work(kdpc::lab::Machine& m) {
  inside = 0;
  go_on = false;
  m.start(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc, work_until_told);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, within(1ms)));
}

// -- where and how it runs ------------------------------------------------------------------------------------------------------------------

KDPC_TEST(ThreadedDpc, RunsAtPassiveInAThreadOfTheHighestPriorityOnItsProcessor, .processors = 2) {
  RULE("THR-1");
  RULE("THR-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc, record, 1, &runs);
    KDPC_EXPECT_EQ(dpc.Type, UCHAR{0x1A});
    KDPC_EXPECT(KeInsertQueueDpc(&dpc, &timer, &other) == TRUE);
  });
  ASSERT_TRUE(m.run_until([] { return runs == 1; }, within(1ms)));
  EXPECT_EQ(calls[0].irql, PASSIVE_LEVEL);
  EXPECT_EQ(calls[0].processor, 1u);
  EXPECT_EQ(calls[0].priority, 31);
  EXPECT_EQ(calls[0].context, &runs);
  EXPECT_EQ(calls[0].argument1, &timer);
  EXPECT_EQ(calls[0].argument2, &other);
  EXPECT_FALSE(calls[0].still_queued);
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  ASSERT_EQ(runs, 2);  // an untargeted one here, before the thread that inserted it went on
  EXPECT_EQ(calls[1].processor, 0u);
  EXPECT_NE(calls[1].thread, calls[0].thread);
}

KDPC_TEST(ThreadedDpc, TheFactsNameIt) {
  RULE("THR-1");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  const auto queued = m.events("dpc-queued", {{"dpc", m.address_of(&dpc)}});
  ASSERT_EQ(queued.size(), 1u);
  EXPECT_EQ(queued[0]["threaded"], 1u);
  const auto began = m.events("activity-began", {{"object", m.address_of(&dpc)}});
  ASSERT_EQ(began.size(), 1u);
  EXPECT_EQ(began[0]["level"], 0u);
  EXPECT_EQ(began[0].fields[0].text, "threaded-dpc");
  EXPECT_EQ(m.count("activity-ended", {{"object", m.address_of(&dpc)}}), 1u);
}

KDPC_TEST(ThreadedDpc, WithTheOptionDisabledTheyAreOrdinaryOnes, .options = {{"threaded_dpc", "disabled"}}) {
  RULE("THR-1");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare_threaded(&dpc);
    prepare_threaded(&other, record, -1, &other);
    KeSetImportanceDpc(&other, HighImportance);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeInsertQueueDpc(&other, nullptr, nullptr);
  });
  ASSERT_EQ(runs, 2);
  EXPECT_EQ(calls[0].irql, DISPATCH_LEVEL);
  EXPECT_EQ(calls[0].context, &other);  // High goes to the head
  EXPECT_EQ(m.events("dpc-queued", {{"dpc", m.address_of(&dpc)}})[0]["threaded"], 0u);
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, in_ms(20), &dpc);
    KeFlushQueuedDpcs();
  });
  ASSERT_TRUE(m.run_until([] { return runs == 3; }, within(100ms)));
  EXPECT_EQ(calls[2].irql, DISPATCH_LEVEL);
}

KDPC_TEST(ThreadedDpc, KeepsTheRulesOfDispatchAlthoughItRunsAtPassive) {
  RULE("THR-1");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc, [](PKDPC, PVOID, PVOID, PVOID) NTAPI {
      LARGE_INTEGER interval = in_ms(1);
      KeDelayExecutionThread(KernelMode, FALSE, &interval);
    });
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, PASSIVE_LEVEL);
}

KDPC_TEST(ThreadedDpc, TheFreeProfileLetsItDoWhatAThreadMay, .options = {{"irql_checks", "free"}}) {
  RULE("THR-1");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc, [](PKDPC, PVOID, PVOID, PVOID) NTAPI {
      LARGE_INTEGER interval = in_ms(1);
      KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
      ++runs;
    });
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(100ms)));
}

// -- who preempts whom ----------------------------------------------------------------------------------------------------------------------

KDPC_TEST(ThreadedDpc, AnOrdinaryDpcAndAnInterruptPreemptIt) {
  RULE("THR-2");
  reset();
  static PKINTERRUPT interrupt;
  static volatile int seen = 0;
  seen = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(IoConnectInterrupt(
                       &interrupt,
                       [](PKINTERRUPT, PVOID) NTAPI -> BOOLEAN {
                         seen = seen + inside;
                         KeInsertQueueDpc(&other, nullptr, nullptr);
                         return TRUE;
                       },
                       nullptr, nullptr, 0x51, 5, 5, Latched, FALSE, 1, FALSE),
                   STATUS_SUCCESS);
    KeInitializeDpc(
        &other, [](PKDPC, PVOID, PVOID, PVOID) NTAPI { seen = seen + 10 * inside; }, nullptr);
  });
  start_work(m);
  m.send_message(0x51);
  ASSERT_TRUE(m.run_until([] { return seen == 11; }, within(1ms)));
  EXPECT_EQ(inside, 1);
  go_on = true;
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(1ms)));
}

KDPC_TEST(ThreadedDpc, NoThreadPreemptsItButOneOfItsPriorityTakesTurns, .simulated_only = "says when a quantum ends") {
  RULE("THR-2");
  reset();
  static volatile bool high_ran = false, equal_ran = false;
  high_ran = false;
  equal_ran = false;
  start_work(m);
  m.start(0, PASSIVE_LEVEL, [] { high_ran = true; }, {.priority = 30});
  m.run_for(200ms);
  EXPECT_FALSE(high_ran);
  EXPECT_EQ(inside, 1);
  m.start(0, PASSIVE_LEVEL, [] { equal_ran = true; }, {.priority = 31});
  m.run_for(5ms);
  EXPECT_FALSE(equal_ran);                                    // it does not preempt …
  EXPECT_TRUE(m.run_until([] { return equal_ran; }, 100ms));  // … and has its turn when the quantum ends
  go_on = true;
  EXPECT_TRUE(m.run_until([] { return runs == 1 && high_ran; }, 100ms));
}

// -- insertion ------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(ThreadedDpc, TheFirstInsertionAsksForTheThreadAndTheOthersDoNot, .processors = 2) {
  RULE("THR-3");
  RULE("TAB-6");
  reset();
  inside = 0;
  go_on = false;
  auto busy = keep_busy(m, 1);
  m.on(0, DISPATCH_LEVEL, [] {
    for (int index = 0; index < 6; ++index) {
      prepare_threaded(&dpcs[index], index == 0 ? work_until_told : record, 1);
      KeSetImportanceDpc(&dpcs[index], LowImportance);  // of an ordinary DPC, a reason to wait
      KeInsertQueueDpc(&dpcs[index], nullptr, nullptr);
    }
  });
  const auto requested = [&](int index) { return m.events("dpc-queued", {{"dpc", m.address_of(&dpcs[index])}}).back()["drain_requested"]; };
  EXPECT_EQ(requested(0), 1u);
  for (int index = 1; index < 6; ++index) EXPECT_EQ(requested(index), 0u) << index;  // depth asks for nothing: there is no threshold
  ASSERT_TRUE(m.run_until([] { return inside == 1; }, within(1ms)));
  m.on(0, DISPATCH_LEVEL, [] {
    prepare_threaded(&dpcs[6], record, 1);
    KeSetImportanceDpc(&dpcs[6], HighImportance);
    KeInsertQueueDpc(&dpcs[6], nullptr, nullptr);  // the thread is at work: it will come to it
  });
  EXPECT_EQ(requested(6), 0u);
  go_on = true;
  EXPECT_TRUE(m.run_until([] { return runs == 7; }, within(1ms)));
  release_it = true;
  EXPECT_TRUE(m.run_until([&] { return busy.done(); }, within(1ms)));
}

KDPC_TEST(ThreadedDpc, TheThreadIsSetUpByTheDispatchInterrupt) {
  RULE("THR-3");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare_threaded(&dpc);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeStallExecutionProcessor(100);
    KDPC_EXPECT_EQ(runs, 0);
    KIRQL old;
    KeRaiseIrql(HIGH_LEVEL, &old);
    KeLowerIrql(old);
    KDPC_EXPECT_EQ(runs, 0);
  });
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(ThreadedDpc, ImportanceDecidesThePlaceInTheQueueOnly) {
  RULE("IMP-2");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    static const char* const kNames[] = {"l1", "m1", "h1", "mh1", "h2"};
    static const KDPC_IMPORTANCE kImportances[] = {LowImportance, MediumImportance, HighImportance, MediumHighImportance, HighImportance};
    for (int index = 0; index < 5; ++index) {
      KeInitializeThreadedDpc(&dpcs[index], append, const_cast<char*>(kNames[index]));
      KeSetImportanceDpc(&dpcs[index], kImportances[index]);
      KeInsertQueueDpc(&dpcs[index], nullptr, nullptr);
    }
  });
  EXPECT_EQ(order, "h2 h1 l1 m1 mh1 ");
}

KDPC_TEST(ThreadedDpc, ASecondInsertionIsRefusedAndARemovedOneNeverRuns) {
  RULE("INS-1");
  RULE("REM-1");
  RULE("INI-1");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    std::memset(&dpc, 0x55, sizeof dpc);
    prepare_threaded(&dpc);
    KDPC_EXPECT(dpc.SystemArgument1 == reinterpret_cast<PVOID>(0x5555555555555555));
    KDPC_EXPECT(dpc.Number == 0 && dpc.Importance == MediumImportance && dpc.DpcData == nullptr);
    KDPC_EXPECT(KeInsertQueueDpc(&dpc, &runs, nullptr) == TRUE);
    KDPC_EXPECT(KeInsertQueueDpc(&dpc, nullptr, nullptr) == FALSE);
    prepare_threaded(&other);
    KDPC_EXPECT(KeInsertQueueDpc(&other, nullptr, nullptr) == TRUE);
    KDPC_EXPECT(KeRemoveQueueDpc(&other) == TRUE);
    KDPC_EXPECT(KeRemoveQueueDpc(&other) == FALSE);
  });
  ASSERT_EQ(runs, 1);
  EXPECT_EQ(calls[0].argument1, &runs);
}

KDPC_TEST(ThreadedDpc, TheRoutineMayRequeueItself) {
  RULE("INS-5");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc, [](PKDPC Dpc, PVOID, PVOID, PVOID) NTAPI {
      if (++runs < 4) KDPC_EXPECT(KeInsertQueueDpc(Dpc, nullptr, nullptr) == TRUE);
    });
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_EQ(runs, 4);
}

KDPC_TEST(ThreadedDpc, InitialisingAQueuedOneIsDiagnosed) {
  RULE("INI-4");
  m.on(0, DISPATCH_LEVEL, [] {
    prepare_threaded(&dpc);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeInitializeDpc(&dpc, record, nullptr);
  });
  EXPECT_BUGCHECK(0x139, 3, &dpc);
}

KDPC_TEST(ThreadedDpc, NeverInfluencesRateAndDepth, .options = {{"minimum_dpc_rate", "0"}}, .simulated_only = "counts ticks") {
  RULE("ADP-4");
  reset();
  const auto before = m.processor_state(0);
  m.on(0, DISPATCH_LEVEL, [] {
    for (int index = 0; index < 10; ++index) {
      prepare_threaded(&dpcs[index]);
      KeInsertQueueDpc(&dpcs[index], nullptr, nullptr);
    }
    KeInitializeDpc(&dpc, append, const_cast<char*>("low"));
    KeSetImportanceDpc(&dpc, LowImportance);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  const auto queued = m.events("dpc-queued", {{"dpc", m.address_of(&dpc)}});
  ASSERT_EQ(queued.size(), 1u);
  EXPECT_EQ(queued[0]["depth"], 1u);                                // ten threaded ones are not before it …
  EXPECT_EQ(queued[0]["drain_requested"], 0u);                      // … nor do they make its queue deep
  EXPECT_EQ(m.processor_state(0).dpc_count, before.dpc_count + 2);  // the ordinary one, and the one that has brought the test in
  m.run_for(50ms);
  EXPECT_EQ(m.processor_state(0).dpc_request_rate, 0u);
}

// -- timers, flush, the end -----------------------------------------------------------------------------------------------------------------

KDPC_TEST(ThreadedDpc, OfATimerIsQueuedAndNotCalledFromTheExpiry) {
  RULE("TIM-15");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc);
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, in_ms(20), &dpc);
  });
  m.forget_events();
  ASSERT_TRUE(m.run_until([] { return runs == 1; }, within(100ms)));
  EXPECT_EQ(calls[0].irql, PASSIVE_LEVEL);
  EXPECT_EQ(m.count("dpc-queued", {{"dpc", m.address_of(&dpc)}}), 1u);
}

KDPC_TEST(ThreadedDpc, TheDpcOfADeviceObjectMayBeOne) {
  RULE("IOD-3");
  static DEVICE_OBJECT device;
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    IoInitializeThreadedDpcRequest(&device, reinterpret_cast<PIO_DPC_ROUTINE>(reinterpret_cast<PVOID>(&record)));
    KDPC_EXPECT_EQ(device.Dpc.Type, UCHAR{0x1A});
    IoRequestDpc(&device, reinterpret_cast<PIRP>(&dpc), &other);
  });
  ASSERT_EQ(runs, 1);
  EXPECT_EQ(calls[0].irql, PASSIVE_LEVEL);
  EXPECT_EQ(calls[0].context, &device);
  EXPECT_EQ(calls[0].argument1, &dpc);
  EXPECT_EQ(calls[0].argument2, &other);
}

KDPC_TEST(ThreadedDpc, KeIsExecutingDpcMeansTheDrainAndNotTheThread) {
  RULE("4.8");
  reset();
  static LOGICAL in_threaded, in_ordinary, in_thread;
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeInitializeDpc(
        &other, [](PKDPC, PVOID, PVOID, PVOID) NTAPI { in_ordinary = KeIsExecutingDpc(); }, nullptr);
    prepare_threaded(&dpc, [](PKDPC, PVOID, PVOID, PVOID) NTAPI {
      KIRQL level;
      KeRaiseIrql(DISPATCH_LEVEL, &level);
      in_threaded = KeIsExecutingDpc();
      KeLowerIrql(level);
    });
    in_threaded = in_thread = TRUE;
    in_ordinary = FALSE;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    in_thread = KeIsExecutingDpc();
    KeLowerIrql(old);
    KeInsertQueueDpc(&other, nullptr, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_EQ(in_thread, 0u);
  EXPECT_NE(in_ordinary, 0u);
  EXPECT_EQ(in_threaded, 0u);
}

KDPC_TEST(ThreadedDpc, MustReturnAtPassive) {
  RULE("IRQL-10");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc, [](PKDPC, PVOID, PVOID, PVOID) NTAPI {
      KIRQL old;
      KeRaiseIrql(DISPATCH_LEVEL, &old);
    });
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC8, DISPATCH_LEVEL << 16 | 0x10, any, &dpc);
}

KDPC_TEST(ThreadedDpc, ANullRoutineIsAFaultAtPassive) {
  RULE("INI-2");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_threaded(&dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0x50, 0, 8);
}

KDPC_TEST(ThreadedDpc, FreedWhileQueuedItIsFound) {
  RULE("PNP-3");
  static PKDPC pooled;
  m.on(0, DISPATCH_LEVEL, [] {
    pooled = static_cast<PKDPC>(ExAllocatePoolWithTag(NonPagedPool, sizeof(KDPC), 'cpD1'));
    prepare_threaded(pooled);
    KeInsertQueueDpc(pooled, nullptr, nullptr);
    ExFreePoolWithTag(pooled, 'cpD1');
  });
  EXPECT_BUGCHECK(0xC7, 1, pooled, pooled, pooled + 1);
}

}  // namespace
