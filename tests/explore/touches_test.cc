// What of an execution is worth a deviation.
#include "check/explore/touches.h"

#include <gmock/gmock.h>

#include <sstream>

namespace kdpc::explore {

namespace {

using testing::ElementsAre;

constexpr std::uintptr_t kShared = 0x400000010000;

// Whoever runs on a processor, and takes a step with whatever it does.
struct On {
  Touches& touches;
  std::uint16_t processor = 0;
  std::uint32_t thread = 10;
  std::uint8_t irql = 0;
  std::uint64_t step = 0;

  On& say(const Event& fact) {
    touches.event({0, processor, irql, thread, step}, fact);
    return *this;
  }
  On& call(std::uintptr_t caller) {
    say(RoutineEntered{0, Address::at(caller), {}});
    ++step;
    return *this;
  }
  On& access(std::uintptr_t at, std::uintptr_t pc, bool write, std::uint64_t size = 4) {
    const Access one{at, pc | size << 48 | std::uint64_t{write} << 63};
    touches.accesses({0, processor, irql, thread, ++step}, {&one, 1});
    return *this;
  }
  On& read(std::uintptr_t at, std::uintptr_t pc) { return access(at, pc, false); }
  On& write(std::uintptr_t at, std::uintptr_t pc) { return access(at, pc, true); }
};

struct Heard {
  Touches touches;
  std::uint64_t asked = 0;
  Heard() { touches.listen(true); }
  // "0@3 0x101": processor, step, instruction.
  std::vector<std::string> points() const {
    std::vector<std::string> all;
    for (const Point& point : touches.points()) {
      std::ostringstream text;
      text << point.processor << '@' << point.step << " 0x" << std::hex << point.pc;
      all.push_back(text.str());
    }
    return all;
  }
  bool waits_for_time() {  // somebody may
    On{touches, 0, 10, 0, asked += 100}.call(0x300);
    return touches.points().back().timers;
  }
};

}  // namespace

TEST(Touches, MemoryThatADeviceWritesIsSharedAndTheDeviceHasNoStepOfItsOwn) {
  Heard heard;
  On driver{heard.touches};
  driver.read(kShared, 0x101).read(kShared + 32, 0x102).say(DmaAccessed{Address::at(kShared), 16, true});
  driver.read(kShared + 8, 0x103).write(kShared + 16, 0x104);
  EXPECT_THAT(heard.points(), ElementsAre("0@1 0x101", "0@3 0x103"));
}

TEST(Touches, WhatTwoTouchAndOneWritesIsWorthADeviationWhereverItIsTouched) {
  Heard heard;
  On{heard.touches, 0, 10}.write(kShared + 64, 0x101).write(kShared, 0x102).read(kShared, 0x103);
  On{heard.touches, 1, 11}.read(kShared, 0x201).read(kShared + 128, 0x202);
  EXPECT_THAT(heard.points(), ElementsAre("0@2 0x102", "0@3 0x103", "1@1 0x201"));
}

TEST(Touches, ARunThatNeverEndsIsHeardToSomePoint) {
  for (const bool too_late : {false, true}) {
    Heard heard;
    On looping{heard.touches};
    for (std::size_t touches = 0; touches + (too_late ? 0 : 1) < Touches::kMostTouches; ++touches) looping.write(kShared, 0x101);
    On{heard.touches, 1, 11}.read(kShared, 0x201);
    EXPECT_EQ(heard.points().empty(), too_late);
  }
}

TEST(Touches, WhatAllReadIsNot) {
  Heard heard;
  On{heard.touches, 0, 10}.read(kShared, 0x101);
  On{heard.touches, 1, 11}.read(kShared, 0x201);
  EXPECT_THAT(heard.points(), ElementsAre());
}

TEST(Touches, WhatTheKernelWritesForSomebodyHeHasTouched) {
  Heard heard;
  On{heard.touches, 0, 10}.write(kShared + 64, 0x101).read(kShared, 0x102);
  On cpu{heard.touches, 1, 11};
  cpu.call(0x301).say(KernelAccess{Address::at(kShared), 4});
  EXPECT_THAT(heard.points(), ElementsAre("0@2 0x102", "1@1 0x301")) << "where it was called";
}

// Below DISPATCH_LEVEL somebody is a thread, wherever it runs; from there on a level of a processor.
TEST(Touches, WhatOnlyThoseTouchWhoCannotInterruptEachOtherIsNot) {
  const auto count = [](const On& one, const On& other) {
    Heard heard;
    On{heard.touches, one.processor, one.thread, one.irql}.write(kShared, 0x101);
    On{heard.touches, other.processor, other.thread, other.irql, 1}.write(kShared, 0x201);
    return heard.points().size();
  };
  Touches unused;
  EXPECT_EQ(count({unused, 0, 10, 0}, {unused, 1, 10, 0}), 0u) << "a thread that goes elsewhere";
  EXPECT_EQ(count({unused, 0, 10, 0}, {unused, 0, 11, 0}), 2u) << "two threads of one processor";
  EXPECT_EQ(count({unused, 0, 10, 2}, {unused, 0, 11, 2}), 0u) << "two DPCs of one processor";
  EXPECT_EQ(count({unused, 0, 10, 2}, {unused, 1, 10, 2}), 2u) << "DPCs of two";
  EXPECT_EQ(count({unused, 0, 10, 2}, {unused, 0, 10, 5}), 2u) << "a DPC and an ISR";
  EXPECT_EQ(count({unused, 0, 10, 0}, {unused, 0, 10, 2}), 2u) << "a thread and a DPC above it";
}

TEST(Touches, BytesOfTheSameEightAreTheSameAndAnAccessMayTouchTwoOfThem) {
  Heard heard;
  On{heard.touches, 0, 10}.access(kShared + 6, 0x101, true, 4).write(kShared + 20, 0x102);
  On{heard.touches, 1, 11}.write(kShared, 0x201).write(kShared + 12, 0x202).write(kShared + 24, 0x203);
  EXPECT_THAT(heard.points(), ElementsAre("0@1 0x101", "1@1 0x201", "1@2 0x202"));
}

TEST(Touches, ABatchOfAccessesHasAStepEach) {
  Heard heard;
  constexpr std::uint64_t kHow = std::uint64_t{4} << 48 | std::uint64_t{1} << 63;
  const Access batch[] = {{kShared, 0x101 | kHow}, {kShared + 64, 0x102 | kHow}, {kShared, 0x103 | kHow}};
  heard.touches.accesses({0, 0, 0, 10, 9}, batch);
  On{heard.touches, 1, 11}.read(kShared, 0x201);
  EXPECT_THAT(heard.points(), ElementsAre("0@7 0x101", "0@9 0x103", "1@1 0x201"));
}

TEST(Touches, ACallIsWorthADeviationAndSoIsTheStepBehindAWakeUp) {
  Heard heard;
  On cpu{heard.touches};
  cpu.call(0x301);
  EXPECT_THAT(heard.points(), ElementsAre("0@1 0x301"));
  cpu.say(ObjectSignalled{Address::at(kShared), 0, 1});
  EXPECT_THAT(heard.points(), ElementsAre("0@1 0x301", "0@2 0x302")) << "another instruction than that of the call";
  // Two reasons at one step are one point.
  cpu.call(0x303);
  EXPECT_THAT(heard.points(), ElementsAre("0@1 0x301", "0@2 0x302"));
}

TEST(Touches, AnotherProcessorThatIsToTakeUpAThreadIsWorthADeviationBeforeItDoes) {
  Heard heard;
  On waker{heard.touches, 0, 10}, woken{heard.touches, 1, 11};
  woken.call(0x401).call(0x402).say(ThreadSwitched{11, 1, WaitReason::Executive});
  waker.call(0x301).say(ThreadReadied{12, 1, 8}).say(ThreadReadied{13, 0, 8});
  EXPECT_THAT(heard.points(), ElementsAre("1@1 0x401", "1@2 0x402", "0@1 0x301", "1@3 0x302")) << "and not the one that wakes";
  woken.call(0x403);
  EXPECT_EQ(heard.points().size(), 4u) << "two reasons at one step are one point, whatever comes between";
}

TEST(Touches, WhoIsNotToListenHearsNothingAndForgets) {
  Heard heard;
  const auto all = [&] {
    On{heard.touches, 0, 10}.call(0x301).write(kShared, 0x101).say(ObjectSignalled{Address::at(kShared), 0, 1});
    On{heard.touches, 1, 11}.write(kShared, 0x201).say(TimerSet{Address::at(kShared), {}, 1, 0, 0}).say(WaitBegan{11, {}});
  };
  all();
  EXPECT_FALSE(heard.points().empty());
  heard.touches.listen(false);
  all();
  EXPECT_THAT(heard.points(), ElementsAre());
  heard.touches.listen(true);
  EXPECT_THAT(heard.points(), ElementsAre());
  EXPECT_FALSE(heard.waits_for_time()) << "what happened meanwhile included";
}

TEST(Touches, WhileSomebodyWaitsTimeIsWorthSomething) {
  Heard heard;
  EXPECT_FALSE(heard.waits_for_time());
  On{heard.touches}.say(WaitBegan{10, Address::at(kShared)}).say(WaitBegan{11, Address::at(kShared)});
  EXPECT_TRUE(heard.waits_for_time());
  On{heard.touches}.say(WaitEnded{10, Address::at(kShared), 0});
  EXPECT_TRUE(heard.waits_for_time());
  On{heard.touches}.say(WaitEnded{11, Address::at(kShared), 0});
  EXPECT_FALSE(heard.waits_for_time());
}

TEST(Touches, FromATimerThatIsSetToItsCancellationTimeIsWorthSomethingAlsoIfItHasExpired) {
  Heard heard;
  const Address timer = Address::at(kShared);
  On{heard.touches}.say(TimerSet{timer, {}, 1, 0, 0});
  EXPECT_TRUE(heard.waits_for_time());
  On{heard.touches}.say(TimerCancelled{timer, true});
  EXPECT_FALSE(heard.waits_for_time());
  On{heard.touches}.say(TimerSet{timer, {}, 1, 0, 0}).say(TimerExpired{timer, 1}).say(TimerCancelled{timer, false});
  EXPECT_TRUE(heard.waits_for_time());
}

}  // namespace kdpc::explore
