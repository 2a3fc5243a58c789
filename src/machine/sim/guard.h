// Faults of the code that runs inside, and code that never comes back, as findings instead of a crash or a hang.
//
// SEGV, BUS, ILL and FPE are handled on a stack of their own and end the run on the host context. A fault of the host itself takes its usual
// course. The host-time guard looks at the processor time this process has used; it can end a run, never change one.
#pragma once
#include <cstdint>

namespace kdpc::sim::guard {

// With create() and destroy(): installs the handlers over what was there, and puts that back.
void install();
void remove();

// Processor time that code may use without a single switch to the host before the run ends with NoProgress; 0: no guard. 30 s at first.
void set_patience(std::uint64_t milliseconds);

}  // namespace kdpc::sim::guard
