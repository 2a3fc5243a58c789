// What only the simulated machine can do is not tried on the live one, and the reason is said.
#include <gmock/gmock.h>

#include "kdpc/test.h"

namespace kdpc {
namespace {

constexpr const char* kReason = "asks for virtual time";
bool ran = false;

KDPC_TEST(SimulatedOnly, ACaseWithTheMarkRunsThereAndNowhereElse, .simulated_only = kReason) {
  ran = true;
  EXPECT_TRUE(lab::is_simulated());
}

TEST(SimulatedOnly, WhatWasMarkedRanOnTheSimulatedMachine) { EXPECT_EQ(ran, lab::is_simulated()); }

TEST(SimulatedOnly, TheLiveMachineIsNotMadeAndSaysWhy) {
  std::string why;
  const auto machine = lab::Machine::create({.simulated_only = kReason}, why);
  EXPECT_EQ(machine != nullptr, lab::is_simulated());
  EXPECT_EQ(why, lab::is_simulated() ? "" : "this needs the simulated machine: it asks for virtual time");
}

}  // namespace
}  // namespace kdpc
