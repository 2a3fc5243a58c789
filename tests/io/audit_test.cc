// What a driver forgets when it is unloaded (PNP-3).
#include <gmock/gmock.h>
#include <wdm.h>

#include "kdpc/test.h"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void unload(kdpc::lab::Machine& m, std::uint64_t what) {
  std::string why;
  ASSERT_TRUE(m.load_driver(std::string(KDPC_TEST_DRIVERS) + "/leaves_behind.drv", why, {.settings = {{"What", what}}})) << why;
  m.unload_driver("leaves_behind", why);
}

// The parameters behind the first: what was found, and the range it lies in, which is the driver's image.
void expect_in_image(const kdpc::lab::Machine& m) {
  ASSERT_TRUE(m.outcome().bugcheck);
  const auto& parameters = m.outcome().bugcheck->parameters;
  EXPECT_LE(parameters[2], parameters[1]);
  EXPECT_LT(parameters[1], parameters[3]);
  const std::uint64_t last_page = (parameters[3] - 1) & ~std::uint64_t{0xFFF};
  for (const std::uint64_t address : {parameters[1], parameters[2], last_page})
    EXPECT_EQ(m.place_of(address).image, "leaves_behind") << std::hex << address;
}

KDPC_TEST(Audit, AnActiveTimerOfTheImageIsABugCheck) {
  RULE("PNP-3");
  unload(m, 0);
  EXPECT_BUGCHECK(TIMER_OR_DPC_INVALID, 0);
  expect_in_image(m);
}

KDPC_TEST(Audit, ADpcRoutineOfTheImageInAnActiveTimerElsewhereIsABugCheck) {
  RULE("PNP-3");
  unload(m, 1);
  EXPECT_BUGCHECK(TIMER_OR_DPC_INVALID, 2);
  expect_in_image(m);
  EXPECT_EQ(m.place_of(m.outcome().bugcheck->parameters[1]).function, "Routine");
}

KDPC_TEST(Audit, AQueuedWorkItemOfTheImageIsABugCheck) {
  RULE("PNP-3");
  unload(m, 2);
  EXPECT_BUGCHECK(WORKER_INVALID, 0);
  expect_in_image(m);
}

KDPC_TEST(Audit, AQueuedWorkItemElsewhereThatCallsTheImageIsABugCheck) {
  RULE("PNP-3");
  unload(m, 4);
  EXPECT_BUGCHECK(0xCE, kdpc::test::any, 8);
  EXPECT_EQ(m.place_of(m.outcome().bugcheck->parameters[0]).function, "IoWork");
}

KDPC_TEST(Audit, AThreadThatStillRunsInTheImageIsABugCheck) {
  RULE("PNP-3");
  unload(m, 5);
  EXPECT_BUGCHECK(0xCE, kdpc::test::any, 8);
  EXPECT_EQ(m.place_of(m.outcome().bugcheck->parameters[0]).function, "Sleep");
}

KDPC_TEST(Audit, ADriverThatRefusesToStartLeavesNoInterruptConnected) {
  RULE("PNP-3");
  std::string why;
  EXPECT_FALSE(m.load_driver(std::string(KDPC_TEST_DRIVERS) + "/refuses_connected.drv", why));
  EXPECT_BUGCHECK(0xCE, kdpc::test::any, 8);
  EXPECT_EQ(m.place_of(m.outcome().bugcheck->parameters[0]).function, "Serve");
}

KDPC_TEST(Audit, WhatTheSystemAllocatedForTheDriverIsNamed) {
  RULE("PNP-3");
  unload(m, 3);
  std::vector<std::string> lines;
  for (const auto& line : m.debug_lines()) lines.push_back(line.text);
  EXPECT_THAT(lines, ElementsAre(HasSubstr("has not freed an IRP"), HasSubstr("has not freed an MDL"), HasSubstr("has not freed a work item"),
                                 HasSubstr("24 bytes of pool with tag 'Leak'"), HasSubstr("has not deleted a device object")));
}

}  // namespace
