// Mutexes: objects that a thread owns, as often as it has acquired them, and that are waited for like any other object.
//
//   K.MUT-1  `owner` is set exactly while signal_state is 0 or less; the mutex is then in its owner's list.
//   K.MUT-2  A driver's mutex keeps normal kernel APCs from its owner, once, however often it is acquired.
//
//   free (1) --wait--> owned (0) --wait by the owner--> owned (-1) --release--> owned (0) --release--> free
//                         '--the owner ends: a driver's mutex stops the machine, others become free and abandoned
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernel/wait.h"

namespace kdpc {

// NT's KMUTANT, of which KMUTEX is the driver's form.
struct Mutant {
  DispatcherHeader header;
  Link owned_link;           // D  in Thread::mutants
  Thread* owner;             // D
  std::uint8_t abandoned;    // D
  std::uint8_t apc_disable;  // I  1: a driver's mutex
};
static_assert(sizeof(Mutant) == 0x38 && offsetof(Mutant, owner) == 0x28 && offsetof(Mutant, abandoned) == 0x30);

namespace mutex {

void initialize(Mutant& mutant, bool is_drivers);

enum class Released : std::uint8_t { Yes, NotOwner, Abandoned };
// At most Dispatch, by the owner; `previous` is the state before: 0 means that it is free now. Otherwise nothing changes.
Released release(Mutant& mutant, std::int32_t increment, bool wait_follows, std::int32_t& previous);

// With the dispatcher lock.
bool is_free_for(const Mutant& mutant, const Thread& thread);
bool is_at_limit(const Mutant& mutant, const Thread& thread);  // acquired so often that its count would wrap
bool take_locked(Mutant& mutant, Thread& thread);              // true: its last owner had abandoned it
// The thread ends.
void abandon_all_locked(Thread& thread);

}  // namespace mutex
}  // namespace kdpc
