// Pageable memory of the simulated machine: paged pool, and the pageable sections of drivers' images.
//
// While a processor is at Dispatch or above, its code has no access to any of it. What is touched below Dispatch is brought in by the fault; raising
// the level to Dispatch or above takes everything away again. So nothing happens at all while nobody uses such memory.
//
//   K.PAGES-1  No driver's code runs at Dispatch or above while a pageable range is open, whatever ran before: what is found depends on the run alone.
//   K.PAGES-2  What is open is the host's business, not part of the World: a restored run has everything open, until the next raise.
#pragma once
#include <cstddef>
#include <cstdint>

namespace kdpc::sim::pages {

void forget();  // with the machine: everything is open and nothing is pageable any more

// A range of whole pages. `protection` as mprotect's, while it is open. One that is known already stays.
void add(std::uintptr_t base, std::size_t size, int protection);
bool contains(std::uintptr_t address);
// Brings in the range of this address. False: it was there, or is not pageable.
bool open(std::uintptr_t address);
void open_all();
void close();  // see K.PAGES-1

// Locked pages stay (MmProbeAndLockPages); as often as they are locked.
void lock(std::uintptr_t address, std::size_t size);
void unlock(std::uintptr_t address, std::size_t size);
void lock_range(std::uintptr_t address);  // the whole range of this address
void unlock_range(std::uintptr_t address);

}  // namespace kdpc::sim::pages
