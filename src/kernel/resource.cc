#include "kernel/resource.h"

#include <cstring>

#include "kernel/bugcheck.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

// On the stack of the thread that waits.
struct ResourceWaiter {
  ResourceWaiter* next;
  std::uintptr_t thread;
  EventObject granted;
};

namespace resource {

namespace {

constexpr std::uint32_t kResourceTag = pool_tag("Reso");
constexpr std::uint32_t kTableGrowth = 4;
constexpr std::uint16_t kOwnedExclusive = 0x80;  // NT's flag
constexpr std::int32_t kWakeIncrement = 1;
constexpr std::int64_t kRetryInterval = -100'000;  // 10 ms, until there is memory

using ResourceLocked = Locked<Irql::Dispatch>;

std::uintptr_t self() { return reinterpret_cast<std::uintptr_t>(&thread::current()); }

bool is_exclusive(const Resource& resource) { return (resource.flag & kOwnedExclusive) != 0; }

// The table is ours; anything else stands in memory that is no resource.
std::uint32_t table_size(const Resource& resource) {
  if (resource.table == nullptr) return 0;
  if (!sys().pool.contains(resource.table))
    bug_check(stop::IrqlNotLessOrEqual, {as_parameter(resource.table), as_parameter(Irql::Dispatch), 0, 0},
              "A routine for resources was given memory that ExInitializeResourceLite never initialised.", "0x0A");
  return resource.table[0].count;
}

ResourceOwner* find(Resource& resource, std::uintptr_t owner) {
  if (resource.owner.thread == owner) return &resource.owner;
  for (std::uint32_t index = 1; index < table_size(resource); ++index)
    if (resource.table[index].thread == owner) return &resource.table[index];
  return nullptr;
}

// A place for one more shared owner; null: no memory.
ResourceOwner* free_entry(Resource& resource) {
  if (ResourceOwner* entry = find(resource, 0); entry != nullptr) return entry;
  const std::uint32_t size = table_size(resource);
  const std::uint32_t grown = size + kTableGrowth;
  auto* table = static_cast<ResourceOwner*>(sys().pool.allocate(sizeof(ResourceOwner) * grown, kResourceTag, PoolType::NonPaged, Pool::kObject));
  if (table == nullptr) return nullptr;
  std::memset(static_cast<void*>(table), 0, sizeof(ResourceOwner) * grown);
  if (size != 0) {
    std::memcpy(static_cast<void*>(table), resource.table, sizeof(ResourceOwner) * size);
    sys().pool.free(resource.table, kResourceTag);
  }
  table[0].count = grown & 0x1fffffff;
  resource.table = table;
  return &table[size == 0 ? 1 : size];
}

bool add_shared(Resource& resource, std::uintptr_t owner) {
  if (ResourceOwner* entry = find(resource, owner); entry != nullptr) {
    entry->count = entry->count + 1;
    return true;
  }
  ResourceOwner* entry = free_entry(resource);
  if (entry == nullptr) return false;
  entry->thread = owner;
  entry->count = 1;
  ++resource.active;
  resource.active_entries = static_cast<std::uint32_t>(resource.active);
  return true;
}

void make_exclusive(Resource& resource, std::uintptr_t owner) {
  resource.flag |= kOwnedExclusive;
  resource.active = 1;
  resource.active_entries = 1;
  resource.owner.thread = owner;
  resource.owner.count = 1;
}

ResourceWaiter* pop(ResourceWaiter*& first, std::uint32_t& count) {
  ResourceWaiter* waiter = first;
  first = waiter->next;
  --count;
  return waiter;
}

// K.RES-2. Waking is last: the waiter is on a stack that then goes on.
void grant_to_shared(Resource& resource) {
  while (resource.shared_waiters != nullptr) {
    if (!add_shared(resource, resource.shared_waiters->thread)) return;  // no memory: with the next release
    wait::set_event(pop(resource.shared_waiters, resource.shared_waiter_count)->granted, kWakeIncrement);
  }
}

void grant_to_exclusive(Resource& resource) {
  ResourceWaiter* waiter = pop(resource.exclusive_waiters, resource.exclusive_waiter_count);
  make_exclusive(resource, waiter->thread);
  wait::set_event(waiter->granted, kWakeIncrement);
}

void prepare(ResourceWaiter& waiter) {
  waiter.next = nullptr;
  waiter.thread = self();
  wait::initialize_event(waiter.granted, ObjectType::SynchronizationEvent, false);
}

void enqueue(Resource& resource, ResourceWaiter*& first, std::uint32_t& count, ResourceWaiter& waiter) {
  ResourceWaiter** last = &first;
  while (*last != nullptr) last = &(*last)->next;
  *last = &waiter;
  ++count;
  ++resource.contention;
}

enum class Taken : std::uint8_t { Yes, Busy, NoMemory };

Taken take_exclusive(Resource& resource, std::uintptr_t owner) {
  if (resource.active == 0) {
    make_exclusive(resource, owner);
    return Taken::Yes;
  }
  if (!is_exclusive(resource) || resource.owner.thread != owner) return Taken::Busy;
  resource.owner.count = resource.owner.count + 1;
  return Taken::Yes;
}

bool may_share(Resource& resource, std::uintptr_t owner, Sharing sharing) {
  if (resource.active == 0) return true;
  if (is_exclusive(resource)) return resource.owner.thread == owner;
  if (resource.exclusive_waiter_count == 0 || sharing == Sharing::StarveExclusive) return true;
  return sharing == Sharing::Usual && find(resource, owner) != nullptr;
}

Taken take_shared(Resource& resource, std::uintptr_t owner, Sharing sharing) {
  if (!may_share(resource, owner, sharing)) return Taken::Busy;
  return add_shared(resource, owner) ? Taken::Yes : Taken::NoMemory;
}

bool wait_until_granted(Resource& resource, ResourceWaiter& waiter) {
  wait::for_object(waiter.granted.header, nullptr);
  Machine::observe(OrderAcquired{&resource});
  return true;
}

// After one owner less: who may have it now.
void pass_on(Resource& resource, bool was_exclusive) {
  if (was_exclusive && resource.shared_waiters != nullptr) {
    grant_to_shared(resource);
  } else if (resource.active == 0 && resource.exclusive_waiters != nullptr) {
    grant_to_exclusive(resource);
  } else if (resource.active == 0) {
    grant_to_shared(resource);
  }
}

[[noreturn]] void refuse_stranger(const Resource& resource, std::uintptr_t owner) {
  bug_check(stop::ResourceNotOwned, {as_parameter(&resource), owner, as_parameter(resource.table), 0},
            "A resource was released, or converted, for a thread that does not own it.", "0xE3");
}

bool is_listed_locked(const Resource& resource) { return sys().resources.contains(resource.all_link); }

}  // namespace

bool initialize(Resource& resource) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool is_new = !is_listed_locked(resource);
  if (is_new) {
    std::memset(static_cast<void*>(&resource), 0, sizeof resource);
    resource.lock.initialize();
    sys().resources.push_back(resource.all_link);
  }
  scheduler::release_dispatcher_lock(previous);
  return is_new;
}

bool destroy(Resource& resource) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_listed = is_listed_locked(resource);
  if (was_listed) List::remove(resource.all_link);
  scheduler::release_dispatcher_lock(previous);
  if (was_listed && resource.table != nullptr) sys().pool.free(resource.table, kResourceTag);
  if (was_listed) resource.table = nullptr;
  return was_listed;
}

Resource* unlist_locked(std::uintptr_t low, std::uintptr_t high) {
  for (Link* link = sys().resources.first(); link != nullptr; link = sys().resources.after(link)) {
    Resource* resource = owner_of<&Resource::all_link>(link);
    if (const auto address = reinterpret_cast<std::uintptr_t>(resource); address < low || address >= high) continue;
    List::remove(*link);
    return resource;
  }
  return nullptr;
}

bool acquire_exclusive(Resource& resource, bool wait) {
  ResourceWaiter waiter;
  prepare(waiter);
  {
    ResourceLocked locked(resource.lock);
    if (take_exclusive(resource, waiter.thread) == Taken::Yes) {
      Machine::observe(OrderAcquired{&resource});
      return true;
    }
    if (!wait) return false;
    enqueue(resource, resource.exclusive_waiters, resource.exclusive_waiter_count, waiter);
  }
  return wait_until_granted(resource, waiter);
}

bool acquire_shared(Resource& resource, bool wait, Sharing sharing) {
  ResourceWaiter waiter;
  prepare(waiter);
  for (;;) {
    {
      ResourceLocked locked(resource.lock);
      const Taken taken = take_shared(resource, waiter.thread, sharing);
      if (taken == Taken::Yes) {
        Machine::observe(OrderAcquired{&resource});
        return true;
      }
      if (!wait) return false;
      if (taken == Taken::Busy) {
        enqueue(resource, resource.shared_waiters, resource.shared_waiter_count, waiter);
        break;
      }
    }
    wait::delay(kRetryInterval);
  }
  return wait_until_granted(resource, waiter);
}

void release(Resource& resource, std::uintptr_t owner) {
  ResourceLocked locked(resource.lock);
  ResourceOwner* entry = owner != 0 ? find(resource, owner) : nullptr;
  if (entry == nullptr) refuse_stranger(resource, owner);
  Machine::observe(OrderReleased{&resource});
  entry->count = entry->count - 1;
  if (entry->count != 0) return;
  entry->thread = 0;
  const bool was_exclusive = is_exclusive(resource);
  resource.flag = static_cast<std::uint16_t>(resource.flag & ~kOwnedExclusive);
  --resource.active;
  resource.active_entries = static_cast<std::uint32_t>(resource.active);
  pass_on(resource, was_exclusive);
}

void convert_to_shared(Resource& resource) {
  ResourceLocked locked(resource.lock);
  if (!is_exclusive(resource) || resource.owner.thread != self()) refuse_stranger(resource, self());
  Machine::observe(OrderReleased{&resource});
  resource.flag = static_cast<std::uint16_t>(resource.flag & ~kOwnedExclusive);
  grant_to_shared(resource);
}

void set_owner(Resource& resource, std::uintptr_t owner) {
  ResourceLocked locked(resource.lock);
  ResourceOwner* entry = find(resource, self());
  if (entry == nullptr) refuse_stranger(resource, self());
  entry->thread = owner;
}

bool is_exclusive_here(Resource& resource) {
  ResourceLocked locked(resource.lock);
  return is_exclusive(resource) && resource.owner.thread == self();
}

std::uint32_t count_here(Resource& resource) {
  ResourceLocked locked(resource.lock);
  const ResourceOwner* entry = find(resource, self());
  return entry != nullptr ? entry->count : 0;
}

bool is_owned(Resource& resource) {
  ResourceLocked locked(resource.lock);
  return resource.active != 0;
}

}  // namespace resource
}  // namespace kdpc
