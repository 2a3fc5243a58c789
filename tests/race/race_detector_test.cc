// Which runs the race detector calls races although nothing went wrong in them, and which it only suspects; race_order_test has those that it leaves alone.
#include <gmock/gmock.h>

#include "kdpc/test.h"

#include "tests/race/story.h"

namespace kdpc::race {
namespace {

using namespace test;

// -- races: seen in a run in which the interrupt came at the most harmless moment -------------------------------------------------------------

TEST(RaceDetector, AnIsrAndADpcWithoutTheInterruptLockRaceAlthoughTheIsrCameFirst) {
  Told told;
  On cpu{told};
  cpu.connect();
  cpu.isr([](On& isr) { isr.change(kExtension, 0x101).queue(kDpc, 0); });
  cpu.dpc([](On& dpc) { dpc.change(kExtension, 0x201); });
  EXPECT_TRUE(told.is_clean()) << "the first DPC runs because of the ISR";
  cpu.isr([](On& isr) { isr.change(kExtension, 0x101); });
  ASSERT_EQ(told.certain().size(), 2u);  // the ISR reads and writes; that the DPC read too says no more than that it wrote
  const Race race = told.certain().front();
  EXPECT_EQ(race.kind, Kind::Data);
  EXPECT_EQ(race.first.acting, Acting::Dpc);
  EXPECT_EQ(race.first.entry, 2);
  EXPECT_EQ(race.second.acting, Acting::Isr);
  EXPECT_EQ(race.second.entry, 5);
  EXPECT_EQ(race.second.irql, 5);
}

TEST(RaceDetector, AnIsrThatComesToAnIdleProcessorIsNotOrderedByItsLowerLevels) {
  RULE("K.RACE-5");
  Told told;
  On cpu{told};
  cpu.connect().say(DpcTargeted{Address::at(kDpc), 0}).queue(kDpc, 0);
  cpu.dpc([](On& dpc) { dpc.write(kExtension, 0x201); });
  cpu.isr([](On& isr) { isr.write(kExtension, 0x101); });
  EXPECT_EQ(told.certain().size(), 1u);
}

TEST(RaceDetector, ADpcThatRunsOnTwoProcessorsRacesWithItself) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.queue(kDpc, 0).dpc([&](On& dpc) {
    other.isr([](On& isr) { isr.queue(kDpc, 1); });
    dpc.change(kExtension, 0x201);
  });
  other.dpc([](On& dpc) { dpc.change(kExtension, 0x201); });
  EXPECT_FALSE(told.certain().empty());
  EXPECT_EQ(told.races().front().first.processor, 0);
  EXPECT_EQ(told.races().front().second.processor, 1);
}

TEST(RaceDetector, ASpinLockDoesNotKeepAnIsrOut) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.connect();
  other.acquire(kSpinLock).change(kExtension, 0x301).release(kSpinLock);
  cpu.isr([](On& isr) { isr.read(kExtension, 0x101); });
  ASSERT_EQ(told.certain().size(), 1u);
  EXPECT_THAT(told.certain()[0].first.locks, testing::ElementsAre(HeldLock{kSpinLock, LockKind::Spin, false}));
  EXPECT_THAT(told.certain()[0].second.locks, testing::ElementsAre(HeldLock{kIsrLock, LockKind::Interrupt, false}));
}

TEST(RaceDetector, ADpcAndAThreadBelowItWithoutALockRaceOnTheSameProcessor) {
  Told told;
  On cpu{told};
  On thread{told};
  cpu.isr([](On& isr) { isr.queue(kDpc, 0); });
  thread.write(kExtension, 0x301);
  cpu.dpc([](On& dpc) { dpc.read(kExtension, 0x201); });
  EXPECT_EQ(told.certain().size(), 1u);
}

// The ISR takes nothing that the thread has given; the thread's access and its lock come before only by chance.
TEST(RaceDetector, WhatAnUnrelatedLockHasOrderedIsASuspicion) {
  Told told;
  On thread{told};
  On other{told, 1, 11};
  thread.write(kExtension, 0x301).acquire(kSpinLock).write(kExtension + 64, 0x302).release(kSpinLock);
  other.acquire(kSpinLock).write(kExtension + 64, 0x402).release(kSpinLock).write(kExtension, 0x401);
  ASSERT_TRUE(told.is_suspicion());
  EXPECT_EQ(told.races().size(), 1u) << "what the lock protects is none";
  EXPECT_EQ(told.races()[0].first.pc, 0x301u);
}

TEST(RaceDetector, WhatTheSameProcessorHasOrderedByChanceIsASuspicion) {
  RULE("K.RACE-7");
  Told told;
  On cpu{told};
  On thread{told};
  cpu.isr([](On& isr) { isr.queue(kDpc, 0); });
  thread.raise(2).change(kExtension, 0x301).lower(0);
  cpu.dpc([](On& dpc) { dpc.change(kExtension, 0x201); });
  EXPECT_TRUE(told.is_suspicion());
}

TEST(RaceDetector, AThreadThatIsRaisedToDispatchKeepsOutTheDpcsOfItsProcessorOnlyIfBothStayThere) {
  RULE("K.RACE-6");
  Told told;
  On cpu{told};
  On thread{told};
  thread.say(AffinityChanged{10, 1}).say(DpcTargeted{Address::at(kDpc), 0});
  cpu.isr([](On& isr) { isr.queue(kDpc, 0); });
  thread.raise(2).change(kExtension, 0x301).lower(0);
  cpu.dpc([](On& dpc) { dpc.change(kExtension, 0x201); });
  EXPECT_TRUE(told.is_clean());
  thread.say(AffinityChanged{10, 3}).raise(2).change(kExtension, 0x301).lower(0);
  EXPECT_TRUE(told.is_suspicion());
}

// Two processors, and an ISR that may come on either: raising to its level keeps it out on one of them.
TEST(RaceDetector, RaisingToTheLevelOfAnIsrSaysNothingToTheOtherProcessor) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.connect();
  other.raise(5).change(kExtension, 0x301).lower(0);
  cpu.isr([](On& isr) { isr.change(kExtension, 0x101); });
  EXPECT_FALSE(told.certain().empty());
}

TEST(RaceDetector, MemoryThatIsFreedWhileADpcMayUseItRaces) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.say(PoolAllocated{Address::at(kExtension), 128, 0});
  cpu.say(OrderReleased{Address::at(kTimer)}).say(OrderReleased{Address::at(kDpc)});
  cpu.say(TimerSet{Address::at(kTimer), Address::at(kDpc), 1, 0, 1});
  other.say(TimerExpired{Address::at(kTimer), 1});
  other.dpc([](On& dpc) { dpc.read(kExtension + 8, 0x201); }, kDpc, kDpcRoutine, ActivityKind::TimerDpc);
  cpu.say(RoutineEntered{0, Address::at(0x310), {}}).say(TimerCancelled{Address::at(kTimer), false});
  cpu.say(RoutineEntered{1, Address::at(0x311), {}}).say(PoolFreed{Address::at(kExtension), 128, 0});
  ASSERT_EQ(told.certain().size(), 1u);
  EXPECT_EQ(told.certain()[0].kind, Kind::Freed);
  EXPECT_EQ(told.certain()[0].second.pc, 0x311u);
  EXPECT_TRUE(told.certain()[0].second.freed);
}

TEST(RaceDetector, MemoryThatWasFreedFirstRacesToo) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.queue(kDpc, 1).say(RoutineEntered{1, Address::at(0x311), {}}).say(PoolFreed{Address::at(kExtension), 128, 0});
  other.dpc([](On& dpc) { dpc.read(kExtension + 8, 0x201); });
  ASSERT_EQ(told.certain().size(), 1u);
  EXPECT_EQ(told.certain()[0].kind, Kind::Freed);
  EXPECT_TRUE(told.certain()[0].first.freed);
}

TEST(RaceDetector, WhatTheKernelDoesForACallerIsSaidOfThatCaller) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  const auto call = [](On& who, std::uintptr_t from) { who.say(RoutineEntered{0, Address::at(from), {}}); };
  other.write(kExtension, 0x401).write(kExtension + 64, 0x402);
  call(cpu, 0x310);
  cpu.isr([&](On& isr) { call(isr, 0x110); }).say(PoolFreed{Address::at(kExtension), 64, 0});
  call(cpu, 0x311);
  cpu.say(ActivityBegan{ActivityKind::DriverRoutine, 0, Address::at(kOtherRoutine), {}});
  call(cpu, 0x510);
  cpu.say(ActivityEnded{ActivityKind::DriverRoutine, true, Address::at(kOtherRoutine), {}});
  cpu.say(PoolFreed{Address::at(kExtension + 64), 64, 0});
  ASSERT_EQ(told.certain().size(), 2u);
  EXPECT_EQ(told.certain()[0].second.pc, 0x310u) << "not the ISR's on top of it";
  EXPECT_EQ(told.certain()[1].second.pc, 0x311u) << "not that of what it had called";
}

TEST(RaceDetector, WhoeverEndsLeavesWhatFollowsToTheOneBeneath) {
  RULE("K.RACE-4");
  Told told;
  On cpu{told};
  On worker{told, 0, 12};
  const auto at = [](int number) { return kExtension + 8 * static_cast<std::uintptr_t>(number); };
  cpu.connect().write(at(0), 0x301);
  cpu.dpc([&](On& dpc) {
    dpc.write(at(1), 0x201);
    dpc.isr([&](On& isr) { isr.write(at(2), 0x101); });
    dpc.read(at(1), 0x202).write(at(3), 0x203);
  });
  cpu.read(at(0), 0x302).write(at(4), 0x303);
  worker.say(ActivityBegan{ActivityKind::WorkItem, 0, Address::at(kOtherRoutine), Address::at(kItem)}).write(at(5), 0x601);
  cpu.write(at(6), 0x304);  // the worker waits
  worker.read(at(5), 0x602).write(at(7), 0x603);
  worker.say(ActivityEnded{ActivityKind::WorkItem, true, Address::at(kOtherRoutine), Address::at(kItem)}).write(at(8), 0x604);
  EXPECT_TRUE(told.is_clean()) << "each has read what it had written itself";

  On other{told, 1, 11};
  constexpr Acting kActing[] = {Acting::Thread,   Acting::Dpc,    Acting::Isr,      Acting::Dpc,   Acting::Thread,
                                Acting::WorkItem, Acting::Thread, Acting::WorkItem, Acting::Thread};
  for (int number = 0; number < 9; ++number) {
    other.read(at(number), 0x400 + static_cast<std::uintptr_t>(number));
    ASSERT_EQ(told.races().size(), static_cast<std::size_t>(number) + 1);
    EXPECT_EQ(told.races().back().first.acting, kActing[number]) << number;
    EXPECT_EQ(told.races().back().first.thread, number == 5 || number >= 7 ? 12u : 10u) << number;
  }
}

TEST(RaceDetector, NobodysAccessIsForgottenBecauseOfOthers) {
  RULE("K.RACE-2");
  Told told(4);
  On first{told, 0, 10};
  first.write(kExtension, 0x301);
  for (std::uint32_t thread = 11; thread < 40; ++thread) On{told, 1, thread}.read(kExtension + 4, 0x400);
  On{told, 2, 50}.read(kExtension, 0x501);
  ASSERT_EQ(told.certain().size(), 1u);
  EXPECT_EQ(told.certain()[0].first.pc, 0x301u);
  // Not even because of one who came later, and wrote the same.
  first.set_event(kEvent);
  On{told, 1, 51}.waited(kEvent).write(kExtension, 0x601);
  On{told, 3, 52}.read(kExtension, 0x701);
  EXPECT_EQ(told.certain().size(), 4u) << "50 against 51, 52 against 10 and 51";
}

TEST(RaceDetector, AWriteIntoAQueuedDpcIsSaidAtTheLineThatWrites) {
  Told told;
  On cpu{told};
  cpu.say(RoutineEntered{0, Address::at(0x310), {}}).queue(kDpc, 1).write(kDpc + 0x18, 0x320, 8);
  ASSERT_EQ(told.races().size(), 1u);
  EXPECT_EQ(told.races()[0].kind, Kind::ArmedObject);
  EXPECT_EQ(told.races()[0].first.pc, 0x310u);
  EXPECT_EQ(told.races()[0].second.pc, 0x320u);
  On other{told, 1, 11};
  other.dpc([](On& dpc) { dpc.write(kDpc + 0x20, 0x220, 8); });
  EXPECT_EQ(told.races().size(), 1u) << "it is its own again when its routine runs";
}

TEST(RaceDetector, AWriteIntoASetTimerIsSaidUntilItIsCancelled) {
  Told told;
  On cpu{told};
  cpu.say(TimerSet{Address::at(kTimer), {}, 1, 10, 0}).say(TimerExpired{Address::at(kTimer), 1});
  cpu.write(kTimer + 8, 0x320, 8);
  EXPECT_EQ(told.races().size(), 1u) << "periodic: it is set again";
  cpu.say(TimerCancelled{Address::at(kTimer), true}).write(kTimer + 8, 0x321, 8);
  EXPECT_EQ(told.races().size(), 1u);
}

// -- interlocked, volatile ----------------------------------------------------------------------------------------------------------------------

TEST(RaceDetector, APlainReadOfWhatIsChangedByInterlockedOperationsIsAClassOfItsOwn) {
  for (const bool wanted : {false, true}) {
    Told told(2, {.benign_looking = wanted});
    On{told, 0, 10}.interlocked(kExtension, 0x301);
    On{told, 1, 11}.read(kExtension, 0x401);
    ASSERT_EQ(told.races().size(), wanted ? 1u : 0u);
    if (wanted) EXPECT_EQ(told.races()[0].kind, Kind::BenignLooking);
  }
}

TEST(RaceDetector, APlainWriteOfWhatIsChangedByInterlockedOperationsIsARace) {
  Told told;
  On{told, 0, 10}.interlocked(kExtension, 0x301);
  On{told, 1, 11}.write(kExtension, 0x401);
  ASSERT_EQ(told.certain().size(), 1u);
  EXPECT_EQ(told.certain()[0].kind, Kind::Data);
}

TEST(RaceDetector, VolatileOrdersOnX64AndNotOnArm64) {
  for (const MemoryModel model : {MemoryModel::X64, MemoryModel::Arm64}) {
    Told told(2, {.memory_model = model});
    On{told, 0, 10}.write(kExtension, 0x301).access(kExtension + 8, 0x302, 4, true, false, true);
    On{told, 1, 11}.access(kExtension + 8, 0x402, 4, false, false, true).read(kExtension, 0x401);
    EXPECT_EQ(told.certain().size(), model == MemoryModel::X64 ? 0u : 2u);
  }
}

// Outstanding -= 1 in a thread, InterlockedIncrement in an ISR.
TEST(RaceDetector, AVolatileVariableThatIsChangedInTwoStepsIsARaceWithWhoeverChangesItToo) {
  RULE("K.RACE-9");
  for (const bool is_torn : {true, false}) {
    Told told;
    On cpu{told};
    On thread{told, 1, 11};
    cpu.connect();
    thread.irql = 0;
    for (int round = 0; round < 2; ++round) {
      cpu.isr([](On& isr) { isr.interlocked(kExtension, 0x101); });
      constexpr std::uint64_t kHow = std::uint64_t{4} << 48 | std::uint64_t{1} << 62;
      const Access both[] = {{kExtension, 0x301 | kHow}, {kExtension, 0x302 | kHow | std::uint64_t{1} << 63}};
      if (is_torn) {
        told.detector.accesses({1, 1, 0, 11}, both);
      } else {
        thread.interlocked(kExtension, 0x303);
      }
    }
    EXPECT_EQ(told.certain().empty(), !is_torn);
  }
}

TEST(RaceDetector, WhoeverComesBetweenTheTwoStepsRacesWithThem) {
  RULE("K.RACE-9");
  for (const bool is_one_change : {true, false}) {
    Told told;
    On cpu{told};
    cpu.connect().access(kExtension, 0x301, 4, false, false, true);
    if (!is_one_change) cpu.say(RoutineEntered{0, Address::at(0x310), {}});  // it has looked, and stores later: a flag
    cpu.isr([](On& isr) { isr.interlocked(kExtension, 0x101); });
    cpu.access(kExtension, 0x302, 4, true, false, true);
    ASSERT_EQ(told.certain().size(), is_one_change ? 1u : 0u);
    if (!is_one_change) continue;
    EXPECT_EQ(told.certain()[0].first.pc, 0x101u);
    EXPECT_EQ(told.certain()[0].second.pc, 0x302u);
  }
}

// head = head + 1 where only one ever stores: what a volatile index is for.
TEST(RaceDetector, AVolatileIndexThatOneStoresAndTheOtherLoadsPublishesWhatWasWrittenBefore) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  for (int round = 0; round < 3; ++round) {
    constexpr std::uint64_t kHow = std::uint64_t{4} << 48 | std::uint64_t{1} << 62;
    const Access both[] = {{kExtension, 0x301 | kHow}, {kExtension, 0x302 | kHow | std::uint64_t{1} << 63}};
    cpu.write(kExtension + 64 + 8 * static_cast<std::uintptr_t>(round), 0x300);
    told.detector.accesses({1, 0, 0, 10}, both);
    other.access(kExtension, 0x401, 4, false, false, true).read(kExtension + 64 + 8 * static_cast<std::uintptr_t>(round), 0x402);
  }
  EXPECT_TRUE(told.is_clean());
}

TEST(RaceDetector, WhatTheKernelWritesIsAsGoodAsInterlocked) {
  Told told;
  On{told, 0, 10}.say(KernelAccess{Address::at(kExtension), 16});
  On{told, 1, 11}.say(KernelAccess{Address::at(kExtension), 16}).read(kExtension, 0x401);
  EXPECT_TRUE(told.is_clean());
}

TEST(RaceDetector, WhatTheKernelDoesInterlockedHandsOverAsADriversOwnOperationDoes) {
  RULE("K.RACE-10");
  for (const bool interlocked : {false, true}) {
    Told told;
    On{told, 0, 10}.write(kExtension + 64, 0x301).say(KernelAccess{Address::at(kExtension), 16, interlocked});
    On{told, 1, 11}.interlocked(kExtension, 0x401).read(kExtension + 64, 0x402);
    EXPECT_EQ(told.is_clean(), interlocked);
  }
  for (const bool interlocked : {false, true}) {
    Told told;
    On{told, 0, 10}.write(kExtension + 64, 0x301).interlocked(kExtension, 0x302);
    On{told, 1, 11}.say(KernelAccess{Address::at(kExtension), 16, interlocked}).read(kExtension + 64, 0x402);
    EXPECT_EQ(told.is_clean(), interlocked);
  }
}

// -- bookkeeping --------------------------------------------------------------------------------------------------------------------------------

TEST(RaceDetector, TwoPlacesOfCodeAreOneRaceHoweverOftenTheyMeet) {
  Told told;
  for (int round = 0; round < 5; ++round) {
    On{told, 0, 10}.write(kExtension, 0x301).set_event(kEvent);
    On{told, 1, 11}.write(kExtension, 0x401).set_event(kEvent);
  }
  ASSERT_EQ(told.races().size(), 1u);
  EXPECT_EQ(told.races()[0].count, 9u);
  EXPECT_EQ(told.races()[0].first.step, 1u);
}

TEST(RaceDetector, BytesThatLieSideBySideAreNoRace) {
  Told told;
  On{told, 0, 10}.write(kExtension, 0x301, 1).write(kExtension + 2, 0x302, 6);
  On{told, 1, 11}.write(kExtension + 1, 0x401, 1);
  EXPECT_TRUE(told.is_clean());
  On{told, 1, 11}.write(kExtension - 4, 0x402, 8);
  EXPECT_EQ(told.races().size(), 2u);
}

TEST(RaceDetector, MemoryThatIsAllocatedAgainHasNoPast) {
  Told told;
  On{told, 0, 10}.write(kExtension, 0x301).say(PoolFreed{Address::at(kExtension), 64, 0});
  On{told, 1, 11}.say(PoolAllocated{Address::at(kExtension), 64, 0}).write(kExtension, 0x401);
  EXPECT_TRUE(told.is_clean());
}

// A driver is unloaded and loaded again, to the same place.
TEST(RaceDetector, AGlobalHasNoPastInASecondLifeOfItsDriver) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  constexpr std::uintptr_t kImage = 0x410000000000, kGlobal = kImage + 0x3000;
  for (int round = 0; round < 2; ++round) {
    cpu.interlocked(kGlobal, 0x301);
    other.access(kGlobal, 0x401, 4, false, false, true).access(kGlobal, 0x402, 4, true, false, true);
  }
  const std::size_t before = told.races().size();
  EXPECT_NE(before, 0u) << "it is a counter that not all change by interlocked operations";
  cpu.say(ImageUnloading{Address::at(kImage), 0x5000});
  cpu.write(kExtension, 0x303).interlocked(kGlobal, 0x304);
  other.interlocked(kGlobal, 0x404).read(kExtension, 0x405);
  EXPECT_EQ(told.races().size(), before);
}

TEST(RaceDetector, ARewoundRunFindsTheSameAgain) {
  RULE("K.RACE-3");
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  const std::size_t start = told.detector.mark();
  cpu.write(kExtension, 0x301);
  const std::size_t middle = told.detector.mark();
  for (int round = 0; round < 3; ++round) {
    other.write(kExtension, 0x401);
    ASSERT_EQ(told.races().size(), 1u);
    EXPECT_EQ(told.races()[0].first.step, 1u);
    told.detector.rewind(middle);
    EXPECT_TRUE(told.is_clean());
  }
  told.detector.rewind(start);
  other.write(kExtension, 0x401);
  EXPECT_TRUE(told.is_clean()) << "nobody has written there in this run";
  told.detector.forget_mark(middle);
}

TEST(RaceDetector, TheHostsThreadsFollowOneAnother) {
  Told told;
  On first{told, 0, 10};
  On second{told, 1, 11};
  constexpr std::uintptr_t kThread = 0x400000030000;
  first.write(kExtension, 0x301);
  const auto create = [&](std::uint32_t thread) {
    first.dpc([&](On& dpc) { dpc.say(ThreadCreated{thread, {}, 8}).say(OrderReleased{Address::at(kThread + thread)}); }, 0x400000005000);
  };
  create(11);
  second.say(OrderAcquired{Address::at(kThread + 11)}).write(kExtension + 8, 0x401);
  create(12);
  On third{told, 1, 12};
  third.say(OrderAcquired{Address::at(kThread + 12)}).read(kExtension + 8, 0x501);
  EXPECT_TRUE(told.is_clean());
  third.read(kExtension, 0x502);
  EXPECT_EQ(told.certain().size(), 1u) << "thread 10 is not the host's";
}

}  // namespace
}  // namespace kdpc::race
