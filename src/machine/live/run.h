// The host's side of the live machine: it opens the gate, sleeps, and closes it again to ask its condition, when something has happened that is worth asking about
// and else now and then.
#pragma once
#include <functional>
#include <optional>

#include "machine/host.h"

namespace kdpc::live::run {

host::Outcome until(const std::function<bool()>& condition, Nanoseconds limit);

// The run is over, from any context. The first reason counts.
void finish(host::Outcome outcome);
bool has_ended();
void forget_end();

// Why the host should wake; from any context.
inline constexpr std::uint32_t kAllIdle = 1;
inline constexpr std::uint32_t kThreadEnded = 2;
inline constexpr std::uint32_t kEnd = 4;
inline constexpr std::uint32_t kMakeRoom = 8;  // for facts
inline constexpr std::uint32_t kBoards = 16;   // a board's next event has come nearer
void ask_host(std::uint32_t reasons);

}  // namespace kdpc::live::run
