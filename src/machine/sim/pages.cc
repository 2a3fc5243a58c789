#include "machine/sim/pages.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/invariant.h"
#include "machine/sim/state.h"

namespace kdpc::sim::pages {

namespace {

std::uint64_t open_ranges = 0;  // bit n: range n is open

std::uintptr_t down(std::uintptr_t address) { return address / kPage * kPage; }
std::uintptr_t up(std::uintptr_t address) { return down(address + kPage - 1); }

void protect(std::uintptr_t low, std::uintptr_t high, int protection) {
  const int refused = ::mprotect(reinterpret_cast<void*>(low), high - low, protection);
  KDPC_INVARIANT("K.PAGES-3", refused == 0);
}

void note_open(std::uint64_t ranges) {
  open_ranges = ranges;
  fixed().pages_open = ranges != 0;
}

unsigned index_of(std::uintptr_t address) {
  const State& all = state();
  unsigned index = 0;
  while (index < all.pageable_used && (address < all.pageable[index].low || address >= all.pageable[index].high)) ++index;
  return index;
}

// Everything but what is locked.
void close_range(const PageRange& range) {
  protect(range.low, range.high, PROT_NONE);
  const State& all = state();
  for (unsigned index = 0; index < all.locked_used; ++index) {
    const std::uintptr_t low = std::max(range.low, all.locked[index].low), high = std::min(range.high, all.locked[index].high);
    if (low < high) protect(low, high, range.protection);
  }
}

}  // namespace

void forget() {
  open_all();
  state().pageable_used = 0;
  note_open(0);
}

void add(std::uintptr_t base, std::size_t size, int protection) {
  State& all = state();
  const PageRange range{down(base), up(base + size), protection};
  for (unsigned index = 0; index < all.pageable_used; ++index)
    if (all.pageable[index].low == range.low && all.pageable[index].high == range.high) return;
  if (all.pageable_used == kMaxPageable) return;  // stays resident
  protect(range.low, range.high, protection);
  note_open(open_ranges | std::uint64_t{1} << all.pageable_used);
  all.pageable[all.pageable_used++] = range;
}

bool contains(std::uintptr_t address) { return index_of(address) < state().pageable_used; }

bool open(std::uintptr_t address) {
  const unsigned index = index_of(address);
  if (index == state().pageable_used) return false;
  const std::uint64_t bit = std::uint64_t{1} << index;
  if ((open_ranges & bit) != 0) return false;
  const PageRange& range = state().pageable[index];
  protect(range.low, range.high, range.protection);
  note_open(open_ranges | bit);
  return true;
}

void open_all() {
  const State& all = state();
  std::uint64_t ranges = 0;
  for (unsigned index = 0; index < all.pageable_used; ++index) {
    protect(all.pageable[index].low, all.pageable[index].high, all.pageable[index].protection);
    ranges |= std::uint64_t{1} << index;
  }
  note_open(ranges);
}

void close() {
  const State& all = state();
  if (all.all_resident) return;
  for (unsigned index = 0; index < all.pageable_used; ++index)
    if ((open_ranges >> index & 1) != 0) close_range(all.pageable[index]);
  note_open(0);
}

void lock(std::uintptr_t address, std::size_t size) {
  State& all = state();
  if (!contains(address) || size == 0) return;
  if (all.locked_used == kMaxLockedPages) all.all_resident = true;
  if (all.all_resident) return open_all();
  const PageRange locked{down(address), up(address + size), 0};
  all.locked[all.locked_used++] = locked;
  const unsigned index = index_of(address);
  const PageRange& range = all.pageable[index];
  if ((open_ranges >> index & 1) == 0) protect(std::max(locked.low, range.low), std::min(locked.high, range.high), range.protection);
}

void unlock(std::uintptr_t address, std::size_t size) {
  State& all = state();
  const PageRange wanted{down(address), up(address + size), 0};
  for (unsigned index = 0; index < all.locked_used; ++index) {
    if (all.locked[index].low != wanted.low || all.locked[index].high != wanted.high) continue;
    all.locked[index] = all.locked[--all.locked_used];
    const unsigned of_range = index_of(address);
    if (of_range < all.pageable_used && (open_ranges >> of_range & 1) == 0) close_range(all.pageable[of_range]);
    return;
  }
}

void lock_range(std::uintptr_t address) {
  const unsigned index = index_of(address);
  if (index == state().pageable_used) return;
  const PageRange range = state().pageable[index];
  lock(range.low, range.high - range.low);
}

void unlock_range(std::uintptr_t address) {
  const unsigned index = index_of(address);
  if (index == state().pageable_used) return;
  const PageRange range = state().pageable[index];
  unlock(range.low, range.high - range.low);
}

}  // namespace kdpc::sim::pages
