// KeFlushQueuedDpcs: SEMANTICS 4.6.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/due_time.h"
#include "tests/kernel/overlap.h"

using namespace std::chrono_literals;
using namespace kdpc::test;
using namespace overlapping;

namespace {

KDPC_TEST(DpcFlush, ReturnsWhenEverythingQueuedBeforeHasRunEverywhere, .processors = 4) {
  RULE("FLU-1");
  static KDPC dpcs[4];
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (int processor = 0; processor < 4; ++processor) {
      KeInitializeDpc(&dpcs[processor], overlap, nullptr);
      KeSetTargetProcessorDpc(&dpcs[processor], static_cast<CCHAR>(processor));
      KeSetImportanceDpc(&dpcs[processor], LowImportance);
      KeInsertQueueDpc(&dpcs[processor], nullptr, nullptr);
    }
    KeLowerIrql(old);
    KeFlushQueuedDpcs();
    KDPC_EXPECT(runs == 4);
    KDPC_EXPECT(inside == 0);
  });
}

KDPC_TEST(DpcFlush, WaitsForARoutineThatIsAlreadyRunningElsewhere, .processors = 2) {
  RULE("FLU-2");
  reset();
  m.on(1, PASSIVE_LEVEL, [] { KeInitializeDpc(&shared, overlap, nullptr); });
  held = true;
  auto first = m.start(1, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&shared, nullptr, nullptr); });
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, within(1s)));
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(inside == 1);
    held = false;
    KeFlushQueuedDpcs();
    KDPC_EXPECT(inside == 0);
  });
  EXPECT_TRUE(m.run_until([&] { return first.done(); }, within(1s)));
}

KDPC_TEST(DpcFlush, ForcesDeferredLowDpcsToRun, .processors = 2, .options = {{"minimum_dpc_rate", "0"}},
          .simulated_only = "counts on no tick in between") {
  RULE("FLU-2");
  static KDPC dpc;
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, count, nullptr);
    KeSetImportanceDpc(&dpc, LowImportance);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KDPC_EXPECT(runs == 0);  // deferred
    KeFlushQueuedDpcs();
    KDPC_EXPECT(runs == 1);
  });
}

VOID NTAPI flush_in_dpc(PKDPC, PVOID, PVOID, PVOID) { KeFlushQueuedDpcs(); }

KDPC_TEST(DpcFlush, FromADpcItIsDiagnosedInsteadOfDeadlocking) {
  RULE("FLU-4");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, flush_in_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL);
}

KDPC_TEST(DpcFlush, AboveDispatchItIsDiagnosedInEveryProfile, .options = {{"irql_checks", "free"}}) {
  RULE("FLU-4");
  m.on(0, DISPATCH_LEVEL, [] { KeFlushQueuedDpcs(); });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL);
}

KDPC_TEST(DpcFlush, FromAThreadedDpcItWouldWaitForItsOwnThread, .options = {{"irql_checks", "free"}}) {
  RULE("FLU-4");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeThreadedDpc(&dpc, flush_in_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, PASSIVE_LEVEL);
}

KDPC_TEST(DpcFlush, CoversBothQueuesOfEveryProcessor, .processors = 3) {
  RULE("FLU-1");
  RULE("FLU-2");
  static KDPC dpcs[6];
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (int index = 0; index < 6; ++index) {
      if (index % 2 == 0) {
        KeInitializeThreadedDpc(&dpcs[index], overlap, nullptr);
      } else {
        KeInitializeDpc(&dpcs[index], overlap, nullptr);
      }
      KeSetTargetProcessorDpc(&dpcs[index], static_cast<CCHAR>(index / 2));
      KeInsertQueueDpc(&dpcs[index], nullptr, nullptr);
    }
    KeLowerIrql(old);
    KeFlushQueuedDpcs();
    KDPC_EXPECT_EQ(runs, 6);
    KDPC_EXPECT_EQ(inside, 0);
  });
}

KDPC_TEST(DpcFlush, WaitsForAThreadedRoutineThatIsAlreadyRunning, .processors = 2) {
  RULE("FLU-2");
  reset();
  m.on(1, PASSIVE_LEVEL, [] { KeInitializeThreadedDpc(&shared, overlap, nullptr); });
  held = true;
  m.start(1, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&shared, nullptr, nullptr); });
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, within(1s)));
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(inside, 1);
    held = false;
    KeFlushQueuedDpcs();
    KDPC_EXPECT_EQ(inside, 0);
  });
}

KDPC_TEST(DpcFlush, WaitsForTheDpcsOfAnExpiryThatIsUnderWay, .processors = 2, .simulated_only = "counts on two timers being due at one tick") {
  RULE("FLU-2");
  static KTIMER timers[2];
  static KDPC dpcs[2];
  reset();
  m.on(1, PASSIVE_LEVEL, [] {
    for (int index = 0; index < 2; ++index) {
      KeInitializeDpc(&dpcs[index], overlap, nullptr);
      KeInitializeTimer(&timers[index]);
      KeSetTimer(&timers[index], in_ms(20), &dpcs[index]);
    }
  });
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, within(1s)));
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(KeCancelTimer(&timers[1]) == FALSE);  // out of its table, and its DPC in no queue
    KDPC_EXPECT(KeRemoveQueueDpc(&dpcs[1]) == FALSE);
    KeFlushQueuedDpcs();
    KDPC_EXPECT_EQ(runs, 2);
    KDPC_EXPECT_EQ(inside, 0);
  });
}

KDPC_TEST(DpcFlush, SeveralThreadsMayFlushAtOnce, .processors = 4) {
  RULE("FLU-1");
  static volatile LONG back;
  back = 0;
  reset();
  for (unsigned number = 0; number < 4; ++number)
    m.start(number, PASSIVE_LEVEL, [] {
      for (int time = 0; time < 5; ++time) KeFlushQueuedDpcs();
      InterlockedIncrement(&back);
    });
  EXPECT_TRUE(m.run_until([] { return back == 4; }, within(1s)));
  EXPECT_NO_FINDINGS();
}

}  // namespace
