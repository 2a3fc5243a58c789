// Where the drivers of a scenario are.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tools/kdpc/refusal.h"
#include "tools/kdpc/scenario.h"

namespace kdpc::tool {

// Check: those that tell of their accesses to memory, where there are such; a build has them beside the others.
enum class Variant : std::uint8_t { Plain, Check };

// Finds the files. What is in them is judged when they are loaded.
std::optional<Refusal> find_driver_files(Scenario& scenario, const std::vector<std::string>& first_folders, Variant variant = Variant::Plain);

}  // namespace kdpc::tool
