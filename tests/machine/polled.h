// For tests in which a processor computes and never comes to a place where it looks for interrupts by itself, as it must where they come by no signal.
#pragma once
#include "this_machine.h"

// Without signals there is nothing to test.
#define NEEDS_SIGNALS \
  if (kdpc::live::signals::kPolled) GTEST_SKIP() << "interrupts come by no signal here"

// In a loop that nothing but a signal would interrupt.
inline void look_if_polled() {
  if constexpr (kdpc::live::signals::kPolled) kdpc::Machine::window();
}
