// ThreadSanitizer sees what processors do at the same time: a race that is planted is found, and what the machine orders is no race. Each part is a process of its
// own, whose end says whether there was a report. Only the build with that sanitizer has this test.
#include <atomic>

#include "kernel/dpc.h"
#include "kernel/spinlock.h"
#include "kernel/wait.h"
#include "tests/machine/inside.h"

namespace kdpc {

namespace {

using inside::kSecond;
using inside::start;

std::uint64_t word = 0;

// On the first processor and the last one, from the same moment on; true: both came to their end. That they have met orders nothing.
bool both(unsigned processors, const std::function<void()>& body) {
  static std::atomic<unsigned> there;
  there = 0;
  const inside::World world({.processors = processors});
  const auto meet = [&] {
    for (there.fetch_add(1, std::memory_order_relaxed); processors > 1 && there.load(std::memory_order_relaxed) < 2;) Machine::spin_pause({});
    body();
  };
  const auto first = start(0, Irql::Dispatch, meet), second = start(processors - 1, Irql::Dispatch, meet);
  return host::run_until([&] { return first->done && second->done; }, 60 * kSecond).how == host::Ended::ConditionMet;
}

class LiveRace : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

constexpr int kClean = 0, kReported = 66;

}  // namespace

TEST_F(LiveRace, AWordThatTwoProcessorsWriteWithoutALockIsReported) {
  // Often enough for both to be at it at once: a single time each may happen to be ordered by what the host does with them.
  const auto add = [] {
    for (int turn = 0; turn < 1000; ++turn) {
      ++word;
      Machine::spin_pause({});
    }
  };
  EXPECT_EXIT(std::exit(both(2, add) ? 0 : 1), testing::ExitedWithCode(kReported), "data race");
}

TEST_F(LiveRace, TheSameUnderASpinLockIsNot) {
  static SpinLock lock;
  EXPECT_EXIT(
      {
        lock.initialize();
        std::exit(both(2,
                       [] {
                         for (int turn = 0; turn < 1000; ++turn) {
                           lock.acquire_here(LockKind::System);
                           ++word;
                           lock.release_here(LockKind::System);
                         }
                       })
                      ? 0
                      : 1);
      },
      testing::ExitedWithCode(kClean), "");
}

TEST_F(LiveRace, WhatTheThreadsOfOneProcessorDoOneAfterAnotherIsNot) {
  EXPECT_EXIT(std::exit(both(1, [] { ++word; }) ? 0 : 1), testing::ExitedWithCode(kClean), "");
}

namespace {

// The word goes with the DPC to the other processor, and with the event from there to a thread.
bool hand_over() {
  static EventObject event;
  static Dpc dpc;
  const inside::World world({.processors = 2});
  wait::initialize_event(event, ObjectType::SynchronizationEvent, false);
  const auto add_and_set = [](Dpc*, void*, void*, void*) KDPC_NTAPI {
    ++word;
    wait::set_event(event, 0);
  };
  const auto waiting = start(1, Irql::Passive, [] {
    wait::for_object(event.header, nullptr);
    ++word;
  });
  start(0, Irql::Passive, [&] {
    dpc::initialize(dpc, add_and_set, nullptr);
    dpc::set_target(dpc, 1);
    ++word;
    dpc::insert(&dpc, nullptr, nullptr);
  });
  return host::run_until([&] { return waiting->done; }, 60 * kSecond).how == host::Ended::ConditionMet && word == 3;
}

// Volatile says that others are there, not that they are waited for.
bool take_turns_by_a_flag() {
  static volatile unsigned turn;
  turn = 0;
  return both(2, [] {
    for (unsigned mine = Machine::here().number; mine < 1000; mine += 2) {
      while (turn != mine) Machine::spin_pause({});
      ++word;
      turn = mine + 1;
    }
  });
}

}  // namespace

TEST_F(LiveRace, WhatIsHandedOverByADpcAndAnEventIsNot) { EXPECT_EXIT(std::exit(hand_over() ? 0 : 1), testing::ExitedWithCode(kClean), ""); }

TEST_F(LiveRace, AVolatileFlagOrdersNothing) {
  EXPECT_EXIT(std::exit(take_turns_by_a_flag() ? 0 : 1), testing::ExitedWithCode(kReported), "data race");
}

}  // namespace kdpc
