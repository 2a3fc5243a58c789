// Kernel against reference model: the same Program, and every step must be the same.
#pragma once
#include <array>
#include <cstddef>
#include <string>

#include "tests/model/operations.h"

namespace kdpc::model {

struct Comparison {
  std::size_t steps = 0;     // that were taken alike
  std::size_t routines = 0;  // of DPCs and interrupts, that were called
  bool equal = true;
  std::array<std::size_t, kKinds> performed{};  // how often each kind of operation was
};
Comparison compare(const Program& program, std::size_t limit);

// Leaves out of a Program that goes wrong whatever it goes wrong without.
Program shrink(const Program& program, std::size_t limit);

// What went wrong, for people: the first step that differs, both values, what went before.
std::string explain(const Program& program, std::size_t limit);

}  // namespace kdpc::model
