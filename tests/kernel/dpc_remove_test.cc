// KeRemoveQueueDpc and KeRemoveQueueDpcEx: SEMANTICS 4.3.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/overlap.h"

using namespace overlapping;

namespace {

VOID NTAPI remove_itself(PKDPC Dpc, PVOID, PVOID, PVOID) {
  InterlockedIncrement(&runs);
  KDPC_EXPECT(KeRemoveQueueDpc(Dpc) == FALSE);
}

KDPC_TEST(DpcRemove, IsTrueExactlyOnceForAQueuedDpcAndItNeverRuns) {
  RULE("REM-1");
  RULE("V-3");
  static KDPC dpc, running;
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, count, nullptr);
    KDPC_EXPECT(KeRemoveQueueDpc(&dpc) == FALSE);  // never queued
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KDPC_EXPECT(KeRemoveQueueDpc(&dpc) == TRUE);
    KDPC_EXPECT(KeRemoveQueueDpc(&dpc) == FALSE);
  });
  EXPECT_EQ(runs, 0);
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&running, remove_itself, nullptr);
    KeInsertQueueDpc(&running, nullptr, nullptr);
    KDPC_EXPECT(KeRemoveQueueDpc(&running) == FALSE);  // finished
  });
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(DpcRemove, DoesNotWaitForARunningRoutine, .processors = 2) {
  RULE("REM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeDpc(&shared, overlap, nullptr); });
  held = true;
  auto first = m.start(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&shared, nullptr, nullptr); });
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, kdpc::test::within(std::chrono::seconds(1))));
  m.on(1, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(KeRemoveQueueDpc(&shared) == FALSE);
    KDPC_EXPECT(inside == 1);  // back while it still runs
    held = false;
  });
  EXPECT_TRUE(m.run_until([&] { return first.done(); }, kdpc::test::within(std::chrono::seconds(1))));
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(DpcRemove, LowersTheDepthButNotTheCountAndLeavesTheDrainRequested, .options = {{"minimum_dpc_rate", "0"}}) {
  RULE("REM-3");
  static KDPC dpc, low;
  reset();
  const auto before = m.processor_state(0);
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeInitializeDpc(&dpc, count, nullptr);
    KeInitializeDpc(&low, count, nullptr);
    KeSetImportanceDpc(&low, LowImportance);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeRemoveQueueDpc(&dpc);
    KDPC_EXPECT(dpc.DpcData == nullptr);
    KeInsertQueueDpc(&low, nullptr, nullptr);  // asks for nothing itself …
    KeLowerIrql(old);
    KDPC_EXPECT_EQ(runs, 1);  // … and finds that the other one has
  });
  const auto queued = m.events("dpc-queued", {{"dpc", m.address_of(&low)}});
  ASSERT_EQ(queued.size(), 1u);
  EXPECT_EQ(queued[0]["drain_requested"], 0u);
  EXPECT_EQ(queued[0]["depth"], 1u);
  EXPECT_EQ(m.count("dpc-removed", {{"dpc", m.address_of(&dpc)}}), 1u);
  EXPECT_EQ(m.processor_state(0).dpc_depth, 0);
  EXPECT_EQ(m.processor_state(0).dpc_count, before.dpc_count + 3);  // these two, and the one that has brought the test in
}

KDPC_TEST(DpcRemoveEx, WaitsForTheRoutineThatRunsElsewhere, .processors = 2) {
  RULE("REM-4");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeDpc(&shared, overlap, nullptr); });
  for (const unsigned level : {unsigned{PASSIVE_LEVEL}, unsigned{DISPATCH_LEVEL}, 5u}) {
    held = true;
    auto first = m.start(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&shared, nullptr, nullptr); });
    EXPECT_TRUE(m.run_until([] { return inside == 1; }, kdpc::test::within(std::chrono::seconds(1))));
    m.on(1, level, [] {
      KDPC_EXPECT(KeRemoveQueueDpcEx(&shared, FALSE) == FALSE);
      KDPC_EXPECT(inside == 1);
      held = false;
      KDPC_EXPECT(KeRemoveQueueDpcEx(&shared, TRUE) == FALSE);
      KDPC_EXPECT(inside == 0);
    });
    EXPECT_TRUE(m.run_until([&] { return first.done(); }, kdpc::test::within(std::chrono::seconds(1))));
  }
  EXPECT_EQ(runs, 3);
}

KDPC_TEST(DpcRemoveEx, WaitsForAThreadedRoutineToo, .processors = 2) {
  RULE("REM-4");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeThreadedDpc(&shared, overlap, nullptr); });
  held = true;
  auto first = m.start(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&shared, nullptr, nullptr); });
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, kdpc::test::within(std::chrono::seconds(1))));
  m.on(1, PASSIVE_LEVEL, [] {
    held = false;
    KDPC_EXPECT(KeRemoveQueueDpcEx(&shared, TRUE) == FALSE);
    KDPC_EXPECT(inside == 0);
  });
  EXPECT_TRUE(m.run_until([&] { return first.done(); }, kdpc::test::within(std::chrono::seconds(1))));
}

KDPC_TEST(DpcRemoveEx, RemovesAQueuedOneWithoutWaiting) {
  RULE("REM-4");
  static KDPC dpc;
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, count, nullptr);
    KDPC_EXPECT(KeRemoveQueueDpcEx(&dpc, TRUE) == FALSE);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KDPC_EXPECT(KeRemoveQueueDpcEx(&dpc, TRUE) == TRUE);
  });
  EXPECT_EQ(runs, 0);
}

VOID NTAPI wait_for_itself(PKDPC Dpc, PVOID, PVOID, PVOID) { KeRemoveQueueDpcEx(Dpc, TRUE); }

KDPC_TEST(DpcRemoveEx, FromTheRoutineItselfItIsDiagnosed) {
  RULE("REM-4");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, wait_for_itself, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL, &dpc);
}

KDPC_TEST(DpcRemoveEx, FromAThreadedRoutineItselfItIsDiagnosed) {
  RULE("REM-4");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeThreadedDpc(&dpc, wait_for_itself, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, PASSIVE_LEVEL, &dpc);
}

}  // namespace
