// The kernel under a Program: its scripts become a driver's threads, DPC routines and service routines on the simulated machine.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "tests/model/operations.h"
#include "tests/model/steps.h"

namespace kdpc::model {

struct KernelRun {
  Beginning beginning;
  std::vector<Step> steps;
  std::vector<Observed> listing;  // of step `list_step`, if it was asked for
  std::string ended;              // not empty: the run ended by itself, by a bug check or worse
};

inline constexpr std::size_t kNoListing = ~std::size_t{0};

KernelRun run_kernel(const Program& program, std::size_t limit, std::size_t list_step = kNoListing);

}  // namespace kdpc::model
