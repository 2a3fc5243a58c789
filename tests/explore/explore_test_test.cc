// EXPLORE_TEST and kdpc/explore.h: what fails in any order fails the test, with the order.
#include "kdpc/explore.h"

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>

#include "kdpc/cards.h"
#include "kdpc/test.h"
#include "wdm.h"

using namespace std::chrono_literals;
using namespace kdpc;
using testing::HasSubstr;

namespace {

// A driver of the museum, with the card that interrupts by itself.
void ring(lab::Machine& m, const std::string& driver) {
  cards::CardBoard board;
  board.add(cards::PulseWish{.name = "card", .first = 100'000, .period = 100'000, .count = 6});
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(std::string(KDPC_TEST_DRIVERS "/check/museum_") + driver + ".drv", why)) << why;
  ASSERT_TRUE(m.start_device("card", "museum_" + driver, why)) << why;
  m.run_for(3ms);
  ASSERT_TRUE(m.unload_driver("museum_" + driver, why)) << why;
}

std::string ring_life(lab::Machine& m) {
  return test::words_of([](lab::Machine& its) { ring(its, "fifo_count"); }, m);
}

// Two threads that count without a lock: a lost update, in kernel calls alone.
struct Counter {
  volatile LONG value = 0;
  void count() {
    const LONG seen = value;
    KeQueryActiveProcessorCount(nullptr);  // somebody else may come here
    value = seen + 1;
  }
};

std::string counting(lab::Machine& m) {
  Counter counter;
  const lab::Task other = m.start(1, PASSIVE_LEVEL, [&] { counter.count(); });
  m.on(0, PASSIVE_LEVEL, [&] {
    KeStallExecutionProcessor(20);
    counter.count();
  });
  m.run_until([&] { return other.done(); }, 1ms);
  return counter.value == 2 ? "" : "an update is lost\nit counts " + std::to_string(counter.value);
}

int times_run = 0;
std::string remembers(lab::Machine& m) {
  ++times_run;
  m.on(0, PASSIVE_LEVEL, [] {
    for (int turn = 0; turn < times_run; ++turn) KeQueryActiveProcessorCount(nullptr);
  });
  return {};
}

void NTAPI count_a_run(PKDPC, PVOID context, PVOID, PVOID) { ++*static_cast<int*>(context); }

const lab::ExploreSettings kTwo = {.processors = 2, .schedules = 500, .name = "Lives.Counting"};

void throws(lab::Machine&) { throw std::runtime_error("no"); }
void expects_a_bug_check(lab::Machine&) { EXPECT_BUGCHECK(0xE2); }
void notes(lab::Machine& m) {
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(1 + 1, 3);
    RULE("TEST-3");
  });
}

void a_test_that_finds_something() {
  test::explore(kTwo, [](lab::Machine& m) { EXPECT_EQ(counting(m), ""); });
}

struct Environment {
  Environment(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Environment() { ::unsetenv(name_); }
  const char* name_;
};

}  // namespace

EXPLORE_TEST(Explore, ADriverThatIsRightPasses, .processors = 2, .schedules = 300) { ring(m, "fifo_count_fixed"); }

EXPLORE_TEST(Explore, KernelCallsAloneAreExploredToo, .processors = 2, .schedules = 300) {
  KDPC dpc;
  int runs = 0;
  KeInitializeDpc(&dpc, count_a_run, &runs);
  m.on(1, PASSIVE_LEVEL, [&] {
    KDPC_EXPECT(KeInsertQueueDpc(&dpc, nullptr, nullptr));
    KeFlushQueuedDpcs();
    KDPC_EXPECT_EQ(runs, 1);
  });
  EXPECT_EQ(runs, 1);
}

TEST(Lives, TheFirstFailureIsToldWithItsOrderAndReplays) {
  const lab::ExploreResult found = lab::explore(kTwo, counting);
  ASSERT_EQ(found.failure, "an update is lost") << found.broken;
  EXPECT_EQ(found.key, "an update is lost");
  EXPECT_GT(found.number, 1u) << "the default order is well";
  EXPECT_EQ(found.number, found.schedules);
  EXPECT_THAT(found.report, HasSubstr("it counts 1"));
  EXPECT_THAT(found.report, HasSubstr("1 deviation from the default one:\n  cpu"));
  EXPECT_THAT(found.schedule, HasSubstr("test Lives.Counting\n"));
  EXPECT_THAT(found.schedule, HasSubstr("\nbuild "));
  const lab::ExploreResult again = lab::replay(kTwo, counting, found.schedule);
  EXPECT_EQ(again.failure, found.failure) << again.broken;
  EXPECT_EQ(again.differs, "");
  const lab::ExploreResult equal = lab::explore(kTwo, counting);
  EXPECT_EQ(equal.schedule, found.schedule);
  EXPECT_EQ(equal.number, found.number);
}

TEST(Lives, AScheduleThatFailsNoMoreIsToldSo) {
  const lab::ExploreResult found = lab::explore(kTwo, counting);
  const lab::ExploreResult again = lab::replay(
      kTwo, [](lab::Machine&) { return std::string(); }, found.schedule);
  EXPECT_FALSE(again.failed());
  EXPECT_EQ(again.report, "This schedule does not fail.\n");
  EXPECT_THAT(again.differs, HasSubstr("the run's hash is "));
}

TEST(Lives, AnErrorIsAFailureAlsoWhereChecksKeepGoing) {
  const auto life = [](lab::Machine& m) { return test::words_of([](lab::Machine& its) { ring(its, "isr_spin_lock"); }, m); };
  const lab::ExploreResult found = lab::explore({.processors = 2, .checks = {.keep_going = true}, .schedules = 5}, life);
  EXPECT_THAT(found.failure, HasSubstr("lock-below-interrupt")) << found.broken;
}

TEST(Lives, AReplayThatIsAnotherRunSaysWhy) {
  const lab::ExploreResult found = lab::explore(kTwo, counting);
  std::string other = found.schedule + "cpu1@100000 hold\n";
  other.replace(other.find("hash ") + 5, 4, "0000");
  EXPECT_THAT(lab::replay(kTwo, counting, other).differs, HasSubstr("the run's hash is "));
  EXPECT_THAT(lab::replay({.processors = 2, .name = "Another.Test"}, counting, found.schedule).broken,
              HasSubstr("this schedule is of 'Lives.Counting', and this is 'Another.Test'"));
  EXPECT_THAT(lab::replay(kTwo, counting, "cpu0@1 hold\n").broken, HasSubstr("this is no schedule"));
}

TEST(Lives, ADataRaceOfADriverIsAFailure) {
  const lab::ExploreResult found = lab::explore({.processors = 2, .schedules = 500}, ring_life);
  EXPECT_THAT(found.failure, HasSubstr("data-race")) << found.broken;
  EXPECT_THAT(found.report, HasSubstr("fifo_count.c:"));
}

TEST(Lives, WithoutRacesTheFirstThingThatBreaksIsTheFailure) {
  const lab::ExploreResult found = lab::explore({.processors = 2, .checks = {}, .schedules = 2000}, ring_life);
  EXPECT_THAT(found.failure, HasSubstr("bug check")) << found.broken;
  EXPECT_EQ(lab::replay({.processors = 2, .checks = {}}, ring_life, found.schedule).differs, "");
}

// In a DPC that calls nobody, in one that only reads, in a thread.
TEST(Lives, AnEndlessLoopIsAFailureAtAnyLevel) {
  RULE("K.ENDURE-1");
  for (const std::uint64_t how : {2, 3, 4}) {
    const lab::Life life = [how](lab::Machine& m) {
      std::string why;
      m.load_driver(KDPC_TEST_DRIVERS "/check/brings_down.drv", why, {.settings = {{"How", how}}});
      m.run_for(20ms);
      if (why.empty()) m.unload_driver("brings_down", why);
      return why;
    };
    const lab::ExploreResult found = lab::explore({.checks = {}, .schedules = 200}, life);
    EXPECT_THAT(found.failure, HasSubstr("no end in sight")) << how;
    EXPECT_THAT(found.report, HasSubstr("brings_down.c:")) << how;
    EXPECT_EQ(lab::replay({.checks = {}}, life, found.schedule).differs, "");
    EXPECT_THAT(lab::replay({.checks = {}, .work = 10ms}, life, found.schedule).failure, HasSubstr("no end in sight")) << how;
  }
}

TEST(Lives, WhatIsLeftBehindOnTheHostIsNoticed) {
  times_run = 0;
  EXPECT_THAT(lab::explore({}, remembers).broken, HasSubstr("it leaves something behind on the host"));
}

TEST(Lives, UntilNothingIsLeftToTry) {
  const lab::ExploreResult result = lab::explore({.schedules = 0, .bound = 1}, [](lab::Machine& m) {
    m.on(0, PASSIVE_LEVEL, [] { KeQueryActiveProcessorCount(nullptr); });
    return std::string();
  });
  EXPECT_TRUE(result.exhausted);
  EXPECT_THAT(result.coverage, HasSubstr("the default order, all "));
}

TEST(Lives, ABoundThatNoSearchKeepsIsRefused) {
  for (const unsigned bound : {0u, 9u})
    EXPECT_EQ(lab::explore({.bound = bound}, counting).broken,
              ".bound: every order with 1 move can be tried, or with 2, and not with " + std::to_string(bound));
  EXPECT_THAT(lab::replay({.bound = 9}, counting, "kdpc schedule 1\n").broken, HasSubstr(".bound: every order with 1 move"));
}

TEST(Lives, WhatIsNoMachineIsSaid) {
  EXPECT_THAT(lab::explore({.options = {{"no_such", "option"}}}, counting).broken, HasSubstr("no option named 'no_such'"));
}

TEST(ExploreTest, AFailedExpectationInsideFailsWithPlaceAndValues) {
  const lab::ExploreResult result = lab::explore({.schedules = 10}, [](lab::Machine& m) { return test::words_of(notes, m); });
  EXPECT_THAT(result.failure, HasSubstr("explore_test_test.cc:"));
  EXPECT_THAT(result.failure, HasSubstr("1 + 1 == 3"));
  EXPECT_THAT(result.report, HasSubstr("values: 2, 3"));
  EXPECT_EQ(result.number, 1u);
  EXPECT_EQ(result.rules, std::set<std::string>{"TEST-3"});
}

TEST(ExploreTest, AnExceptionAndAnExpectedBugCheckAreFailures) {
  EXPECT_THAT(lab::explore({}, [](lab::Machine& m) { return test::words_of(throws, m); }).failure, HasSubstr("an exception has left the life: no"));
  EXPECT_THAT(lab::explore({}, [](lab::Machine& m) { return test::words_of(expects_a_bug_check, m); }).failure, HasSubstr("are for KDPC_TEST"));
}

TEST(ExploreTest, WhatCannotBeWrittenOrReadIsSaid) {
  {
    const Environment folder("KDPC_SCHEDULES", "/none/such");
    EXPECT_NONFATAL_FAILURE(a_test_that_finds_something(), "/none/such/Lives.Counting.schedule cannot be written; it would be\nkdpc schedule 1\n");
  }
  const Environment schedule("KDPC_SCHEDULE", "/none/such.schedule");
  EXPECT_NONFATAL_FAILURE(a_test_that_finds_something(), "The schedule /none/such.schedule cannot be read");
}

TEST(ExploreTest, AFailureLeavesAFileThatShowsItAgain) {
  const Environment folder("KDPC_SCHEDULES", testing::TempDir());
  const std::string file = testing::TempDir() + "/Lives.Counting.schedule";
  std::remove(file.c_str());
  EXPECT_NONFATAL_FAILURE(a_test_that_finds_something(), "To see it again: KDPC_SCHEDULE=" + file + " with --gtest_filter=Lives.Counting");
  ASSERT_TRUE(std::ifstream(file).good());
  const Environment schedule("KDPC_SCHEDULE", file);
  EXPECT_NONFATAL_FAILURE(a_test_that_finds_something(), "The schedule " + file + ": ");
}
