// The race detector with a driver's check variant on the machine: from the access in the driver's code to the finding with names.
#include <gmock/gmock.h>

#include <chrono>

#include "kdpc/lab.h"
#include "machine/host.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;

enum How : std::uint64_t { kNotAtAll, kLocked, kInterlocked, kFreed };

struct Lived {
  std::vector<lab::Finding> races;
  std::size_t dpcs = 0;  // that have run
  std::uint64_t hash = 0;
  std::string said;
};

Lived life_of(How how, unsigned processors, lab::Checks::Races races) {
  std::string why;
  lab::Config config{.processors = processors};
  config.checks.races = races;
  const auto machine = lab::Machine::create(config, why);
  Lived lived;
  EXPECT_TRUE(machine->load_driver(KDPC_TEST_DRIVERS "/check/racing.drv", why, {.settings = {{"How", std::uint64_t{how}}}})) << why;
  machine->run_for(200ms);
  EXPECT_TRUE(machine->unload_driver("racing", why)) << why << machine->outcome().report();
  for (lab::Finding& finding : machine->findings())
    if (finding.id.starts_with("data-race")) lived.races.push_back(std::move(finding));
  for (const lab::Finding& race : lived.races) lived.said += race.report();
  lived.dpcs = machine->count("activity-began", {{"kind", static_cast<std::uint64_t>(ActivityKind::TimerDpc)}});
  lived.hash = machine->trace_hash();
  return lived;
}

TEST(RaceOfADriver, IsFoundWithTheLinesOfBothSides) {
  const Lived lived = life_of(kNotAtAll, 2, lab::Checks::Races::Certain);
  ASSERT_FALSE(lived.races.empty());
  for (const lab::Finding& race : lived.races) {
    EXPECT_EQ(race.id, "data-race");
    EXPECT_FALSE(race.advice);
    ASSERT_EQ(race.parties.size(), 2u);
    for (const lab::Party& party : race.parties) {
      EXPECT_EQ(party.place.function, "Count") << lived.said;
      EXPECT_THAT(party.place.file, HasSubstr("racing.c"));
    }
  }
  EXPECT_THAT(lived.said, HasSubstr("DPC racing!RacingTick on processor 1 at IRQL 2 (DISPATCH)"));
  EXPECT_THAT(lived.said, HasSubstr("KeAcquireSpinLockAtDpcLevel in the DPC"));
}

TEST(RaceOfADriver, IsNoneUnderALockOrByInterlockedOperations) {
  for (const How how : {kLocked, kInterlocked})
    for (const unsigned processors : {1u, 2u, 4u}) {
      const Lived lived = life_of(how, processors, lab::Checks::Races::Certain);
      EXPECT_TRUE(lived.races.empty()) << lived.said;
      EXPECT_GT(lived.dpcs, 5u) << "it has counted, too";
    }
}

// What is freed here is freed after the DPC has run, this time.
TEST(RaceOfADriver, WithTheFreeingOfItsMemoryIsFoundAlthoughTheMemoryWasFreedInTime) {
  const Lived lived = life_of(kFreed, 2, lab::Checks::Races::Certain);
  EXPECT_THAT(lived.races, Contains(testing::Field(&lab::Finding::id, "data-race-freed"))) << lived.said;
  EXPECT_THAT(lived.said, HasSubstr("racing!RacingUnload"));
}

TEST(RaceOfADriver, IsTheSameInEveryRun) {
  const Lived first = life_of(kNotAtAll, 2, lab::Checks::Races::Suspected);
  const Lived second = life_of(kNotAtAll, 2, lab::Checks::Races::Suspected);
  EXPECT_FALSE(first.races.empty());
  EXPECT_EQ(first.said, second.said);
}

TEST(RaceOfADriver, IsFoundAgainWhenTheRunGoesBackToBeforeIt) {
  std::string why;
  lab::Config config{.processors = 2};
  config.checks.races = lab::Checks::Races::Suspected;
  const auto machine = lab::Machine::create(config, why);
  ASSERT_TRUE(machine->load_driver(KDPC_TEST_DRIVERS "/check/racing.drv", why, {.settings = {{"How", std::uint64_t{kNotAtAll}}}})) << why;
  const auto said = [&] {
    std::string text;
    for (const lab::Finding& finding : machine->findings()) text += finding.report();
    return text;
  };
  const std::string before = said();
  const Result<host::Checkpoint*> checkpoint = host::checkpoint();
  ASSERT_TRUE(checkpoint) << checkpoint.error().what;
  machine->run_for(200ms);
  const std::string after = said();
  EXPECT_NE(after, before);
  for (int round = 0; round < 3; ++round) {
    host::restore(**checkpoint);
    EXPECT_EQ(said(), before);
    machine->run_for(200ms);
    EXPECT_EQ(said(), after);
  }
  host::discard(*checkpoint);
}

TEST(RaceOfADriver, WhoeverLooksForItChangesNothing) {
  const Lived unseen = life_of(kNotAtAll, 2, lab::Checks::Races::Off), seen = life_of(kNotAtAll, 2, lab::Checks::Races::Certain);
  EXPECT_TRUE(unseen.races.empty());
  EXPECT_FALSE(seen.races.empty());
  EXPECT_EQ(unseen.hash, seen.hash);
}

}  // namespace
}  // namespace kdpc
