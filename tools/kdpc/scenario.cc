#include "tools/kdpc/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernel/options.h"
#include "kernel/thread.h"
#include "lab/checks.h"
#include "lab/profiles.h"
#include "lab/settings.h"
#include "machine/sim/costs.h"
#include "tools/kdpc/near_name.h"
#include "tools/kdpc/scenario_devices.h"
#include "tools/kdpc/scenario_expect.h"

namespace kdpc::tool {
namespace {

constexpr double kNanosecondsPerMillisecond = 1e6;
constexpr std::uint64_t kNotGiven = ~std::uint64_t{0};

std::string scalar_text(const toml::node& node) {
  if (const auto* const text = node.as_string()) return text->get();
  if (const auto* const number = node.as_integer()) return fmt::format("{}", number->get());
  return {};
}

// A table of names and values, each judged by itself, so that each mistake has its line.
template <class Judge>
lab::Settings settings_from(TomlTable table, const std::vector<std::string>& names, Problems& problems, Judge&& judge) {
  lab::Settings settings;
  if (!table.exists()) return settings;
  for (const auto& [key, value] : *table.raw()) {
    const std::string name(key.str());
    const toml::node* const node = table.any(name);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      problems.add(*node, fmt::format("there is no key '{}' in [{}]{}", name, table.path(), suggestion(name, names)));
      continue;
    }
    const std::string text = scalar_text(*node);
    if (text.empty()) {
      problems.add(*node, fmt::format("'{}.{}' must be a string or a whole number, but this is {}", table.path(), name, kind_of(*node)));
      continue;
    }
    if (const std::string wrong = judge(name, text); !wrong.empty()) {
      problems.add(*node, wrong);
      continue;
    }
    settings[name] = text;
  }
  return settings;
}

void read_machine(const toml::table* raw, Scenario& scenario, Problems& problems) {
  TomlTable table(raw, "machine", problems);
  if (const auto kind = table.choice("kind", {"sim", "live"})) scenario.machine = *kind;
  if (const auto processors = table.integer("processors", 1, kMaxProcessors)) scenario.config.processors = static_cast<unsigned>(*processors);
  std::vector<std::string> profiles;
  for (const lab::Profile& profile : lab::profiles()) profiles.emplace_back(profile.name);
  if (const auto profile = table.choice("profile", profiles)) scenario.config.options[std::string(lab::kProfileKey)] = *profile;
  if (const auto idle = table.choice("idle", {"back-off", "spin", "block"})) {
    if (scenario.machine != "live") problems.add(*raw->get("idle"), "'machine.idle' is of the live machine only: kind = \"live\"");
    scenario.config.idle = *idle == "spin" ? lab::Idle::Spin : *idle == "block" ? lab::Idle::Block : lab::Idle::BackOff;
  }
  if (const auto megabytes = table.integer("memory_mb", 16, 65536)) scenario.config.memory = static_cast<std::size_t>(*megabytes) << 20;
  table.done();
}

void read_settings(TomlTable& root, Scenario& scenario, Problems& problems) {
  std::vector<std::string> options, costs;
  for (const auto& [name, value] : lab::settings_of(Options{})) options.push_back(name);
  for (const sim::NamedCost& cost : sim::kNamedCosts) costs.emplace_back(cost.name);
  lab::Settings wanted =
      settings_from(TomlTable(root.table("options"), "options", problems), options, problems, [](const std::string& name, const std::string& text) {
        const auto read = lab::options_from({{name, text}});
        return read ? std::string() : read.error().what;
      });
  scenario.config.options.merge(wanted);
  const toml::table* const raw = root.table("costs");
  if (raw != nullptr && scenario.machine == "live") {
    problems.add(*raw, "the live machine runs in real time: nothing has a cost that could be set; leave [costs] out, or take kind = \"sim\"");
    return;
  }
  scenario.config.costs =
      settings_from(TomlTable(raw, "costs", problems), costs, problems, [](const std::string& name, const std::string& text) -> std::string {
        const auto read = lab::costs_from({{name, text}});
        if (!read) return read.error().what;
        const auto all = sim::costs_with(*read);
        return all ? std::string() : all.error().what;
      });
}

// [checks]: what the rule checks do. Everything in it is judged by the lab, one thing at a time.
void read_checks(const toml::table* raw, Scenario& scenario, Problems& problems) {
  TomlTable table(raw, "checks", problems);
  lab::Checks& checks = scenario.config.checks;
  if (const auto mode = table.choice("mode", {"stop", "keep-going", "off"})) {
    checks.on = *mode != "off";
    checks.keep_going = *mode == "keep-going";
  }
  if (const auto races = table.choice("races", {"off", "certain", "suspected"}))
    checks.races = *races == "off" ? lab::Checks::Races::Off : *races == "certain" ? lab::Checks::Races::Certain : lab::Checks::Races::Suspected;
  if (const auto model = table.choice("memory_model", {"x64", "arm64"}))
    checks.memory_model = *model == "x64" ? lab::Checks::MemoryModel::X64 : lab::Checks::MemoryModel::Arm64;
  if (const auto benign = table.flag("benign_races")) checks.benign_races = *benign;
  const auto judge = [&](const toml::node& node, const lab::Checks& part) {
    if (const auto limits = lab::limits_from(part); !limits) problems.add(node, limits.error().what);
  };
  if (const toml::node* const off = table.any("off")) {
    const toml::array* const ids = off->as_array();
    if (ids == nullptr || !(ids->empty() || ids->is_homogeneous(toml::node_type::string))) {
      table.wrong("off", fmt::format("'checks.off' must be a list of ids, off = [\"dpc-budget\"], but this is {}", kind_of(*off)));
    } else {
      for (const toml::node& id : *ids) {
        checks.off.push_back(id.as_string()->get());
        judge(id, {.off = {checks.off.back()}});
      }
    }
  }
  if (const toml::table* const limits = table.table("limits"))
    for (const auto& [name, value] : *limits) {
      const auto* const number = value.as_integer();
      const std::string text = number != nullptr ? fmt::format("{}", number->get()) : std::string(kind_of(value));
      checks.limits[std::string(name.str())] = text;
      judge(value, {.limits = {{std::string(name.str()), text}}});
    }
  table.done();
}

// The texts of a REG_MULTI_SZ; nothing: it is something else.
std::optional<std::vector<std::string>> texts_of(const toml::node& value) {
  const toml::array* const list = value.as_array();
  if (list == nullptr) return {};
  std::vector<std::string> texts;
  for (const toml::node& one : *list) {
    if (!one.is_string()) return {};
    texts.push_back(one.as_string()->get());
  }
  return texts;
}

void read_explore(const toml::table* raw, Scenario& scenario, Problems& problems) {
  TomlTable table(raw, "explore", problems);
  scenario.faults = table.flag("faults").value_or(false);
  lab::FromOutside& outside = scenario.config.from_outside;
  outside.power = table.flag("power").value_or(false);
  outside.cancel = table.flag("cancel").value_or(false);
  if (outside.cancel && !scenario.workload) table.wrong("cancel", "there is no [workload], so there is no application to cancel its requests");
  if (const toml::node* const removal = table.any("removal")) {
    if (const auto devices = texts_of(*removal)) {
      outside.removal = !devices->empty();
      outside.removable = *devices;
      std::vector<std::string> names;
      for (const DeviceWanted& device : scenario.devices) names.push_back(device.name);
      for (const std::string& device : *devices) {
        const auto has_it = [&](const DriverWanted& driver) { return driver.device == device; };
        if (scenario.device(device) == nullptr) {
          table.wrong("removal", fmt::format("there is no device '{}'{}", device, suggestion(device, names)));
        } else if (std::none_of(scenario.drivers.begin(), scenario.drivers.end(), has_it)) {
          table.wrong("removal", fmt::format("no driver is given the device '{}', so it is never pulled out", device));
        }
      }
    } else if (removal->is_boolean()) {
      outside.removal = removal->as_boolean()->get();
    } else {
      table.wrong("removal", fmt::format("'explore.removal' must be true, false or a list of devices, but this is {}", kind_of(*removal)));
    }
  }
  table.done();
}

// A table within is a subkey: its values are named Sub\Name.
void read_parameters(const toml::table* raw, const std::string& path, DriverWanted& driver, Problems& problems, const std::string& subkey = {}) {
  if (raw == nullptr) return;
  for (const auto& [key, value] : *raw) {
    const std::string name = subkey + std::string(key.str());
    if (const toml::table* const inner = value.as_table()) {
      read_parameters(inner, path, driver, problems, name + "\\");
    } else if (auto texts = texts_of(value)) {
      driver.parameters[name] = std::move(*texts);
    } else if (const auto* const text = value.as_string()) {
      driver.parameters[name] = text->get();
    } else if (const auto* const number = value.as_integer(); number != nullptr && number->get() >= 0) {
      driver.parameters[name] = static_cast<std::uint64_t>(number->get());
    } else if (const auto* const flag = value.as_boolean()) {
      driver.parameters[name] = std::uint64_t{flag->get() ? 1U : 0U};
    } else {
      problems.add(
          value, fmt::format("'{}.{}' must be a whole number from 0 (REG_DWORD or REG_QWORD), a string (REG_SZ), true or false, but this is {}", path,
                             name, number != nullptr ? fmt::format("{}", number->get()) : std::string(kind_of(value))));
    }
  }
}

void read_drivers(const toml::array* raw, Scenario& scenario, Problems& problems) {
  if (raw == nullptr) return;
  std::vector<std::string> devices;
  for (const DeviceWanted& device : scenario.devices) devices.push_back(device.name);
  std::set<std::string> names, taken;
  for (const toml::node& node : *raw) {
    DriverWanted driver;
    TomlTable table(node.as_table(), "drivers", problems);
    driver.position = table.position();
    if (const auto file = table.text("file")) driver.file = *file;
    const auto name = table.text("name");
    if (!name && driver.file.empty()) table.need("name", "the name of a driver, name = \"hog\", or its file, file = \"hog.drv\"");
    driver.name = name ? *name : driver.file.stem().string();
    if (name && name->empty()) table.wrong("name", "a driver's name cannot be empty");
    if (!names.insert(driver.name).second && !driver.name.empty())
      table.wrong("name", fmt::format("a driver named '{}' is in this scenario already; give this one another name", driver.name));
    if (const auto device = table.text("device")) {
      driver.device = *device;
      if (scenario.device(*device) == nullptr) {
        table.wrong("device", fmt::format("there is no device '{}'{}", *device,
                                          devices.empty() ? fmt::format("; write a table [devices.{}]", *device) : suggestion(*device, devices)));
      } else if (!taken.insert(*device).second) {
        table.wrong("device", fmt::format("the device '{}' has another driver already", *device));
      }
    }
    read_parameters(table.table("parameters"), "drivers.parameters", driver, problems);
    table.done();
    if (!driver.file.empty() && driver.file.is_relative()) driver.file = scenario.file.parent_path() / driver.file;
    scenario.drivers.push_back(std::move(driver));
  }
}

// What an application does in every workload.
void read_application(TomlTable& table, WorkloadWanted& workload, const Scenario& scenario) {
  if (const auto opens = table.text("opens")) workload.opens = *opens;
  if (const auto processor = table.integer("processor", 0, scenario.config.processors - 1)) workload.processor = static_cast<unsigned>(*processor);
  if (const auto priority = table.integer("priority", 1, kHighPriority)) workload.priority = static_cast<unsigned>(*priority);
  workload.explore_ms = table.number("explore_ms", 0.1, 1e6).value_or(workload.explore_ms);
}

void read_line_workload(TomlTable& table, WorkloadWanted workload, Scenario& scenario) {
  read_application(table, workload, scenario);
  if (const DeviceWanted* const line = scenario.serial_line()) {
    workload.baud = line->baud;
  } else {
    table.wrong(workload.receive.empty() ? "send" : "receive", "there is no serial line: write a table [devices.com1] with model = \"16550\"");
  }
  if (const auto baud = table.integer("baud", 50, kHighestBaud)) workload.baud = static_cast<unsigned>(*baud);
  if (const auto bytes = table.integer("read_bytes", 1, 65536)) workload.read_bytes = static_cast<unsigned>(*bytes);
  if (const auto handshake = table.choice("handshake", {"none", "rts"})) workload.rts_handshake = *handshake == "rts";
  table.done();
  for (std::filesystem::path* const path : {&workload.receive, &workload.send})
    if (!path->empty() && path->is_relative()) *path = scenario.file.parent_path() / *path;
  scenario.workload = std::move(workload);
}

void read_workload(const toml::table* raw, Scenario& scenario, Problems& problems) {
  if (raw == nullptr) return;
  WorkloadWanted workload;
  TomlTable table(raw, "workload", problems);
  workload.position = table.position();
  if (const auto receive = table.text("receive")) workload.receive = *receive;
  if (const auto send = table.text("send")) workload.send = *send;
  workload.receive_position = table.position_of("receive");
  workload.send_position = table.position_of("send");
  if (workload.uses_line()) return read_line_workload(table, std::move(workload), scenario);
  table.need("play", "a recording, play = \"/usr/share/sounds/alsa/Front_Center.wav\", or receive or send, a file for a serial line");
  if (const auto play = table.text("play")) workload.play = *play;
  workload.play_position = table.position_of("play");
  read_application(table, workload, scenario);
  if (const auto period = table.number("period_ms", 0.1, 1000)) workload.period_ms = *period;
  if (const auto outstanding = table.integer("outstanding", 1, 31)) workload.outstanding = static_cast<unsigned>(*outstanding);
  if (const double frames = workload.period_ms * 48; frames != std::floor(frames))
    table.wrong("period_ms", fmt::format("{} ms are {} frames, which is no whole number", workload.period_ms, frames));
  table.done();
  if (workload.play.is_relative()) workload.play = scenario.file.parent_path() / workload.play;
  scenario.workload = std::move(workload);
}

}  // namespace

Result<Scenario> read_scenario(const std::filesystem::path& file) {
  std::error_code failed;
  if (std::filesystem::is_directory(file, failed)) return Error{fmt::format("{}: this is a folder, and a scenario is a file", file.string())};
  if (!std::filesystem::is_regular_file(file, failed)) return Error{fmt::format("{}: there is no such scenario file", file.string())};
  toml::table parsed;
  try {
    parsed = toml::parse_file(file.string());
  } catch (const toml::parse_error& error) {
    const Position position{file.string(), error.source().begin.line, error.source().begin.column};
    return Error{fmt::format("{}: this is not TOML: {}", position.text(), error.description())};
  }

  Scenario scenario;
  scenario.file = file;
  Problems problems(file.string());
  TomlTable root(&parsed, "", problems);
  if (const auto title = root.text("title")) scenario.title = *title;
  if (scenario.title.empty()) scenario.title = file.stem().string();
  if (const auto limit = root.number("time_limit_ms", 0.001, 1e9))
    scenario.time_limit_ns = static_cast<std::uint64_t>(*limit * kNanosecondsPerMillisecond);
  scenario.duration_ns = kNotGiven;
  if (const auto duration = root.number("duration_ms", 0.001, 1e9))
    scenario.duration_ns = static_cast<std::uint64_t>(*duration * kNanosecondsPerMillisecond);
  read_machine(root.table("machine"), scenario, problems);
  read_settings(root, scenario, problems);
  read_checks(root.table("checks"), scenario, problems);
  read_devices(root.table("devices"), scenario, problems);
  read_drivers(root.array_of_tables("drivers"), scenario, problems);
  read_workload(root.table("workload"), scenario, problems);
  read_explore(root.table("explore"), scenario, problems);
  read_expectations(root.table("expect"), scenario, problems);
  if (scenario.duration_ns == kNotGiven) {
    scenario.duration_ns = 1'000'000'000;
  } else if (scenario.workload) {
    root.wrong("duration_ms", "'duration_ms' is for scenarios without a [workload]; with one, the run ends when it is done");
  }
  root.done();
  if (!problems.none()) return Error{problems.text()};
  return scenario;
}

}  // namespace kdpc::tool
