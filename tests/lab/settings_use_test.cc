// A setting that nobody ever reads is known, and so is what the driver asked for instead.
#include <gmock/gmock.h>

#include "kdpc/test.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

KDPC_TEST(SettingsUse, AMisspeltNameIsNeverReadAndTheRightOneIsMissed) {
  std::string why;
  ASSERT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/hog.drv", why, {.settings = {{"FIRSTMS", 10u}, {"RunUss", 5u}, {"Sub\\Depth", 1u}}})) << why;
  lab::SettingsUse use = m.settings_use("hog");
  EXPECT_THAT(use.unread, ElementsAre("RunUss", "Sub\\Depth"));
  EXPECT_THAT(use.missed, Contains("RunUs"));
  EXPECT_THAT(use.missed, Not(Contains("FirstMs")));
  ASSERT_TRUE(m.unload_driver("hog", why)) << why;
  EXPECT_EQ(m.settings_use("hog").unread.size(), 2u);  // it is asked at the end
  EXPECT_THAT(m.settings_use("nobody").unread, IsEmpty());
}

KDPC_TEST(SettingsUse, ASecondLoadBeginsAnew) {
  std::string why;
  ASSERT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/hog.drv", why, {.settings = {{"RunUs", 5u}}})) << why;
  EXPECT_THAT(m.settings_use("hog").unread, IsEmpty());
  ASSERT_TRUE(m.unload_driver("hog", why)) << why;
  ASSERT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/hog.drv", why, {.settings = {{"Wrong", 5u}}})) << why;
  EXPECT_THAT(m.settings_use("hog").unread, ElementsAre("Wrong"));
}

}  // namespace
}  // namespace kdpc
