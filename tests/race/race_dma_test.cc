// What devices read and write by themselves, and drivers too.
#include "check/race/report.h"
#include "kdpc/test.h"
#include "tests/race/story.h"

namespace kdpc::race::test {
namespace {

constexpr std::uintptr_t kDone = kExtension, kLength = kExtension + 4, kData = kExtension + 8;
constexpr std::uint64_t kStatus = 0xfeb00000;

// Facts come from the board, whoever it is that the stamp names.
void dma(Told& told, std::uintptr_t at, std::uint32_t size, bool write) { On{told}.say(DmaAccessed{Address::at(at), size, write}); }
void fill(Told& told) {
  dma(told, kLength, 16, true);
  dma(told, kDone, 4, true);
}
On& look(On& who, std::uintptr_t pc) { return who.access(kDone, pc, 4, false, false, true); }      // at a volatile done bit
On& give_back(On& who, std::uintptr_t pc) { return who.access(kDone, pc, 4, true, false, true); }  // by a volatile store

TEST(RaceDma, WhoLooksAtTheDoneBitFirstIsBehindAllThatWasWrittenBeforeIt) {
  Told told;
  On driver{told, 1, 11};
  for (std::uintptr_t round = 0; round < 3; ++round) {
    fill(told);
    look(driver, 0x301).read(kLength, 0x302).read(kData, 0x303);
    give_back(driver, 0x304);
    dma(told, kDone, 4, false);
  }
  EXPECT_TRUE(told.is_clean());
}

// A phase bit in the last two bytes, a done bit in the upper half of what is read at once, an owner byte.
TEST(RaceDma, ItIsTheSameWhicheverPartOfAWordIsLookedAt) {
  Told told;
  On driver{told, 1, 11};
  dma(told, kExtension, 16, true);
  driver.access(kExtension + 14, 0x301, 2, false, false, true).read(kExtension, 0x302);
  dma(told, kData + 8, 8, true);
  dma(told, kData + 4, 4, true);
  driver.access(kData, 0x303, 8, false, false, true).read(kData + 8, 0x304);
  driver.write(kData + 32, 0x305).access(kDone + 3, 0x306, 1, true, false, true);
  dma(told, kDone, 4, false);
  dma(told, kData + 32, 8, false);
  EXPECT_TRUE(told.is_clean());
}

TEST(RaceDma, WhoReadsTheLengthBeforeTheDoneBitRaces) {
  Told told;
  On driver{told, 1, 11};
  fill(told);
  look(driver, 0x301);
  give_back(driver.read(kLength, 0x302), 0x303);
  driver.read(kLength, 0x304);  // of what is the device's by now
  dma(told, kDone, 4, false);
  fill(told);
  ASSERT_EQ(told.certain().size(), 1u);
  const Race race = told.certain()[0];
  EXPECT_EQ(race.kind, Kind::Data);
  EXPECT_EQ(race.first.pc, 0x304u);
  EXPECT_EQ(race.second.acting, Acting::Device);
  EXPECT_EQ(role_of(race.second), "writes 16 bytes at 0x400000010004");
  EXPECT_NE(sentence_of(race).find("by a thread and by a device"), std::string::npos);
  EXPECT_NE(why_of(race).find("A device waits for no IRQL and no lock."), std::string::npos);
  EXPECT_NE(std::string(fix_of(race)).find("done bit"), std::string::npos);
}

TEST(RaceDma, TheInterruptAloneOrdersNothing) {
  Told told;
  On cpu{told};
  cpu.connect();
  dma(told, kLength, 16, true);
  cpu.isr([](On& isr) { isr.read(kLength, 0x101); });
  ASSERT_EQ(told.certain().size(), 1u);
  EXPECT_EQ(told.certain()[0].first.acting, Acting::Device);
}

TEST(RaceDma, ARegisterThatIsReadOrdersWhatTheDeviceHasWrittenBeforeAndNotWhatItWritesLater) {
  RULE("K.RACE-11");
  Told told;
  On cpu{told};
  cpu.connect();
  dma(told, kLength, 4, true);
  const auto serve = [](On& isr) { isr.say(RegisterAccessed{kStatus, 1, 4, false}).read(kLength, 0x101); };
  cpu.isr(serve);
  EXPECT_TRUE(told.is_clean());
  cpu.isr([](On& isr) { isr.say(RegisterAccessed{kStatus, 1, 4, false}); });
  dma(told, kLength, 4, true);
  cpu.isr([](On& isr) { isr.read(kLength, 0x102); });
  EXPECT_FALSE(told.certain().empty());
}

TEST(RaceDma, WhatIsPreparedBeforeARegisterIsWrittenIsTheDevicesAndNotWhatIsChangedBehindIt) {
  Told told;
  On driver{told, 1, 11};
  dma(told, kData + 64, 4, false);
  driver.write(kData, 0x301).say(RegisterAccessed{kStatus, 1, 4, true});
  dma(told, kData, 256, false);
  EXPECT_TRUE(told.is_clean());
  driver.write(kData, 0x302);
  ASSERT_EQ(told.certain().size(), 1u);
  EXPECT_EQ(role_of(told.certain()[0].first), "reads 8 bytes at 0x400000010008");
}

// Also behind the first one of all, and whatever else has been ordered since. What was done before there was memory for devices is none of theirs.
TEST(RaceDma, WhatIsChangedBehindADoorbellRacesBeforeAnyDeviceHasAccessedAnything) {
  RULE("K.RACE-12");
  Told told;
  On driver{told, 1, 11};
  driver.write(kExtension + 512, 0x300).set_event(kEvent);
  driver.say(PoolAllocated{Address::at(kExtension), 256, 0x4D616D44, false});
  give_back(driver.write(kData, 0x301), 0x302).say(RegisterAccessed{kStatus, 1, 4, true});
  driver.write(kData + 64, 0x303).set_event(kEvent);
  dma(told, kDone, 4, false);
  dma(told, kData, 4, false);
  dma(told, kExtension + 512, 4, false);
  EXPECT_TRUE(told.is_clean());
  dma(told, kData + 64, 4, false);
  ASSERT_EQ(told.certain().size(), 1u);
  EXPECT_EQ(told.certain()[0].first.pc, 0x303u);
}

TEST(RaceDma, WhatWasBeforeTheFirstAccessOfADeviceIsBehindIt) {
  Told told;
  On{told, 1, 11}.write(kData, 0x301).say(RegisterAccessed{kStatus, 1, 4, true});
  dma(told, kData, 4, false);
  EXPECT_TRUE(told.is_clean());
}

// A thread that writes a register, and another that reads one later, have met by chance: that there is a device that moves memory makes no difference.
TEST(RaceDma, ThatADeviceCameBetweenTwoOfTheDriversIsChance) {
  RULE("K.RACE-13");
  Told told;
  On one{told, 0, 10}, other{told, 1, 11};
  fill(told);
  one.write(kExtension + 512, 0x301).say(RegisterAccessed{kStatus, 1, 4, true});
  other.say(RegisterAccessed{kStatus, 1, 4, false}).read(kLength, 0x302).read(kExtension + 512, 0x303);
  EXPECT_TRUE(told.is_suspicion());
}

TEST(RaceDma, MemoryThatIsFreedWhileADeviceUsesItIsToldOf) {
  Told told;
  On driver{told, 1, 11};
  driver.say(PoolAllocated{Address::at(kExtension), 64, 0, false});
  fill(told);
  driver.say(PoolFreed{Address::at(kExtension), 64, 0});
  ASSERT_FALSE(told.certain().empty());
  EXPECT_EQ(told.certain()[0].kind, Kind::Freed);
  EXPECT_NE(std::string(fix_of(told.certain()[0])).find("stop the device by a register"), std::string::npos);
}

// Who has told it to stop by a port, has waited for it; by a register in memory, not; and one that was pulled out has stopped.
TEST(RaceDma, ADeviceThatHasStoppedNeedsItsMemoryNoMore) {
  for (const auto& [stops, is_clean] : {std::pair<Event, bool>{RegisterAccessed{0xD10B, 0, 1, true}, true},
                                        {RegisterAccessed{kStatus, 0, 4, true}, false},
                                        {RegisterAccessed{kStatus, 0, 4, false}, true},
                                        {IrpSent{Address::at(kItem), Address::at(kOtherRoutine), 0x1B, 0x17}, true},
                                        {IrpSent{Address::at(kItem), Address::at(kOtherRoutine), 0x1B, 0x05}, false}}) {
    Told told;
    On driver{told, 1, 11};
    driver.say(PoolAllocated{Address::at(kExtension), 64, 0, false});
    fill(told);
    std::visit([&driver](const auto& fact) { driver.say(fact); }, stops);
    driver.say(PoolFreed{Address::at(kExtension), 64, 0});
    EXPECT_EQ(told.is_clean(), is_clean) << stops.index();
  }
}

TEST(RaceDma, ItIsTheSameAfterARunHasGoneBack) {
  Told told;
  On driver{told, 1, 11};
  fill(told);
  look(driver, 0x301);
  const std::size_t mark = told.detector.mark();
  fill(told);
  driver.read(kData, 0x302);
  EXPECT_FALSE(told.certain().empty());
  told.detector.rewind(mark);
  EXPECT_TRUE(told.is_clean());
  driver.read(kData, 0x302);
  EXPECT_TRUE(told.is_clean());
}

}  // namespace
}  // namespace kdpc::race::test
