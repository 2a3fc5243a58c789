// Drivers' code and data in sections PAGE…, by every way in which they get there. SEMANTICS IRQL-2.
#include <gmock/gmock.h>
#include <wdm.h>

#include "kdpc/test.h"

namespace {

using namespace std::chrono_literals;

// Loads the driver; the function it was stopped in, or nothing.
std::string stopped_in(kdpc::lab::Machine& m, std::uint64_t what) {
  std::string why;
  const bool loaded = m.load_driver(KDPC_TEST_DRIVERS "/pageable.drv", why, {.settings = {{"what", what}}});
  if (!m.outcome().over()) {
    EXPECT_TRUE(loaded) << why;
    EXPECT_TRUE(m.unload_driver("pageable", why)) << why;
    return "";
  }
  return m.outcome().bugcheck->stack.empty() ? "nowhere" : m.outcome().bugcheck->stack.front().function;
}

KDPC_TEST(PageableSections, AreOrdinaryMemoryBelowDispatchAndStayWhileTheyAreLocked) {
  RULE("IRQL-2");
  EXPECT_EQ(stopped_in(m, 0), "");
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(PageableSections, OfAllocTextAreNotThereAtDispatch) {
  RULE("IRQL-2");
  EXPECT_THAT(stopped_in(m, 1), ::testing::HasSubstr("ByAllocText"));
  EXPECT_BUGCHECK(0xD1, kdpc::test::any, DISPATCH_LEVEL, 8);
}

KDPC_TEST(PageableSections, OfCodeSegAreNotThereAtDispatch) {
  RULE("IRQL-2");
  EXPECT_THAT(stopped_in(m, 3), ::testing::HasSubstr("ByCodeSeg"));
  EXPECT_BUGCHECK(0xD1, kdpc::test::any, DISPATCH_LEVEL, 8);
}

KDPC_TEST(PageableSections, OfDeclspecAreNotThereAtDispatch) {
  RULE("IRQL-2");
  EXPECT_THAT(stopped_in(m, 4), ::testing::HasSubstr("ByDeclspec"));
  EXPECT_BUGCHECK(0xD1, kdpc::test::any, DISPATCH_LEVEL, 8);
}

KDPC_TEST(PageableSections, OfAnAttributeAreNotThereAtDispatch) {
  RULE("IRQL-2");
  EXPECT_THAT(stopped_in(m, 5), ::testing::HasSubstr("ByAttribute"));
  EXPECT_BUGCHECK(0xD1, kdpc::test::any, DISPATCH_LEVEL, 8);
}

KDPC_TEST(PageableSections, WithDataAreNotThereAtDispatch) {
  RULE("IRQL-2");
  EXPECT_THAT(stopped_in(m, 6), ::testing::HasSubstr("DriverEntry"));
  EXPECT_BUGCHECK(0xD1, kdpc::test::any, DISPATCH_LEVEL, 1);
}

// A free build of the driver, which would not notice on Windows.
KDPC_TEST(PagedCode, AboveApcLevelIsFound) {
  RULE("IRQL-2");
  stopped_in(m, 2);
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL);
  ASSERT_TRUE(m.outcome().finding);
  EXPECT_EQ(m.outcome().finding->id, "stop-paged-code");
  EXPECT_THAT(m.outcome().report(), ::testing::HasSubstr("PAGED_CODE()"));
}

KDPC_TEST(PagedCode, IsNothingInTheFreeProfile, .options = {{"profile", "free"}}) {
  RULE("IRQL-2");
  for (const std::uint64_t what : {1, 2, 3, 4, 5}) EXPECT_EQ(stopped_in(m, what), "");
}

}  // namespace
