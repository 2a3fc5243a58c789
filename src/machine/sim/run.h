// The run loop, on the host context: whatever is earliest happens next.
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

class Oracle;

// States a fact for a processor that is not the running one.
void tell_at(const Slot& slot, std::uint64_t when, const Event& event);

namespace run {

// A waiting processor goes on at `when`, or at its own time if that is later.
void wake(Slot& slot, std::uint64_t when);
// The running processor has become a spinner; ends the run if it now waits for itself in a circle.
void begin_spinning(Slot& slot, const volatile std::uintptr_t* word);
// How far the running processor may go.
void set_limit(Slot& slot);

host::Outcome until(const std::function<bool()>& condition, Nanoseconds limit);

// The run is over, from any context. The first reason counts. Inside, the caller goes to the host afterwards.
void finish(host::Outcome outcome);
const std::optional<host::Outcome>& ended();
// After create() and restore().
void forget_end();

// Null: the fixed, timed order.
void set_oracle(Oracle* oracle);

}  // namespace run
}  // namespace kdpc::sim
