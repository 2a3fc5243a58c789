// How a race reads, and what one is told to do about it.
#include <gmock/gmock.h>

#include "check/race/report.h"
#include "tests/race/story.h"

namespace kdpc::race {
namespace {

using namespace test;
using testing::HasSubstr;
using testing::Not;

std::string text_of(const Race& race) { return sentence_of(race) + " " + why_of(race); }

TEST(RaceReport, TellsBothSidesWhyTheyCanMeetAndTheUsualFix) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.connect();
  other.acquire(kSpinLock).write(kExtension, 0x301).release(kSpinLock);
  cpu.isr([](On& isr) { isr.read(kExtension, 0x101); });
  ASSERT_EQ(told.races().size(), 1u);
  const std::string text = text_of(told.races()[0]);
  const Side& thread = told.races()[0].first;
  const Side& isr = told.races()[0].second;
  EXPECT_STREQ(id_of(told.races()[0].kind), "data-race");
  EXPECT_EQ(role_of(thread), "writes 4 bytes at 0x400000010000");
  EXPECT_EQ(locks_of(thread), "spin lock 0x400000010800");
  EXPECT_EQ(thread.step, 1u);
  EXPECT_EQ(role_of(isr), "reads 4 bytes at 0x400000010000");
  EXPECT_EQ(locks_of(isr), "interrupt spin lock 0x400000021200");
  EXPECT_EQ(isr.routine, kIsrRoutine);
  EXPECT_THAT(text, HasSubstr("a thread and by an ISR 0x10001000, at least one of them writes, and nothing orders the two."));
  EXPECT_THAT(text, HasSubstr("They ran on processors 1 and 0, where neither IRQL holds up the other"));
  EXPECT_THAT(text, HasSubstr("After its access the first last ordered others by the lock 0x400000010800."));
  EXPECT_THAT(fix_of(told.races()[0]), HasSubstr("KeAcquireInterruptSpinLock"));
}

TEST(RaceReport, OfWhatTheKernelWritesSaysForWhom) {
  Told told;
  On{told, 0, 10}.say(RoutineEntered{0, Address::at(0x301), {}}).say(KernelAccess{Address::at(kExtension), 16, true});
  On{told, 1, 11}.write(kExtension + 8, 0x401);
  ASSERT_EQ(told.races().size(), 1u);
  const Race& race = told.races()[0];
  EXPECT_EQ(role_of(race.first), "the kernel, in a call of this code, writes 8 bytes at 0x400000010008");
  EXPECT_EQ(race.first.pc, 0x301u);
  EXPECT_THAT(fix_of(race), HasSubstr("ExInterlocked"));
}

TEST(RaceReport, SaysInWhichBlockOfPoolTheBytesLie) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  cpu.say(PoolAllocated{Address::at(kExtension - 16), 96, 0x69636152});
  cpu.write(kExtension, 0x301);
  other.write(kExtension, 0x401).say(PoolFreed{Address::at(kExtension - 16), 96, 0x69636152});
  ASSERT_EQ(told.races().size(), 2u);
  EXPECT_THAT(text_of(told.races()[0]), HasSubstr("The same bytes at 0x400000010000, byte 16 of the 96 of a pool block 'Raci', are accessed by"));
  EXPECT_THAT(text_of(told.races()[1]), HasSubstr("Memory at 0x400000010000, byte 16 of the 96 of a pool block 'Raci', is freed, and accessed by"));
}

TEST(RaceReport, OfASuspicionSaysThatItIsOne) {
  Told told;
  On cpu{told};
  cpu.queue(kDpc, 0).dpc([](On& dpc) { dpc.change(kExtension, 0x201); });
  cpu.raise(2).write(kExtension, 0x301).lower(0);
  ASSERT_TRUE(told.is_suspicion());
  const std::string text = text_of(told.races()[0]);
  EXPECT_THAT(text, HasSubstr("nothing orders the two but chance"));
  EXPECT_THAT(text, HasSubstr("That they ran on the same processor, 0, is chance"));
  EXPECT_THAT(text, HasSubstr("In this run something has ordered them all the same."));
}

std::string fix_for(const std::function<void(Told&, On&, On&)>& story) {
  Told told;
  On cpu{told};
  On other{told, 1, 11};
  story(told, cpu, other);
  return told.races().empty() ? "" : fix_of(told.races()[0]);
}

TEST(RaceReport, TheFixFollowsFromWhoTheTwoAre) {
  const auto dpc = [](On& it) { it.write(kExtension, 0x201); };
  const auto isr = [](On& it) { it.write(kExtension, 0x101); };
  EXPECT_THAT(fix_for([&](Told&, On& cpu, On& other) {
                cpu.connect().isr(isr);
                other.dpc(dpc);
              }),
              HasSubstr("KeSynchronizeExecution"));
  EXPECT_THAT(fix_for([&](Told&, On& cpu, On& other) {
                cpu.connect().isr(isr);
                other.connect(kOtherInterrupt, 0x60).isr(isr, kOtherInterrupt, 6, kIsrLock + 8);
              }),
              HasSubstr("SynchronizeIrql"));
  EXPECT_THAT(fix_for([&](Told&, On& cpu, On& other) {
                cpu.dpc(dpc);
                other.dpc(dpc, kOtherDpc);
              }),
              HasSubstr("A spin lock in both (KeAcquireSpinLockAtDpcLevel)"));
  EXPECT_THAT(fix_for([&](Told&, On& cpu, On& other) {
                cpu.write(kExtension, 0x301);
                other.dpc(dpc);
              }),
              HasSubstr("KeAcquireSpinLock in the thread"));
  EXPECT_THAT(fix_for([&](Told&, On& cpu, On& other) {
                cpu.write(kExtension, 0x301);
                other.write(kExtension, 0x401);
              }),
              HasSubstr("a fast mutex"));
  EXPECT_THAT(fix_for([&](Told&, On& cpu, On& other) {
                cpu.interlocked(kExtension, 0x301);
                other.write(kExtension, 0x401);
              }),
              HasSubstr("interlocked operations everywhere"));
  EXPECT_THAT(fix_for([&](Told&, On& cpu, On& other) {
                other.dpc(dpc);
                cpu.say(PoolFreed{Address::at(kExtension), 64, 0});
              }),
              HasSubstr("KeFlushQueuedDpcs"));
  EXPECT_THAT(fix_for([&](Told&, On& cpu, On&) { cpu.queue(kDpc, 0).write(kDpc, 0x301); }), HasSubstr("KeRemoveQueueDpc"));
}

TEST(RaceReport, TheStackIsThatOfTheAccessOrNone) {
  Surroundings surroundings;
  surroundings.stack = [](std::uintptr_t* frames, unsigned) {
    frames[0] = 0x402;
    return 1u;
  };
  Told told(2, {}, surroundings);
  On{told, 0, 10}.write(kExtension, 0x301).write(kExtension + 8, 0x302);
  On{told, 1, 11}.write(kExtension, 0x401);
  ASSERT_EQ(told.races().size(), 1u);
  EXPECT_THAT(told.races()[0].second.stack, testing::ElementsAre(0x402u));
  constexpr std::uint64_t kHow = std::uint64_t{4} << 48 | std::uint64_t{1} << 63;
  const Access both[] = {{kExtension + 8, 0x403 | kHow}, {kExtension + 64, 0x404 | kHow}};
  told.detector.accesses({1, 1, 0, 11}, both);
  ASSERT_EQ(told.races().size(), 2u);
  EXPECT_TRUE(told.races()[1].second.stack.empty()) << "the code has gone on since";
}

}  // namespace
}  // namespace kdpc::race
