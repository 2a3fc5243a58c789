// Drivers and their devices, from the host's side. What is done inside is done in a system thread of its own, on processor 0.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "io/loader.h"
#include "io/pnp.h"
#include "io/registry.h"
#include "io/vectors.h"
#include "kdpc/explore.h"
#include "kdpc/lab.h"
#include "lab/hand.h"
#include "machine/host.h"

namespace kdpc::lab {

struct Machine::Devices {
  struct Attached {
    Board* board;
    host::Attached at;
  };
  std::vector<Attached> boards;
  std::string names_in_order;                // of the devices of each board; of a hand, what it does. Also of those that are gone
  std::map<unsigned, std::uint8_t> vectors;  // by line
  std::map<const Device*, std::vector<std::uint8_t>> message_vectors;  // of the messages granted; one entry per device that was started
  io::VectorsInUse in_use;
  std::map<std::string, std::vector<std::string>, std::less<>> settings;  // names, by driver
  std::map<unsigned, std::shared_ptr<Hand>> hands;                        // by their numbers as sources
  std::map<std::string, std::shared_ptr<Hand>, std::less<>> pulled_by;    // those of devices, by name: of equal ones the first, which find() finds

  struct Found {
    const Attached* of = nullptr;
    Device* device = nullptr;
    int line() const { return device->line() < 0 ? -1 : static_cast<int>(of->at.first_line) + device->line(); }
    bool shares_its_line() const {
      const auto devices = of->board->devices();
      return std::count_if(devices.begin(), devices.end(), [&](Device* other) { return other->line() == device->line(); }) > 1;
    }
  };
  Found find(std::string_view name) const {
    for (const Attached& attached : boards)
      for (Device* device : attached.board->devices())
        if (device->name() == name) return {&attached, device};
    return {};
  }
  // The device's messages get vectors, as far as there are any left, and the device is told how many.
  std::span<const std::uint8_t> grant_messages(const Found& found, unsigned most) {
    const auto known = message_vectors.find(found.device);
    if (known != message_vectors.end()) return known->second;
    std::vector<std::uint8_t>& vectors_of_device = message_vectors[found.device];
    const MessageOffer offer = found.device->messages();
    if (offer.kind == MessageOffer::Kind::None) return {};
    vectors_of_device = io::vectors_for_messages(in_use, offer.count, most, offer.kind == MessageOffer::Kind::Msi);
    for (unsigned message = 0; message < vectors_of_device.size(); ++message)
      host::assign_message(found.of->at.first_message + offer.first + message, vectors_of_device[message]);
    found.device->grant_messages(static_cast<unsigned>(vectors_of_device.size()));
    return vectors_of_device;
  }
  void add_name(std::string_view name) { (names_in_order += names_in_order.empty() ? "" : ", ") += name; }
  void keep(const std::shared_ptr<Hand>& hand) {
    hands[host::attach(*hand).first_source] = hand;
    add_name(hand->text());
  }
  bool has_come(Hand::Deed deed) const {
    return std::any_of(hands.begin(), hands.end(), [deed](const auto& one) { return one.second->deed() == deed && one.second->has_come(); });
  }
  // What is not there cannot interrupt (PNP-1). A line that others are wired to goes on for them.
  static void pull_out(const Found& found) {
    if (found.of->board->pull_out(*found.device) || found.line() < 0 || found.shares_its_line()) return;
    host::assign_line(static_cast<unsigned>(found.line()), 0, found.of->board->line_is_level(static_cast<unsigned>(found.device->line())));
  }
  std::string names() const {
    std::string all;
    for (const Attached& attached : boards)
      for (const Device* device : attached.board->devices()) all += (all.empty() ? "" : ", ") + std::string(device->name());
    return all.empty() ? "none" : all;
  }
};

namespace {

std::string failure(std::string_view subject, const io::pnp::Step& step) {
  return fmt::format("{}: {} failed with {}", subject, step.what, io::loader::text_of(step.status));
}

std::string not_loaded(std::string_view driver) { return fmt::format("{}: no driver of this name is loaded", driver); }

}  // namespace

std::shared_ptr<Machine::Devices> Machine::copy_of(const std::shared_ptr<Devices>& devices) {
  return devices == nullptr ? nullptr : std::make_shared<Devices>(*devices);
}

unsigned Machine::attach(Board& board) {
  if (devices_ == nullptr) devices_ = std::make_shared<Devices>();
  const host::Attached at = host::attach(board);
  devices_->boards.push_back({&board, at});
  for (const Device* const device : board.devices()) devices_->add_name(device->name());
  for (Device* const device : board.devices()) {
    if (!is_simulated() || !config().from_outside.may_pull_out(device->name())) continue;
    const Devices::Attached its{&board, at};
    const auto hand = std::make_shared<Hand>(device->name(), [its, device] { Devices::pull_out({&its, device}); });
    devices_->keep(hand);
    devices_->pulled_by.emplace(device->name(), hand);
  }
  return at.first_line;
}

void Machine::attach_hands() {
  devices_ = std::make_shared<Devices>();
  if (config().from_outside.power) devices_->keep(std::make_shared<Hand>(Hand::Deed::SleepsAndWakes));
  if (config().from_outside.cancel) devices_->keep(std::make_shared<Hand>(Hand::Deed::Cancels));
}

std::string Machine::hand_comes(unsigned board) const {
  if (devices_ == nullptr) return {};
  const auto found = devices_->hands.find(board);
  return found == devices_->hands.end() ? "" : found->second->text();
}

std::string Machine::boards() const { return devices_ == nullptr ? "" : devices_->names_in_order; }

bool Machine::can_be_pulled_out(std::string_view device) const { return devices_ != nullptr && devices_->pulled_by.contains(device); }

bool Machine::hand_has_taken() const { return devices_ != nullptr && devices_->has_come(Hand::Deed::PullsOut); }

bool Machine::hand_has_cancelled() const { return devices_ != nullptr && devices_->has_come(Hand::Deed::Cancels); }

std::vector<std::string> Machine::deeds_of_hand() const {
  std::vector<std::string> deeds;
  if (devices_ == nullptr) return deeds;
  for (const auto& [number, hand] : devices_->hands)
    if (hand->has_come()) deeds.push_back(hand->text());
  return deeds;
}

void Machine::assign_line(unsigned line, unsigned vector, bool level) {
  if (devices_ == nullptr) devices_ = std::make_shared<Devices>();
  devices_->vectors[line] = static_cast<std::uint8_t>(vector);
  devices_->in_use.set(vector & 0xFF);
  host::assign_line(line, static_cast<std::uint8_t>(vector), level);
}

namespace {

// What a thread inside does and leaves; it may still be at it when nobody waits any more.
struct Work {
  std::string subject;  // what messages begin with
  io::pnp::Step step;
  std::string wrong;  // set by the thread: instead of the step
};

// Why a thread inside is still at it: of a bug check the name, as outcome() has the rest; of other things all that is known.
std::string standstill(const Outcome& outcome) {
  const std::string report = outcome.report();
  return report.substr(0, outcome.bugcheck ? report.find('\n') : report.size() - 1);
}

bool perform(Machine& machine, const std::shared_ptr<Work>& work, std::string_view name, std::function<void()> body, std::string& why,
             Duration limit = std::chrono::seconds(30)) {
  const Outcome& outcome = machine.outcome();
  if (outcome.over()) return why = fmt::format("{}: it is too late to {}: {}", work->subject, name, standstill(outcome)), false;
  // As a thread of the system's it may go where there is room.
  const auto anywhere = [body = std::move(body)] {
    thread::set_affinity_of_current(active_processors());
    body();
  };
  const Task task = machine.start(0, PASSIVE_LEVEL, anywhere, {.name = std::string(name)});
  machine.run_until([&] { return task.done(); }, limit);
  if (!task.done()) {
    did_not_end();
    return why = fmt::format("{}: this did not end: {}; {}", work->subject, name, standstill(outcome)), false;
  }
  why = !work->wrong.empty() ? work->wrong : work->step.ok() ? "" : failure(work->subject, work->step);
  return why.empty();
}

// Does something with the power of the whole system; longer than NT waits for a driver's power requests.
bool change_power(Machine& machine, const char* name, std::function<io::pnp::Step()> action, std::string& why) {
  auto work = std::make_shared<Work>(Work{"the system", {}, {}});
  return perform(
      machine, work, name, [work, action = std::move(action)] { work->step = action(); }, why, std::chrono::minutes(60));
}

// Does something with a device that was announced.
template <class Action>
bool change(Machine& machine, std::string_view device, const char* name, Action action, std::string& why) {
  auto work = std::make_shared<Work>(Work{std::string(device), {}, {}});
  const auto body = [work, action] {
    io::PhysicalDevice* its = io::pnp::find(io::Name(std::string_view(work->subject)).view());
    work->step = its != nullptr ? action(*its) : io::pnp::Step{STATUS_NO_SUCH_DEVICE, "looking for a device that was started"};
  };
  return perform(machine, work, name, body, why);
}

}  // namespace

bool Machine::load_driver(const std::string& path, std::string& why, const DriverOptions& options) {
  const auto mapped = io::loader::map(path);
  if (!mapped) return why = mapped.error().what, false;
  auto work = std::make_shared<Work>();
  work->subject = options.name.empty() ? std::filesystem::path(path).stem().string() : options.name;
  if (devices_ == nullptr) devices_ = std::make_shared<Devices>();
  std::vector<std::string>& names = devices_->settings[work->subject];
  names.clear();
  for (const auto& [name, value] : options.settings) names.push_back(name);
  const auto load = [work, image = *mapped, settings = io::loader::stored(options.settings)] {
    io::Driver* driver = nullptr;
    work->step = {io::loader::start(*image, work->subject, settings, driver), "DriverEntry"};
  };
  return perform(*this, work, "load " + work->subject, load, why);
}

bool Machine::start_device(std::string_view device, std::string_view driver, std::string& why, const DeviceOptions& options) {
  const Devices::Found found = devices_ != nullptr ? devices_->find(device) : Devices::Found{};
  if (found.device == nullptr) {
    why = fmt::format("{}: no board has a device of this name; there are: {}", device, devices_ != nullptr ? devices_->names() : "none");
    return false;
  }
  const auto messages = devices_->grant_messages(found, options.most_messages);
  const int line = messages.empty() ? found.line() : -1;
  const bool level = line < 0 || found.of->board->line_is_level(static_cast<unsigned>(found.device->line()));
  if (line >= 0 && !devices_->vectors.contains(static_cast<unsigned>(line))) {
    const std::uint8_t vector = io::vector_for_line(devices_->in_use, static_cast<unsigned>(line));
    if (vector == 0) return why = fmt::format("{}: there is no interrupt vector left for line {}", device, line), false;
    assign_line(static_cast<unsigned>(line), vector, level);
  }
  auto work = std::make_shared<Work>(Work{std::string(device), {}, {}});
  const io::DeviceFacts facts = {work->subject,
                                 found.device->registers(),
                                 line,
                                 line >= 0 ? devices_->vectors[static_cast<unsigned>(line)] : std::uint8_t{0},
                                 level,
                                 level || (line >= 0 && found.shares_its_line()),
                                 line >= 0 && found.of->board->line_is_passive(static_cast<unsigned>(found.device->line())),
                                 messages,
                                 found.device->messages().kind == MessageOffer::Kind::MsiX,
                                 found.of->board->dma()};
  const auto hand = devices_->pulled_by.find(device);
  const auto start = [work, facts, driver_name = std::string(driver), hand = hand == devices_->pulled_by.end() ? nullptr : hand->second] {
    io::Driver* its = io::driver::find(io::Name(std::string_view(driver_name)).view());
    if (its == nullptr) {
      work->wrong = not_loaded(driver_name);
      return;
    }
    const io::Name device_name(facts.name);
    if (io::pnp::find(device_name.view()) == nullptr) work->step = io::pnp::announce(facts);
    if (!work->step.ok()) return;
    io::PhysicalDevice& physical = *io::pnp::find(device_name.view());
    if (hand != nullptr) hand->may_reach(physical);
    work->step = io::pnp::start(physical, *its);
  };
  return perform(*this, work, "start device", start, why);
}

bool Machine::stop_device(std::string_view device, std::string& why) {
  return change(
      *this, device, "stop device", [](io::PhysicalDevice& its) { return io::pnp::stop(its); }, why);
}

bool Machine::ask_to_stop_device(std::string_view device, std::string& why) {
  return change(
      *this, device, "ask to stop", [](io::PhysicalDevice& its) { return io::pnp::ask_to_stop(its); }, why);
}

bool Machine::ask_to_remove_device(std::string_view device, std::string& why) {
  return change(
      *this, device, "ask to remove", [](io::PhysicalDevice& its) { return io::pnp::ask_to_remove(its); }, why);
}

bool Machine::sleep(std::string& why) {
  return change_power(
      *this, "sleep", [] { return io::system_power::go_to(PowerSystemSleeping3); }, why);
}

bool Machine::wake(std::string& why) {
  return change_power(
      *this, "wake", [] { return io::system_power::go_to(PowerSystemWorking); }, why);
}

bool Machine::shut_down(std::string& why) { return change_power(*this, "shut down", io::system_power::shut_down, why); }

bool Machine::remove_device(std::string_view device, std::string& why) {
  return change(
      *this, device, "remove device", [](io::PhysicalDevice& its) { return io::pnp::remove(its); }, why);
}

bool Machine::surprise_remove_device(std::string_view device, std::string& why) {
  if (const Devices::Found found = devices_ != nullptr ? devices_->find(device) : Devices::Found{}; found.device != nullptr) Devices::pull_out(found);
  return change(
      *this, device, "pull out device", [](io::PhysicalDevice& its) { return io::pnp::surprise_remove(its); }, why);
}

bool Machine::unload_driver(std::string_view driver, std::string& why) {
  auto work = std::make_shared<Work>(Work{std::string(driver), {}, {}});
  const auto unload = [work] {
    io::Driver* its = io::driver::find(io::Name(std::string_view(work->subject)).view());
    if (its != nullptr) {
      work->step = io::pnp::unload(*its);
    } else {
      work->wrong = not_loaded(work->subject);
    }
  };
  return perform(*this, work, "unload", unload, why);
}

std::vector<std::string> Machine::device_names(std::string_view driver) const { return io::names::of_driver(driver); }

bool Machine::serves(std::string_view driver, unsigned major) const { return io::driver::serves(driver, static_cast<UCHAR>(major)); }

SettingsUse Machine::settings_use(std::string_view driver) const {
  if (devices_ == nullptr || !devices_->settings.contains(driver)) return {};
  io::registry::SettingsUse use = io::registry::use_of(driver, devices_->settings.find(driver)->second);
  return {std::move(use.unread), std::move(use.missed)};
}

unsigned Machine::vector_of(std::string_view device, unsigned message) const {
  if (devices_ == nullptr) return 0;
  const Devices::Found found = devices_->find(device);
  if (found.device == nullptr) return 0;
  if (const auto messages = devices_->message_vectors.find(found.device); messages != devices_->message_vectors.end() && !messages->second.empty())
    return message < messages->second.size() ? messages->second[message] : 0;
  if (found.line() < 0) return 0;
  const auto vector = devices_->vectors.find(static_cast<unsigned>(found.line()));
  return vector != devices_->vectors.end() ? vector->second : 0;
}

std::string status_text(std::int32_t status) { return io::loader::text_of(status); }

}  // namespace kdpc::lab
