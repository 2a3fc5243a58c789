// A run goes back to where it was, and from there it is the same run again: drivers, devices, time and what listeners have heard.
#include <wdm.h>

#include "kdpc/cards.h"
#include "kdpc/test.h"

using namespace std::chrono_literals;
using namespace kdpc;
using namespace kdpc::test;

namespace {

std::string driver(const char* name) { return std::string(KDPC_TEST_DRIVERS "/") + name + ".drv"; }

// The whole life of a driver and its device.
std::uint64_t life(lab::Machine& m) {
  std::string why;
  EXPECT_TRUE(m.load_driver(driver("adc"), why)) << why;
  EXPECT_TRUE(m.start_device("meter", "adc", why)) << why;
  EXPECT_TRUE(m.run_for(20ms));
  EXPECT_TRUE(m.remove_device("meter", why)) << why;
  EXPECT_TRUE(m.unload_driver("adc", why)) << why;
  return m.trace_hash();
}

}  // namespace

KDPC_TEST(Rewind, TheWholeLifeOfADriverIsTheSameAgain, .processors = 2) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{.name = "meter"});
  m.attach(board);
  std::string why;
  const auto start = m.mark(why);
  ASSERT_NE(start, nullptr) << why;
  const std::uint64_t first = life(m);
  EXPECT_NE(first, 0u);
  for (int turn = 0; turn < 5; ++turn) {
    m.rewind(*start);
    EXPECT_EQ(life(m), first);
  }
}

KDPC_TEST(Rewind, ADriverThatHasStartedIsThereAgain, .processors = 2) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{.name = "meter"});
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("adc"), why)) << why;
  ASSERT_TRUE(m.start_device("meter", "adc", why)) << why;
  const auto started = m.mark(why);
  const auto rest = [&] {
    EXPECT_TRUE(m.run_for(10ms));
    EXPECT_TRUE(m.remove_device("meter", why)) << why;
    EXPECT_TRUE(m.unload_driver("adc", why)) << why;
    return m.trace_hash();
  };
  const std::uint64_t first = rest();
  m.rewind(*started);
  EXPECT_EQ(rest(), first);
}

KDPC_TEST(Rewind, ARunThatHasEndedGoesOn) {
  int runs = 0;
  std::string why;
  const auto start = m.mark(why);
  m.on(0, PASSIVE_LEVEL, [] { KeBugCheck(0xE2); });
  EXPECT_EQ(m.outcome().how, lab::Ended::Bugcheck);
  EXPECT_EQ(m.mark(why), nullptr);
  EXPECT_EQ(why, "the run has ended; there is nothing to go on from");
  m.rewind(*start);
  EXPECT_FALSE(m.outcome().over());
  EXPECT_FALSE(m.outcome().bugcheck);
  EXPECT_TRUE(m.on(0, PASSIVE_LEVEL, [&] { ++runs; }));
  EXPECT_EQ(runs, 1);
}
