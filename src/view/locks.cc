#include "view/locks.h"

#include <fmt/format.h>

#include <map>

#include "io/manager.h"
#include "view/views.h"

namespace kdpc::view {

namespace {

// A processor's part in a lock of a driver.
struct Part {
  unsigned processor;
  HeldLock held;
};

std::vector<Part> parts_of_drivers(const World& world) {
  std::vector<Part> parts;
  for (unsigned number = 0; number < world.processors(); ++number) {
    const auto processor = world.processor(number);
    if (!processor) continue;
    processor->held_locks.find([&](const HeldLock& held) {
      if (held.lock != nullptr) parts.push_back({number, held});
      return false;
    });
  }
  return parts;
}

bool spins_for(const World& world, unsigned number, std::uintptr_t lock) {
  const WorldHeader& header = world.header();
  return header.doing.first != 0 && world.machine_keeps(header.doing, number) == header.spinning &&
         world.machine_keeps(header.spins_for, number) == lock;
}

// Of an ordinary lock: waiting is in no order.
void mark_waiters(const World& world, std::uintptr_t lock, LockRow& row) {
  for (unsigned number = 0; number < world.processors(); ++number)
    if (row.marks[number].empty() && spins_for(world, number, lock)) row.marks[number] = "W";
}

void add_kernels(const World& world, std::vector<LockRow>& rows, std::string_view name, int number, std::uintptr_t address) {
  if (address == 0) return;
  LockRow row{std::string(name), number, std::vector<std::string>(world.processors())};
  const auto lock = world.read<SpinLock>(address);
  if (lock && lock->owner() >= 0 && static_cast<unsigned>(lock->owner()) < world.processors()) {
    row.marks[static_cast<unsigned>(lock->owner())] = "O";
  } else if (lock && !lock->is_free()) {
    row.marks.assign(world.processors(), "C");
  }
  mark_waiters(world, address, row);
  rows.push_back(std::move(row));
}

// From the owner's place along the places behind it (kernel/queued_lock.h).
void mark_queue(const World& world, std::uintptr_t lock, const std::vector<Part>& parts, LockRow& row) {
  std::map<std::uintptr_t, unsigned> of_place;
  std::uintptr_t owner = 0;
  for (const Part& part : parts) {
    if (at(static_cast<const volatile char*>(part.held.lock)) != lock || part.held.handle == nullptr) continue;
    const auto handle = world.read<LockHandle>(reinterpret_cast<std::uintptr_t>(part.held.handle));
    std::string& mark = row.marks[part.processor];
    if (!handle || (handle->place.lock & ~LockPlace::kBits) != lock) {
      mark = "C";
      continue;
    }
    mark = "W";  // unless the place before it names it
    of_place[handle.address()] = part.processor;
    if ((handle->place.lock & LockPlace::kOwns) != 0) owner = handle.address();
  }
  unsigned order = 0;
  for (std::uintptr_t place = owner; of_place.contains(place); ++order) {
    row.marks[of_place[place]] = order == 0 ? "O" : fmt::format("{}", order);
    of_place.erase(place);
    place = at(world.read<LockPlace>(place)->next);
  }
}

}  // namespace

std::vector<LockRow> read_locks(const World& world) {
  const System& system = world.system();
  const auto manager = reinterpret_cast<std::uintptr_t>(static_cast<void*>(system.io_manager));
  std::vector<LockRow> rows;
  add_kernels(world, rows, "KE   - Dispatcher", 0, world.address_of(system.dispatcher_lock));
  add_kernels(world, rows, "KE   - Vectors", -1, world.address_of(system.vector_lock));
  add_kernels(world, rows, "EX   - NonPagedPool", 6, world.address_of(system.pool.lock()));
  add_kernels(world, rows, "IO   - Cancel", 7, manager == 0 ? 0 : manager + offsetof(io::Manager, cancel_lock));
  for (const auto& [queue, name] : {std::pair{WorkQueue::Critical, "EX   - WorkQueue (critical)"},
                                    {WorkQueue::Delayed, "EX   - WorkQueue (delayed)"},
                                    {WorkQueue::HyperCritical, "EX   - WorkQueue (hyper)"}})
    add_kernels(world, rows, name, 8, world.address_of(system.workers[static_cast<unsigned>(queue)].lock));
  add_kernels(world, rows, "IO   - Database", 10, manager == 0 ? 0 : manager + offsetof(io::Manager, lock));

  const std::vector<Part> parts = parts_of_drivers(world);
  std::unordered_set<std::uintptr_t> done;
  for (const Part& part : parts) {
    const std::uintptr_t lock = at(static_cast<const volatile char*>(part.held.lock));
    if (!done.insert(lock).second) continue;
    LockRow row{world.name(lock), -1, std::vector<std::string>(world.processors())};
    mark_queue(world, lock, parts, row);
    for (const Part& other : parts)
      if (other.held.handle == nullptr && at(static_cast<const volatile char*>(other.held.lock)) == lock) row.marks[other.processor] = "O";
    mark_waiters(world, lock, row);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string qlocks(const World& world, const Request&) {
  const std::vector<LockRow> rows = read_locks(world);
  std::size_t width = 22;
  for (const LockRow& row : rows) width = std::max(width, row.name.size());
  std::string text = "Key: O = Owner, 1-n = Wait order, blank = not owned/waiting, C = Corrupt, W = Waits, in no order\n\n";
  text += fmt::format("{:{}} Processor Number\n{:<{}}", "", width, "    Lock Name", width);
  for (unsigned number = 0; number < world.processors(); ++number) text += fmt::format(" {:>2}", number);
  text += "\n\n";
  for (const LockRow& row : rows) {
    std::string line = fmt::format("{:<{}}", row.name, width);
    for (const std::string& mark : row.marks) line += fmt::format(" {:>2}", mark);
    text += line.erase(line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

}  // namespace kdpc::view
