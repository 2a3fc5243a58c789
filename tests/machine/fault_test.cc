// Faults of code in the machine are findings on every machine: the process goes on, and another machine can be made.
#include "tests/machine/inside.h"

#include "kernel/bugcheck.h"
#include "kernel/dpc.h"

namespace kdpc {

using namespace inside;

namespace {

volatile int zero = 0;
volatile int* const nowhere = reinterpret_cast<volatile int*>(0x1000);

void KDPC_NTAPI overflow_routine(Dpc*, void*, void*, void*) { overflow_the_stack(); }

}  // namespace

void function_that_faults() { *nowhere = 1; }

TEST(AnyMachineFault, AnOverflowOfAThreadsStackIsNamed) {
  World world;
  const auto outcome = on(0, Irql::Passive, overflow_the_stack);
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::UnexpectedKernelModeTrap);
  EXPECT_EQ(outcome.report->parameters.p1, 8u);
  EXPECT_NE(std::string(outcome.report->sentence).find("thread"), std::string::npos);
}

TEST(AnyMachineFault, AnOverflowOfTheDpcStackIsNamed) {
  World world;
  static Dpc dpc;
  dpc = {};
  const auto outcome = on(0, Irql::Passive, [] {
    dpc::initialize(dpc, overflow_routine, nullptr);
    dpc::insert(&dpc, nullptr, nullptr);
  });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::UnexpectedKernelModeTrap);
  EXPECT_NE(std::string(outcome.report->sentence).find("DPC stack"), std::string::npos);
}

TEST(AnyMachineFault, ABadAddressAtDispatchIsD1) {
  World world;
  const auto outcome = on(0, Irql::Dispatch, [] { outermost_function_of_the_test(function_that_faults); });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  const BugcheckReport& report = *outcome.report;
  EXPECT_EQ(report.code, stop::DriverIrqlNotLessOrEqual);
  EXPECT_EQ(report.parameters.p1, 0x1000u);
  EXPECT_EQ(report.parameters.p2, 2u);
  EXPECT_EQ(report.parameters.p3, 1u);
  EXPECT_EQ(report.irql, Irql::Dispatch);
  EXPECT_EQ(report.frames[0], report.parameters.p4 + 1);  // as if it were a return address
  EXPECT_TRUE(names(report.frames, outermost_function_of_the_test));
}

TEST(AnyMachineFault, ABadAddressAtPassiveIsAnInvalidReference) {
  World world;
  const auto outcome = on(0, Irql::Passive, [] { static_cast<void>(*nowhere); });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::PageFaultInNonpagedArea);
  EXPECT_EQ(outcome.report->parameters.p1, 0x1000u);
  EXPECT_EQ(outcome.report->parameters.p2, 0u);
}

TEST(AnyMachineFault, ACallToNowhereStillSaysWhoCalled) {
  World world;
  const auto outcome = on(0, Irql::Dispatch, [] {
    void (*volatile null)() = nullptr;
    outermost_function_of_the_test(null);
  });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->parameters.p1, 0u);
  EXPECT_EQ(outcome.report->parameters.p3, 8u);
  EXPECT_TRUE(names(outcome.report->frames, outermost_function_of_the_test));
}

// As after a callback that has returned raised.
TEST(AnyMachineFault, TheKernelItselfIsNotAtWorkBelowTheLevelItIsCalledAt) {
  World world;
  const auto outcome = on(0, Irql::Ipi, [] { raise_here(Irql::Dispatch); });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::IrqlUnexpectedValue);
  EXPECT_EQ(outcome.report->parameters.p1, 0xE0202u);
}

TEST(AnyMachineFault, ADivisionByZeroIsATrap) {
  World world;
  const auto outcome = on(0, Irql::Passive, [] {
    int quotient = 1;
    asm volatile("cltd; idivl %1" : "+a"(quotient) : "r"(static_cast<int>(zero)) : "edx");
  });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::UnexpectedKernelModeTrap);
  EXPECT_EQ(outcome.report->parameters.p1, 0u);
}

TEST(AnyMachineFault, ABugCheckHasTheFramesOfAllStacksBeneath) {
  World world;
  static Dpc dpc;
  dpc = {};
  const auto outcome = on(0, Irql::Passive, [] {
    outermost_function_of_the_test([] {
      dpc::initialize(
          dpc,
          [](Dpc*, void*, void*, void*) KDPC_NTAPI {
            bug_check(0xE2, {1, 2, 3, 4}, "asked for", "test");
          },
          nullptr);
      dpc::insert(&dpc, nullptr, nullptr);
    });
  });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, 0xE2u);
  // The DPC runs on its own stack; the walk crosses to the thread's.
  EXPECT_TRUE(names(outcome.report->frames, outermost_function_of_the_test));
  EXPECT_EQ(outcome.report->irql, Irql::Dispatch);
  // For good, and the next machine is whole.
  EXPECT_EQ(host::run_until([] { return true; }, kSecond).how, host::Ended::Bugcheck);
}

TEST(AnyMachineFault, AnExceptionInsideOneThreadIsNotSeenByAnother) {
  World world;
  int caught = 0;
  const auto thrower = [&] {
    for (int turn = 0; turn < 20; ++turn) {
      try {
        throw turn;
      } catch (int value) {
        wait::delay(-10'000);  // another thread catches meanwhile
        try {
          throw;
        } catch (int again) {
          caught += again == value && again == turn ? 1 : 100;
        }
      }
    }
  };
  const Task first = start(0, Irql::Passive, thrower);
  const Task second = start(0, Irql::Passive, thrower);
  EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, 10 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(caught, 40);
}

}  // namespace kdpc
