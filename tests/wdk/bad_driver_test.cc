// One driver per mistake (tests/drivers/bad_*.c): each ends the run with NT's stop code, at the line that is marked `culprit` in its source, and
// nothing hangs.
#include <gmock/gmock.h>

#include <fstream>

#include "kdpc/test.h"

namespace {

using kdpc::lab::Machine;
using kdpc::test::any;
using ::testing::AllOf;
using ::testing::HasSubstr;

// The line marked `culprit` in a driver's source; 0: none.
int culprit_in(const std::string& driver) {
  std::ifstream source(KDPC_SOURCE_DIR "/tests/drivers/" + driver + ".c");
  int number = 0;
  for (std::string line; std::getline(source, line);) {
    ++number;
    if (line.find("/* culprit */") != std::string::npos) return number;
  }
  return 0;
}

// Loads the driver, which may end the run by that, and goes on until it has ended.
void run(Machine& m, const std::string& driver, kdpc::lab::Duration limit = std::chrono::seconds(60)) {
  std::string why;
  m.load_driver(KDPC_TEST_DRIVERS "/" + driver + ".drv", why);
  if (!m.outcome().over()) m.run_until([] { return false; }, limit);
}

void expect_place(Machine& m, const std::string& driver, const std::string& function) {
  ASSERT_TRUE(m.outcome().bugcheck.has_value());
  const kdpc::lab::Place& place = m.outcome().bugcheck->place;
  EXPECT_EQ(place.image, driver);
  EXPECT_EQ(place.function, function);
  EXPECT_THAT(place.file, HasSubstr(driver + ".c"));
  EXPECT_EQ(place.line, culprit_in(driver)) << m.outcome().report();
}

// A quarter of a second, so that the tests are quick; NT allows twenty seconds to one DPC and two minutes to a processor.
KDPC_TEST(BadDriver, SpinsForEverInADpc, .options = {{"dpc_time_limit", "16"}}) {
  run(m, "bad_spin_in_dpc");
  EXPECT_BUGCHECK(0x133, 0, 17, 16);
  expect_place(m, "bad_spin_in_dpc", "WaitForFlag");
}

KDPC_TEST(BadDriver, SpinsForEverAtDispatchInAThread, .options = {{"dpc_watchdog_period", "16"}}) {
  run(m, "bad_spin_in_thread");
  EXPECT_BUGCHECK(0x133, 1, 16, any);
  expect_place(m, "bad_spin_in_thread", "DriverEntry");
}

KDPC_TEST(BadDriver, TakesTwoLocksInOppositeOrderOnTwoProcessors, .processors = 2, .simulated_only = "asks for a deadlock to be explained") {
  run(m, "bad_deadlock");
  EXPECT_ENDED(Deadlock);
  EXPECT_THAT(m.outcome().report(), AllOf(HasSubstr("deadlock"), HasSubstr("bad_deadlock!TakeBoth"), HasSubstr("bad_deadlock.c")));
}

KDPC_TEST(BadDriver, TakesALockThatItHolds) {
  run(m, "bad_lock_twice");
  EXPECT_BUGCHECK(0xF);
  expect_place(m, "bad_lock_twice", "DriverEntry");
}

KDPC_TEST(BadDriver, FreesAQueuedDpc) {
  run(m, "bad_free_queued_dpc");
  EXPECT_BUGCHECK(0xC7, 1);
  expect_place(m, "bad_free_queued_dpc", "DriverEntry");
}

KDPC_TEST(BadDriver, UnloadsWithATimerWhoseRoutineIsInIt) {
  RULE("PNP-3");
  std::string why;
  ASSERT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/bad_unload_timer.drv", why)) << why;
  EXPECT_FALSE(m.unload_driver("bad_unload_timer", why));
  EXPECT_BUGCHECK(0xC7, 2);
  EXPECT_EQ(m.place_of(m.outcome().bugcheck->parameters[1]).function, "Run");
}

KDPC_TEST(BadDriver, UnloadsWithAnExTimerWhoseCallbackIsInIt) {
  RULE("PNP-3");
  std::string why;
  ASSERT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/bad_unload_timer.drv", why, {.settings = {{"ExTimer", std::uint64_t{1}}}})) << why;
  EXPECT_FALSE(m.unload_driver("bad_unload_timer", why));
  EXPECT_BUGCHECK(0xC7, 2);
  EXPECT_EQ(m.place_of(m.outcome().bugcheck->parameters[1]).function, "Called");
}

KDPC_TEST(BadDriver, OverflowsItsThreadsStack) {
  run(m, "bad_stack_in_thread");
  EXPECT_BUGCHECK(0x7F, 8);
  EXPECT_THAT(m.outcome().bugcheck->sentence, HasSubstr("thread"));
  EXPECT_EQ(m.outcome().bugcheck->place.function, "Deeper");
}

KDPC_TEST(BadDriver, OverflowsTheDpcStack) {
  run(m, "bad_stack_in_dpc");
  EXPECT_BUGCHECK(0x7F, 8);
  EXPECT_THAT(m.outcome().bugcheck->sentence, HasSubstr("DPC stack"));
  EXPECT_EQ(m.outcome().bugcheck->place.function, "Deeper");
}

KDPC_TEST(BadDriver, WritesThroughAWildPointerAtDispatch) {
  run(m, "bad_pointer");
  EXPECT_BUGCHECK(0xD1, 0x1230, 2, 1);
  expect_place(m, "bad_pointer", "DriverEntry");
}

KDPC_TEST(BadDriver, WaitsInADpc) {
  run(m, "bad_wait_in_dpc");
  EXPECT_BUGCHECK(0xB8);
  expect_place(m, "bad_wait_in_dpc", "Wait");
}

KDPC_TEST(BadDriver, WaitsForEverInDriverEntry, .simulated_only = "asks for an explanation who waits for what") {
  std::string why;
  EXPECT_FALSE(m.load_driver(KDPC_TEST_DRIVERS "/bad_wait_in_entry.drv", why));
  EXPECT_EQ(m.outcome().how, kdpc::lab::Ended::Quiescent);
  EXPECT_THAT(why, AllOf(HasSubstr("load bad_wait_in_entry"), HasSubstr("waits for the notification event at bad_wait_in_entry!Event"),
                         HasSubstr("bad_wait_in_entry.c:" + std::to_string(culprit_in("bad_wait_in_entry")))));
}

KDPC_TEST(BadDriver, LeavesALineAsserted) {
  constexpr unsigned kVector = 0x81;  // the driver's
  const unsigned line = m.add_line();
  m.assign_line(line, kVector);
  std::string why;
  ASSERT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/bad_storm.drv", why)) << why;
  m.assert_line(line);
  m.run_until([] { return false; }, std::chrono::seconds(5));
  EXPECT_BUGCHECK(0xF2, any, any, any, 1);
  expect_place(m, "bad_storm", "Claim");  // though none of its code runs at that moment
}

}  // namespace
