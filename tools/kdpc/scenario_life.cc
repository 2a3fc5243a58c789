#include "tools/kdpc/scenario_life.h"

#include <fmt/format.h>
#include <wdm.h>

#include "kdpc/explore.h"
#include "wdk/driver_image.h"

namespace kdpc::tool {

std::optional<Refusal> ScenarioLife::read(const std::string& file, const std::vector<std::string>& driver_folders, bool races) {
  races_ = races;
  auto scenario = read_scenario(file);
  if (!scenario) return Refusal{ExitCode::BadInput, scenario.error().what};
  scenario_ = std::move(scenario).value();
  if (scenario_.machine != "sim")
    return Refusal{ExitCode::BadInput, fmt::format("{}: only the simulated machine can be explored: [machine] kind = \"sim\"", file)};
  for (DeviceWanted& device : scenario_.devices) {
    if (device.model == kAc97Model) device.own = true;  // the same card, and one that can go back
    if (device.is_qemus())
      return Refusal{ExitCode::BadInput,
                     fmt::format("{}: a card of QEMU's keeps its state in another process and cannot go back; of our own there is an AC97",
                                 device.position.text())};
  }
  if (scenario_.drivers.empty()) return Refusal{ExitCode::BadInput, fmt::format("{}: there is no driver to explore: write [[drivers]]", file)};
  if (scenario_.workload)
    if (auto refusal = workload_.read(scenario_)) return refusal;
  return find_driver_files(scenario_, driver_folders, Variant::Check);
}

std::optional<Refusal> ScenarioLife::start(std::size_t remember_events) {
  lab::Config config = scenario_.config;
  config.remember_events = remember_events;
  config.hash = remember_events != 0;  // of a run that somebody will look at
  config.checks.keep_going = false;    // what is noted only would pass for well
  config.checks.races = races_ ? lab::Checks::Races::Certain : lab::Checks::Races::Off;
  std::string why;
  machine_ = lab::Machine::create(config, why);
  if (machine_ == nullptr) return Refusal{ExitCode::HostLacks, fmt::format("{}: there is no machine: {}", scenario_.file.string(), why)};
  cards_ = make_cards(scenario_, -1);
  if (cards_.board != nullptr) machine_->attach(*cards_.board);
  for (const DriverWanted& wanted : scenario_.drivers)
    if (const auto image = map_driver(wanted); !image) return Refusal{ExitCode::BadInput, image.error().what};
  return {};
}

lab::Duration ScenarioLife::endurance() const {
  const std::uint64_t runs = scenario_.workload ? static_cast<std::uint64_t>(scenario_.workload->explore_ms * 1e6) : scenario_.duration_ns;
  return 1'000'000'000 + runs * scenario_.config.processors;
}

std::vector<std::string> ScenarioLife::unheard() const {
  std::vector<std::string> names;
  for (const DriverWanted& wanted : scenario_.drivers)
    if (const auto image = read_driver_image(wanted.file.string(), [](std::string_view) { return true; }); image && !image->is_check_variant)
      names.push_back(wanted.name);
  return names;
}

std::vector<std::string> ScenarioLife::warnings() const {
  std::vector<std::string> warnings = scenario_.warnings();
  for (const DriverWanted& driver : scenario_.drivers)
    if (scenario_.config.from_outside.power && !driver.device.empty() && never_asleep_.contains(driver.name))
      warnings.push_back(fmt::format("{}: the driver '{}' has no routine for IRP_MJ_POWER, and does not hear that the system sleeps",
                                     driver.position.text(), driver.name));
  return warnings;
}

std::string ScenarioLife::work(lab::Machine& machine) {
  if (scenario_.workload) return workload_(machine, scenario_, cards_);
  machine.run_until([] { return false; }, scenario_.duration_ns);  // or until nothing will ever happen
  return {};
}

std::unique_ptr<lab::Explorer> ScenarioLife::explorer(std::string& why) {
  lab::Explorer::Life life;
  for (const DriverWanted& wanted : scenario_.drivers) {
    life.push_back([this, &wanted](lab::Machine& machine) {
      std::string refused;
      if (load(machine, wanted, refused) && !machine.serves(wanted.name, IRP_MJ_POWER)) never_asleep_.insert(wanted.name);
      return refused;
    });
    if (wanted.device.empty()) continue;
    life.push_back([&wanted](lab::Machine& machine) {
      std::string refused;
      machine.start_device(wanted.device, wanted.name, refused);
      return refused;
    });
  }
  life.push_back([this](lab::Machine& machine) { return work(machine); });
  for (auto wanted = scenario_.drivers.rbegin(); wanted != scenario_.drivers.rend(); ++wanted)
    life.push_back([&name = wanted->name](lab::Machine& machine) {
      std::string refused;
      machine.unload_driver(name, refused);
      return refused;
    });
  life.push_back([](lab::Machine& machine) { return lab::left_over(machine); });
  return lab::Explorer::create(*machine_, std::move(life), why);
}

}  // namespace kdpc::tool
