// kdpc show: the debugger's views of a run that is stopped or has ended, of a core file, or of whatever process a debugger holds.
#pragma once
#include "tools/kdpc/arguments.h"

namespace kdpc::tool {

ExitCode show(const ShowArguments& arguments);

}  // namespace kdpc::tool
