#include "lab/explore.h"

#include <fmt/format.h>

#include <algorithm>

#include "kdpc/explore.h"
#include "machine/host.h"
#include "wdk/routine.h"

namespace kdpc::lab {

namespace {

Explorer* exploring = nullptr;  // whose life is lived just now

constexpr Duration kEndurance = std::chrono::seconds(1);

std::string first_line_of(const std::string& text) { return text.substr(0, text.find('\n')); }

void judge(Execution& execution) {
  const Outcome& outcome = execution.outcome;
  if (outcome.bugcheck) {
    const Bugcheck& stop = *outcome.bugcheck;
    execution.failure = fmt::format("bug check {} ({:#x}) in {}: {}", stop.name, stop.code, stop.place.text(), stop.sentence);
    execution.key = fmt::format("bug check {:#x} at {}", stop.code, stop.place.text());
  } else if (outcome.how == Ended::Finding && outcome.finding) {
    execution.failure = fmt::format("finding {} in {}: {}", outcome.finding->id, outcome.finding->place.text(), outcome.finding->sentence);
    execution.key = fmt::format("finding {} at {}", outcome.finding->id, outcome.finding->place.text());
  } else if (outcome.how == Ended::Finding) {  // of no rule's: its own words
    execution.failure = execution.key = first_line_of(outcome.text);
  } else if (outcome.over()) {
    execution.key = name_of(outcome.how);
    execution.failure = fmt::format("{}: {}", execution.key, first_line_of(outcome.text));
  } else {
    execution.failure = execution.key = first_line_of(execution.refused);
  }
}

// Nothing went wrong; but it could.
void judge_races(const std::vector<Finding>& findings, Execution& execution) {
  for (const Finding& finding : findings) {
    const bool is_race = finding.id.starts_with("data-race") || finding.id == "armed-object-written";
    if (!is_race || finding.advice || finding.parties.size() < 2) continue;
    execution.failure = fmt::format("{}: {}", finding.id, finding.sentence);
    execution.key = fmt::format("{} of {} and {}", finding.id, finding.parties[0].place.text(), finding.parties[1].place.text());
    return;
  }
}

}  // namespace

Explorer::Explorer(Machine& machine, Life life) : machine_(machine), life_(std::move(life)), plan_(machine.processors()) {
  endure(kEndurance);
  machine_.add_sink(touches_);
}

Explorer::~Explorer() {
  of_parent_.clear();
  by_default_.clear();
  start_.reset();
  machine_.remove_sink(touches_);
}

std::unique_ptr<Explorer> Explorer::create(Machine& machine, Life life, std::string& why) {
  std::unique_ptr<Explorer> explorer(new Explorer(machine, std::move(life)));
  explorer->start_ = machine.mark(why);
  return explorer->start_ == nullptr ? nullptr : std::move(explorer);
}

explore::Schedule Explorer::Place::those_before(const explore::Schedule& schedule) const {
  explore::Schedule those;
  std::copy_if(schedule.begin(), schedule.end(), std::back_inserter(those), [this](const explore::Deviation& deviation) {
    if (deviation.kind == explore::Deviation::Kind::Pick) return deviation.step < plan.left_open().size();
    return deviation.processor < steps.size() && deviation.step <= steps[deviation.processor];
  });
  return those;
}

// From where the schedule can go on, and how many parts lie before that; null: only from the start.
std::pair<std::size_t, const Explorer::Place*> Explorer::furthest(const explore::Schedule& schedule, bool learn) const {
  std::pair<std::size_t, const Place*> best{0, nullptr};
  for (const Places* places : {&by_default_, &of_parent_})
    for (const auto& [parts, place] : *places)
      if (parts > best.first && (place.learned || !learn) && place.those_before(schedule) == place.before) best = {parts, &place};
  return best;
}

void Explorer::take_place(std::size_t parts, const explore::Schedule& schedule, bool learn) {
  Place place{nullptr, {}, plan_, {}, learn, touches_, options_};
  for (unsigned number = 0; number < machine_.processors(); ++number) place.steps.push_back(host::steps_of_processor(number));
  place.before = place.those_before(schedule);
  const bool is_default = place.before.empty();
  if (!is_default && (!learn || machine_.config().remember_events != 0)) return;
  Places& places = is_default ? by_default_ : of_parent_;
  const auto there = places.find(parts);
  if (there != places.end() && there->second.before == place.before && (there->second.learned || !learn)) return;
  std::string why;
  place.mark = machine_.mark(why);
  if (place.mark != nullptr) places.insert_or_assign(parts, std::move(place));
}

// What its life says. One in which something was made to fail, or was pulled out, may come to nothing, but it must come to its end.
bool Explorer::counts() const { return !made_to_fail() || has_given_up_; }

// What it says of itself.
std::string Explorer::live(std::size_t parts_done, const explore::Schedule& schedule, bool learn) {
  for (std::size_t part = parts_done; part < life_.size(); ++part) {
    std::string refused = life_[part](machine_);
    if (machine_.outcome().over() || (!refused.empty() && counts())) return refused;
    if (part + 1 < life_.size()) take_place(part + 1, schedule, learn);
  }
  return {};
}

void Explorer::must_hold(std::string name, std::function<bool()> holds) {
  invariants_.add(std::move(name), std::move(holds));
  plan_.look_at_each_step([this] {
    if (const std::string broken = invariants_.broken(); !broken.empty()) host::end_run(broken);
  });
}

void invariant(std::string name, std::function<bool()> holds) {
  if (exploring != nullptr) return exploring->must_hold(std::move(name), std::move(holds));
  leave_note({.expression = "invariant() is for a life that is explored", .file = "lab", .line = 0});
}

void did_not_end() {
  if (exploring != nullptr) exploring->give_up();
}

bool made_to_fail() { return exploring != nullptr && exploring->made_to_fail(); }

bool requests_cancelled() { return exploring != nullptr && exploring->requests_cancelled(); }

Execution Explorer::run(const explore::Schedule& schedule, bool learn) { return execute(schedule, learn, nullptr); }

Execution Explorer::run_alone(const explore::Schedule& schedule) { return execute(schedule, false, nullptr, From::CleanStart); }

Execution Explorer::run(const explore::Schedule& schedule, explore::Trail& trail) { return execute(schedule, false, &trail); }

Execution Explorer::carry_out(const explore::Attempt& attempt, explore::Campaign& campaign) {
  const bool is_reduction = attempt.source == explore::Attempt::Source::Reduction;
  Execution execution = execute(attempt.schedule, attempt.learn, is_reduction ? &trail_ : nullptr);
  if (is_reduction) campaign.learned(trail_);
  if (attempt.learn) campaign.learned(attempt, lesson());
  return execution;
}

// A late order begins at the start, and no place is taken on its way; so a trail never misses a part, nor is it a part of a mark.
Execution Explorer::execute(const explore::Schedule& schedule, bool learn, explore::Trail* trail, From from) {
  const auto [parts, place] = from == From::Anywhere ? furthest(schedule, learn) : std::pair<std::size_t, const Place*>();
  // What a machine remembers of its events is a row, in which a later place means nothing once another way is taken.
  if (machine_.config().remember_events != 0) by_default_.erase(by_default_.upper_bound(parts), by_default_.end());
  machine_.rewind(place != nullptr ? *place->mark : *start_);
  if (from == From::CleanStart) host::wipe_stacks();
  if (trail != nullptr) {
    trail->begin();
    machine_.add_sink(*trail);
  }
  touches_.listen(learn);
  options_.clear();
  has_given_up_ = false;
  std::vector<explore::Options>* const notes = learn ? &options_ : nullptr;
  if (place != nullptr) {
    plan_.follow_from(place->plan, schedule, notes);
  } else {
    plan_.follow(schedule, notes, trail);
  }
  if (place != nullptr && learn) {
    touches_ = place->touches;
    options_ = place->options;
  }
  host::set_oracle(&plan_);
  exploring = this;
  Execution execution;
  execution.refused = live(parts, schedule, learn);
  exploring = nullptr;
  host::set_oracle(nullptr);
  invariants_.clear();  // what they look at may be gone with the life
  plan_.look_at_each_step({});
  if (trail != nullptr) machine_.remove_sink(*trail);
  execution.outcome = machine_.outcome();
  execution.hash = machine_.trace_hash();
  execution.missed = schedule.size() - plan_.followed();
  for (const explore::Plan::Fault& fault : plan_.faults())
    execution.deeds.push_back(fmt::format("Made to fail: {}, called by {}", wdk::row_of(static_cast<wdk::RoutineId>(fault.routine)).name,
                                          machine_.place_of(fault.caller - 1).text()));
  for (const std::string& deed : machine_.deeds_of_hand()) execution.deeds.push_back("From outside: " + deed);
  judge(execution);
  const bool has_races = execution.failure.empty() && machine_.certain_races() != 0;
  if (has_races || !execution.failure.empty()) execution.findings = machine_.findings();
  if (has_races) judge_races(execution.findings, execution);
  take_notes();
  return execution;
}

explore::Lesson Explorer::lesson() {
  explore::Lesson lesson{touches_.points(), std::move(options_), plan_.left_open(), {}};
  for (const auto& [first, second] : machine_.suspected_races())
    lesson.suspicions.push_back(
        {static_cast<std::uint16_t>(first.processor), first.number, static_cast<std::uint16_t>(second.processor), second.number});
  return lesson;
}

}  // namespace kdpc::lab
