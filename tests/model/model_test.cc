// The kernel does what the reference model does: short runs of random programs, on 1 to 8 processors. reference_model makes long ones.
#include <gtest/gtest.h>

#include <set>

#include "kdpc/test.h"
#include "tests/model/compare.h"

namespace {

using namespace kdpc::model;

constexpr std::size_t kStepsOfOne = 1'500;

void compare_with(unsigned processors, std::uint64_t first_seed, std::uint64_t programs) {
  for (std::uint64_t seed = first_seed; seed < first_seed + programs; ++seed) {
    const Program program = generate(seed, processors, kStepsOfOne);
    const Comparison comparison = compare(program, kStepsOfOne);
    ASSERT_TRUE(comparison.equal) << "processors " << processors << ", seed " << seed << "\n"
                                  << explain(program, kStepsOfOne) << "to make it smaller: reference_model --processors " << processors << " --seed "
                                  << seed << " --steps " << kStepsOfOne << " --each " << kStepsOfOne;
    EXPECT_GT(comparison.steps, 0u);
  }
}

TEST(ReferenceModel, EveryStepOfRandomProgramsHasTheSameResultAndLeavesTheSameState) {
  RULE("ADP-1");
  RULE("ADP-2");
  RULE("ADP-3");
  RULE("ADP-4");
  RULE("BOOST-1");
  RULE("FLU-1");
  RULE("FLU-2");
  RULE("IMP-1");
  RULE("IMP-2");
  RULE("INI-1");
  RULE("INS-1");
  RULE("INS-2");
  RULE("INS-3");
  RULE("INS-4");
  RULE("INS-5");
  RULE("IPI-1");
  RULE("IRQL-3");
  RULE("IRQL-5");
  RULE("IRQL-6");
  RULE("IRQL-9");
  RULE("REM-1");
  RULE("REM-2");
  RULE("REM-3");
  RULE("RET-1");
  RULE("RET-2");
  RULE("RET-3");
  RULE("RET-3a");
  RULE("RET-4");
  RULE("RET-5");
  RULE("RET-8");
  RULE("RET-9");
  RULE("TAB-1");
  RULE("TAB-2");
  RULE("TAB-3");
  RULE("TAB-4");
  RULE("TAB-5");
  RULE("TAB-6");
  RULE("TAB-7");
  RULE("TAB-8");
  RULE("TGT-1");
  RULE("TGT-2");
  RULE("TGT-3");
  RULE("THR-1");
  RULE("THR-2");
  RULE("THR-3");
  RULE("TIM-2");
  RULE("TIM-3");
  RULE("TIM-4");
  RULE("TIM-6");
  RULE("TIM-7");
  RULE("TIM-8");
  RULE("TIM-10");
  RULE("TIM-11");
  RULE("TIM-12");
  RULE("TIM-13");
  RULE("TIM-14");
  RULE("TIM-15");
  RULE("TIM-21");
  RULE("TIME-1");
  RULE("TIME-2");
  RULE("TIME-4");
  RULE("WAIT-1");
  RULE("WAIT-2");
  RULE("WAIT-4");
  RULE("WAIT-5");
  RULE("WAIT-6");
  RULE("WAIT-7");
  for (unsigned processors = 1; processors <= 8; ++processors) compare_with(processors, 1, 6);
}

}  // namespace
