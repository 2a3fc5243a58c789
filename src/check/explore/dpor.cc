#include "check/explore/dpor.h"

#include <algorithm>

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;

bool has(const std::vector<Actor>& actors, const Actor& actor) { return std::find(actors.begin(), actors.end(), actor) != actors.end(); }

bool targets(const Transition& transition, const Actor& processor) { return (transition.targets >> processor.number % 64 & 1) != 0; }

Kind kind_of(const Actor& actor) {
  switch (actor.kind) {
    case Actor::Kind::Board: return Kind::Board;
    case Actor::Kind::Clock: return Kind::Clock;
    case Actor::Kind::Ipi: return Kind::Ipi;
    case Actor::Kind::Processor: return Kind::Switch;
    case Actor::Kind::Pick: break;
  }
  return Kind::Pick;
}

constexpr std::uint8_t kDispatch = 2;

// The last transition of the same processor up to this one, before which it was below this level.
std::size_t before_raised(const std::vector<Transition>& all, std::size_t which, std::uint8_t level) {
  const Actor processor = all[which].actor;
  while (which != 0 && !(all[which].actor == processor && all[which].irql < level)) --which;
  return which;
}

}  // namespace

Schedule Dpor::schedule() const {
  Schedule schedule = {{Kind::Late, 0, 0, 0}};
  std::uint64_t picks = 0;
  for (const Node& node : path_) {
    const bool is_pick = node.by_itself.kind == Actor::Kind::Pick;
    if (node.actor != node.by_itself)
      schedule.push_back({kind_of(node.actor), is_pick ? std::uint16_t{0} : node.by_itself.number, is_pick ? picks : node.step, node.actor.number});
    picks += is_pick ? 1 : 0;
  }
  return schedule;
}

std::optional<Schedule> Dpor::next() {
  if (!began_) {
    began_ = true;
    ++tried_;
    return schedule();
  }
  for (; !path_.empty() && !lost_; path_.pop_back()) {
    Node& node = path_.back();
    if (node.to_try.empty()) continue;
    if (!node.tried.empty() && node.actor.kind != Actor::Kind::Pick) node.sleep.push_back(std::move(node.made));
    node.actor = node.to_try.front();
    node.to_try.erase(node.to_try.begin());
    node.tried.push_back(node.actor);
    node.made = {node.actor, 0, {}};
    branch_ = path_.size() - 1;
    ++tried_;
    return schedule();
  }
  return {};
}

bool Dpor::sleeps(const Node& node, const Actor& actor) const {
  return reduce_ == Reduce::Yes && std::any_of(node.sleep.begin(), node.sleep.end(), [&](const Sleeper& one) { return one.actor == actor; });
}

bool Dpor::wakes(const Sleeper& sleeper, const Transition& transition) {
  if (transition.actor.kind == Actor::Kind::Pick || (sleeper.targets & transition.targets) != 0) return true;
  if (sleeper.actor.is_processor() && targets(transition, sleeper.actor)) return true;
  for (const Touch& one : sleeper.touches)
    for (const Touch& other : transition.touches)
      if (one.conflicts(other)) return true;
  return false;
}

bool Dpor::is_worth_it(const Node& node, const Actor& actor) {
  return actor.kind != Actor::Kind::Clock || (node.clocks >> actor.number % 64 & 1) != 0;
}

void Dpor::learned(const Trail& trail) {
  const std::vector<Transition>& all = trail.transitions();
  for (std::size_t which = 0; which < path_.size(); ++which) lost_ = lost_ || which >= all.size() || all[which].actor != path_[which].actor;
  if (lost_) return;
  extend(trail);
  if (reduce_ == Reduce::No || path_.empty()) return;
  find_races(trail);
  note_what_came_of(trail);
}

// With the transitions that are new, up to the first that need not be tried.
void Dpor::extend(const Trail& trail) {
  const std::vector<Transition>& all = trail.transitions();
  for (std::size_t which = path_.size(); which < all.size(); ++which) {
    const Transition& made = all[which];
    Node node{made.actor, made.by_itself, made.step, made.clocks, made.enabled, {}, {}, {}, {made.actor, 0, {}}};
    if (which != 0)
      for (const Sleeper& sleeper : path_.back().sleep)
        if (!wakes(sleeper, all[which - 1])) node.sleep.push_back(sleeper);
    const bool again = sleeps(node, made.actor);
    if (!again) node.tried = {made.actor};
    for (const Actor& actor : node.enabled) {
      const bool is_choice = reduce_ == Reduce::No || made.actor.kind == Actor::Kind::Pick || again;
      if (!is_choice || !node.is_open() || actor == made.actor || !is_worth_it(node, actor) || sleeps(node, actor)) continue;
      node.to_try.push_back(actor);
      if (again) break;
    }
    path_.push_back(std::move(node));
    if (again) {
      ++repeated_;
      return;
    }
  }
}

bool Dpor::add(std::size_t which, const Actor& actor) {
  // Where nobody could go on in place of what happens by itself, it is as good behind it.
  while (which < path_.size() && !path_[which].is_open()) ++which;
  if (which == path_.size()) return false;
  Node& node = path_[which];
  if (!has(node.enabled, actor)) return false;
  if (!has(node.tried, actor) && !has(node.to_try, actor) && !sleeps(node, actor)) node.to_try.push_back(actor);
  return true;
}

void Dpor::add_before(std::size_t which, const Actor& event) {
  while (which != 0 && !path_[which].is_open()) --which;
  add(which, event);
}

// The first one of two transitions that conflict, and a piece of the second: the other way round.
void Dpor::turn_round(const Trail& trail, const Orders& orders, std::size_t earlier, std::size_t later) {
  const std::vector<Transition>& all = trail.transitions();
  const Orders::Piece& first = orders.pieces()[earlier];
  const Orders::Piece& second = orders.pieces()[later];
  const Actor processor = all[second.transition].actor;
  const bool is_same = processor.is_processor() && all[first.transition].actor == processor;
  std::size_t where = first.transition;
  std::size_t behind = earlier;  // pieces behind it do not count
  bool any = false;
  // K.DPOR-1: the level is held, so before it was raised.
  if (const std::uint8_t entry = trail.entry_of(second.context); is_same && entry != 0) {
    where = before_raised(all, where, entry);
    if (where != first.transition) behind = orders.first_piece(all[where].context, where);
  }
  if (const auto piece = orders.first_that_leads_to(later, where, behind)) {
    const Actor& actor = all[orders.pieces()[*piece].transition].actor;
    if (actor != all[where].actor) any = add(where, actor);
    if (actor.is_event() && all[where].actor.is_event()) add_before(where, actor);  // K.DPOR-5
  }
  // K.DPOR-1: it lies interrupted.
  if (processor.is_processor()) {
    std::size_t before = first.transition;
    while (before != 0 && !(all[before].actor == processor && all[before].context == second.context)) --before;
    for (std::size_t which = before + 1; before != 0 && which <= first.transition; ++which) {
      if (!all[which].actor.is_event() || !targets(all[which], processor)) continue;
      any = add(which, processor) || any;
      break;
    }
  }
  if (any || is_same) return;
  for (const Actor& actor : all[where].enabled)
    if (is_worth_it(path_[where], actor)) add(where, actor);
}

void Dpor::find_races(const Trail& trail) {
  const std::vector<Transition>& all = trail.transitions();
  // The last node's transition has not been tried if it need not be.
  const std::size_t end = path_.back().tried.empty() ? path_.size() - 1 : path_.size();
  Orders orders(trail.contexts());
  for (std::size_t which = 0; which < end; ++which) {
    orders.add(static_cast<std::uint32_t>(which), all[which], [&](std::size_t earlier, std::size_t later) {
      if (which >= branch_) turn_round(trail, orders, earlier, later);
    });
    if (which < branch_) continue;
    for (const Actor& actor : all[which].prevents) {  // K.DPOR-2
      add(which, actor);
      if (const std::size_t before = before_raised(all, which, kDispatch); before != which) add(before, actor);
    }
  }
}

void Dpor::note_what_came_of(const Trail& trail) {
  const std::vector<Transition>& all = trail.transitions();
  for (std::size_t which = 0; which < path_.size(); ++which) {
    Sleeper& made = path_[which].made;
    const Transition& transition = all[which];
    if (!transition.actor.is_event()) {
      if (which >= branch_) made.touches = transition.touches;
      continue;
    }
    const auto note = [&](const Touch& touch) {
      const auto is_same = [&](const Touch& one) { return one.thing == touch.thing && one.how == touch.how; };
      if (std::none_of(made.touches.begin(), made.touches.end(), is_same)) made.touches.push_back(touch);
    };
    made.targets |= transition.targets;
    if (which >= branch_) std::for_each(transition.touches.begin(), transition.touches.end(), note);
    // Up to where what was interrupted goes on.
    for (std::uint16_t number = 0; number < 64; ++number) {
      if ((transition.targets >> number & 1) == 0) continue;
      std::optional<std::uint32_t> interrupted;
      bool began = false;
      for (std::size_t then = which + 1; then < all.size(); ++then) {
        const Transition& next = all[then];
        if (next.actor != Actor{Actor::Kind::Processor, number}) continue;
        if (!interrupted) interrupted = next.context;
        if (began && !next.begins && next.context == *interrupted) break;
        began = began || next.begins;
        for (const Touch& touch : next.touches)
          if (touch.context != *interrupted) note(touch);
      }
    }
  }
}

}  // namespace kdpc::explore
