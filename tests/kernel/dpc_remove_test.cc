// KeRemoveQueueDpc and KeRemoveQueueDpcEx: SEMANTICS 4.3.
#include <wdm.h>

#include <span>

#include "kdpc/test.h"
#include "machine/sim/choice.h"
#include "tests/kernel/overlap.h"

using namespace overlapping;

namespace {

VOID NTAPI remove_itself(PKDPC Dpc, PVOID, PVOID, PVOID) {
  ++runs;
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
  auto first = m.start(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&shared, nullptr, nullptr); });
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, std::chrono::seconds(1)));
  m.on(1, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(KeRemoveQueueDpc(&shared) == FALSE);
    KDPC_EXPECT(inside == 1);  // back while it still runs
  });
  EXPECT_TRUE(m.run_until([&] { return first.done(); }, std::chrono::seconds(1)));
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
    auto first = m.start(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&shared, nullptr, nullptr); });
    EXPECT_TRUE(m.run_until([] { return inside == 1; }, std::chrono::seconds(1)));
    m.on(1, level, [] {
      KDPC_EXPECT(KeRemoveQueueDpcEx(&shared, FALSE) == FALSE);
      KDPC_EXPECT(inside == 1);
      KDPC_EXPECT(KeRemoveQueueDpcEx(&shared, TRUE) == FALSE);
      KDPC_EXPECT(inside == 0);
    });
    EXPECT_TRUE(m.run_until([&] { return first.done(); }, std::chrono::seconds(1)));
  }
  EXPECT_EQ(runs, 3);
}

KDPC_TEST(DpcRemoveEx, WaitsForAThreadedRoutineToo, .processors = 2) {
  RULE("REM-4");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeThreadedDpc(&shared, overlap, nullptr); });
  auto first = m.start(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&shared, nullptr, nullptr); });
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, std::chrono::seconds(1)));
  m.on(1, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(KeRemoveQueueDpcEx(&shared, TRUE) == FALSE);
    KDPC_EXPECT(inside == 0);
  });
  EXPECT_TRUE(m.run_until([&] { return first.done(); }, std::chrono::seconds(1)));
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

// Processors, and the IPIs between them, take turns in no order at all, but the same one every time.
class AnyOrder : public kdpc::sim::Oracle {
  using Kind = kdpc::sim::Candidate::Kind;

 public:
  bool begin() override { return true; }
  std::size_t choose(std::span<const kdpc::sim::Candidate> candidates) override {
    std::size_t open[2], count = 0;
    for (std::size_t index = 0; index < candidates.size() && count < 2; ++index)
      if (candidates[index].kind == Kind::Processor || candidates[index].kind == Kind::Ipi) open[count++] = index;
    if (count < 2 || open[0] != 0) return 0;
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return open[state_ >> 63];
  }
  std::uint64_t number(std::uint64_t) override { return 0; }

 private:
  std::uint64_t state_ = 1;
};

// Removes again and again what the other processor is about to take from its queue. Returns how often the routine ran although it had been removed.
KDPC removed;
volatile bool has_run = false;
VOID NTAPI note_run(PKDPC, PVOID, PVOID, PVOID) { has_run = true; }
int removed_and_run(kdpc::lab::Machine& m) {
  static volatile bool truth;
  int count = 0, taken = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&removed, note_run, nullptr);
    KeSetTargetProcessorDpc(&removed, 1);
    KeSetImportanceDpc(&removed, HighImportance);
  });
  AnyOrder oracle;
  kdpc::sim::set_oracle(&oracle);
  for (int round = 0; round < 200; ++round) {
    has_run = false;
    truth = false;
    auto remover = m.start(0, PASSIVE_LEVEL, [] {
      KeInsertQueueDpc(&removed, nullptr, nullptr);
      for (int step = 0; step < 3; ++step) KeGetCurrentIrql();
      truth = KeRemoveQueueDpc(&removed) == TRUE;
    });
    EXPECT_TRUE(m.run_until([&] { return remover.done() && (truth || has_run); }, std::chrono::seconds(1))) << round;
    m.run_for(std::chrono::microseconds(100));
    if (truth && has_run) ++count;
    if (truth) ++taken;
  }
  kdpc::sim::set_oracle(nullptr);
  EXPECT_GT(taken, 0);
  EXPECT_LT(taken, 200);  // it was a race
  return count;
}

KDPC_TEST(DpcRemove, TrueIsExact, .processors = 2) {
  RULE("REM-1");
  EXPECT_EQ(removed_and_run(m), 0);
}

KDPC_TEST(DpcRemove, BeforeVistaSp1ItMayStillRunOnce, .processors = 2, .options = {{"remove_semantics", "pre_vista_sp1"}}) {
  RULE("REM-1");
  EXPECT_GT(removed_and_run(m), 0);
}

}  // namespace
