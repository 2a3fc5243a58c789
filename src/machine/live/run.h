// The host's side of the live machine: it lets the processor run, asks the condition now and then, and sleeps while there is nothing to do.
#pragma once
#include <functional>
#include <optional>

#include "machine/host.h"

namespace kdpc::live::run {

host::Outcome until(const std::function<bool()>& condition, Nanoseconds limit);

// The run is over, from any context. The first reason counts.
void finish(host::Outcome outcome);
const std::optional<host::Outcome>& ended();
void forget_end();

// The host's clock, which knows nothing of the machine's standing still.
std::uint64_t host_clock();

}  // namespace kdpc::live::run
