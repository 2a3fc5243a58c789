// libexec/kdpc-<machine>: the command, on the machine this program is linked with.
#include <cstdio>
#include <exception>

#include "tools/kdpc/run.h"

int main(int argc, char** argv) {
  using kdpc::tool::ExitCode;
  kdpc::tool::RunArguments arguments;
  if (const auto ended = kdpc::tool::parse(argc, argv, arguments)) return static_cast<int>(*ended);
  try {
    return static_cast<int>(kdpc::tool::run(arguments));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kdpc: simulator bug: %s\n", error.what());
    return static_cast<int>(ExitCode::SimulatorBug);
  }
}
