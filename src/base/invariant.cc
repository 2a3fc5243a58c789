#include "base/invariant.h"

#include <unistd.h>

#include <cstdio>

namespace kdpc {

namespace {
constexpr int kExitSimulatorBug = 70;
}

void fail_invariant(const char* id, const char* condition, const char* file, int line) {
  std::fprintf(stderr, "kdpc: simulator bug: %s does not hold: %s (%s:%d)\n", id, condition, file, line);
  std::fflush(nullptr);
  ::_exit(kExitSimulatorBug);
}

}  // namespace kdpc
