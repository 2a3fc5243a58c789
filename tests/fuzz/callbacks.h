// Routines that are given to the kernel to be called back: well-behaved ones, and ones that do what a driver must not.
#pragma once
#include "tests/fuzz/stock.h"

namespace kdpc::fuzz {

// A routine, or rarely null or an address that is no code. One function serves every type of callback: its arguments are words in registers.
void* draw_callback(Stock& stock);

// One that always returns zero.
void* quiet_callback();
// One that makes random calls when some time has passed, for a thread.
void* late_callback();

}  // namespace kdpc::fuzz
