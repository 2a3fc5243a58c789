#include "tools/kdpc/sound_card.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

namespace kdpc::tool {

std::string qemu_program() {
  const char* const wanted = std::getenv("KDPC_QEMU");
  return wanted != nullptr && *wanted != '\0' ? wanted : qtest::QemuConfig().program;
}

std::string why_no_qemu(const std::string& program) {
  if (::access(program.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(program)) return {};
  return fmt::format(
      "the scenario's devices are QEMU's, and there is no program {}: apt-get install qemu-system-xen (qemu-system-x86 will not do, it lacks "
      "the qtest accelerator)",
      program);
}

Result<std::unique_ptr<qtest::QemuBoard>> start_board(const Scenario& scenario, const std::filesystem::path& wav) {
  qtest::QemuConfig config;
  config.program = qemu_program();
  for (const DeviceWanted& device : scenario.devices) {
    if (!device.is_qemus()) continue;
    const std::string output = "wav-" + device.name;
    const bool is_recorded = &device == scenario.sound_card();
    config.outputs.push_back({.id = output,
                              .path = is_recorded ? wav.string() : "/dev/null",
                              .frequency = device.rate,
                              .channels = device.channels,
                              .timer_period = std::chrono::microseconds(device.timer_period_us)});
    if (device.model != kHdaModel) {
      config.devices.push_back({.driver = device.model, .name = device.name, .options = "audiodev=" + output, .slot = device.slot});
      continue;
    }
    config.devices.push_back({.driver = device.model, .name = device.name, .options = "msi=on", .slot = device.slot});
    config.devices.push_back({.driver = "hda-output", .name = "", .options = fmt::format("bus={}.0,audiodev={},mixer=off", device.name, output)});
  }
  return qtest::QemuBoard::start(config);
}

}  // namespace kdpc::tool
