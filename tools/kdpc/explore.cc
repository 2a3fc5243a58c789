#include "tools/kdpc/explore.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "check/explore/likelihood.h"
#include "lab/explore.h"
#include "lab/explored_text.h"
#include "lab/shortest.h"
#include "lab/time_line.h"
#include "tools/kdpc/explorers.h"
#include "tools/kdpc/interruption.h"
#include "tools/kdpc/schedule_file.h"
#include "wdk/driver_image.h"

namespace kdpc::tool {

namespace {

namespace fs = std::filesystem;

constexpr unsigned kOrders = 50;  // drawn at each station of a run whose failure's likelihood is asked
constexpr std::size_t kEventsRemembered = 100'000;

// Of a driver's file: tells whether it is the one that a schedule was found with.
std::string id_of(const fs::path& file) {
  const auto image = read_driver_image(file.string(), [](std::string_view) { return true; });
  return image ? image->build_id : "unknown";
}

explore::Record file_for(const ScenarioLife& life, bool races, const lab::Execution& execution, const explore::Schedule& schedule) {
  explore::Record file = lab::record_of(schedule, execution, races);
  file.scenario = life.scenario().file.string();
  file.boards = life.boards();
  for (const DriverWanted& driver : life.scenario().drivers) file.drivers.emplace_back(driver.name, id_of(driver.file));
  return file;
}

// A machine in this process, for a run that is to be looked at.
struct Stage {
  ScenarioLife life;
  explore::TimeLine line;
  std::unique_ptr<lab::Explorer> explorer;
};

std::optional<Refusal> set(Stage& stage) {
  if (auto refusal = stage.life.start(kEventsRemembered)) return refusal;
  std::string why;
  stage.life.machine().add_sink(stage.line);
  stage.explorer = stage.life.explorer(why);
  if (stage.explorer == nullptr) return Refusal{ExitCode::BadInput, why};
  stage.explorer->endure(stage.life.endurance());
  return {};
}

// For a schedule in a file.
std::optional<Refusal> set(Stage& stage, const explore::Record& file, const ReplayArguments& arguments) {
  if (auto refusal = stage.life.read(file.scenario, arguments.driver_folders, file.races)) return refusal;
  if (auto refusal = set(stage)) return refusal;
  const std::string why = lab::why_other_boards(file, stage.life.boards());
  if (why.empty()) return {};
  return Refusal{ExitCode::BadInput, fmt::format("{}: {}; the scenario's devices, or its [explore], are others", arguments.file, why)};
}

// A failure, and the shortest schedule that was found to show it.
struct Shortened {
  explore::Schedule schedule;
  lab::Execution execution;  // of that schedule, and the last one on its stage
  unsigned runs = 0;
};

// An interruption ends it with what it has so far.
Shortened shorten(Stage& stage, const explore::Schedule& schedule, const lab::Execution& failed) {
  auto [shortest, runs] = lab::shortest(*stage.explorer, schedule, failed, interrupted);
  return {shortest, stage.explorer->run_alone(shortest), runs};
}

constexpr const char* kCutShort = "Interrupted: there may be deviations left that it does not need.\n";

ExitCode or_interrupted(ExitCode code) { return interrupted() ? ExitCode::Interrupted : code; }

std::string name_for_schedule(const ExploreArguments& arguments) {
  return arguments.out.empty() ? fs::path(arguments.scenario).stem().string() + ".schedule" : arguments.out;
}

std::string name_for_crash(const ExploreArguments& arguments) {
  return fs::path(name_for_schedule(arguments)).replace_extension(".crash.schedule").string();
}

// As a shell reads it.
std::string word(const std::string& text) {
  const auto is_plain = [](char one) { return std::isalnum(static_cast<unsigned char>(one)) != 0 || std::strchr("/._-+,:=@%", one) != nullptr; };
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return text;
  std::string quoted = "'";
  for (const char one : text) quoted += one == '\'' ? std::string("'\\''") : std::string(1, one);
  return quoted + "'";
}

std::string to_see_it_again(const ExploreArguments& arguments, const std::string& file) {
  std::string line = "To see it again: kdpc replay " + word(file);
  for (const std::string& folder : arguments.driver_folders) line += " --drivers " + word(folder);
  return line;
}

// Of what an exploring process has died of. There is no hash: nobody has seen the end of the run.
Refusal leave_crash(const ExploreArguments& arguments, const ScenarioLife& life, const Crash& crash) {
  const std::string file = name_for_crash(arguments);
  lab::Execution execution;
  execution.key = fmt::format("the exploring process died ({})", crash.how);
  const auto written = write_schedule(file, file_for(life, arguments.races, execution, crash.schedule));
  return {ExitCode::SimulatorBug,
          fmt::format("an exploring process has died ({}): a bug of kdpc's, or a driver that has brought the process down. {}", crash.how,
                      written ? to_see_it_again(arguments, file) : written.error().what)};
}

// Other orders, from places along the run.
std::string how_likely(const Stage& stage, const explore::Schedule& schedule, const std::string& key) {
  if (!schedule.empty() && schedule.front().kind == explore::Deviation::Kind::Late)
    return "How likely this failure is cannot be said of a late order: other orders are drawn from the default one.\n\n";
  if (!interrupted()) stage.explorer->run(schedule, true);
  const auto stations = explore::likelihood(schedule, stage.explorer->lesson(), kOrders,
                                            [&](const explore::Schedule& other) { return !interrupted() && stage.explorer->run(other).key == key; });
  if (interrupted()) return "Interrupted: how likely this failure is was not found out.\n\n";
  const auto where = [&](const explore::Station& station) {
    return fmt::format("cpu{}@{}  {}", station.point.processor, station.point.step, lab::text_before(station.point.pc, stage.life.machine()));
  };
  std::string text = "How likely this failure is, whatever the order from there on:\n";
  for (const explore::Station& station : stations) text += fmt::format("  {:>3} %  {}\n", station.failed * 100 / station.orders, where(station));
  const std::size_t decided = explore::decided_at(stations);
  return text + (decided == stations.size() ? "Until the end something could have prevented it.\n\n"
                                            : fmt::format("From {} on it was bound to come.\n\n", where(stations[decided])));
}

void print(nlohmann::ordered_json& json) {
  if (interrupted()) json["interrupted"] = true;
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void tell_unheard(const std::vector<std::string>& unheard) {
  for (const std::string& driver : unheard)
    fmt::print("{} has no check variant: it was explored at its calls only, and its data races cannot be seen. kdpc_add_driver builds one.\n",
               driver);
}

// On a stage that is set. `json`: what is told of the campaign.
ExitCode tell_failure(const ExploreArguments& arguments, Stage& stage, const Failure& failure, const std::vector<std::string>& unheard, double took,
                      nlohmann::ordered_json& json) {
  const lab::Execution first = stage.explorer->run_alone(failure.schedule);
  if (first.failure.empty())
    return refuse({ExitCode::SimulatorBug, "the schedule that failed in an exploring process does not fail here; this is a bug of kdpc's"});
  const auto [schedule, execution, runs] = shorten(stage, failure.schedule, first);
  const bool is_cut_short = interrupted();
  const std::string file = name_for_schedule(arguments);
  // What was found is told in any case: to find it again may take as long.
  const auto written = write_schedule(file, file_for(stage.life, arguments.races, execution, schedule));
  const auto end = [&] { return written ? or_interrupted(ExitCode::Finding) : refuse({ExitCode::HostLacks, written.error().what}); };
  if (arguments.json) {
    json["number"] = failure.number;
    json["directed"] = failure.directed;
    json["failure"] = execution.failure;
    json["key"] = execution.key;
    json["hash"] = fmt::format("{:016x}", execution.hash);
    json["schedule"] = nlohmann::json::array();
    for (const explore::Deviation& deviation : schedule) json["schedule"].push_back(text_of(deviation));
    if (written) json["file"] = file;
    print(json);
    return end();
  }
  fmt::print("Failure: {}\n", execution.failure);
  fmt::print("Found with schedule {} after {:.1f} s.\n", failure.number, took);
  if (failure.directed) fmt::print("It was directed at two accesses that only chance had ordered in the first one.\n");
  fmt::print("\n{}\n", lab::order_of_failure(stage.line, schedule, execution, stage.life.machine()));
  if (is_cut_short) fmt::print("{}", kCutShort);
  tell_unheard(unheard);
  if (written) fmt::print("{}\n", to_see_it_again(arguments, file));
  return end();
}

// `json`, likewise.
ExitCode tell_no_failure(const ExploreArguments& arguments, const Explored& explored, const std::vector<std::string>& unheard, double took,
                         nlohmann::ordered_json& json) {
  const bool is_exhaustive = explored.coverage.exhaustive && unheard.empty();  // who is not heard may touch anything
  if (arguments.json) {
    json["exhaustive"] = is_exhaustive;
    json["reduced"] = explored.coverage.reduced;
    json["not_alone"] = explored.not_alone;
    if (explored.given_up) json["given_up"] = true;
    print(json);
    return or_interrupted(ExitCode::AsExpected);
  }
  if (interrupted()) fmt::print("Interrupted. ");
  fmt::print("No failure in {}, {:.1f} s: {}.\n", lab::counted(explored.schedules, "schedule"), took, lab::covered(explored.coverage));
  if (explored.given_up) fmt::print("A run that was still under way was given up, as the time was over.\n");
  if (explored.exhausted)
    fmt::print("Every order with at most {} at a call, a wake-up or a shared access has been tried.\n", lab::counted(arguments.bound, "move"));
  if (explored.not_alone != 0) fmt::print("{}.\n", lab::not_alone_text(explored.not_alone));
  if (is_exhaustive)
    fmt::print(
        "Exhaustive within this scenario: any order of accesses, calls and arrivals ends like one of {}, but for what docs/explore.md lists.\n",
        lab::counted(explored.coverage.reduced, "schedule"));
  tell_unheard(unheard);
  return or_interrupted(ExitCode::AsExpected);
}

}  // namespace

ExitCode explore(const ExploreArguments& arguments) {
  heed_interrupts();
  if (const std::string why = lab::why_no_bound(arguments.bound); !why.empty()) return refuse({ExitCode::BadInput, "--bound: " + why});
  if (is_schedule(arguments.scenario))
    return refuse(
        {ExitCode::BadInput, fmt::format("{0}: this is a schedule, and no scenario; kdpc replay {0} shows its run again", word(arguments.scenario))});
  Stage stage;
  if (const auto refusal = stage.life.read(arguments.scenario, arguments.driver_folders, arguments.races)) return refuse(*refusal);
  for (const std::string& file : {name_for_schedule(arguments), name_for_crash(arguments)})
    if (const auto may = may_be_schedule(file); !may) return refuse({ExitCode::BadInput, may.error().what});
  ExploreWish wish;
  wish.seconds = arguments.seconds;
  wish.schedules = arguments.schedules;
  wish.jobs = arguments.jobs != 0 ? arguments.jobs : std::max(1u, std::thread::hardware_concurrency());
  wish.faults = arguments.faults || stage.life.scenario().faults;
  wish.campaign.seed = arguments.seed;
  wish.campaign.bound = arguments.bound;
  wish.campaign.wanders = wish.seconds > 0 || wish.schedules != 0;
  const bool shows_progress = ::isatty(STDERR_FILENO) != 0;
  const auto began = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  const Explored explored = explore_with(stage.life, wish, [&](std::uint64_t schedules) {
    if (shows_progress) fmt::print(stderr, "\rkdpc: {} schedules, {:.1f} s ", schedules, seconds());
  });
  if (shows_progress) fmt::print(stderr, "\n");
  const double took = seconds();
  if (explored.broken) return refuse(*explored.broken);
  if (explored.crash) {
    const Refusal died = leave_crash(arguments, stage.life, *explored.crash);
    if (!explored.failure) return refuse(died);
    fmt::print(stderr, "kdpc: {}\n", died.text);
  }

  nlohmann::ordered_json json{
      {"schedules", explored.schedules}, {"seconds", took}, {"found", explored.failure.has_value()}, {"exhausted", explored.exhausted}};
  const std::vector<std::string> unheard = stage.life.unheard();
  if (!unheard.empty()) json["unheard"] = unheard;
  // Who hears of power is seen where the drivers are loaded; the exploring was done in other processes.
  const bool asks_for_power = stage.life.scenario().config.from_outside.power && !explored.given_up;
  if (explored.failure || asks_for_power)
    if (const auto refusal = set(stage)) return refuse(*refusal);
  if (asks_for_power) stage.explorer->run_alone({});
  const std::vector<std::string> warnings = stage.life.warnings();
  if (!warnings.empty()) json["warnings"] = warnings;
  if (!arguments.json)
    for (const std::string& warning : warnings) fmt::print("Warning: {}\n", warning);
  if (!explored.failure) return tell_no_failure(arguments, explored, unheard, took, json);
  return tell_failure(arguments, stage, *explored.failure, unheard, took, json);
}

ExitCode replay(const ReplayArguments& arguments) {
  heed_interrupts();
  const auto file = read_schedule(arguments.file);
  if (!file) return refuse({ExitCode::BadInput, file.error().what});
  Stage stage;
  if (const auto refusal = set(stage, *file, arguments)) return refuse(*refusal);
  const lab::Execution execution = stage.explorer->run_alone(file->schedule);
  if (arguments.trace)
    for (const std::string& line : stage.life.machine().last_events(kEventsRemembered)) fmt::print(stderr, "{}\n", line);
  if (!execution.failure.empty())
    fmt::print("Failure: {}\n\n{}\n{}\n", execution.failure, lab::how_it_ended(execution),
               lab::how_it_came(stage.line, file->schedule, stage.life.machine()));
  if (!execution.failure.empty() && arguments.likelihood) fmt::print("{}", how_likely(stage, file->schedule, execution.key));
  const std::string differs = lab::how_it_differs(*file, file_for(stage.life, file->races, execution, file->schedule), execution.missed);
  if (differs.empty()) {
    fmt::print("The same run, hash {:016x}.\n", execution.hash);
    return or_interrupted(execution.failure.empty() ? ExitCode::AsExpected : ExitCode::Finding);
  }
  const bool fails_alike = !execution.failure.empty() && execution.key == file->failure;
  fmt::print("{}: {}.\n", fails_alike ? "The same failure, but not the same run" : "Not the same run", differs);
  if (execution.failure.empty()) fmt::print("It does not fail any more.\n");
  return or_interrupted(fails_alike ? ExitCode::Finding : ExitCode::Diverged);
}

ExitCode shrink(const ReplayArguments& arguments) {
  heed_interrupts();
  auto file = read_schedule(arguments.file);
  if (!file) return refuse({ExitCode::BadInput, file.error().what});
  Stage stage;
  if (const auto refusal = set(stage, *file, arguments)) return refuse(*refusal);
  const lab::Execution execution = stage.explorer->run_alone(file->schedule);
  if (execution.failure.empty()) return refuse({ExitCode::Diverged, fmt::format("{}: this schedule does not fail", arguments.file)});
  if (execution.key != file->failure)
    return refuse({ExitCode::Diverged,
                   fmt::format("{}: this schedule fails in another way now, which 'kdpc replay' shows: {}", arguments.file, execution.failure)});
  const auto [schedule, shorter, runs] = shorten(stage, file->schedule, execution);
  if (interrupted()) fmt::print("{}", kCutShort);
  if (const auto written = write_schedule(arguments.file, file_for(stage.life, file->races, shorter, schedule)); !written)
    return refuse({ExitCode::HostLacks, written.error().what});
  fmt::print("{} instead of {}, after {}:\n{}", lab::counted(schedule.size(), "deviation"), file->schedule.size(), lab::counted(runs, "run"),
             lab::indented(text_of(schedule)));
  return or_interrupted(ExitCode::AsExpected);
}

}  // namespace kdpc::tool
