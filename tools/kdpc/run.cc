#include "tools/kdpc/run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tools/kdpc/interruption.h"
#include "tools/kdpc/prompt.h"
#include "tools/kdpc/session.h"

namespace kdpc::tool {
namespace {

bool write_file(const std::filesystem::path& path, const std::string& text) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  const bool well = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return std::fclose(file) == 0 && well;
}

// Builds, runs, reports.
ExitCode run_once(const RunArguments& arguments, Prompt* prompt) {
  Onlooker onlooker;
  if (prompt != nullptr) {
    prompt->begins();
    onlooker.stops = &prompt->stops();
    onlooker.stopped = [prompt](lab::Machine& machine, std::uint64_t number, const Stamp& stamp, const Event& event) {
      return prompt->stopped(machine, number, stamp, event);
    };
    onlooker.at_end = [prompt](lab::Machine& machine, std::uint64_t last, const std::string& how) {
      if (!how.empty() && !interrupted()) prompt->ended(machine, last, how);
    };
  }
  Session session(
      arguments, [prompt] { return interrupted() || (prompt != nullptr && (prompt->has_left() || prompt->wants_another_run())); },
      std::move(onlooker));
  if (const auto refusal = session.check()) return refuse(*refusal);
  if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "kdpc: {} …\n", session.scenario().title);
  if (const auto refusal = session.start()) return refuse(*refusal);
  if (const auto refusal = session.perform()) return refuse(*refusal);
  if (prompt != nullptr && prompt->wants_another_run()) return ExitCode::AsExpected;
  if (prompt != nullptr && prompt->has_left()) return ExitCode::Interrupted;
  const Report report = session.finish();

  // Bytes that are not UTF-8, in what a driver printed, must not cost the report.
  const std::string json = to_json(report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const std::string text = to_text(report);
  std::fputs(arguments.json ? json.c_str() : text.c_str(), stdout);
  bool well = std::fflush(stdout) == 0;
  if (!arguments.out.empty()) {
    const std::filesystem::path folder = arguments.out;
    well = write_file(folder / "report.json", json) && write_file(folder / "report.txt", text) && well;
  }
  if (!well) return refuse({ExitCode::HostLacks, "the report could not be written"});
  return report.exit_code;
}

}  // namespace

ExitCode run(const RunArguments& arguments) {
  heed_interrupts();
  std::optional<EventExpression> condition;
  std::optional<Prompt> prompt;
  if (!arguments.break_if.empty()) {
    auto parsed = EventExpression::parse(arguments.break_if);
    if (!parsed) return refuse({ExitCode::BadInput, "--break-if: " + parsed.error().what});
    condition = std::move(*parsed);
    prompt.emplace(*condition, arguments.json ? stderr : stdout);
  }
  for (;;) {
    const ExitCode code = run_once(arguments, prompt ? &*prompt : nullptr);
    if (prompt && prompt->wants_another_run()) continue;
    if (prompt && prompt->was_never_there()) fmt::print(stderr, "kdpc: --break-if: there was no such event\n");
    return code;
  }
}

}  // namespace kdpc::tool
