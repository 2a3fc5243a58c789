#include "check/explore/record.h"

#include <fmt/format.h>

#include <charconv>

namespace kdpc::explore {

namespace {

// What stands behind the first word, if that is it.
bool take(std::string_view line, std::string_view word, std::string_view& rest) {
  if (!line.starts_with(word) || line.size() <= word.size() || line[word.size()] != ' ') return false;
  rest = line.substr(word.size() + 1);
  return true;
}

Result<void> read_line(std::string_view line, Record& read) {
  std::string_view rest;
  if (line.empty() || line.starts_with('#')) return {};
  if (take(line, "version", rest)) {
    read.version = rest;
  } else if (take(line, "build", rest)) {
    read.build = rest;
  } else if (take(line, "scenario", rest)) {
    read.scenario = rest;
  } else if (take(line, "test", rest)) {
    read.test = rest;
  } else if (take(line, "driver", rest)) {
    const std::size_t space = rest.rfind(' ');
    if (space == std::string_view::npos) return Error{"a driver has a name and a build id"};
    read.drivers.emplace_back(rest.substr(0, space), rest.substr(space + 1));
  } else if (take(line, "boards", rest)) {
    read.boards = rest;
  } else if (take(line, "races", rest)) {
    if (rest != "on" && rest != "off") return Error{fmt::format("races are on or off, not '{}'", rest)};
    read.races = rest == "on";
  } else if (take(line, "failure", rest)) {
    read.failure = rest;
  } else if (take(line, "hash", rest)) {
    const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), read.hash, 16);
    if (failed != std::errc() || end != rest.data() + rest.size()) return Error{fmt::format("'{}' is no hash", rest)};
  } else {
    auto deviation = deviation_from(line);
    if (!deviation) return deviation.error();
    read.schedule.push_back(*deviation);
  }
  return {};
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace

std::string text_of(const Record& record) {
  std::string text = fmt::format("{}\nversion {}\n", kFirstLine, record.version);
  if (!record.build.empty()) text += fmt::format("build {}\n", record.build);
  text += record.test.empty() ? fmt::format("scenario {}\n", record.scenario) : fmt::format("test {}\n", record.test);
  for (const auto& [name, id] : record.drivers) text += fmt::format("driver {} {}\n", name, id);
  if (!record.boards.empty()) text += fmt::format("boards {}\n", record.boards);
  text += fmt::format("races {}\n", record.races ? "on" : "off");
  text += fmt::format("failure {}\nhash {:016x}\n", record.failure, record.hash);
  for (const Deviation& deviation : record.schedule) text += text_of(deviation) + '\n';
  return text;
}

Result<Record> record_from(std::string_view text, std::string_view name) {
  if (take_line(text) != kFirstLine) return Error{fmt::format("{}: this is no schedule; its first line must be '{}'", name, kFirstLine)};
  Record read;
  for (unsigned number = 2; !text.empty(); ++number)
    if (auto well = read_line(take_line(text), read); !well) return Error{fmt::format("{}:{}: {}", name, number, well.error().what)};
  if (read.scenario.empty() && read.test.empty()) return Error{fmt::format("{}: a line 'scenario FILE.toml' is missing", name)};
  return read;
}

}  // namespace kdpc::explore
