// kdpc run: builds what the scenario says, runs it, and reports.
#pragma once
#include "tools/kdpc/arguments.h"
#include "tools/kdpc/exit_code.h"

namespace kdpc::tool {

ExitCode run(const RunArguments& arguments);

}  // namespace kdpc::tool
