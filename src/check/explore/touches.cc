#include "check/explore/touches.h"

#include <algorithm>
#include <unordered_map>

#include "check/explore/lane.h"

namespace kdpc::explore {

namespace {

constexpr std::uintptr_t kGranule = 8;

// Some of their steps.
class StepsOfProcessors {
 public:
  bool has(const Point& point) const {
    return point.processor < steps_.size() && point.step < steps_[point.processor].size() && steps_[point.processor][point.step];
  }
  bool add(const Point& point) {  // false: it was there
    if (has(point)) return false;
    if (point.processor >= steps_.size()) steps_.resize(point.processor + 1u);
    std::vector<bool>& its = steps_[point.processor];
    if (point.step >= its.size()) its.resize(std::max<std::size_t>(point.step + 1, 2 * its.size()));
    return its[point.step] = true;
  }

 private:
  std::vector<std::vector<bool>> steps_;  // by processor
};

}  // namespace

void Touches::listen(bool wanted) {
  listens_ = wanted;
  timers_ = 0;
  waiting_.clear();
  callers_.clear();
  steps_.clear();
  touches_.clear();
}

void Touches::event(const Stamp& stamp, const Event& event) {
  if (!hears()) return;
  if (std::holds_alternative<TimerSet>(event)) ++timers_;
  if (const auto* cancelled = std::get_if<TimerCancelled>(&event); cancelled != nullptr && cancelled->was_set && timers_ != 0) --timers_;
  if (const auto* began = std::get_if<WaitBegan>(&event)) waiting_.insert(began->thread);
  if (const auto* ended = std::get_if<WaitEnded>(&event)) waiting_.erase(ended->thread);
  if (stamp.processor >= callers_.size()) callers_.resize(stamp.processor + 1u);
  if (stamp.processor >= steps_.size()) steps_.resize(callers_.size());
  steps_[stamp.processor] = stamp.step;
  if (std::holds_alternative<ObjectSignalled>(event))
    touches_.push_back({{stamp.processor, stamp.step + 1, callers_[stamp.processor] + 1, may_wait_for_time()}, 0, lane_of(stamp), false});
  if (const auto* readied = std::get_if<ThreadReadied>(&event); readied != nullptr && readied->processor != stamp.processor) {
    if (readied->processor >= steps_.size()) steps_.resize(readied->processor + 1u);
    const std::uint64_t its_next = steps_[readied->processor] + 1;
    touches_.push_back({{readied->processor, its_next, callers_[stamp.processor] + 1, may_wait_for_time()}, 0, lane_of(stamp), false});
  }
  if (const auto* wrote = std::get_if<KernelAccess>(&event))
    touch(stamp, {stamp.processor, stamp.step, callers_[stamp.processor], may_wait_for_time()}, wrote->at.value, wrote->size, true);
  if (const auto* dma = std::get_if<DmaAccessed>(&event))
    for (std::uintptr_t granule = dma->at.value / kGranule; granule <= (dma->at.value + dma->size - 1) / kGranule; ++granule)
      touches_.push_back({{}, granule, kLaneOfDevices, dma->write});
  const auto* const entered = std::get_if<RoutineEntered>(&event);
  if (entered == nullptr) return;
  callers_[stamp.processor] = entered->caller.value;
  touches_.push_back({{stamp.processor, stamp.step + 1, entered->caller.value, may_wait_for_time()}, 0, lane_of(stamp), false});
}

void Touches::accesses(const Stamp& stamp, std::span<const Access> batch) {
  if (!hears()) return;
  std::uint64_t step = stamp.step - batch.size();
  for (const Access& access : batch) {
    ++step;
    touch(stamp, {stamp.processor, step, access.pc(), may_wait_for_time(), true}, access.at, access.size(), access.is_write());
  }
}

void Touches::touch(const Stamp& stamp, const Point& point, std::uintptr_t at, std::size_t size, bool write) {
  for (std::uintptr_t granule = at / kGranule; size != 0 && granule <= (at + size - 1) / kGranule; ++granule)
    touches_.push_back({point, granule, lane_of(stamp), write});
}

std::vector<Point> Touches::points() const {
  struct Use {
    std::uint32_t lane;
    bool shared = false, written = false;
  };
  std::unordered_map<std::uintptr_t, Use> uses;
  std::vector<const Use*> use_of;  // each touch
  StepsOfProcessors accesses;
  use_of.reserve(touches_.size());
  for (const Touch& touch : touches_) {
    if (touch.granule == 0) {
      use_of.push_back(nullptr);
      continue;
    }
    Use& use = uses.try_emplace(touch.granule, Use{touch.lane}).first->second;
    use.shared = use.shared || use.lane != touch.lane;
    use.written = use.written || touch.write;
    use_of.push_back(&use);
    if (touch.point.access) accesses.add(touch.point);
  }
  std::vector<Point> points;
  StepsOfProcessors taken;
  for (std::size_t index = 0; index < touches_.size(); ++index) {
    const Touch& touch = touches_[index];
    if (touch.lane == kLaneOfDevices) continue;  // no processor takes a step there
    if (const Use* const use = use_of[index]; use != nullptr && (!use->shared || !use->written)) continue;
    if (!taken.add(touch.point)) continue;
    points.push_back(touch.point);
    points.back().access = accesses.has(touch.point);
  }
  return points;
}

}  // namespace kdpc::explore
