// The example driver hog takes as much time as it is told, where and when it is told, and leaves nothing behind.
#include <gmock/gmock.h>

#include <algorithm>

#include "kdpc/test.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;

enum Mode : std::uint64_t { kStall, kCount, kPieces };

struct Run {
  unsigned processor;
  Nanoseconds began;
  Nanoseconds took;
};

// Loads hog, lets it run for a while, and gives the runs of its routines. What interrupts them is part of their time.
std::vector<Run> runs_of(lab::Machine& m, const std::string& routine, const lab::DriverSettings& settings, lab::Duration time) {
  std::string why;
  if (!m.load_driver(KDPC_TEST_DRIVERS "/hog.drv", why, {.settings = settings})) {
    ADD_FAILURE() << why;
    return {};
  }
  m.run_for(time);
  std::vector<Run> runs;
  std::map<unsigned, Nanoseconds> open;
  for (const lab::EventRecord& event : m.events()) {
    if ((event.name != "activity-began" && event.name != "activity-ended") || m.place_of(event["routine"]).function != routine) continue;
    if (event.name == "activity-began") {
      open[event.processor] = event.time;
    } else {
      runs.push_back({event.processor, open[event.processor], event.time - open[event.processor]});
    }
  }
  return runs;
}

constexpr Nanoseconds kMicrosecond = 1000;
constexpr Nanoseconds kMillisecond = 1'000'000;

KDPC_TEST(Hog, StallsAsLongAsItIsTold) {
  const auto runs = runs_of(m, "HogRun", {{"FirstMs", 50u}, {"RunUs", 5000u}}, 300ms);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_GE(runs[0].began, 50 * kMillisecond);
  EXPECT_LT(runs[0].began, 70 * kMillisecond);
  EXPECT_GE(runs[0].took, 5000 * kMicrosecond);
  EXPECT_LT(runs[0].took, 5100 * kMicrosecond);
}

KDPC_TEST(Hog, AboveDispatchLevelItKeepsInterruptsAwayToo) {
  const auto runs = runs_of(m, "HogRun", {{"FirstMs", 50u}, {"RunUs", 20000u}, {"Level", 15u}}, 300ms);
  ASSERT_EQ(runs.size(), 1u);
  for (const lab::EventRecord& event : m.events("activity-began"))
    EXPECT_FALSE(event.time > runs[0].began && event.time < runs[0].began + runs[0].took);
  std::string why;
  EXPECT_FALSE(m.load_driver(KDPC_TEST_DRIVERS "/hog.drv", why, {.name = "again", .settings = {{"Level", 1u}}}));
}

KDPC_TEST(Hog, CountsAboutAsLongAsItIsTold) {
  const auto runs = runs_of(m, "HogRun", {{"RunUs", 5000u}, {"Mode", kCount}}, 300ms);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_NEAR(static_cast<double>(runs[0].took), 5e6, 1e5);
}

KDPC_TEST(Hog, RunsAsOftenAsItIsToldOnTheProcessorItIsTold, .processors = 2) {
  const auto runs = runs_of(m, "HogRun", {{"FirstMs", 10u}, {"PeriodMs", 50u}, {"Count", 3u}, {"RunUs", 1000u}, {"Processor", 1u}}, 1s);
  ASSERT_EQ(runs.size(), 3u);
  for (const Run& run : runs) EXPECT_EQ(run.processor, 1u);
}

KDPC_TEST(Hog, InPiecesItRunsLongInTotalAndLetsOthersGoFirst) {
  const auto runs = runs_of(m, "HogRunPiece", {{"RunUs", 5000u}, {"Mode", kPieces}, {"PieceUs", 100u}}, 300ms);
  ASSERT_EQ(runs.size(), 50u);
  for (const Run& run : runs) EXPECT_LT(run.took, 110 * kMicrosecond);
}

KDPC_TEST(Hog, CanBeUnloadedAtAnyMoment, .processors = 2) {
  std::string why;
  for (const Mode mode : {kStall, kCount, kPieces}) {
    ASSERT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/hog.drv", why,
                              {.settings = {{"FirstMs", 1u}, {"PeriodMs", 1u}, {"RunUs", 20000u}, {"Processor", 1u}, {"Mode", mode}}}))
        << why;
    m.run_for(55ms);
    ASSERT_TRUE(m.unload_driver("hog", why)) << why;
  }
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Hog, AProcessorThatDoesNotExistIsRefusedByDriverEntry) {
  std::string why;
  EXPECT_FALSE(m.load_driver(KDPC_TEST_DRIVERS "/hog.drv", why, {.settings = {{"Processor", 7u}}}));
  EXPECT_THAT(why, ::testing::HasSubstr("STATUS_INVALID_PARAMETER"));
}

}  // namespace
}  // namespace kdpc
