#include "tools/kdpc/chain_waits.h"

#include <algorithm>

namespace kdpc::tool {

void ChainWaits::charge(OfProcessor& processor, std::uint64_t now) {
  if (!processor.pending.empty() && now > processor.charged) {
    const Occupant occupant = processor.open.empty() ? Occupant{} : processor.open.back();
    for (auto& [key, pending] : processor.pending) {
      const std::uint64_t since = std::max(processor.charged, pending.since);
      if (now > since) pending.occupants[occupant] += now - since;
    }
  }
  processor.charged = std::max(processor.charged, now);
}

void ChainWaits::end(unsigned number, unsigned key, std::uint64_t now) {
  OfProcessor& processor = processors_[number];
  const auto found = processor.pending.find(key);
  if (found == processor.pending.end()) return;
  charge(processor, now);
  const Pending& pending = found->second;
  if (now > pending.since && now - pending.since >= shortest_ && waits_.size() < kMost) {
    ChainWait wait{pending.who, number, pending.since, now, {pending.occupants.begin(), pending.occupants.end()}};
    std::stable_sort(wait.occupants.begin(), wait.occupants.end(), [](const auto& left, const auto& right) { return left.second > right.second; });
    waits_.push_back(std::move(wait));
  }
  processor.pending.erase(found);
}

void ChainWaits::event(const Stamp& stamp, const Event& event) {
  if (stamp.processor >= processors_.size()) return;
  OfProcessor& here = processors_[stamp.processor];

  if (const auto* began = std::get_if<ActivityBegan>(&event)) {
    if (began->level < 2) return;  // a thread's
    if (began->kind == ActivityKind::Isr)
      if (const auto vector = vectors_.find(began->object.value); vector != vectors_.end()) end(stamp.processor, vector->second, stamp.time);
    charge(here, stamp.time);
    here.open.push_back({began->kind, began->routine.value});
  } else if (const auto* ended = std::get_if<ActivityEnded>(&event)) {
    const Occupant it{ended->kind, ended->routine.value};
    if (here.open.empty() || here.open.back() != it) return;  // began before this sink listened, or a thread's
    charge(here, stamp.time);
    here.open.pop_back();
  } else if (const auto* connected = std::get_if<InterruptConnected>(&event)) {
    if (is_audio_(connected->routine.value)) vectors_[connected->interrupt.value] = connected->vector;
  } else if (const auto* requested = std::get_if<InterruptRequested>(&event)) {
    if (requested->processor >= processors_.size()) return;
    const bool ours = std::any_of(vectors_.begin(), vectors_.end(), [&](const auto& each) { return each.second == requested->vector; });
    OfProcessor& target = processors_[requested->processor];
    if (!ours || target.pending.contains(requested->vector)) return;
    charge(target, stamp.time);
    target.pending.emplace(requested->vector, Pending{ChainWait::Who::Interrupt, stamp.time, {}});
  } else if (const auto* readied = std::get_if<ThreadReadied>(&event)) {
    if (application_ == 0 || readied->thread != application_) return;
    // Where it will run is not known yet: the wait is charged on every processor, and the one where it ran counts.
    for (OfProcessor& processor : processors_) {
      charge(processor, stamp.time);
      processor.pending.insert_or_assign(kApplication, Pending{ChainWait::Who::Application, stamp.time, {}});
    }
  } else if (const auto* switched = std::get_if<ThreadSwitched>(&event)) {
    if (application_ == 0 || switched->to != application_) return;
    end(stamp.processor, kApplication, stamp.time);
    for (OfProcessor& processor : processors_) processor.pending.erase(kApplication);
  }
}

}  // namespace kdpc::tool
