#include "check/race/ordering.h"

#include <algorithm>

namespace kdpc::race {

void Ordering::begin(Index index, const Lanes::Key& key) {
  Activity& activity = activities[index];
  activity.lane = lanes_.of(key);
  activity.first = ++lanes_[activity.lane].now;
}

void Ordering::begin_behind_all(Index index, const Lanes::Key& key) {
  begin(index, key);
  for (std::size_t lane = 0; lane < lanes_.count(); ++lane) {
    const auto id = static_cast<LaneId>(lane);
    if (lanes_[id].now != 0) activities[index].order.raise(id, lanes_[id].now - 1);
  }
}

void Ordering::end(Index index) {
  const Activity& activity = activities[index];
  for (std::uint8_t level = 0; level < kLevels; ++level)
    if ((activity.levels >> level & 1) != 0) release_level(index, level);
}

Epoch Ordering::next_epoch(Index index, const Edge& edge) {
  Lanes::Lane& lane = lanes_[activities[index].lane];
  if (edge.kind != EdgeKind::None) {
    lane.handed_over = edge;
    lane.handed_over_at = lane.now;
  }
  return lane.now++;
}

void Ordering::hand_over(Index index, Order& to, const Edge& edge) {
  to.join(activities[index].order);
  to.raise(activities[index].lane, next_epoch(index, edge));
}

void Ordering::hand_over(Index index, Clock& to, const Edge& edge) {
  to.join(activities[index].order.full);
  to.raise(activities[index].lane, next_epoch(index, edge));
}

void Ordering::go_on(Index from, Index as) { hand_over(from, activities[as].order); }

void Ordering::come_behind(Index index, Index device) {
  Order& order = activities[index].order;
  order.full.join(activities[device].order.full);
  order.raise(activities[device].lane, next_epoch(device, {}));
}

void Ordering::release(Index index, std::uintptr_t object, EdgeKind kind) { hand_over(index, objects_[object], {kind, object}); }

void Ordering::acquire(Index index, std::uintptr_t object, EdgeKind kind) {
  const auto found = objects_.find(object);
  if (found == objects_.end()) return;
  Activity& activity = activities[index];
  activity.order.join(found->second);
  activity.ordered_by = {kind, object};
}

void Ordering::service_ended(Index index, std::uintptr_t interrupt) { hand_over(index, services_[interrupt]); }
void Ordering::after_services(Index index, std::uintptr_t interrupt) {
  const auto found = services_.find(interrupt);
  if (found != services_.end()) activities[index].order.join(found->second);
}

void Ordering::lock(Index index, const HeldLock& held) {
  Activity& activity = activities[index];
  activity.locks.push_back(held);
  activity.context = kUnknown;
  const auto found = locks_.find(held.lock);
  if (found == locks_.end()) return;
  activity.order.full.join(found->second.exclusive);
  if (!held.shared) activity.order.full.join(found->second.shared);
  activity.ordered_by = {EdgeKind::Lock, held.lock};
}

void Ordering::unlock(Index index, const HeldLock& held) {
  Activity& activity = activities[index];
  const auto mine = std::find(activity.locks.begin(), activity.locks.end(), held);
  if (mine == activity.locks.end()) return;
  activity.locks.erase(mine);
  activity.context = kUnknown;
  LockOrder& order = locks_[held.lock];
  hand_over(index, held.shared ? order.shared : order.exclusive, {EdgeKind::Lock, held.lock});
}

void Ordering::device_written(Index index, std::uintptr_t page) { hand_over(index, devices_[page], {EdgeKind::Device, page}); }

void Ordering::device_read(Index index, std::uintptr_t page) {
  const auto found = devices_.find(page);
  if (found == devices_.end()) return;
  Activity& activity = activities[index];
  activity.order.full.join(found->second);
  activity.ordered_by = {EdgeKind::Device, page};
}

void Ordering::release_level(Index index, std::uint8_t level) {
  Activity& activity = activities[index];
  Level& its = levels_[activity.processor].at[level];
  activity.levels &= static_cast<std::uint16_t>(~(1u << level));
  if (its.serial != activity.serial) return;
  its.serial = 0;
  hand_over(index, its.order, {EdgeKind::Level, level});
}

void Ordering::acquire_level(Index index, std::uint8_t level) {
  Level& its = levels_[activities[index].processor].at[level];
  // Whoever held it has lowered its level meanwhile, or was switched away from, without accessing anything since.
  if (its.serial != 0 && its.serial == activities[its.holder].serial) release_level(its.holder, level);
  Activity& activity = activities[index];
  activity.levels |= static_cast<std::uint16_t>(1u << level);
  activity.order.full.join(its.order);
  activity.ordered_by = {EdgeKind::Level, level};
  its.holder = index;
  its.serial = activity.serial;
}

void Ordering::hold_levels(Index index, std::uint16_t processor) {
  const Activity& activity = activities[index];
  const std::uint16_t wanted = levels_held(activity.entry, activity.irql);
  if (activity.processor == processor && activity.levels == wanted) return;
  for (std::uint8_t level = 0; level < kLevels; ++level)
    if ((activity.levels >> level & 1) != 0 && (activity.processor != processor || (wanted >> level & 1) == 0)) release_level(index, level);
  if (activity.processor != processor) {
    activities[index].processor = processor;
    activities[index].context = kUnknown;
  }
  for (std::uint8_t level = 0; level < kLevels; ++level)
    if ((wanted >> level & 1) != 0 && (activity.levels >> level & 1) == 0) acquire_level(index, level);
}

void Ordering::forget(std::uintptr_t low, std::uintptr_t high) {
  const auto erase_from = [&](auto& all) { all.erase(all.lower_bound(low), all.lower_bound(high)); };
  erase_from(objects_);
  erase_from(locks_);
  erase_from(services_);
}

}  // namespace kdpc::race
