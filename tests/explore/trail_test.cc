// What a trail says of two transitions: whether they conflict.
#include "check/explore/trail.h"

#include <gtest/gtest.h>

#include "kdpc/test.h"

namespace kdpc::explore {

namespace {

using sim::Candidate;

constexpr std::uintptr_t kShared = 0x400000010000, kEvent = 0x400000020000, kLock = 0x400000030000;

// Threads 10 and 11 run on processors 0 and 1, and state facts in one transition each.
struct Told {
  Trail trail;
  Told() { trail.begin(); }
  Told& by(std::uint16_t processor, std::initializer_list<Event> facts) {
    const Candidate candidates[] = {{Candidate::Kind::Processor, 0, 1, 0}, {Candidate::Kind::Processor, 1, 1, 0}};
    trail.asked(candidates, processor, processor);
    for (const Event& fact : facts) trail.event({0, processor, 0, 10u + processor, 1}, fact);
    return *this;
  }
  // The last two transitions.
  bool conflict() const {
    const std::vector<Transition>& all = trail.transitions();
    for (const Touch& one : all.at(all.size() - 2).touches)
      for (const Touch& other : all.back().touches)
        if (one.conflicts(other)) return true;
    return false;
  }
};

RoutineEntered call(bool apart = false) { return {0, Address::at(0x1000), {}, apart}; }
bool conflict(std::initializer_list<Event> one, std::initializer_list<Event> other) { return Told().by(0, one).by(1, other).conflict(); }

}  // namespace

TEST(Trail, ACallThatTellsNothingMayHaveTouchedAnyObjectOfTheKernels) {
  const ObjectSignalled signalled{Address::at(kEvent), 0, 0};
  EXPECT_TRUE(conflict({call()}, {call(), signalled}));
  EXPECT_TRUE(conflict({call()}, {call()}));
  EXPECT_FALSE(conflict({call(true)}, {call(), signalled})) << "that it touches none is known";
  const PoolAllocated allocated{Address::at(kShared), 64, 0, false};
  EXPECT_TRUE(conflict({call(), allocated}, {call(), allocated})) << "what else it did it has not told";
  EXPECT_FALSE(conflict({call(), ObjectSignalled{Address::at(kEvent + 64), 0, 0}}, {call(), signalled}));
  EXPECT_TRUE(conflict({call(), signalled}, {call(), signalled}));
}

TEST(Trail, ARunThatNeverEndsIsHeardToSomePoint) {
  Told told;
  for (std::size_t time = 0; time < Trail::kMost + 100; ++time) told.by(0, {call()});
  EXPECT_LE(told.trail.transitions().size(), Trail::kMost + 2);
}

TEST(Trail, WhatTheKernelReadsConflictsWithWhatIsWrittenAndNotWithWhatIsRead) {
  RULE("K.DPOR-4");
  const KernelRead read{Address::at(kShared)};
  EXPECT_TRUE(conflict({call(), read}, {call(), KernelAccess{Address::at(kShared), 4}}));
  EXPECT_TRUE(conflict({call(), KernelRead{Address::at(kEvent)}}, {call(), ObjectSignalled{Address::at(kEvent), 0, 0}}));
  EXPECT_FALSE(conflict({call(), read}, {call(), read}));
  EXPECT_TRUE(conflict({call(), read}, {call()})) << "that may be what is read";
}

// On which processor a thread runs: 12, which may run on both.
TEST(Trail, WhoBecomesIdleConflictsWithWhoeverReadiesOrTakesAThreadThatItWouldTake) {
  RULE("K.DPOR-4");
  const ObjectSignalled signalled{Address::at(kEvent), 0, 0};
  const ThreadSwitched idle{11, 2, WaitReason::Executive, true};
  EXPECT_TRUE(conflict({call(), signalled, ThreadReadied{12, 0, 8, 3}}, {idle}));
  EXPECT_FALSE(conflict({call(), signalled, ThreadReadied{12, 0, 8, 0}}, {idle})) << "it runs nowhere else";
  EXPECT_FALSE(conflict({call(), signalled, ThreadReadied{12, 0, 8, 1}}, {idle})) << "it is on the best processor already";
  EXPECT_FALSE(conflict({ThreadSwitched{10, 1, WaitReason::Executive, true}}, {idle}));
  EXPECT_FALSE(Told().by(1, {ThreadSwitched{12, 2, WaitReason::Executive, true}}).by(1, {idle}).conflict()) << "nobody asks";

  const ThreadSwitched takes{10, 12, WaitReason::Executive};
  EXPECT_TRUE(Told().by(0, {call(), signalled, ThreadReadied{12, 0, 8, 3}}).by(0, {takes}).by(1, {idle}).conflict());
  EXPECT_FALSE(Told().by(0, {call(), signalled, ThreadReadied{12, 0, 8, 0}}).by(0, {takes}).by(1, {idle}).conflict());
  EXPECT_FALSE(Told().by(0, {ThreadSwitched{10, 1, WaitReason::Executive, true}}).by(0, {takes}).by(1, {idle}).conflict())
      << "who was idle was given it, and has taken it from nobody";
}

TEST(Trail, LocksAreThingsLikeOthersButTheKernelsOwnAreNot) {
  const auto locked = [](LockKind kind) { return LockAcquired{Address::at(kLock), kind, false}; };
  EXPECT_TRUE(conflict({call(), locked(LockKind::Spin)}, {call(), locked(LockKind::Spin)}));
  EXPECT_FALSE(conflict({call(true), locked(LockKind::System)}, {call(true), locked(LockKind::System)}));
}

}  // namespace kdpc::explore
