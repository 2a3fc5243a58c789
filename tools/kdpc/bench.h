// kdpc bench: the benchmarks of this build or installation.
#pragma once
#include <string>
#include <vector>

#include "tools/kdpc/exit_code.h"

namespace kdpc::tool {

// Becomes libexec/kdpc-bench, which runs the programs of libexec/kdpc-benchmarks and judges; returns only if that cannot be.
ExitCode bench(const std::vector<std::string>& arguments);

}  // namespace kdpc::tool
