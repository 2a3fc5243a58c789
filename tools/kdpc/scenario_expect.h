// The part of a scenario that says what is to come of it: [expect], see scenario.h.
#pragma once
#include "tools/kdpc/scenario.h"

namespace kdpc::tool {

// Behind everything else, which it is about.
void read_expectations(const toml::table* raw, Scenario& scenario, Problems& problems);

}  // namespace kdpc::tool
