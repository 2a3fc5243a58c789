// A device's hardware resources in the two views a driver is given: raw (as on its bus) and translated (as the processors see them, PNP-2).
#pragma once
#include "io/pnp.h"

namespace kdpc::io::resources {

// False: no memory. Fills device.raw and device.translated.
[[nodiscard]] bool build(PhysicalDevice& device);

}  // namespace kdpc::io::resources
