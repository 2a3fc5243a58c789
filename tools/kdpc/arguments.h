// The command line, in one place for both programs that read it: bin/kdpc, which only finds out who is to do it, and libexec/kdpc-<machine>.
#pragma once
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "tools/kdpc/exit_code.h"

namespace kdpc::tool {

struct RunArguments {
  std::string scenario;
  std::string out;  // empty: results on stdout only
  bool json = false;
  bool trace = false;
  bool keep_going = false;
  std::string break_if;  // empty: the run is not stopped
  std::vector<std::string> driver_folders;
};

struct ShowArguments {
  std::vector<std::string> views;  // "dpcs", "irql 1"
  std::string scenario;            // empty: a core file, or what a debugger holds
  std::string core;
  std::string at, until;
  bool over_pipe = false;
  std::vector<std::string> driver_folders;
};

struct ExploreArguments {
  std::string scenario;
  std::string out;  // where the schedule of a failure goes; empty: <scenario>.schedule, here
  double seconds = 10;
  std::uint64_t schedules = 0;  // 0: no limit
  std::uint64_t seed = 1;
  unsigned bound = 2;
  unsigned jobs = 0;  // 0: as many as there are processors
  bool races = true;
  bool faults = false;
  bool json = false;
  std::vector<std::string> driver_folders;
};

struct ReplayArguments {
  std::string file;
  bool trace = false;
  bool likelihood = false;
  std::vector<std::string> driver_folders;
};

struct Arguments {
  enum class Verb : std::uint8_t { Run, Show, Bench, Explore, Replay, Shrink } verb = Verb::Run;
  RunArguments run;
  ShowArguments show;
  ExploreArguments explore;
  ReplayArguments replay, shrink;
  std::vector<std::string> bench;                                                                   // for whoever runs the benchmarks
  const std::string& scenario() const { return verb == Verb::Run ? run.scenario : show.scenario; }  // empty: the simulated machine's
};

namespace detail {

// CLI11 reads -1 as the largest number there is, and writes that one with 300 digits where it says what is allowed.
template <class Number>
CLI::Validator up_to(Number most, std::string what) {
  return CLI::Validator(
      [most, what](const std::string& text) {
        Number value{};
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool is_one = failed == std::errc{} && end == text.data() + text.size() && value >= 0 && value <= most;
        return is_one ? std::string() : "'" + text + "' is no " + what;
      },
      "");
}
inline CLI::Validator whole_number() { return up_to(std::numeric_limits<std::uint64_t>::max(), "whole number from 0 on"); }

inline CLI::App& add_run(CLI::App& app, RunArguments& run) {
  CLI::App& verb = *app.add_subcommand("run", "Runs a scenario and says what happened: verdict first, then the culprit, then the evidence");
  verb.add_option("scenario", run.scenario, "A scenario file (TOML)")->required()->type_name("SCENARIO.toml");
  verb.add_option("--out", run.out, "Write report.json, report.txt, out.wav and, with --trace, trace.txt to this folder")->type_name("DIR");
  verb.add_flag("--json", run.json, "Print the report as one JSON document");
  verb.add_flag("--trace", run.trace, "One event a line: time, processor, IRQL, thread, what; to trace.txt with --out, or else to stderr");
  verb.add_flag("--keep-going", run.keep_going, "Note what the rule checks find and go on, instead of ending the run at the first error");
  verb.add_option("--break-if", run.break_if, "Stop at the first event that this means, and ask what to do (docs/debugger.md)")->type_name("EXPR");
  verb.add_option("--drivers", run.driver_folders, "Look for drivers here first; can be given more than once")->type_name("DIR");
  verb.footer(
      "Examples:\n  kdpc run a.toml\n  kdpc run a.toml --json | jq .culprit.driver\n  kdpc run a.toml --out results --trace\n"
      "  kdpc run a.toml --break-if 'dpc-queued && depth > 3'\n\n"
      "A scenario names the machine, its devices, the drivers with their parameters, what an application does, and what is expected.\n"
      "stdout has the result, stderr has progress. KDPC_QEMU is the QEMU to use instead of Debian's.");
  return verb;
}

inline CLI::App& add_show(CLI::App& app, ShowArguments& show) {
  CLI::App& verb = *app.add_subcommand("show", "Shows what WinDbg's dpcs, irql, timer … show: of a run, stopped or ended, or of a core file");
  verb.add_option("what", show.views, "Views, each with its arguments (irql 1), and a scenario (a file whose name ends in .toml)")
      ->type_name("VIEW… [SCENARIO.toml]");
  verb.add_option("--core", show.core, "Of the process that left this core file")->type_name("FILE");
  CLI::Option* const at = verb.add_option("--at", show.at, "Of the run at this virtual time: 12.5ms")->type_name("TIME");
  verb.add_option("--until", show.until, "Of the run at the first event that this means (docs/debugger.md)")->type_name("EXPR")->excludes(at);
  verb.add_option("--drivers", show.driver_folders, "Look for drivers here first; can be given more than once")->type_name("DIR");
  verb.add_flag("--memory-over-pipe", show.over_pipe)->group("");  // for debuggers: docs/debugger.md
  verb.footer(
      "Examples:\n  kdpc show dpcs irql a.toml --at 12.5ms\n  kdpc show 'running -t' a.toml --until 'bugchecked'\n  kdpc show analyze --core "
      "core.1234\n\n"
      "Views: dpcs irql ipi timer pcr prcb running idt qlocks analyze. Without --at and --until the end of the run is shown.");
  return verb;
}

inline CLI::App& add_explore(CLI::App& app, ExploreArguments& explore) {
  CLI::App& verb =
      *app.add_subcommand("explore", "Runs a scenario in many orders, until one fails: interrupts, DPCs and threads meet wherever they can");
  verb.add_option("scenario", explore.scenario, "A scenario file (TOML)")->required()->type_name("SCENARIO.toml");
  verb.add_option("--seconds", explore.seconds, "For so long; 0: until nothing is left to try")
      ->capture_default_str()
      ->check(up_to(1e9, "number of seconds"));
  verb.add_option("--schedules", explore.schedules, "At most so many; 0: no bound; with --seconds 0 the same campaign tries the same ones")
      ->check(whole_number());
  verb.add_option("--seed", explore.seed, "Of what is drawn at random")->capture_default_str()->check(whole_number());
  verb.add_option("--bound", explore.bound, "Try every order with so many moves, 1 or 2: docs/explore.md")
      ->capture_default_str()
      ->check(whole_number());
  verb.add_option("--jobs", explore.jobs, "So many processes; without it, one for each processor")->check(CLI::Range(1, 256));
  verb.add_option("--out", explore.out, "Where the schedule of a failure goes; without it, <scenario>.schedule in this folder")->type_name("FILE");
  verb.add_flag("!--no-races", explore.races, "Look for what goes wrong only, and not for data races that have done no harm");
  verb.add_flag("--faults", explore.faults, "Let routines fail that may, as if there were no memory: each once for each stack that calls it");
  verb.add_flag("--json", explore.json, "Print the result as one JSON document");
  verb.add_option("--drivers", explore.driver_folders, "Look for drivers here first; can be given more than once")->type_name("DIR");
  verb.footer(
      "Examples:\n  kdpc explore a.toml\n  kdpc explore a.toml --seconds 600\n  kdpc replay a.schedule\n\n"
      "Exit codes: 0 no failure, 1 a failure, whose schedule is left, 2 bad usage or input, 69 this system lacks something, 70 a bug of kdpc's\n"
      "own or a driver that has brought an exploring process down, 130 interrupted.");
  return verb;
}

inline CLI::App& add_schedule_verb(CLI::App& app, const char* name, const char* what, const char* codes, ReplayArguments& arguments) {
  CLI::App& verb = *app.add_subcommand(name, what);
  verb.add_option("schedule", arguments.file, "What kdpc explore has left")->required()->type_name("FILE.schedule");
  verb.add_option("--drivers", arguments.driver_folders, "Look for drivers here first; can be given more than once")->type_name("DIR");
  verb.footer(std::string("Exit codes: ") + codes +
              ", 2 bad usage or input, 69 this system lacks something, 70 a bug of kdpc's own, 130 interrupted.");
  return verb;
}

inline CLI::App& add_bench(CLI::App& app) {
  CLI::App& verb =
      *app.add_subcommand("bench", "Runs the benchmarks: ours, the least that each can cost here, and what others have instead of a DPC");
  verb.set_help_flag();  // --help is answered by the program that knows the options
  verb.prefix_command();
  return verb;
}

inline bool is_verb(const std::string& word) { return word == "run" || word == "show" || word == "explore" || word == "replay" || word == "shrink"; }

// What stands behind a view belongs to it: "irql", "1", "-v" is "irql 1 -v".
inline bool sort_words(ShowArguments& show) {
  std::vector<std::string> views;
  for (const std::string& word : show.views) {
    const bool continues = !word.empty() && (word[0] == '-' || (word[0] >= '0' && word[0] <= '9'));
    if (word.ends_with(".toml") && show.scenario.empty()) {
      show.scenario = word;
    } else if (continues && !views.empty()) {
      views.back() += ' ' + word;
    } else {
      views.push_back(word);
    }
  }
  show.views = std::move(views);
  const int sources = (show.scenario.empty() ? 0 : 1) + (show.core.empty() ? 0 : 1) + (show.over_pipe ? 1 : 0);
  return sources == 1 && !show.views.empty() && (!show.scenario.empty() || (show.at.empty() && show.until.empty()));
}

}  // namespace detail

// Nothing: go on. Else the command ends here, and has said why.
inline std::optional<ExitCode> parse(int argc, char** argv, Arguments& arguments) {
  CLI::App app{"kdpc runs Windows drivers' interrupt paths on Linux: which DPC made the sound drop out, and other questions."};
  app.name("kdpc");
  app.set_version_flag("--version", "kdpc " KDPC_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Example:\n  kdpc run examples/demo/bad-neighbour.toml --out results\n\n"
      "Exit codes: 0 as expected, 1 a finding or a missed expectation, 2 bad usage or input, 4 a schedule that is another run now, 69 this\n"
      "system lacks something, 70 a bug of kdpc's own, 130 interrupted.");
  detail::add_run(app, arguments.run);
  CLI::App& show = detail::add_show(app, arguments.show);
  CLI::App& bench = detail::add_bench(app);
  CLI::App& explore = detail::add_explore(app, arguments.explore);
  CLI::App& replay = detail::add_schedule_verb(app, "replay", "Runs a schedule again and says whether it is the same run",
                                               "0 the same run, which does not fail, 1 the same failure, 4 another run", arguments.replay);
  replay.add_flag("--trace", arguments.replay.trace, "One event a line: time, processor, IRQL, thread, what; to stderr");
  replay.add_flag("--likelihood", arguments.replay.likelihood,
                  "From which step on nothing could prevent the failure: tries other orders from there on");
  CLI::App& shrink = detail::add_schedule_verb(app, "shrink", "Makes a schedule as short as can be found, that fails in the same way",
                                               "0 the file has it, 4 it does not fail, or in another way", arguments.shrink);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {  // --help, --version
      app.exit(error);
      return ExitCode::AsExpected;
    }
    const std::string first = argc > 1 ? argv[1] : "";
    if (first.empty()) {
      std::fprintf(stderr, "kdpc: what is to be done? kdpc run SCENARIO.toml runs a scenario\n");
    } else if (first.starts_with('-')) {
      std::fprintf(stderr, "kdpc: there is no option '%s' before the command\n", first.c_str());
    } else if (!detail::is_verb(first)) {
      std::fprintf(stderr, "kdpc: there is no command '%s'; there are run, show, explore, replay, shrink and bench\n", first.c_str());
    } else if (error.get_name() == "RequiredError") {
      const bool of_schedule = first == "replay" || first == "shrink";
      std::fprintf(stderr, "kdpc: 'kdpc %s' needs a %s, kdpc %s %s\n", first.c_str(), of_schedule ? "schedule" : "scenario", first.c_str(),
                   of_schedule ? "FILE.schedule" : "SCENARIO.toml");
    } else if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {  // whose text has them the wrong way round
      std::string words;
      for (const std::string& word : app.remaining(true)) words += ' ' + word;
      std::fprintf(stderr, "kdpc: 'kdpc %s' does not know what this means:%s\n", first.c_str(), words.c_str());
    } else {
      std::fprintf(stderr, "kdpc: %s\n", error.what());
    }
    std::fprintf(stderr, "kdpc: 'kdpc %s--help' says what can be asked\n", detail::is_verb(first) ? (first + ' ').c_str() : "");
    return ExitCode::BadInput;
  }
  if (bench.parsed()) {
    arguments.verb = Arguments::Verb::Bench;
    arguments.bench = bench.remaining();
  }
  if (explore.parsed()) arguments.verb = Arguments::Verb::Explore;
  if (replay.parsed()) arguments.verb = Arguments::Verb::Replay;
  if (shrink.parsed()) arguments.verb = Arguments::Verb::Shrink;
  if (!show.parsed()) return {};
  arguments.verb = Arguments::Verb::Show;
  if (detail::sort_words(arguments.show)) return {};
  std::fprintf(stderr,
               "kdpc: 'kdpc show' needs a view, and of what: a scenario, SCENARIO.toml with --at or --until if not its end, or --core FILE\n"
               "kdpc: 'kdpc show --help' says what can be asked\n");
  return ExitCode::BadInput;
}

}  // namespace kdpc::tool
