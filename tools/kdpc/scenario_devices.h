// The tables [devices.NAME] of a scenario: QEMU's sound cards, and cards of our own.
#pragma once
#include "tools/kdpc/scenario.h"

namespace kdpc::tool {

void read_devices(const toml::table* raw, Scenario& scenario, Problems& problems);

}  // namespace kdpc::tool
