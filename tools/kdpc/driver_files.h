// Where the drivers of a scenario are.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "io/loader.h"
#include "tools/kdpc/refusal.h"
#include "tools/kdpc/scenario.h"

namespace kdpc::tool {

// Check: those that tell of their accesses to memory, where there are such; a build has them beside the others.
enum class Variant : std::uint8_t { Plain, Check };

// Finds the files. What is in them is judged when they are loaded.
std::optional<Refusal> find_driver_files(Scenario& scenario, const std::vector<std::string>& first_folders, Variant variant = Variant::Plain);

// With a machine. A file that is no driver is bad input, where a driver that refuses to run is a finding: so the file is judged by itself, before it is loaded.
Result<const io::Image*> map_driver(const DriverWanted& wanted);
bool load(lab::Machine& machine, const DriverWanted& wanted, std::string& why);
// Loads it and starts its device. False: `why` says which of the two has failed, or the run is over. `loaded` gets its name once it is loaded.
bool load_and_start(lab::Machine& machine, const DriverWanted& wanted, std::string& why, std::vector<std::string>& loaded);

}  // namespace kdpc::tool
