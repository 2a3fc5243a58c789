// The driver object of the root bus.
#pragma once
#include "io/pnp.h"

namespace kdpc::io::root_bus {

// Made at the first call. Null: no memory.
Driver* driver();

}  // namespace kdpc::io::root_bus
