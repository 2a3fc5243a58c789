#include "lab/settings.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <limits>
#include <string_view>
#include <vector>

#include "lab/profiles.h"

namespace kdpc::lab {

namespace {

// One option: how its value is read and written. read() returns what is allowed if the text is not.
struct Setting {
  std::string_view name;
  std::function<std::string(Options& options, const std::string& text)> read;
  std::function<std::string(const Options& options)> write;
};

template <class Enum>
Setting choice(std::string_view name, Enum Options::*field, std::vector<std::string_view> values) {
  return {name,
          [=](Options& options, const std::string& text) -> std::string {
            std::string allowed;
            for (std::size_t i = 0; i < values.size(); ++i) {
              if (values[i] == text) {
                options.*field = static_cast<Enum>(i);
                return {};
              }
              allowed += fmt::format("{}{}", i == 0 ? "" : ", ", values[i]);
            }
            return allowed;
          },
          [=](const Options& options) { return std::string(values[static_cast<std::size_t>(options.*field)]); }};
}

template <class Number>
Setting number(std::string_view name, Number Options::*field, Number least = 0, Number most = std::numeric_limits<Number>::max()) {
  return {name,
          [=](Options& options, const std::string& text) -> std::string {
            std::int64_t value = 0;
            const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (failed != std::errc{} || end != text.data() + text.size() || value < std::int64_t{least} || value > std::int64_t{most})
              return fmt::format("a whole number from {} to {}", std::int64_t{least}, std::int64_t{most});
            options.*field = static_cast<Number>(value);
            return {};
          },
          [=](const Options& options) { return fmt::format("{}", std::int64_t{options.*field}); }};
}

// The values stand in the order of the enumerators.
const std::vector<Setting>& all_settings() {
  static const std::vector<Setting> settings = {
      choice("irql_checks", &Options::irql_checks, {"strict", "checked", "free"}),
      choice("depth_compare", &Options::depth_compare, {"greater_or_equal", "greater"}),
      choice("remote_ipi", &Options::remote_ipi, {"microsoft", "idle_only", "react_os"}),
      choice("medium_high_remote", &Options::medium_high_remote, {"immediate", "as_medium"}),
      choice("idle_low_medium", &Options::idle_low_medium, {"wake", "wait"}),
      choice("threaded_dpc", &Options::threaded_dpc, {"enabled", "disabled"}),
      choice("remove_semantics", &Options::remove_semantics, {"exact", "pre_vista_sp1"}),
      choice("watchdog_action", &Options::watchdog_action, {"violation", "vista", "windows_7"}),
      choice("timer_dpc", &Options::timer_dpc, {"direct", "queued"}),
      choice("untargeted_timer", &Options::untargeted_timer, {"current", "processor_zero"}),
      choice("timer_table", &Options::timer_table, {"per_cpu", "global"}),
      choice("quantum", &Options::quantum, {"classic", "cycles"}),
      choice("idle_ticks", &Options::idle_ticks, {"all", "timekeeper_only"}),
      choice("delay", &Options::delay, {"exact", "from_tick"}),
      choice("latched_chain", &Options::latched_chain, {"full_pass", "last_claims"}),
      choice("connect_interrupt_ex", &Options::connect_interrupt_ex, {"vista", "nt52"}),
      choice("message_lock", &Options::message_lock, {"per_message", "shared"}),
      choice("wait_check", &Options::wait_check, {"entry", "late"}),
      choice("page_trim", &Options::page_trim, {"on", "off"}),
      choice("debug_filter", &Options::debug_filter, {"all", "windows"}),
      number("debug_mask", &Options::debug_mask),
      number("dpc_queue_depth", &Options::dpc_queue_depth, 1),
      number("minimum_dpc_rate", &Options::minimum_dpc_rate),
      number("adjust_dpc_threshold", &Options::adjust_dpc_threshold),
      number("ideal_dpc_rate", &Options::ideal_dpc_rate),
      number("dpc_time_limit", &Options::dpc_time_limit),
      number("dpc_watchdog_period", &Options::dpc_watchdog_period),
      number("clock_watchdog_ticks", &Options::clock_watchdog_ticks),
      number("ipi_time_limit_ms", &Options::ipi_time_limit_ms),
      number("yield_budget_us", &Options::yield_budget_us),
      number("storm_dispatches", &Options::storm_dispatches),
      number("storm_ticks", &Options::storm_ticks),
      number("quantum_reset", &Options::quantum_reset, std::int8_t{1}),
  };
  return settings;
}

// Empty, or what is wrong.
std::string apply(Options& options, const std::map<std::string, std::string>& settings) {
  for (const auto& [name, text] : settings) {
    if (name == kProfileKey) continue;
    const Setting* found = nullptr;
    std::string all;
    for (const Setting& setting : all_settings()) {
      if (setting.name == name) found = &setting;
      all += fmt::format("{}{}", all.empty() ? "" : ", ", setting.name);
    }
    if (found == nullptr) return fmt::format("there is no option named '{}'; the options are {}", name, all);
    const std::string allowed = found->read(options, text);
    if (!allowed.empty()) return fmt::format("'{}' is no value of the option {}; it can be {}", text, name, allowed);
  }
  return {};
}

std::string apply_profile(Options& options, const std::string& wanted) {
  std::string all;
  for (const Profile& profile : profiles()) {
    if (profile.name == wanted) return apply(options, profile.settings);
    all += fmt::format("{}{}", all.empty() ? "" : ", ", profile.name);
  }
  return fmt::format("there is no profile named '{}'; the profiles are {}", wanted, all);
}

}  // namespace

Result<Options> options_from(const std::map<std::string, std::string>& settings) {
  Options options;
  std::string wrong;
  if (const auto profile = settings.find(std::string(kProfileKey)); profile != settings.end()) wrong = apply_profile(options, profile->second);
  if (wrong.empty()) wrong = apply(options, settings);
  if (!wrong.empty()) return Error{wrong};
  return options;
}

std::vector<OptionRow> option_table() {
  std::vector<OptionRow> rows;
  const Options defaults;
  for (const Setting& setting : all_settings()) {
    Options scratch;
    const std::string allowed = setting.read(scratch, "");
    const bool is_number = allowed.starts_with("a whole number");
    rows.push_back({std::string(setting.name), setting.write(defaults), is_number ? std::string() : allowed});
  }
  return rows;
}

std::map<std::string, std::string> settings_of(const Options& options) {
  std::map<std::string, std::string> settings;
  for (const Setting& setting : all_settings()) settings.emplace(setting.name, setting.write(options));
  return settings;
}

Result<std::map<std::string, std::uint64_t>> costs_from(const std::map<std::string, std::string>& settings) {
  std::map<std::string, std::uint64_t> costs;
  for (const auto& [name, text] : settings) {
    std::uint64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc{} || end != text.data() + text.size())
      return Error{fmt::format("'{}' is no value of the cost {}: it is a whole number of nanoseconds", text, name)};
    costs.emplace(name, value);
  }
  return costs;
}

}  // namespace kdpc::lab
