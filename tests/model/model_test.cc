// The kernel does what the reference model does: short runs of random programs, on 1 to 8 processors. reference_model makes long ones.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "kdpc/test.h"
#include "tests/model/compare.h"

namespace {

using namespace kdpc::model;

constexpr std::size_t kStepsOfOne = 1'500;
constexpr std::uint64_t kPrograms = 10;  // for each number of processors

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
  RULE("INT-5");
  RULE("INT-11");
  RULE("INT-13");
  RULE("INT-14");
  RULE("INT-15");
  RULE("INT-16");
  RULE("IPI-1");
  RULE("IRQL-3");
  RULE("IRQL-5");
  RULE("IRQL-6");
  RULE("IRQL-9");
  RULE("PNP-2");
  RULE("REM-1");
  RULE("REM-2");
  RULE("REM-3");
  RULE("RET-1");
  RULE("RET-2");
  RULE("RET-3");
  RULE("RET-3a");
  RULE("RET-4");
  RULE("RET-5");
  RULE("RET-7");
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
  RULE("TIM-18");
  RULE("TIM-21");
  RULE("TIME-1");
  RULE("TIME-2");
  RULE("TIME-4");
  RULE("WAIT-1");
  RULE("WAIT-2");
  RULE("WAIT-3");
  RULE("WAIT-4");
  RULE("WAIT-5");
  RULE("WAIT-6");
  RULE("WAIT-7");
  RULE("6.5");
  std::array<std::size_t, kKinds> performed{};
  for (unsigned processors = 1; processors <= 8; ++processors) {
    for (std::uint64_t seed = 1; seed <= kPrograms; ++seed) {
      const Program program = generate(seed, processors, kStepsOfOne);
      const Comparison comparison = compare(program, kStepsOfOne);
      ASSERT_TRUE(comparison.equal) << "reference_model --processors " << processors << " --seed " << seed << " --steps " << kStepsOfOne << " --each "
                                    << kStepsOfOne << " makes it smaller\n"
                                    << explain(program, kStepsOfOne);
      for (unsigned kind = 0; kind < kKinds; ++kind) performed[kind] += comparison.performed[kind];
    }
  }
  for (unsigned kind = 0; kind < kKinds; ++kind) {
    if (static_cast<Kind>(kind) == Kind::Return) continue;
    EXPECT_GT(performed[kind], 20u) << name_of(static_cast<Kind>(kind));
  }
}

// Of what is compared, and of how it is told: a model under another option than the kernel must be found out.
TEST(ReferenceModel, ADifferenceIsFoundMadeSmallerAndExplained) {
  Program program = generate(1, 2, kStepsOfOne);
  ASSERT_TRUE(compare(program, kStepsOfOne).equal);
  ++program.options.dpc_queue_depth;  // the kernel has its options from the settings
  EXPECT_FALSE(compare(program, kStepsOfOne).equal);
  const Program smaller = shrink(program, kStepsOfOne);
  std::size_t operations = 0;
  for (const auto& script : smaller.scripts) operations += script.size();
  EXPECT_LE(operations, 2u) << text_of(smaller);
  const std::string told = explain(smaller, kStepsOfOne);
  EXPECT_NE(told.find("step 0 differs"), std::string::npos) << told;
  EXPECT_NE(told.find("kernel: maximum depth of 0"), std::string::npos) << told;
  EXPECT_NE(told.find("model:  maximum depth of 0"), std::string::npos) << told;
}

}  // namespace
