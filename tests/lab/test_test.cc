// kdpc/test.h: what is expected and does not happen fails the test, inside the machine and outside.
#include "kdpc/test.h"

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>

#include <stdexcept>

#include "kernel/bugcheck.h"
#include "kernel/irql.h"
#include "wdm.h"

using namespace std::chrono_literals;

namespace kdpc {

namespace {

test::Session& session() { return *test::Session::current(); }
void make_a_mistake() { raise_for_driver(Irql::Passive); }

void a_test_that_ends_in_a_bug_check() {
  test::run({}, [](lab::Machine& m) { m.on(0, Irql::Dispatch, make_a_mistake); });
}
void a_test_that_expects_another_bug_check() {
  test::run({}, [](lab::Machine& m) {
    m.on(0, Irql::Dispatch, make_a_mistake);
    EXPECT_BUGCHECK(stop::IrqlNotLessOrEqual);
  });
}
void a_test_that_expects_another_parameter() {
  test::run({}, [](lab::Machine& m) {
    m.on(0, Irql::Dispatch, make_a_mistake);
    EXPECT_BUGCHECK(0xC4, 0x31);
  });
}
void a_test_that_expects_a_bug_check_in_vain() {
  test::run({}, [](lab::Machine&) { EXPECT_BUGCHECK(0xC4); });
}
void a_test_that_asks_for_no_findings() {
  test::run({}, [](lab::Machine& m) {
    m.on(0, Irql::Dispatch, make_a_mistake);
    EXPECT_NO_FINDINGS();
  });
}
void a_test_without_a_machine() {
  test::run({.options = {{"no_such", "option"}}}, [](lab::Machine&) { FAIL() << "the body must not run"; });
}

}  // namespace

KDPC_TEST(Test, KdpcExpectFailsWithExpressionAndValues) {
  m.on(0, Irql::Dispatch, [] {
    const int three = 3;
    KDPC_EXPECT(three == 3);
    KDPC_EXPECT_EQ(three + 1, 5);
  });
  EXPECT_NONFATAL_FAILURE(session().settle(), "three + 1 == 5\n  values: 4, 5");
  m.on(0, Irql::High, [] { KDPC_EXPECT(1 > 2, 17u, true); });
  EXPECT_NONFATAL_FAILURE(session().settle(), "1 > 2\n  values: 17 (0x11), true");
}

KDPC_TEST(Test, ALoopOfFailuresIsCounted) {
  m.on(0, Irql::Passive, [] {
    for (int i = 0; i < 1000; ++i) KDPC_EXPECT(i < 0);
  });
  const auto notes = lab::take_notes();
  EXPECT_EQ(notes.size(), 256u);
  EXPECT_EQ(lab::notes_lost(), 744u);
}

KDPC_TEST(Test, ALambdaThatLeavesItsLevelFails) {
  m.on(0, Irql::Passive, [] { raise_for_driver(Irql::Dispatch); });
  EXPECT_NONFATAL_FAILURE(session().settle(), "returned at another IRQL");
  EXPECT_TRUE(m.on(0, Irql::Passive, [] {}));
}

KDPC_TEST(Test, ALambdaThatThrowsFails) {
  m.on(0, Irql::Passive, [] { throw std::runtime_error("no"); });
  EXPECT_NONFATAL_FAILURE(session().settle(), "an exception left a lambda");
}

KDPC_TEST(Test, ALambdaThatDoesNotReturnFails) {
  EXPECT_FALSE(m.on(0, Irql::Passive,
                    [] {
                      for (;;) KeStallExecutionProcessor(10);
                    },
                    {.limit = 10ms}));
  EXPECT_NONFATAL_FAILURE(session().settle(), "the lambda has not returned");
}

KDPC_TEST(Test, AProcessorThatDoesNotExistFails) {
  EXPECT_FALSE(m.on(1, Irql::Passive, [] {}));
  EXPECT_NONFATAL_FAILURE(session().settle(), "does not exist");
  lab::take_notes();
}

TEST(Test, AnUnexpectedBugCheckFails) { EXPECT_NONFATAL_FAILURE(a_test_that_ends_in_a_bug_check(), "bug check 0xc4 DRIVER_VERIFIER"); }

TEST(Test, AFailureWithoutAPlaceOfItsOwnIsTheTests) {
  ::testing::TestPartResultArray failures;
  {
    const ::testing::ScopedFakeTestPartResultReporter kept(::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    a_test_that_ends_in_a_bug_check();
  }
  ASSERT_EQ(failures.size(), 1);
  EXPECT_STREQ(failures.GetTestPartResult(0).file_name(), __FILE__);
}

TEST(Test, AnotherBugCheckFails) {
  EXPECT_NONFATAL_FAILURE(a_test_that_expects_another_bug_check(), "Expected bug check stop::IrqlNotLessOrEqual, but");
}
TEST(Test, AnotherParameterFails) { EXPECT_NONFATAL_FAILURE(a_test_that_expects_another_parameter(), "Expected bug check 0xC4, 0x31, but"); }
TEST(Test, ABugCheckThatDoesNotComeFails) { EXPECT_NONFATAL_FAILURE(a_test_that_expects_a_bug_check_in_vain(), "has not ended with one"); }
TEST(Test, AFindingFails) { EXPECT_NONFATAL_FAILURE(a_test_that_asks_for_no_findings(), "bug check 0xc4"); }
TEST(Test, NoMachineFails) { EXPECT_NONFATAL_FAILURE(a_test_without_a_machine(), "no option named 'no_such'"); }

KDPC_TEST(Test, AnExpectedBugCheckPasses) {
  m.on(0, Irql::Dispatch, make_a_mistake);
  EXPECT_BUGCHECK(0xC4, 0x30, test::any, 0);
}

KDPC_TEST(Test, RulesAreRecordedInsideAndOutside) {
  RULE("TEST-1");
  m.on(0, Irql::High, [] {
    for (int i = 0; i < 1000; ++i) RULE("TEST-2");
  });
  session().settle();
  std::vector<std::string> keys;
  const ::testing::TestResult& result = *::testing::UnitTest::GetInstance()->current_test_info()->result();
  for (int i = 0; i < result.test_property_count(); ++i) keys.emplace_back(result.GetTestProperty(i).key());
  EXPECT_THAT(keys, ::testing::ElementsAre("rule.TEST-1", "rule.TEST-2"));
}

KDPC_TEST(Test, AFailingTestExplainsItself, .processors = 2) {
  m.on(1, Irql::Dispatch, [] {});
  const std::string text = session().explanation();
  EXPECT_NE(text.find("The last events, without those of the kernel's own locks:"), std::string::npos);
  EXPECT_NE(text.find("irql-changed"), std::string::npos);
  EXPECT_NE(text.find("The processors:"), std::string::npos);
  EXPECT_NE(text.find("--gtest_filter=Test.AFailingTestExplainsItself"), std::string::npos);
}

}  // namespace kdpc
