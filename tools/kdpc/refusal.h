// Why the command does not do what it was asked for.
#pragma once
#include <string>

#include "tools/kdpc/exit_code.h"

namespace kdpc::tool {

struct Refusal {
  ExitCode code = ExitCode::BadInput;
  std::string text;  // for stderr, without a final newline
};

// Says it, each line with the command's name. Returns the code.
ExitCode refuse(const Refusal& refusal);

}  // namespace kdpc::tool
