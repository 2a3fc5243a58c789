// What a worker process leaves for the one that watches it: which case it is in, every call made, and the counts. It outlives the worker, so the
// calls before a crash can be told.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "wdk/routine.h"

namespace kdpc::fuzz {

inline constexpr unsigned kMostArguments = 11;
inline constexpr unsigned kMostCalls = 400;  // told of one case

// How a case ended. All of these are as they should be.
enum class End : std::uint8_t { Status, Unfinished, Bugcheck, Finding, Deadlock, NoProgress, Count };
inline constexpr const char* kNamesOfEnds[] = {"status", "unfinished", "bug check", "finding", "deadlock", "no progress"};

struct Call {
  std::uint16_t routine;
  std::uint8_t irql, arguments, depth;  // depth: inside how many callbacks
  bool returned;
  std::uint64_t values[kMostArguments];
  std::uint64_t result;
};

struct Counts {
  std::uint64_t calls, returned;
  std::uint64_t ended[static_cast<unsigned>(End::Count)];  // cases whose last call this was
};

struct Shared {
  std::atomic<std::uint64_t> seed;  // of the case under way
  std::atomic<std::uint64_t> cases;
  std::atomic<std::uint64_t> alive;  // changes while a case does anything
  std::uint64_t ended[static_cast<unsigned>(End::Count)];
  Counts of[wdk::kRoutineCount];
  char setting[256];  // of the machine of this case
  unsigned call_count;
  Call calls[kMostCalls];
};

}  // namespace kdpc::fuzz
