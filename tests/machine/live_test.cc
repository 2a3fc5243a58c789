// What the live machine alone does: real time, one processor, and honest refusals of the rest.
#include <chrono>
#include <thread>

#include "kernel/wait.h"
#include "tests/machine/inside.h"

namespace kdpc {

namespace {

using inside::kMillisecond;
using inside::kSecond;
using inside::on;

}  // namespace

TEST(LiveMachine, TimeIsTheHosts) {
  const inside::World world;
  const auto start = std::chrono::steady_clock::now();
  on(0, Irql::Passive, [] { Machine::stall(20 * kMillisecond); });
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
}

TEST(LiveMachine, TimeStandsStillWhileTheHostDoesNotRunTheMachine) {
  const inside::World world;
  on(0, Irql::Passive, [] {});
  const std::uint64_t before = host::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(host::now(), before);
}

TEST(LiveMachine, ASecondProcessorIsRefusedWithASentence) {
  const auto created = host::create({.processors = 2});
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.error().what, "the live machine has one processor so far, not 2; more of them are simulated (libkdpc-sim)");
}

TEST(LiveMachine, CostsAreRefusedAsTheyAreOfVirtualTime) {
  const auto created = host::create({.costs = {{"isr_entry", 1}}});
  ASSERT_FALSE(created.ok());
  EXPECT_NE(created.error().what.find("isr_entry"), std::string::npos);
}

TEST(LiveMachine, ACheckpointIsRefusedWithASentence) {
  const inside::World world;
  const auto taken = host::checkpoint();
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.error().what.find("simulated machine"), std::string::npos);
}

// Driver code is compiled to count the first word of the World down; here a loop does what the compiler would add.
TEST(LiveMachine, EdgesOfDriverCodeMeetTheClock) {
  const inside::World world;
  auto& budget = *reinterpret_cast<volatile std::int64_t*>(0x400000000000);
  std::uint64_t ticks = 0;
  on(0, Irql::Dispatch, [&] {
    const std::uint64_t before = sys().tick_count;
    while (sys().tick_count < before + 2) {
      budget = budget - 1;
      if (budget < 0) Machine::edge();
    }
    ticks = sys().tick_count - before;
  });
  EXPECT_GE(ticks, 2u);
}

}  // namespace kdpc
