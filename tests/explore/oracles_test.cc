// What tells right from wrong besides bug checks and findings: invariants, goals, work that is left over.
#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>

#include "kdpc/cards.h"
#include "kdpc/explore.h"
#include "kdpc/test.h"
#include "wdm.h"

using namespace std::chrono_literals;
using namespace kdpc;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

// Taken from a store that a thread of another processor fills; each step is a call, where others may come.
struct Store {
  KSPIN_LOCK lock = 0;
  volatile LONG put = 0, taken = 0;

  void fill() {
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    put = put + 1;
    KeQueryActiveProcessorCount(nullptr);
    taken = taken + 1;
    KeReleaseSpinLock(&lock, old);
  }
};

std::string store_life(lab::Machine& m, bool knows_the_lock) {
  Store store;
  lab::invariant("as much is taken as is put", [&] { return (knows_the_lock && store.lock != 0) || store.put == store.taken; });
  const lab::Task other = m.start(1, PASSIVE_LEVEL, [&] { store.fill(); });
  m.on(0, PASSIVE_LEVEL, [&] { store.fill(); });
  m.run_until([&] { return other.done(); }, 1ms);
  return {};
}

// A wake-up is lost if it comes before the sleeper is there.
struct Sleeper {
  KEVENT event;
  volatile bool wants = false;
  Sleeper() { KeInitializeEvent(&event, SynchronizationEvent, FALSE); }
  __attribute__((noinline)) void sleep() {
    wants = true;
    KeQueryActiveProcessorCount(nullptr);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr);
  }
  void wake() {
    while (!wants) KeStallExecutionProcessor(1);
    KePulseEvent(&event, 0, FALSE);
  }
};

std::string sleeper_life(lab::Machine& m) {
  Sleeper sleeper;
  m.start(0, PASSIVE_LEVEL, [&] { sleeper.sleep(); }, {.name = "sleeper"});
  m.start(1, PASSIVE_LEVEL, [&] {
    KeStallExecutionProcessor(20);
    sleeper.wake();
  });
  return lab::left_over(m);
}

void reaches(lab::Machine& m, int what) {
  volatile int seen = 0;
  const lab::Task other = m.start(1, PASSIVE_LEVEL, [&] {
    KeQueryActiveProcessorCount(nullptr);
    seen = 1;
  });
  m.on(0, PASSIVE_LEVEL, [&] {
    KeQueryActiveProcessorCount(nullptr);
    if (what > 0) EXPECT_SOMETIMES(seen == 1, "the other one was first");
    if (what > 0) EXPECT_SOMETIMES(seen == 0, "the other one was late");
    if (what > 1) EXPECT_SOMETIMES(seen == 2, "there were two");
  });
  m.run_until([&] { return other.done(); }, 1ms);
}

void a_test_whose_goal_is_never_come_to() {
  test::explore({.processors = 2, .schedules = 50, .goals = {"the other one was first"}}, [](lab::Machine& m) { reaches(m, 0); });
}

}  // namespace

TEST(Invariant, WhatIsNotTrueAfterSomeStepIsAFailureThatSaysWhereEverybodyStands) {
  const lab::Life life = [](lab::Machine& m) { return store_life(m, false); };
  const lab::ExploreResult found = lab::explore({.processors = 2}, life);
  EXPECT_EQ(found.failure, "the invariant 'as much is taken as is put' does not hold any more") << found.broken;
  EXPECT_THAT(found.report, HasSubstr("Store::fill"));
  EXPECT_EQ(lab::replay({.processors = 2}, life, found.schedule).differs, "");
}

TEST(Invariant, WhatAllowsForTheLockHoldsInEveryOrder) {
  const lab::ExploreResult result = lab::explore({.processors = 2, .schedules = 300}, [](lab::Machine& m) { return store_life(m, true); });
  EXPECT_EQ(result.failure + result.broken, "");
}

// A register's access asks the oracle too, on the stack of the code that is at it.
TEST(Invariant, IsAskedOnTheHostsStackAlone) {
  std::uint64_t asked = 0;
  const lab::ExploreResult result = lab::explore({.schedules = 20}, [&](lab::Machine& m) {
    const auto life = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    lab::invariant("the host asks", [&asked, life] {
      ++asked;
      const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
      return here < life && life - here < 1 << 20;
    });
    cards::CardBoard board;
    board.add(cards::PulseWish{.name = "card", .first = 100'000, .period = 100'000, .count = 6});
    m.attach(board);
    std::string why;
    if (!m.load_driver(KDPC_TEST_DRIVERS "/check/museum_fifo_count_fixed.drv", why)) return why;
    if (!m.start_device("card", "museum_fifo_count_fixed", why)) return why;
    m.run_for(1ms);
    m.unload_driver("museum_fifo_count_fixed", why);
    return why;
  });
  EXPECT_EQ(result.failure + result.broken, "");
  EXPECT_GT(asked, 1000u);
}

TEST(Invariant, IsForgottenWithItsLife) {
  int lives = 0;
  const lab::ExploreResult result = lab::explore({.schedules = 3}, [&](lab::Machine& m) {
    bool holds = ++lives != 0;  // of this life's own
    lab::invariant("this one's", [&holds] { return holds; });
    m.on(0, PASSIVE_LEVEL, [] { KeQueryActiveProcessorCount(nullptr); });
    return std::string();
  });
  EXPECT_EQ(result.failure + result.broken, "");
  EXPECT_GT(lives, 3);
}

KDPC_TEST(Invariant, OutsideOfAnExploredLifeIsAMistake) {
  lab::invariant("nobody asks", [] { return true; });
  EXPECT_NONFATAL_FAILURE(test::Session::current()->settle(), "invariant() is for a life that is explored");
}

TEST(LeftOver, AThreadThatNobodyWillWakeIsAFailureWithItsPlace) {
  const lab::ExploreResult found = lab::explore({.processors = 2, .schedules = 500}, sleeper_life);
  EXPECT_THAT(found.failure, HasSubstr("work is left over: the thread \"sleeper\" waits for something that will never happen")) << found.broken;
  EXPECT_GT(found.number, 1u) << "the default order is well";
  EXPECT_THAT(found.report, HasSubstr("synchronization event"));
  EXPECT_THAT(found.report, HasSubstr("Sleeper::sleep"));
  EXPECT_EQ(lab::replay({.processors = 2}, sleeper_life, found.schedule).differs, "");
}

EXPLORE_TEST(LeftOver, AThreadThatIsWokenIsNone, .processors = 2, .schedules = 300) {
  KEVENT event;
  KeInitializeEvent(&event, SynchronizationEvent, FALSE);
  m.start(0, PASSIVE_LEVEL, [&] { KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr); });
  m.start(1, PASSIVE_LEVEL, [&] { KeSetEvent(&event, 0, FALSE); });
  EXPECT_EQ(lab::left_over(m), "");
}

KDPC_TEST(LeftOver, ARequestThatNobodyCompletesIsTold) {
  PIRP irp = nullptr;
  m.on(0, PASSIVE_LEVEL, [&] {
    irp = IoAllocateIrp(2, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
  });
  EXPECT_EQ(lab::left_over(m), "") << "it has not been sent";
  m.on(0, PASSIVE_LEVEL, [&] { IoSetNextIrpStackLocation(irp); });
  EXPECT_THAT(lab::left_over(m), HasSubstr("work is left over: a request with major function 0x3 is never completed"));
  m.on(0, PASSIVE_LEVEL, [&] {
    IoSkipCurrentIrpStackLocation(irp);
    IoFreeIrp(irp);
  });
  EXPECT_EQ(lab::left_over(m), "");
}

TEST(Goals, ThoseThatNoOrderReachesAreTold) {
  const lab::ExploreResult result = lab::explore({.processors = 2, .schedules = 100}, [](lab::Machine& m) {
    reaches(m, 2);
    return std::string();
  });
  RULE("K.GOAL-1");
  EXPECT_EQ(result.failure + result.broken, "");
  EXPECT_THAT(result.unmet, ElementsAre("there were two"));
  EXPECT_THAT(result.coverage, HasSubstr("; never: there were two"));
}

EXPLORE_TEST(Goals, WhatSomeOrderReachesIsMet, .processors = 2, .schedules = 100, .goals = {"the other one was first", "the other one was late"}) {
  reaches(m, 1);
}

TEST(Goals, OneThatIsWantedAndNeverComeToFailsTheTest) {
  EXPECT_NONFATAL_FAILURE(a_test_whose_goal_is_never_come_to(), "In no order: the other one was first");
}
