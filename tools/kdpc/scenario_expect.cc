#include "tools/kdpc/scenario_expect.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "check/race/report.h"
#include "lab/checks.h"
#include "tools/kdpc/near_name.h"
#include "tools/kdpc/stop_text.h"

namespace kdpc::tool {

namespace {

// What follows begins with a number; it is taken off.
std::optional<double> leading_number(std::string_view& text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (failed != std::errc{}) return {};
  std::size_t length = static_cast<std::size_t>(end - text.data());
  if (length > 1 && text[length - 1] == '.') --length;  // "2..5" is no "2." and ".5"
  text.remove_prefix(length);
  while (text.starts_with(' ')) text.remove_prefix(1);
  return value;
}

std::optional<Range> read_range(TomlTable& table, std::string_view key) {
  const toml::node* const node = table.any(key);
  if (node == nullptr) return {};
  if (const auto number = node->is_number() ? node->value<double>() : std::nullopt) return Range{*number, *number, false, fmt::format("{}", *number)};
  if (const auto* const text = node->as_string())
    if (auto range = range_from(text->get())) return range;
  table.wrong(key, fmt::format("'{}.{}' must be a number or a range such as \">0\", \">=2\" or \"14..16\"", table.path(), key));
  return {};
}

}  // namespace

void read_expectations(const toml::table* raw, Scenario& scenario, Problems& problems) {
  TomlTable table(raw, "expect", problems);
  Expectations& expect = scenario.expect;
  expect.dropouts = read_range(table, "dropouts");
  expect.total_ms = read_range(table, "total_ms");
  expect.lost_bytes = read_range(table, "lost_bytes");
  expect.culprit = table.text("culprit");
  std::vector<std::string> drivers;
  for (const DriverWanted& driver : scenario.drivers) drivers.push_back(driver.name);
  drivers.insert(drivers.end(), {"nt", "none"});
  if (expect.culprit && std::find(drivers.begin(), drivers.end(), *expect.culprit) == drivers.end())
    table.wrong("culprit", fmt::format("'{}' is no driver of this scenario{}", *expect.culprit, suggestion(*expect.culprit, drivers)));
  expect.finding = table.text("finding");
  if (expect.finding && *expect.finding != "none" && !race::is_id(*expect.finding))
    if (const auto known = lab::limits_from({.off = {*expect.finding}}); !known)
      table.wrong("finding", known.error().what + ", and docs/races.md the data races");
  if (const toml::node* const node = table.any("bugcheck")) {
    if (const auto* const number = node->as_integer()) {
      expect.bugcheck = fmt::format("{:#x}", number->get());
    } else if (const auto* const text = node->as_string()) {
      expect.bugcheck = text->get();
      const auto names = stop_names();
      const std::string_view near = nearest(text->get(), names);
      if (!is_stop_code(text->get()))
        problems.add(*node, fmt::format("there is no bug check named '{}'; {}", text->get(),
                                        near.empty() ? "any can be given as a number, 0x133" : fmt::format("did you mean '{}'?", near)));
    } else {
      table.wrong("bugcheck", fmt::format("'expect.bugcheck' must be a name or a number, but this is {}", kind_of(*node)));
    }
  }
  table.done();
  if (!raw) return;
  const bool uses_line = scenario.workload && scenario.workload->uses_line();
  for (const char* const key : {"dropouts", "total_ms"})
    if (scenario.workload && uses_line && raw->contains(key)) table.wrong(key, fmt::format("'expect.{}' is about sound, and none is played", key));
  if (scenario.workload && !uses_line && raw->contains("lost_bytes"))
    table.wrong("lost_bytes", "'expect.lost_bytes' is about a serial line, and none is used");
  if (scenario.workload) return;
  for (const char* const key : {"dropouts", "total_ms", "lost_bytes", "culprit"})
    if (raw->contains(key)) table.wrong(key, fmt::format("'expect.{}' is about a [workload], and there is none", key));
}

std::optional<Range> range_from(const std::string& text) {
  std::string_view rest = text;
  Range range;
  range.text = text;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  if (rest.starts_with('>')) {
    rest.remove_prefix(1);
    range.least_excluded = !rest.starts_with('=');
    if (!range.least_excluded) rest.remove_prefix(1);
    const auto least = leading_number(rest);
    if (!least || !rest.empty()) return {};
    range.least = *least;
    range.most = kInfinity;
    return range;
  }
  const auto least = leading_number(rest);
  if (!least) return {};
  range.least = range.most = *least;
  if (rest.empty()) return range;
  if (!rest.starts_with("..")) return {};
  rest.remove_prefix(2);
  const auto most = leading_number(rest);
  if (!most || !rest.empty() || *most < *least) return {};
  range.most = *most;
  return range;
}

}  // namespace kdpc::tool
