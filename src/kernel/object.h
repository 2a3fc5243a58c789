// Objects that are reached by handles, and by name: threads, and events that do not lie in a driver's own memory.
//
//   K.OBJ-1  A handle is one reference. It is the address of its record with a mark, so that a stale one is told apart from garbage.
//   K.OBJ-2  An event goes with its last reference, and its name with it.
#pragma once
#include <cstdint>
#include <string_view>

#include "kernel/wait.h"

namespace kdpc {

// An event in the pool.
struct OwnEvent {
  Link link;                 // D  in System::events
  std::uint32_t references;  // D
  std::uint32_t name_length;
  EventObject event;
  char16_t name[1];  //    as long as it is; empty: it has none
};

namespace object {

// Passive. A handle for the caller's reference; 0: no memory, and the reference is still the caller's.
std::uintptr_t open(DispatcherHeader& object);
// The object with a reference of the caller's own; null: not an open handle.
DispatcherHeader* reference_by_handle(std::uintptr_t handle);
[[nodiscard]] bool close(std::uintptr_t handle);

// At most Dispatch. The count afterwards. Something that is no object, or one reference too many given back: bug check 0x18.
std::int64_t reference(DispatcherHeader& object);
std::int64_t release(DispatcherHeader& object);

// Passive. Each returns with a reference of the caller's; null: no memory, or no event of that name.
OwnEvent* create_event(std::u16string_view name, ObjectType type, bool signalled);
OwnEvent* find_event(std::u16string_view name);

}  // namespace object
}  // namespace kdpc
