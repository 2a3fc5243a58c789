// For tests in which a processor computes and never comes to a place where it looks for interrupts by itself.
#pragma once
#include <gtest/gtest.h>

#include "machine/live/signals.h"

#define NEEDS_SIGNALS \
  if (kdpc::live::signals::kPolled) GTEST_SKIP() << "interrupts come by no signal here"
