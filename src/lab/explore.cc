#include "lab/explore.h"

#include <fmt/format.h>

#include <algorithm>

#include "machine/host.h"

namespace kdpc::lab {

namespace {

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
  begun_.reset();
  start_.reset();
  machine_.remove_sink(touches_);
}

std::unique_ptr<Explorer> Explorer::create(Machine& machine, Life life, std::string& why) {
  std::unique_ptr<Explorer> explorer(new Explorer(machine, std::move(life)));
  explorer->start_ = machine.mark(why);
  return explorer->start_ == nullptr ? nullptr : std::move(explorer);
}

bool Explorer::Begun::lies_before(const explore::Schedule& schedule) const {
  return std::all_of(schedule.begin(), schedule.end(), [this](const explore::Deviation& deviation) {
    if (deviation.kind == explore::Deviation::Kind::Pick) return deviation.step >= plan.left_open().size();
    return deviation.processor >= steps.size() || deviation.step > steps[deviation.processor];
  });
}

void Explorer::take_begun(const explore::Schedule& schedule, bool learn) {
  if (begun_ && (begun_->learned || !learn)) return;
  std::vector<std::uint64_t> steps;
  for (unsigned number = 0; number < machine_.processors(); ++number) steps.push_back(host::steps_of_processor(number));
  Begun begun{nullptr, std::move(steps), plan_, learn, touches_, options_};
  if (!begun.lies_before(schedule)) return;
  std::string why;
  begun.mark = machine_.mark(why);
  if (begun.mark != nullptr) begun_ = std::move(begun);
}

// What it says of itself.
std::string Explorer::live(bool from_begun, const explore::Schedule& schedule, bool learn) {
  if (!from_begun) {
    std::string refused = life_.begin ? life_.begin(machine_) : std::string();
    if (!refused.empty()) return refused;
    if (!machine_.outcome().over()) take_begun(schedule, learn);
  }
  return life_.rest(machine_);
}

Execution Explorer::run(const explore::Schedule& schedule, bool learn) {
  const bool from_begun = begun_ && (begun_->learned || !learn) && begun_->lies_before(schedule);
  // What a machine remembers of its events is a row, in which a later place means nothing once it has gone back before it.
  if (!from_begun && machine_.config().remember_events != 0) begun_.reset();
  machine_.rewind(from_begun ? *begun_->mark : *start_);
  touches_.listen(learn);
  options_.clear();
  std::vector<explore::Options>* const notes = learn ? &options_ : nullptr;
  if (from_begun) {
    plan_.follow_from(begun_->plan, schedule, notes);
  } else {
    plan_.follow(schedule, notes);
  }
  if (from_begun && learn) {
    touches_ = begun_->touches;
    options_ = begun_->options;
  }
  host::set_oracle(&plan_);
  Execution execution;
  execution.refused = live(from_begun, schedule, learn);
  host::set_oracle(nullptr);
  execution.outcome = machine_.outcome();
  execution.hash = machine_.trace_hash();
  execution.missed = plan_.missed();
  judge(execution);
  const bool has_races = execution.failure.empty() && machine_.certain_races() != 0;
  if (has_races || !execution.failure.empty()) execution.findings = machine_.findings();
  if (has_races) judge_races(execution.findings, execution);
  take_notes();
  return execution;
}

}  // namespace kdpc::lab
