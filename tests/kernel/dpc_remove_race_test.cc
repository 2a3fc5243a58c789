// KeRemoveQueueDpc for a DPC that another processor is about to take: SEMANTICS 4.3. The order of the processors' steps is chosen here.
#include <wdm.h>

#include <span>

#include "kdpc/test.h"
#include "machine/sim/choice.h"

namespace {

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
