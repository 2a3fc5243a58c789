#include "tools/kdpc/scenario_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "tools/kdpc/cards.h"

namespace kdpc::tool {

namespace {

constexpr std::int64_t kMostOfAnything = 1'000'000'000;

// Of a card that interrupts by itself.
void read_pulse(TomlTable& table, DeviceWanted& device) {
  if (const auto time = table.number("first_us", 0, 1e6)) device.first_ns = static_cast<std::uint64_t>(*time * 1000);
  if (const auto time = table.number("period_us", 0.1, 1e6)) device.period_ns = static_cast<std::uint64_t>(*time * 1000);
  if (const auto count = table.integer("count", 0, kMostOfAnything)) device.count = static_cast<std::uint64_t>(*count);
  if (const auto count = table.integer("messages", 0, 16)) {
    device.messages = static_cast<unsigned>(*count);
    if (std::popcount(device.messages) > 1)
      table.wrong("messages", fmt::format("'{}.messages' must be 0, 1, 2, 4, 8 or 16, not {}", table.path(), *count));
  }
  if (const auto count = table.integer("spurious", 0, kMostOfAnything)) device.spurious = static_cast<std::uint64_t>(*count);
  if (const auto count = table.integer("duplicate", 0, kMostOfAnything)) device.duplicate = static_cast<std::uint64_t>(*count);
  if (const auto time = table.number("late_us", 0, 1e6)) device.late_ns = static_cast<std::uint64_t>(*time * 1000);
  if (const auto count = table.integer("lost", 0, kMostOfAnything)) device.lost = static_cast<std::uint64_t>(*count);
  if (const auto count = table.integer("storm", 0, kMostOfAnything)) device.storm = static_cast<std::uint64_t>(*count);
  if (const auto count = table.integer("records", 0, 1024)) device.records = static_cast<unsigned>(*count);
  if (const auto count = table.integer("torn", 0, kMostOfAnything)) device.torn = static_cast<std::uint64_t>(*count);
  if (const auto time = table.number("piece_us", 0.1, 1e6)) device.piece_ns = static_cast<std::uint64_t>(*time * 1000);
  if (const auto early = table.choice("early", {"nothing", "interrupt", "done"}))
    device.early = *early == "interrupt" ? cards::PulseWish::Early::Interrupt
                   : *early == "done"    ? cards::PulseWish::Early::Done
                                         : cards::PulseWish::Early::Nothing;
  if (device.torn != 0 && device.records == 0)
    table.wrong("torn", "records are torn, and this card writes none: give it a ring of some, records = 8");
  for (const char* const key : {"early", "piece_us"})
    if (table.raw()->contains(key) && device.torn == 0)
      table.wrong(key, fmt::format("'{}' is of records that are torn, and none is: say how many, torn = 1", key));
  if (device.duplicate != 0 && device.messages == 0)
    table.wrong("duplicate", "messages are sent twice, and this card has none: give it some, messages = 1");
}

void read_sound_card(TomlTable& table, DeviceWanted& device) {
  if (const auto engine = table.choice("engine", {"qemu", "own"})) device.own = *engine == "own";
  if (device.own && device.model == kHdaModel) table.wrong("engine", "the only sound card of our own is an AC97");
  if (!device.own) {
    if (const auto slot = table.integer("slot", 4, 15)) device.slot = static_cast<unsigned>(*slot);
    if (const auto period = table.integer("timer_period_us", 10, 10000)) device.timer_period_us = static_cast<unsigned>(*period);
  } else if (const auto line = table.integer("line", 0, 15)) {
    device.line = static_cast<unsigned>(*line);
  }
  if (const auto channels = table.integer("channels", 2, 2)) device.channels = static_cast<unsigned>(*channels);
  (void)table.choice("format", {"s16"});
  if (const auto rate = table.integer("rate", 8000, 192000); rate && *rate != 48000)
    table.wrong("rate", fmt::format("an {} plays 48000 frames a second, not {}", device.model.empty() ? kAc97Model : device.model, *rate));
  table.done();
}

// Of another card of our own.
void read_card(TomlTable& table, DeviceWanted& device, const Scenario& scenario) {
  if (const auto line = table.integer("line", 0, 15)) device.line = static_cast<unsigned>(*line);
  if (device.model == kUartModel) {
    if (const auto baud = table.integer("baud", 50, kHighestBaud)) device.baud = static_cast<unsigned>(*baud);
    if (const auto clock = table.integer("clock_hz", 16 * 50, 16 * std::int64_t{kHighestBaud})) device.clock = static_cast<unsigned>(*clock);
    if (const auto gap = table.number("gap_us", 0, 1e6)) device.gap_ns = static_cast<std::uint64_t>(*gap * 1000);
    if (const auto flow = table.choice("flow", {"none", "rts", "room"})) {
      device.obeys_rts = *flow != "none";
      device.waits_for_room = *flow == "room";
    }
    if (const auto far_end = table.choice("far_end", {"file", "pty"})) device.far_end_is_pty = *far_end == "pty";
    if (device.far_end_is_pty && scenario.serial_line() != nullptr)
      table.wrong("far_end", "the application uses the first serial line, and only that one's far end can be a pseudo terminal");
    if (device.far_end_is_pty && scenario.machine != "live")
      table.wrong("far_end", "a pseudo terminal is of the host's time: it needs kind = \"live\" in [machine]");
  } else {
    if (device.model == kPulseModel) {
      read_pulse(table, device);
    } else if (const auto time = table.number("conversion_us", 0.1, 1e6)) {
      device.conversion_ns = static_cast<std::uint64_t>(*time * 1000);
    }
    if (const auto count = table.integer("dead_after", 0, kMostOfAnything)) device.dead_after = static_cast<std::uint64_t>(*count);
    if (const auto count = table.integer("stuck_after", 0, kMostOfAnything)) device.stuck_after = static_cast<std::uint64_t>(*count);
  }
  table.done();
}

void check_room(TomlTable& table, const DeviceWanted& device, const Scenario& scenario) {
  const auto is_line = [](const DeviceWanted& one) { return one.model == kUartModel; };
  if (is_line(device) && std::count_if(scenario.devices.begin(), scenario.devices.end(), is_line) == kMostSerialLines)
    table.wrong("model", fmt::format("there is room for {} serial lines: leave one out", kMostSerialLines));
  // Some are QEMU's, and cards of our own when they are explored.
  if (scenario.devices.size() == cards::CardBoard::kMostCards)
    table.wrong("model", fmt::format("there is room for {} devices: leave one out", cards::CardBoard::kMostCards));
}

}  // namespace

void read_devices(const toml::table* raw, Scenario& scenario, Problems& problems) {
  if (raw == nullptr) return;
  for (const auto& [key, value] : *raw) {
    DeviceWanted device;
    device.name = std::string(key.str());
    const std::string path = "devices." + device.name;
    if (!value.is_table()) {
      problems.add(value, fmt::format("'{0}' must be a table, written [{0}], but this is {1}", path, kind_of(value)));
      continue;
    }
    TomlTable table(value.as_table(), path, problems);
    device.position = table.position();
    table.need("model", "a sound card, model = \"AC97\", or another card, model = \"16550\"");
    if (const auto model = table.choice("model", {kAc97Model, kHdaModel, kUartModel, kConverterModel, kPulseModel})) device.model = *model;
    device.model.empty() || device.plays() ? read_sound_card(table, device) : read_card(table, device, scenario);
    check_room(table, device, scenario);
    scenario.devices.push_back(std::move(device));
  }
}

const DeviceWanted* Scenario::device(std::string_view name) const {
  for (const DeviceWanted& device : devices)
    if (device.name == name) return &device;
  return nullptr;
}

std::vector<std::string> Scenario::warnings() const {
  std::vector<std::string> warnings;
  for (const DeviceWanted& each : devices)
    if (std::none_of(drivers.begin(), drivers.end(), [&](const DriverWanted& driver) { return driver.device == each.name; }))
      warnings.push_back(fmt::format("{}: no driver is given the device '{}'", each.position.text(), each.name));
  return warnings;
}

const DeviceWanted* Scenario::sound_card() const {
  for (const DeviceWanted& device : devices)
    if (device.plays()) return &device;
  return nullptr;
}

const DeviceWanted* Scenario::serial_line() const {
  for (const DeviceWanted& device : devices)
    if (device.model == kUartModel) return &device;
  return nullptr;
}

bool Scenario::needs_qemu() const {
  return std::any_of(devices.begin(), devices.end(), [](const DeviceWanted& device) { return device.is_qemus(); });
}

}  // namespace kdpc::tool
