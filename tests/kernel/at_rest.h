// For tests that hold in real time too: they wait for a state, and not for a while.
#pragma once
#include <wdm.h>

#include <chrono>

#include "kdpc/test.h"

namespace kdpc::test {

// Returns when all threads of that processor wait or have ended: one of the lowest priority has had its turn there.
inline void let_rest(lab::Machine& m, unsigned processor = 0) {
  EXPECT_TRUE(m.on(processor, PASSIVE_LEVEL, [] {}, {.name = "rest", .priority = 1}));
}

// How long a condition may take: so long on the simulated machine, where it says something; on the live one, whatever the host needs.
inline std::chrono::nanoseconds within(std::chrono::nanoseconds time) { return lab::is_simulated() ? time : std::chrono::seconds(20); }

// Runs on until the run ends by itself, as the test then expects.
inline void run_to_its_end(lab::Machine& m, std::chrono::nanoseconds time) {
  m.run_until([] { return false; }, within(time));
}

}  // namespace kdpc::test
