#include "tools/kdpc/schedule_file.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>

namespace kdpc::tool {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFirstLine = "kdpc schedule 1";

// What stands behind the first word, if that is it.
bool take(std::string_view line, std::string_view word, std::string_view& rest) {
  if (!line.starts_with(word) || line.size() <= word.size() || line[word.size()] != ' ') return false;
  rest = line.substr(word.size() + 1);
  return true;
}

Result<void> read_line(std::string_view line, const fs::path& folder, ScheduleFile& read) {
  std::string_view rest;
  if (line.empty() || line.starts_with('#')) return {};
  if (take(line, "version", rest)) {
    read.version = rest;
  } else if (take(line, "scenario", rest)) {
    read.scenario = (folder / rest).lexically_normal();
  } else if (take(line, "driver", rest)) {
    const std::size_t space = rest.rfind(' ');
    if (space == std::string_view::npos) return Error{"a driver has a name and a build id"};
    read.drivers.emplace_back(rest.substr(0, space), rest.substr(space + 1));
  } else if (take(line, "races", rest)) {
    if (rest != "on" && rest != "off") return Error{fmt::format("races are on or off, not '{}'", rest)};
    read.races = rest == "on";
  } else if (take(line, "failure", rest)) {
    read.failure = rest;
  } else if (take(line, "hash", rest)) {
    const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), read.hash, 16);
    if (failed != std::errc() || end != rest.data() + rest.size()) return Error{fmt::format("'{}' is no hash", rest)};
  } else {
    auto deviation = explore::deviation_from(line);
    if (!deviation) return deviation.error();
    read.schedule.push_back(*deviation);
  }
  return {};
}

}  // namespace

Result<ScheduleFile> read_schedule(const fs::path& file) {
  std::ifstream in(file);
  std::error_code failed;
  if (!in || !fs::is_regular_file(file, failed)) return Error{fmt::format("the schedule {} cannot be read", file.string())};
  ScheduleFile read;
  std::string line;
  if (!std::getline(in, line) || line != kFirstLine)
    return Error{fmt::format("{}: this is no schedule; its first line must be '{}'", file.string(), kFirstLine)};
  for (unsigned number = 2; std::getline(in, line); ++number)
    if (auto well = read_line(line, file.parent_path(), read); !well)
      return Error{fmt::format("{}:{}: {}", file.string(), number, well.error().what)};
  if (read.scenario.empty()) return Error{fmt::format("{}: a line 'scenario FILE.toml' is missing", file.string())};
  return read;
}

Result<void> write_schedule(const fs::path& file, const ScheduleFile& schedule) {
  const fs::path folder = fs::absolute(file).parent_path();
  std::string text = fmt::format("{}\nversion {}\nscenario {}\n", kFirstLine, schedule.version,
                                 fs::absolute(schedule.scenario).lexically_normal().lexically_proximate(folder).string());
  for (const auto& [name, id] : schedule.drivers) text += fmt::format("driver {} {}\n", name, id);
  text += fmt::format("races {}\n", schedule.races ? "on" : "off");
  text += fmt::format("failure {}\nhash {:016x}\n", schedule.failure, schedule.hash);
  for (const explore::Deviation& deviation : schedule.schedule) text += text_of(deviation) + '\n';
  std::ofstream out(file);
  out << text;
  out.close();
  if (!out) return Error{fmt::format("{} cannot be written", file.string())};
  return {};
}

}  // namespace kdpc::tool
