// Resources: locks with many shared owners or one exclusive owner, each as often as it likes. The owner is a thread, or whatever number a driver
// gives in its place, so that another thread may release.
//
//   K.RES-1  active is the number of owners; an exclusive owner is alone, in `owner`. Shared owners are in `owner` and in the table.
//   K.RES-2  Who waits owns as soon as it wakes: the releaser has made it an owner. Shared waiters follow an exclusive owner, the first
//            exclusive waiter follows the last shared owner.
//
//   free --shared--> shared by n --the last releases--> free, or exclusive by who waits
//     '--exclusive--> exclusive --released--> free, or shared by all who wait, or exclusive   exclusive --convert--> shared by 1
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "kernel/spinlock.h"

namespace kdpc {

struct ResourceOwner {
  std::uintptr_t thread;  // R
  std::uint32_t flags : 3;
  std::uint32_t count : 29;  // R  of the table's first entry: how many entries there are
};
static_assert(sizeof(ResourceOwner) == 0x10);

struct ResourceWaiter;

// NT's ERESOURCE. R is `lock`.
struct Resource {
  Link all_link;                         // D  in System::resources
  ResourceOwner* table;                  // R  from the pool; null until a second shared owner comes
  std::int16_t active;                   // R
  std::uint16_t flag;                    // R
  ResourceWaiter* shared_waiters;        // R  in the order of arrival
  ResourceWaiter* exclusive_waiters;     // R
  ResourceOwner owner;                   // R
  std::uint32_t active_entries;          // R
  std::uint32_t contention;              // R
  std::uint32_t shared_waiter_count;     // R
  std::uint32_t exclusive_waiter_count;  // R
  void* reserved;
  void* address;
  SpinLock lock;
};
static_assert(sizeof(Resource) == 0x68 && offsetof(Resource, active) == 0x18 && offsetof(Resource, owner) == 0x30 &&
              offsetof(Resource, contention) == 0x44 && offsetof(Resource, lock) == 0x60);

namespace resource {

enum class Sharing : std::uint8_t { Usual, StarveExclusive, WaitForExclusive };

// At most Dispatch. False: it is initialised already.
[[nodiscard]] bool initialize(Resource& resource);
// At most Dispatch. Gives the table back; nobody may own it or wait. False: it was never initialised.
[[nodiscard]] bool destroy(Resource& resource);
// With the dispatcher lock: takes a resource that lies in this memory out of the list, which the memory's end would tear; null: there is none.
Resource* unlist_locked(std::uintptr_t low, std::uintptr_t high);

// At most Apc, with normal kernel APCs kept off. False: somebody else has it, and `wait` was false.
bool acquire_exclusive(Resource& resource, bool wait);
bool acquire_shared(Resource& resource, bool wait, Sharing sharing);
// An owner who is none: bug check 0xE3.
void release(Resource& resource, std::uintptr_t owner);
void convert_to_shared(Resource& resource);
// The current thread's entry is known by this number from now on, and does not mean the thread any more.
void set_owner(Resource& resource, std::uintptr_t owner);

bool is_exclusive_here(Resource& resource);
std::uint32_t count_here(Resource& resource);  // how often the current thread has it, either way
bool is_owned(Resource& resource);

}  // namespace resource
}  // namespace kdpc
