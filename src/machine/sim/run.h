// The run loop, on the host context: whatever is earliest happens next.
// (With an Oracle, what it chooses: choice.h.)
//
// Events (a clock, an IPI, a board) come before processors at the same time; among equals the lower number goes first. A processor runs until it
// would pass the next thing that could concern it. So there is one order of everything, and it depends on nothing outside the World.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "machine/host.h"
#include "machine/sim/state.h"

namespace kdpc::sim {

// States a fact as of a processor that need not be the running one.
void tell_at(const Slot& slot, std::uint64_t when, const Event& event);

namespace run {

// A waiting processor goes on at `when`, or at its own time if that is later.
void wake(Slot& slot, std::uint64_t when);
// The running processor has become a spinner; ends the run if it now waits for itself in a circle.
void begin_spinning(Slot& slot, SpinWord word, std::uint64_t until);
// How far the running processor may go.
void set_limit(Slot& slot);

host::Outcome until(const std::function<bool()>& condition, Nanoseconds limit);

// The run is over, from any context. The first reason counts. Inside, the caller goes to the host afterwards.
void finish(host::Outcome outcome);
const std::optional<host::Outcome>& ended();
// After create() and restore().
void forget_end();

// One of `count` equal possibilities: 0, unless there is an oracle.
std::uint64_t pick(std::uint64_t count);

}  // namespace run
}  // namespace kdpc::sim
