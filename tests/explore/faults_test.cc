// What may fail is let fail: once for each stack that calls it.
#include <gmock/gmock.h>

#include "check/explore/moves.h"
#include "kdpc/explore.h"
#include "kdpc/test.h"
#include "wdm.h"

using namespace std::chrono_literals;
using namespace kdpc;
using explore::Deviation;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

lab::Life careless(std::uint64_t how) {
  return [how](lab::Machine& m) -> std::string {
    std::string why;
    if (!m.load_driver(KDPC_TEST_DRIVERS "/check/careless.drv", why, {.settings = {{"How", how}}})) return lab::made_to_fail() ? "" : why;
    m.run_for(1ms);
    m.unload_driver("careless", why);
    return why;
  };
}

const lab::ExploreSettings kFaults = {.schedules = 0, .bound = 1, .faults = true};

}  // namespace

TEST(Faults, ADriverThatIsRightGivesUpInOrder) {
  const lab::ExploreResult result = lab::explore(kFaults, careless(0));
  EXPECT_EQ(result.failure + result.broken, "") << result.report;
  EXPECT_TRUE(result.exhausted);
}

TEST(Faults, MemoryThatWasNotLookedForIsABugCheckThatNamesWhatFailed) {
  const lab::ExploreResult found = lab::explore(kFaults, careless(1));
  EXPECT_THAT(found.failure, HasSubstr("bug check")) << found.broken;
  EXPECT_THAT(found.report, HasSubstr("Made to fail: ExAllocatePool2, called by careless!Allocate"));
  EXPECT_THAT(found.report, HasSubstr("1 deviation from the default one:\n  cpu0@"));
  EXPECT_THAT(found.schedule, HasSubstr(" fail\n"));
  const lab::ExploreResult again = lab::replay({}, careless(1), found.schedule);
  EXPECT_EQ(again.failure, found.failure);
  EXPECT_EQ(again.differs, "");
}

TEST(Faults, AWayOutThatIsWrongIsFound) {
  const lab::ExploreResult found = lab::explore(kFaults, careless(2));
  EXPECT_THAT(found.failure, HasSubstr("bug check")) << found.broken;
  EXPECT_THAT(found.report, HasSubstr("Made to fail: PsCreateSystemThread, called by careless!StartThread"));
}

TEST(Faults, ALifeThatHangsIsAFailureToo) {
  const lab::ExploreResult found = lab::explore(kFaults, careless(3));
  EXPECT_THAT(found.failure, HasSubstr("this did not end: unload")) << found.broken;
  EXPECT_THAT(found.report, HasSubstr("Made to fail: PsCreateSystemThread"));
}

TEST(Faults, WithoutThemNothingFails) {
  for (const std::uint64_t how : {0, 1, 2, 3}) {
    const lab::ExploreResult result = lab::explore({.schedules = 0, .bound = 1}, careless(how));
    EXPECT_EQ(result.failure + result.broken, "") << how;
  }
}

TEST(Faults, EachStackFailsOnceAndFirst) {
  RULE("K.FAULT-1");
  explore::Lesson lesson;
  for (std::uint64_t step = 1; step <= 4; ++step) {
    lesson.points.push_back({0, step, 0x1000 + step, false});
    lesson.options.push_back({.processor = 0, .step = step, .others_can_go_on = true, .may_fail = step == 3 ? 0 : step == 4 ? 7u : 7u + step % 2});
  }
  std::vector<std::string> moves;
  for (const explore::Move& move : explore::moves_behind({}, lesson)) moves.push_back(text_of(with({}, move)));
  EXPECT_THAT(moves, ElementsAre("cpu0@1 fail\n", "cpu0@2 fail\n", "cpu0@1 hold\n", "cpu0@2 hold\n", "cpu0@3 hold\n", "cpu0@4 hold\n"));
  // Behind one that has failed, another one may.
  moves.clear();
  const explore::Schedule failed = {{Deviation::Kind::Fail, 0, 1, 0}};
  for (const explore::Move& move : explore::moves_behind(failed, lesson)) moves.push_back(text_of(with(failed, move)));
  EXPECT_THAT(moves, testing::Contains("cpu0@1 fail\ncpu0@2 fail\n"));
  EXPECT_THAT(moves, testing::Contains("cpu0@1 fail\ncpu0@2 hold\n"));
}

// What the same code asks for from two places is two stacks, and a loop is one.
TEST(Faults, ALoopIsOneStackAndTwoCallersAreTwo) {
  std::set<int> failed;
  const lab::ExploreResult result = lab::explore(kFaults, [&](lab::Machine& m) -> std::string {
    int call = 0;
    const auto one = [&] {
      PVOID memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 'tset');
      if (memory == nullptr) failed.insert(call);
      if (memory != nullptr) ExFreePool(memory);
      ++call;
    };
    m.on(0, PASSIVE_LEVEL, [&] {
      for (int turn = 0; turn < 3; ++turn) one();
      one();
    });
    return {};
  });
  EXPECT_EQ(result.failure + result.broken, "");
  EXPECT_EQ(failed, (std::set<int>{0, 3}));
}
