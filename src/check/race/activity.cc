#include "check/race/activity.h"

#include <algorithm>

namespace kdpc::race {

const char* name_of(Acting acting) {
  switch (acting) {
    case Acting::Thread: return "thread";
    case Acting::WorkItem: return "work item";
    case Acting::ThreadedDpc: return "threaded DPC";
    case Acting::Dpc: return "DPC";
    case Acting::TimerDpc: return "timer DPC";
    case Acting::Isr: return "ISR";
    case Acting::Interrupt: return "clock or IPI";
    case Acting::Drain: return "expiry of timers";
    case Acting::Device: return "device";
  }
  return "?";
}

std::uint32_t Contexts::number_of(const Context& context) {
  const auto [found, is_new] = numbers_.try_emplace(context, static_cast<std::uint32_t>(contexts_.size()));
  if (is_new) contexts_.push_back(context);
  return found->second;
}

std::uint32_t Contexts::number_of_locks(std::vector<HeldLock> locks) {
  std::sort(locks.begin(), locks.end());
  const auto [found, is_new] = lock_numbers_.try_emplace(locks, static_cast<std::uint32_t>(lock_sets_.size()));
  if (is_new) lock_sets_.push_back(std::move(locks));
  return found->second;
}

bool Contexts::exclude(const Context& one, const Context& other) const {
  for (const HeldLock& held : locks_of(one))
    for (const HeldLock& its : locks_of(other))
      if (held.lock == its.lock && !(held.shared && its.shared)) return true;
  // That the two have run on the same processor is chance unless they run nowhere else.
  if (one.processor != other.processor || !one.pinned || !other.pinned) return false;
  return (levels_held(one.entry, one.irql) & levels_held(other.entry, other.irql)) != 0;
}

Activities::Index Activities::add() {
  Index index = static_cast<Index>(all_.size());
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else {
    all_.emplace_back();
  }
  all_[index].serial = ++serial_;
  return index;
}

// What it has room for is kept for the next one.
void Activities::remove(Index index) {
  Activity& gone = all_[index];
  Activity fresh;
  std::swap(fresh.calls, gone.calls);
  std::swap(fresh.locks, gone.locks);
  std::swap(fresh.order, gone.order);
  fresh.calls.clear();
  fresh.locks.clear();
  fresh.order.clear();
  gone = std::move(fresh);
  free_.push_back(index);
}

Activities::Index Activities::begin_on_processor(std::uint16_t processor) {
  const Index index = add();
  on_top_[processor].push_back(index);
  return index;
}

Activities::Index Activities::begin_on_thread(std::uint32_t thread) {
  if (thread >= of_threads_.size()) of_threads_.resize(thread + std::size_t{1});
  const Index index = add();
  of_threads_[thread].push_back(index);
  return index;
}

void Activities::end_on_processor(std::uint16_t processor) {
  remove(on_top_[processor].back());
  on_top_[processor].pop_back();
}

void Activities::end_on_thread(std::uint32_t thread) {
  remove(of_threads_[thread].back());
  of_threads_[thread].pop_back();
}

std::optional<Activities::Index> Activities::under(Index index, std::uint16_t processor, std::uint32_t thread) const {
  const std::vector<Index>& top = on_top_[processor];
  const std::vector<Index>* stack = std::find(top.begin(), top.end(), index) != top.end() ? &top : nullptr;
  if (stack == nullptr && thread < of_threads_.size()) stack = &of_threads_[thread];
  if (stack == nullptr) return std::nullopt;
  const auto found = std::find(stack->begin(), stack->end(), index);
  if (found == stack->end() || found == stack->begin()) return std::nullopt;
  return *std::prev(found);
}

LaneId Lanes::of(const Key& key) {
  // So many threads may end before the lane of one is used for another, which seems to go on with what the first has done.
  constexpr std::size_t kRest = 64;
  const auto [found, is_new] = ids_.try_emplace(key, static_cast<LaneId>(lanes_.size()));
  if (!is_new) return found->second;
  if (ended_.size() <= kRest) {
    lanes_.emplace_back();
  } else {
    found->second = ended_.front();
    ended_.erase(ended_.begin());
  }
  lanes_[found->second].handed_over = {};
  return found->second;
}

void Lanes::thread_ended(std::uint32_t thread) {
  const Key low{true, thread, 0, 0};
  for (auto each = ids_.lower_bound(low); each != ids_.end() && each->first.of_thread && each->first.number == thread;) {
    ended_.push_back(each->second);
    each = ids_.erase(each);
  }
}

}  // namespace kdpc::race
