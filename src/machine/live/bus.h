// The register bus and the boards on it, in real time. A board may lag behind, but not behind an access to its registers. One lock per board: it is brought forward by
// the host, and accessed by any processor, one after another.
#pragma once
#include <cstdint>

#include "kdpc/device.h"
#include "machine/host.h"

namespace kdpc::live::bus {

host::Attached attach(Board& board);
void forget();

// By the host, while the processors run: brings every board for which it is time to `now`.
void advance(std::uint64_t now);
// When that is to be done next; kForever: not before a register is accessed.
std::uint64_t due();
bool is_empty();  // there are no boards
bool is_quiet();  // no board will do anything by itself

// By a processor, at any level. False: no such address.
bool read(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t& value);
bool write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value);

}  // namespace kdpc::live::bus
