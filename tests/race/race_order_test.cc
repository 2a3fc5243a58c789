// What orders two accesses, so that the race detector leaves them alone; and what it can only suspect, as an order came about by chance.
#include <gmock/gmock.h>

#include "kdpc/test.h"

#include "tests/race/story.h"

namespace kdpc::race {
namespace {

using namespace test;

// -- no races ---------------------------------------------------------------------------------------------------------------------------------

TEST(RaceDetector, TheInterruptLockOrdersAnIsrAndADpc) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.connect();
  for (int round = 0; round < 3; ++round) {
    cpu.isr([](On& isr) { isr.change(kExtension, 0x101).queue(kDpc, 1); });
    other.dpc([](On& dpc) { dpc.synchronized([](On& routine) { routine.change(kExtension, 0x201); }); });
    cpu.synchronized([](On& routine) { routine.change(kExtension, 0x301); });
  }
  EXPECT_TRUE(told.is_clean());
}

TEST(RaceDetector, ASpinLockOrdersDpcsOnTwoProcessors) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.queue(kDpc, 0).queue(kOtherDpc, 1);
  for (int round = 0; round < 3; ++round)
    for (On* each : {&cpu, &other}) each->dpc([](On& dpc) { dpc.lock(kSpinLock).change(kExtension, 0x201).unlock(kSpinLock); });
  EXPECT_TRUE(told.is_clean());
}

TEST(RaceDetector, WhoeverHasCancelledATimerInTimeOrHasFlushedMayFree) {
  for (const bool in_time : {true, false}) {
    Told told;
    On cpu{told};
    On other{told, 1, 11};
    other.say(PoolAllocated{Address::at(kExtension), 128, 0}).write(kExtension, 0x401);
    other.say(OrderReleased{Address::at(kTimer)}).say(OrderReleased{Address::at(kDpc)});
    other.say(TimerSet{Address::at(kTimer), Address::at(kDpc), 1, 0, 1}).set_event(kEvent);
    cpu.waited(kEvent);
    if (!in_time) other.dpc([](On& dpc) { dpc.read(kExtension + 8, 0x201); }, kDpc, kDpcRoutine, ActivityKind::TimerDpc);
    cpu.say(RoutineEntered{0, Address::at(0x310), {}}).say(TimerCancelled{Address::at(kTimer), in_time});
    if (!in_time) cpu.say(RoutineEntered{1, Address::at(0x311), {}}).flushed();
    cpu.say(RoutineEntered{2, Address::at(0x312), {}}).say(PoolFreed{Address::at(kExtension), 128, 0});
    EXPECT_TRUE(told.is_clean());
  }
}

TEST(RaceDetector, InterlockedOperationsPublishWhatWasWrittenBefore) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.write(kExtension, 0x301).interlocked(kExtension + 8, 0x302);
  other.interlocked(kExtension + 8, 0x402).read(kExtension, 0x401);
  EXPECT_TRUE(told.is_clean());
}

TEST(RaceDetector, FromIsrToDpcToEventToThreadIsAnOrder) {
  RULE("K.RACE-1");
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.connect();
  cpu.isr([](On& isr) { isr.write(kExtension, 0x101).queue(kDpc, 0); });
  cpu.dpc([](On& dpc) { dpc.change(kExtension, 0x201).set_event(kEvent); });
  other.waited(kEvent).change(kExtension, 0x301);
  EXPECT_TRUE(told.is_clean());
}

TEST(RaceDetector, AnInsertionThatIsRefusedOrdersToo) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.queue(kDpc, 0);
  other.write(kExtension, 0x301).refuse(kDpc);
  cpu.dpc([](On& dpc) { dpc.read(kExtension, 0x201); });
  EXPECT_TRUE(told.is_clean());
}

TEST(RaceDetector, WhatWasWrittenBeforeTheInterruptWasConnectedIsSeenByItsIsr) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  other.write(kExtension, 0x301).connect();
  cpu.isr([](On& isr) { isr.change(kExtension, 0x101); });
  EXPECT_TRUE(told.is_clean());
  other.say(InterruptConnected{Address::at(kInterrupt), Address::at(kIsrRoutine), kVector, false}).read(kExtension, 0x302);
  EXPECT_TRUE(told.is_clean()) << "IoDisconnectInterrupt returns when no ISR runs any more";
}

TEST(RaceDetector, AWorkItemSeesWhatItsQueuerHasDoneAndNotWhatOtherItemsHave) {
  RULE("K.RACE-8");
  Told told;
  On cpu{told};
  On worker{told, 1, 12};
  const auto item = [&](std::uintptr_t object, std::uintptr_t pc) {
    worker.say(OrderAcquired{Address::at(object)});
    worker.say(ActivityBegan{ActivityKind::WorkItem, 0, Address::at(kOtherRoutine + object), Address::at(object)});
    worker.change(kExtension, pc);
    worker.say(ActivityEnded{ActivityKind::WorkItem, true, Address::at(kOtherRoutine + object), Address::at(object)});
  };
  cpu.write(kExtension, 0x301).say(OrderReleased{Address::at(kItem)}).say(WorkQueued{Address::at(kItem), {}, 1});
  item(kItem, 0x601);
  EXPECT_TRUE(told.is_clean());
  cpu.say(OrderReleased{Address::at(kItem + 64)}).say(WorkQueued{Address::at(kItem + 64), {}, 1});
  item(kItem + 64, 0x701);
  EXPECT_TRUE(told.is_suspicion()) << "two workers might have run them at once";
}

TEST(RaceDetector, WhoIsPreemptedWhenHisWaitHasEndedIsOrderedByItAndTheOtherIsNot) {
  Told told;
  On setter{told, 0, 10};
  On waiter{told, 1, 11};
  On other{told, 1, 12};
  waiter.read(kExtension + 8, 0x401);
  setter.write(kExtension, 0x301).write(kExtension + 4, 0x302).set_event(kEvent);
  waiter.waited(kEvent);
  other.say(ThreadReadied{11, 1, 8}).say(ThreadSwitched{11, 12, WaitReason::Preempted});
  waiter.read(kExtension, 0x402);
  EXPECT_TRUE(told.is_clean());
  other.read(kExtension + 4, 0x501);
  EXPECT_EQ(told.certain().size(), 1u);
}

TEST(RaceDetector, ADeviceThatIsToldToInterruptIsNoProofOfARace) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.connect();
  other.write(kExtension, 0x301).say(RegisterAccessed{0xfeb00000, 1, 4, true});
  cpu.isr([](On& isr) { isr.say(RegisterAccessed{0xfeb00010, 1, 4, false}).read(kExtension, 0x101); });
  EXPECT_TRUE(told.certain().empty());
}

TEST(RaceDetector, ReadersOfALockDoNotOrderEachOther) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  const auto with = [](On& who, bool shared, std::uintptr_t pc) {
    who.irql = 2;
    who.lock(kSpinLock, LockKind::ReaderWriter, shared).change(kExtension, pc).unlock(kSpinLock, LockKind::ReaderWriter, shared);
    who.irql = 0;
  };
  with(cpu, false, 0x301);
  with(other, true, 0x401);
  EXPECT_TRUE(told.is_clean());
  with(cpu, true, 0x302);
  EXPECT_FALSE(told.certain().empty()) << "both write, and both hold it shared";
}

TEST(RaceDetector, ItsOwnStackIsNotLookedAt) {
  Surroundings surroundings;
  surroundings.stack_here = [] { return StackRange{0x400000100000, 0x400000110000}; };
  Told told(2, {}, surroundings);
  On{told, 0, 10}.write(0x400000108000, 0x301);
  On{told, 1, 11}.write(0x400000108000, 0x401);
  EXPECT_TRUE(told.is_clean());
}

// -- suspicions that are none in truth ----------------------------------------------------------------------------------------------------------

TEST(RaceDetector, AFlagUnderALockThatPublishesDataIsASuspicionOnly) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.write(kExtension, 0x301).acquire(kSpinLock).write(kExtension + 8, 0x302).release(kSpinLock);
  other.acquire(kSpinLock).read(kExtension + 8, 0x402).release(kSpinLock).read(kExtension, 0x401);
  EXPECT_TRUE(told.is_suspicion());
}

// The DPC has come and gone before; where it comes later is told in race_detector_test.
TEST(RaceDetector, DataOfEachProcessorIsASuspicionOnly) {
  Told told;
  On cpu{told};
  cpu.queue(kDpc, 0).dpc([](On& dpc) { dpc.change(kExtension, 0x201); });
  cpu.raise(2).change(kExtension, 0x301).lower(0);
  EXPECT_TRUE(told.is_suspicion());
}

}  // namespace
}  // namespace kdpc::race
