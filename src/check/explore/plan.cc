#include "check/explore/plan.h"

#include <algorithm>
#include <utility>

namespace kdpc::explore {

using sim::Candidate;

namespace {

constexpr unsigned kMostFrames = 32;

bool is_processor(const Candidate& candidate) { return candidate.kind == Candidate::Kind::Processor; }

bool is_meant(const Deviation& deviation, const Candidate& candidate) {
  switch (deviation.kind) {
    case Deviation::Kind::Board: return candidate.kind == Candidate::Kind::Board && candidate.number == deviation.number;
    case Deviation::Kind::Clock: return candidate.kind == Candidate::Kind::Clock && candidate.number == deviation.number;
    case Deviation::Kind::Ipi: return candidate.kind == Candidate::Kind::Ipi && candidate.number == deviation.number;
    case Deviation::Kind::Switch: return is_processor(candidate) && candidate.number == deviation.number;
    case Deviation::Kind::Hold:
    case Deviation::Kind::Low:
    case Deviation::Kind::Pick:
    case Deviation::Kind::Late:
    case Deviation::Kind::Fail: return false;
  }
  return false;
}

Deviation::Kind kind_of(const Candidate& event) {
  return event.kind == Candidate::Kind::Board   ? Deviation::Kind::Board
         : event.kind == Candidate::Kind::Clock ? Deviation::Kind::Clock
                                                : Deviation::Kind::Ipi;
}

}  // namespace

void Plan::follow(const Schedule& schedule, std::vector<Options>* notes, Watcher* watcher) {
  for (Line& line : processors_) line = {};
  picks_.clear();
  fails_.clear();
  faulted_.clear();
  held_.clear();
  delayed_.clear();
  lowered_ = 0;
  left_open_.clear();
  last_ = 0;
  is_new_ = true;
  worked_ = 0;
  notes_ = notes;
  watcher_ = watcher;
  late_ = !schedule.empty() && schedule.front().kind == Deviation::Kind::Late;
  followed_ = late_ ? 1 : 0;
  for (const Deviation& deviation : schedule) {
    if (deviation.kind == Deviation::Kind::Late) continue;  // at the beginning, or never
    if (deviation.kind == Deviation::Kind::Pick) {
      picks_.push_back(deviation);
    } else if (deviation.kind == Deviation::Kind::Fail) {
      fails_.push_back(deviation);
    } else if (deviation.processor < processors_.size()) {
      processors_[deviation.processor].deviations.push_back(deviation);
    }
  }
  const auto earlier = [](const Deviation& a, const Deviation& b) { return a.step < b.step; };
  for (Line& line : processors_) std::stable_sort(line.deviations.begin(), line.deviations.end(), earlier);
}

void Plan::follow_from(const Plan& there, const Schedule& schedule, std::vector<Options>* notes) {
  follow(schedule, notes);
  // All else is as it stood there.
  Plan then = there;
  for (std::size_t number = 0; number < processors_.size(); ++number) then.processors_[number].deviations = std::move(processors_[number].deviations);
  then.picks_ = std::move(picks_);
  then.fails_ = std::move(fails_);
  then.endurance_ = endurance_;
  then.notes_ = notes_;
  then.watcher_ = watcher_;
  then.look_ = std::move(look_);
  *this = std::move(then);
}

std::uint64_t Plan::next_question(unsigned processor, std::uint64_t step) {
  return takes_notes() ? step + 1 : next_question_at_access(processor, step);
}

std::uint64_t Plan::next_question_at_access(unsigned processor, std::uint64_t step) {
  if (watcher_ != nullptr || look_ || (is_new_ && takes_notes())) return step + 1;
  const Line& line = processors_[processor];
  if (line.held || line.low != 0) return step + 1;  // what it does now ends when others can go on
  return line.next < line.deviations.size() ? line.deviations[line.next].step : ~std::uint64_t{0};
}

std::uint64_t Plan::number(std::uint64_t bound) {
  const std::uint64_t which = left_open_.size();
  left_open_.push_back(bound);
  std::uint64_t number = 0;
  for (const Deviation& pick : picks_)
    if (pick.step == which) {
      if (pick.number >= bound) break;
      number = pick.number;
      ++followed_;
      break;
    }
  if (watcher_ != nullptr) watcher_->picked(bound, number);
  return number;
}

bool Plan::fails(const sim::FallibleCall& call) {
  if (takes_notes() && learns_faults_) {
    std::uintptr_t frames[kMostFrames];
    const unsigned count = call.stack(frames, kMostFrames);
    std::uint64_t stack = call.routine + 1u;
    for (unsigned index = 0; index < count; ++index) stack = (stack ^ frames[index]) * 0x100000001b3;  // FNV-1a
    // With that step the order was asked, unless nothing but to go on was possible.
    auto here =
        std::find_if(notes_->rbegin(), notes_->rend(), [&](const Options& one) { return one.processor == call.processor && one.step <= call.step; });
    if (here == notes_->rend() || here->step != call.step) {
      notes_->push_back({.processor = call.processor, .step = call.step, .left_open = left_open_.size()});
      here = notes_->rbegin();
    }
    here->may_fail = stack;
  }
  const auto wanted =
      std::find_if(fails_.begin(), fails_.end(), [&](const Deviation& one) { return one.processor == call.processor && one.step == call.step; });
  if (wanted == fails_.end()) return false;
  fails_.erase(wanted);
  faulted_.push_back({call.routine, call.caller});
  ++followed_;
  return true;
}

std::size_t Plan::choose(std::span<const Candidate> candidates) {
  if (takes_notes()) take_note(candidates);
  if (late_) return choose_late(candidates);
  std::size_t chosen = 0;
  if (!follow_one(candidates, chosen)) {
    chosen = by_default(candidates);
    if (takes_notes() && !is_processor(candidates[chosen])) note_delay(candidates, candidates[chosen]);
  }
  goes_on(candidates[chosen]);
  return chosen;
}

void Plan::goes_on(const Candidate& chosen) {
  if (is_processor(chosen)) {
    is_new_ = is_new_ || chosen.number != last_;
    last_ = chosen.number;
  } else {
    is_new_ = true;
    std::erase_if(delayed_, [&](const Candidate& one) { return one.kind == chosen.kind && one.number == chosen.number; });
  }
}

void Plan::not_asked(const Candidate& only) {
  if (takes_notes()) take_note({&only, 1});
  goes_on(only);
}

std::size_t Plan::choose_late(std::span<const Candidate> candidates) {
  const std::size_t by_itself = by_default(candidates);
  const Candidate& next = candidates[by_itself];
  std::size_t chosen = by_itself;
  if (is_processor(next)) {
    Line& line = processors_[next.number];
    for (bool followed = false; !followed && line.next < line.deviations.size() && line.deviations[line.next].step <= next.step;) {
      const Deviation& deviation = line.deviations[line.next++];
      if (deviation.delays) continue;  // as all events are here
      const auto meant = std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& one) { return is_meant(deviation, one); });
      followed = meant != candidates.end();
      if (!followed) continue;
      ++followed_;
      chosen = static_cast<std::size_t>(meant - candidates.begin());
    }
  }
  if (watcher_ != nullptr) watcher_->asked(candidates, by_itself, chosen);
  goes_on(candidates[chosen]);
  return chosen;
}

// True: an event that was chosen for this moment.
bool Plan::follow_one(std::span<const Candidate> candidates, std::size_t& chosen) {
  for (const Candidate& candidate : candidates) {
    if (!is_processor(candidate)) continue;
    Line& line = processors_[candidate.number];
    while (line.next < line.deviations.size() && line.deviations[line.next].step <= candidate.step) {
      const Deviation& deviation = line.deviations[line.next++];
      if (deviation.kind == Deviation::Kind::Low) {
        ++followed_;
        line.low = ++lowered_;
        continue;
      }
      if (deviation.kind == Deviation::Kind::Hold) {
        ++followed_;
        if (line.held) continue;
        held_.push_back(candidate.number);
        line.held = true;
        line.level = candidate.irql;
        line.thread = candidate.thread;
        continue;
      }
      const auto event = std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& one) { return is_meant(deviation, one); });
      if (event == candidates.end()) continue;
      if (deviation.delays && (event->time == Candidate::kNeverByItself || is_delayed(*event))) continue;
      ++followed_;
      if (deviation.delays) {
        delayed_.push_back(*event);
        continue;
      }
      chosen = static_cast<std::size_t>(event - candidates.begin());
      return true;
    }
  }
  return false;
}

bool Plan::is_delayed(const Candidate& event) const {
  const auto is_it = [&](const Candidate& one) { return one.kind == event.kind && one.number == event.number && one.time == event.time; };
  return std::any_of(delayed_.begin(), delayed_.end(), is_it);
}

std::uint64_t Plan::comes_at(const Candidate& event) const { return late_ || is_delayed(event) ? event.time + kLatePatience + 1 : event.time; }

std::size_t Plan::by_default(std::span<const Candidate> candidates) {
  std::size_t running = candidates.size(), behind = candidates.size(), event = candidates.size();
  for (std::size_t index = 0; index < candidates.size(); ++index) {
    const Candidate& candidate = candidates[index];
    if (candidate.time == Candidate::kNeverByItself) continue;
    if (!is_processor(candidate)) {
      if (event == candidates.size() || comes_at(candidate) < comes_at(candidates[event])) event = index;
    } else if (const Line& line = processors_[candidate.number]; !line.held && line.low == 0) {
      if (candidate.number == last_) running = index;
      if (behind == candidates.size() || candidate.time < candidates[behind].time) behind = index;
    }
  }
  if (running == candidates.size() || candidates[behind].time + patience() < candidates[running].time) running = behind;
  const std::size_t low = next_of_low(candidates);
  if (low != candidates.size()) {
    const bool too_low = running != candidates.size() && candidates[low].time + kLongestHold < candidates[running].time;
    if (too_low) processors_[candidates[low].number].low = 0;
    if (too_low || running == candidates.size()) running = low;
  }
  const std::size_t held = next_of_held(candidates, running == candidates.size() ? nullptr : &candidates[running]);
  if (held != candidates.size()) running = held;
  if (running == candidates.size()) return 0;
  return event != candidates.size() && comes_at(candidates[event]) <= candidates[running].time ? event : running;
}

// The one that was lowered first.
std::size_t Plan::next_of_low(std::span<const Candidate> candidates) const {
  std::size_t next = candidates.size();
  for (std::size_t index = 0; index < candidates.size(); ++index) {
    if (!is_processor(candidates[index])) continue;
    const Line& line = processors_[candidates[index].number];
    if (!line.held && line.low != 0 && (next == candidates.size() || line.low < processors_[candidates[next].number].low)) next = index;
  }
  return next;
}

// Nobody but those who are held can go on, or nobody at all; or `ahead` can, and has left one of them far behind. Then that one is held no more, though
// something interrupts it: the clock always does.
std::size_t Plan::next_of_held(std::span<const Candidate> candidates, const Candidate* ahead) {
  for (auto held = held_.begin(); held != held_.end(); ++held) {
    const auto found =
        std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& one) { return is_processor(one) && one.number == *held; });
    if (found == candidates.end()) continue;
    if (ahead != nullptr && found->time + kLongestHold >= ahead->time) continue;
    Line& line = processors_[*held];
    const bool is_what_is_held = !found->interrupted && found->irql <= line.level && found->thread == line.thread;
    if (is_what_is_held || ahead != nullptr) {
      line.held = false;
      held_.erase(held);
    }
    return static_cast<std::size_t>(found - candidates.begin());
  }
  return candidates.size();
}

void Plan::take_note(std::span<const Candidate> candidates) {
  const auto running =
      std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& one) { return is_processor(one) && one.number == last_; });
  if (running == candidates.end()) return;
  if (!notes_->empty() && notes_->back().processor == last_ && notes_->back().step == running->step) return;
  Options options{last_, running->step, false, {}, left_open_.size()};
  for (const Candidate& candidate : candidates) {
    if (!is_processor(candidate)) {
      options.events.push_back({kind_of(candidate), last_, running->step, candidate.number});
    } else if (candidate.number != last_) {
      options.others_can_go_on = true;  // one that is held goes on when this one is held too
    }
  }
  notes_->push_back(std::move(options));
  is_new_ = false;
}

// Just before it came it could have been delayed: all that was before is as it would be without that.
void Plan::note_delay(std::span<const Candidate> candidates, const Candidate& came) {
  if (notes_->empty() || came.kind == Candidate::Kind::Clock || is_delayed(came)) return;
  const auto can_go_on = [&](const Candidate& one) { return is_processor(one) && one.time <= came.time + kLatePatience; };
  if (std::none_of(candidates.begin(), candidates.end(), can_go_on)) return;
  Options& here = notes_->back();
  Deviation event{kind_of(came), here.processor, here.step, came.number};
  if (std::find(here.events.begin(), here.events.end(), event) == here.events.end()) return;
  event.delays = true;
  if (std::find(here.delays.begin(), here.delays.end(), event) == here.delays.end()) here.delays.push_back(event);
}

}  // namespace kdpc::explore
