// kdpc/explore.h: a campaign in this process, with a machine of its own.
#include <fmt/format.h>

#include "check/explore/campaign.h"
#include "check/explore/record.h"
#include "kdpc/explore.h"
#include "lab/explore.h"
#include "lab/explored_text.h"
#include "lab/goals.h"
#include "lab/shortest.h"

namespace kdpc::lab {

namespace {

constexpr std::size_t kEventsRemembered = 100'000;

// What was left inside, as words; rules that were proven are collected.
std::string words_of_notes(std::set<std::string>& rules) {
  std::string words;
  for (const Note& note : take_notes()) {
    if (note.rule != nullptr) {
      rules.insert(note.rule);
      continue;
    }
    words += fmt::format("{}:{}: {}\n", note.file, note.line, note.expression);
    std::string values;
    for (const Value& value : note.values)
      if (value.kind != Value::Kind::None) values += (values.empty() ? "  values: " : ", ") + value.text();
    if (!values.empty()) words += values + '\n';
  }
  if (const std::uint64_t lost = notes_lost(); lost != 0) words += fmt::format("{} more failures inside the machine were not kept\n", lost);
  return words;
}

std::string without_last_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// What is noted only would pass for well.
Checks ending_the_run(Checks checks) {
  checks.keep_going = false;
  return checks;
}

// A machine and what explores it.
class Stage {
 public:
  Stage(const ExploreSettings& settings, const Life& life, std::size_t remember_events, bool hash, std::set<std::string>& rules)
      : machine_(Machine::create({.processors = settings.processors,
                                  .options = settings.options,
                                  .costs = settings.costs,
                                  .memory = settings.memory,
                                  .remember_events = remember_events,
                                  .hash = hash,
                                  .checks = ending_the_run(settings.checks),
                                  .from_outside = {settings.removal, settings.removable, settings.power, settings.cancel},
                                  .simulated_only = "explores orders"},
                                 why_)) {
    life_ = {[&life, &rules](Machine& machine) {
      take_notes();  // of whoever was here before
      notes_lost();
      std::string words;
      try {
        words = life(machine);
      } catch (const std::exception& exception) {
        words = fmt::format("an exception has left the life: {}", exception.what());
      }
      return without_last_newline(words_of_notes(rules) + words);
    }};
    if (machine_ == nullptr) return;
    if (remember_events != 0) machine_->add_sink(line_);
    explorer_ = Explorer::create(*machine_, life_, why_);
    if (explorer_ == nullptr) return;
    explorer_->endure(settings.work);
    explorer_->explore_faults(settings.faults);
  }

  // Null: why() says the reason.
  Explorer* explorer() const { return explorer_.get(); }
  Machine& machine() const { return *machine_; }
  const explore::TimeLine& line() const { return line_; }
  const std::string& why() const { return why_; }

 private:
  std::string why_;
  Explorer::Life life_;
  explore::TimeLine line_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Explorer> explorer_;
};

explore::Record record_of(const ExploreSettings& settings, const Machine& machine, const explore::Schedule& schedule, const Execution& execution) {
  explore::Record record = record_of(schedule, execution, settings.checks.races != Checks::Races::Off);
  record.boards = machine.boards();
  record.test = settings.name;
  if (record.test.empty()) record.scenario = "-";  // a file says whose it is
  return record;
}

// Of a run with a trace.
void tell(const Stage& stage, const explore::Record& record, const Execution& execution, ExploreResult& result) {
  result.failure = execution.failure;
  result.key = execution.key;
  result.schedule = text_of(record);
  result.report = fmt::format("Failure: {}\n", execution.failure);
  if (result.number != 0) result.report += fmt::format("Found with schedule {}.\n", result.number);
  result.report += '\n' + order_of_failure(stage.line(), record.schedule, execution, stage.machine());
}

ExploreResult broken(std::string why) {
  ExploreResult result;
  result.broken = result.report = std::move(why);
  return result;
}

// The first schedule that fails, and makes it as short as it can be.
std::optional<explore::Schedule> search(const ExploreSettings& settings, Stage& stage, ExploreResult& result) {
  // What a test's own code touches is not heard, so no order could be left out.
  explore::Campaign campaign({.seed = settings.seed, .bound = settings.bound, .wanders = settings.schedules != 0, .reduces = false});
  std::optional<explore::Schedule> found;
  std::uint64_t not_alone = 0;
  while (!found && (settings.schedules == 0 || result.schedules < settings.schedules)) {
    const auto attempt = campaign.next();
    result.exhausted = !attempt;
    if (!attempt) break;
    Execution execution = stage.explorer()->carry_out(*attempt, campaign);
    ++result.schedules;
    if (execution.failure.empty()) continue;
    execution = stage.explorer()->run_alone(attempt->schedule);
    if (execution.failure.empty()) {
      ++not_alone;
      continue;
    }
    result.number = result.schedules;
    found = shortest(*stage.explorer(), attempt->schedule, execution, [] { return false; }).schedule;
  }
  result.coverage = covered(campaign.coverage());
  if (not_alone != 0) result.coverage += fmt::format("; {}", not_alone_text(not_alone));
  const std::map<std::string, bool> told = goals();
  for (const auto& [goal, reached] : told)
    if (!reached) result.unmet.insert(goal);
  for (const std::string& goal : settings.goals)
    if (!told.contains(goal)) result.unmet.insert(goal);
  for (const std::string& goal : result.unmet) result.coverage += fmt::format("; never: {}", goal);
  return found;
}

std::string wrong_in(const ExploreSettings& settings) {
  if (!settings.removal && !settings.removable.empty()) return ".removable says which devices are pulled out, and none is: say .removal = true, too";
  const std::string why = why_no_bound(settings.bound);
  return why.empty() ? why : ".bound: " + why;
}

}  // namespace

ExploreResult explore(const ExploreSettings& settings, const Life& life) {
  if (const std::string wrong = wrong_in(settings); !wrong.empty()) return broken(wrong);
  ExploreResult result;
  std::optional<explore::Schedule> found;
  forget_goals();
  {
    const Stage stage(settings, life, 0, true, result.rules);
    if (stage.explorer() == nullptr) return broken(stage.why());
    const Execution first = stage.explorer()->run_alone({});
    if (stage.explorer()->run_alone({}).hash != first.hash)
      return broken(
          "the same schedule is another run when the life is lived again: it leaves something behind on the host, a static variable or a file, or it "
          "depends on the time or on chance");
    for (const std::string& device : settings.removable)  // a life that failed may not have come so far
      if (first.failure.empty() && !stage.machine().can_be_pulled_out(device))
        return broken(fmt::format(".removable names '{}', and no board that the life attaches has a device of this name", device));
  }
  {
    Stage stage(settings, life, 0, false, result.rules);
    if (stage.explorer() == nullptr) return broken(stage.why());
    found = search(settings, stage, result);
  }
  if (!found) return result;
  Stage stage(settings, life, kEventsRemembered, true, result.rules);
  if (stage.explorer() == nullptr) return broken(stage.why());
  const Execution execution = stage.explorer()->run_alone(*found);
  if (execution.failure.empty())
    return broken(fmt::format("schedule {} failed, and does not fail when it is run again: the life leaves something behind on the host:\n{}",
                              result.number, indented(text_of(*found))));
  tell(stage, record_of(settings, stage.machine(), *found, execution), execution, result);
  return result;
}

ExploreResult replay(const ExploreSettings& settings, const Life& life, std::string_view schedule) {
  if (const std::string wrong = wrong_in(settings); !wrong.empty()) return broken(wrong);
  const auto record = explore::record_from(schedule, "the schedule");
  if (!record) return broken(record.error().what);
  if (record->test != settings.name) return broken(fmt::format("this schedule is of '{}', and this is '{}'", record->test, settings.name));
  ExploreResult result;
  Stage stage(settings, life, kEventsRemembered, true, result.rules);
  if (stage.explorer() == nullptr) return broken(stage.why());
  result.schedules = 1;
  const Execution execution = stage.explorer()->run_alone(record->schedule);
  const explore::Record now = record_of(settings, stage.machine(), record->schedule, execution);
  if (execution.failure.empty()) {
    result.report = "This schedule does not fail.\n";
  } else {
    tell(stage, now, execution, result);
  }
  result.differs = how_it_differs(*record, now, execution.missed);
  return result;
}

}  // namespace kdpc::lab
