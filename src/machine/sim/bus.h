// The register bus, and the boards that hang on it.
//
// Boards are advanced source by source (Board::sources). Sources are numbered through all boards, in the order in which these were attached.
//
//   K.BUS-1  No source is ahead of a running processor; one that cannot look ahead lags behind by at most Costs::board_poll.
//   K.BUS-2  What a source does on its way takes effect at the time it has reached.
//   K.BUS-4  A source's time never goes back, also where orders are explored and processors come to it that are behind others.
//   K.BUS-5  What a board may do at any time (Board::kWhenever) it does only where an oracle wants it.
//   K.BUS-6  What one source does, early or late, changes the time of no other one.
#pragma once
#include <cstdint>

#include "kdpc/device.h"
#include "machine/host.h"

namespace kdpc::sim::bus {

host::Attached attach(Board& board);
void forget_boards();
void forget_boards_after(unsigned count);  // those that were attached later; they may be gone already
Board& board(unsigned number);

Nanoseconds next_event(unsigned source);
// When the run loop must advance this source, `busy` if a processor is running; kForever if it need not.
std::uint64_t due(unsigned source, bool busy);
bool cannot_look_ahead(unsigned source);
bool waits_to_be_chosen(unsigned source);  // it goes on when an oracle wants it, and only then
// On the host context. Stops early, at the time reached, when an interrupt line has moved.
void advance(unsigned source, std::uint64_t until);

// By the running processor, at any level.
bool read(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t& value);
bool write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value);

}  // namespace kdpc::sim::bus
