// kdpc explore, replay, shrink: finds the order in which a driver fails, shows it again, makes it short.
#pragma once
#include "tools/kdpc/arguments.h"

namespace kdpc::tool {

ExitCode explore(const ExploreArguments& arguments);
ExitCode replay(const ReplayArguments& arguments);
ExitCode shrink(const ReplayArguments& arguments);

}  // namespace kdpc::tool
