// The register bus, and the boards that hang on it.
//
//   K.BUS-1  No board is ahead of a running processor; a board that cannot look ahead lags behind by at most Costs::board_poll.
//   K.BUS-2  What a board does on its way takes effect at the time it has reached.
//   K.BUS-4  A board's time never goes back, also where orders are explored and processors come to it that are behind others.
//   K.BUS-5  What a board may do at any time (Board::kWhenever) it does only where an oracle wants it.
#pragma once
#include <cstdint>

#include "kdpc/device.h"
#include "machine/host.h"

namespace kdpc::sim::bus {

host::Attached attach(Board& board);
void forget_boards();
void forget_boards_after(unsigned count);  // those that were attached later; they may be gone already
Board& board(unsigned number);

// When the run loop must advance this board, `busy` if a processor is running; kForever if it need not.
std::uint64_t due(unsigned number, bool busy);
bool cannot_look_ahead(unsigned number);
bool waits_to_be_chosen(unsigned number);  // it goes on when an oracle wants it, and only then
// On the host context. Stops early, at the time reached, when an interrupt line has moved.
void advance(unsigned number, std::uint64_t until);

// By the running processor, at any level.
bool read(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t& value);
bool write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value);

}  // namespace kdpc::sim::bus
