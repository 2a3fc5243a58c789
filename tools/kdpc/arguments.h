// The command line, in one place for both programs that read it: bin/kdpc, which only finds out who is to do it, and libexec/kdpc-<machine>.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdio>
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
  std::vector<std::string> driver_folders;
};

// Nothing: go on. Else the command ends here, and has said why.
inline std::optional<ExitCode> parse(int argc, char** argv, RunArguments& run) {
  CLI::App app{"kdpc runs Windows drivers' interrupt paths on Linux: which DPC made the sound drop out, and other questions."};
  app.name("kdpc");
  app.set_version_flag("--version", "kdpc " KDPC_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Example:\n  kdpc run examples/demo/bad-neighbour.toml --out results\n\n"
      "Exit codes: 0 as expected, 1 a finding or a missed expectation, 2 bad usage or input, 69 this system lacks something, 70 a bug of\n"
      "kdpc's own, 130 interrupted.");

  CLI::App& verb = *app.add_subcommand("run", "Runs a scenario and says what happened: verdict first, then the culprit, then the evidence");
  verb.add_option("scenario", run.scenario, "A scenario file (TOML)")->required()->type_name("SCENARIO.toml");
  verb.add_option("--out", run.out, "Write report.json, report.txt, out.wav and, with --trace, trace.txt to this folder")->type_name("DIR");
  verb.add_flag("--json", run.json, "Print the report as one JSON document");
  verb.add_flag("--trace", run.trace, "One event a line: time, processor, IRQL, thread, what; to trace.txt with --out, or else to stderr");
  verb.add_flag("--keep-going", run.keep_going, "Note what the rule checks find and go on, instead of ending the run at the first error");
  verb.add_option("--drivers", run.driver_folders, "Look for drivers here first; can be given more than once")->type_name("DIR");
  verb.footer(
      "Examples:\n  kdpc run a.toml\n  kdpc run a.toml --json | jq .culprit.driver\n  kdpc run a.toml --out results --trace\n\n"
      "A scenario names the machine, its devices, the drivers with their parameters, what an application does, and what is expected.\n"
      "stdout has the result, stderr has progress. KDPC_QEMU is the QEMU to use instead of Debian's.");
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
    } else if (first != "run") {
      std::fprintf(stderr, "kdpc: there is no command '%s'; there is run\n", first.c_str());
    } else if (error.get_name() == "RequiredError") {
      std::fprintf(stderr, "kdpc: 'kdpc run' needs a scenario, kdpc run SCENARIO.toml\n");
    } else {
      std::fprintf(stderr, "kdpc: %s\n", error.what());
    }
    std::fprintf(stderr, "kdpc: 'kdpc run --help' says what can be asked\n");
    return ExitCode::BadInput;
  }
  return {};
}

}  // namespace kdpc::tool
