// An invariant of ours. Its failure is a bug in this program, never in a driver: it says so and stops the process (exit code 70).
#pragma once

namespace kdpc {

[[noreturn]] void fail_invariant(const char* id, const char* condition, const char* file, int line);

}  // namespace kdpc

#define KDPC_INVARIANT(id, condition)                             \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      ::kdpc::fail_invariant(id, #condition, __FILE__, __LINE__); \
  } while (false)
