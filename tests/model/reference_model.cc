// reference_model: random programs for the kernel and for the reference model, compared step by step.
//
//   reference_model [--processors 1..8] [--seed N] [--steps M] [--each STEPS] [--whole] [--counts]
//
// Program after program, of at most --each operations, from seed N on, until M operations have been compared. --counts says how often each kind of
// operation was performed. Exit 0: all steps were alike. 1: they were not; what there is to know is printed, then, without --whole, the same of
// the smallest program that still goes wrong.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "tests/model/compare.h"

namespace {

using namespace kdpc::model;

struct Arguments {
  std::uint64_t processors = 2, seed = 1, steps = 100'000, each = 3'000;
  bool whole = false, counts = false;
};

std::optional<Arguments> read(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--whole") {
      arguments.whole = true;
      continue;
    }
    if (word == "--counts") {
      arguments.counts = true;
      continue;
    }
    std::uint64_t* number = nullptr;
    if (word == "--processors") number = &arguments.processors;
    if (word == "--seed") number = &arguments.seed;
    if (word == "--steps") number = &arguments.steps;
    if (word == "--each") number = &arguments.each;
    if (number == nullptr || ++i == count) return {};
    *number = std::strtoull(words[i], nullptr, 0);
  }
  if (arguments.processors < 1 || arguments.processors > 8 || arguments.each == 0) return {};
  return arguments;
}

int tell(const Program& program, const Arguments& arguments) {
  fmt::print("kernel and model differ: --processors {} --seed {} --steps {} --each {}\n{}", program.processors, program.seed, arguments.each,
             arguments.each, explain(program, arguments.each));
  std::fflush(stdout);
  if (arguments.whole) return 1;
  const Program smaller = shrink(program, arguments.each);
  fmt::print("\nthe same, made smaller:\n{}{}", text_of(smaller), explain(smaller, arguments.each));
  return 1;
}

}  // namespace

int main(int count, char** words) {
  const std::optional<Arguments> arguments = read(count, words);
  if (!arguments) {
    fmt::print(stderr, "usage: {} [--processors 1..8] [--seed N] [--steps M] [--each STEPS] [--whole] [--counts]\n", words[0]);
    return 2;
  }
  const auto begun = std::chrono::steady_clock::now();
  std::uint64_t operations = 0, routines = 0, seed = arguments->seed;
  std::array<std::uint64_t, kKinds> performed{};
  for (; operations < arguments->steps; ++seed) {
    const Program program = generate(seed, static_cast<unsigned>(arguments->processors), static_cast<unsigned>(arguments->each));
    const Comparison comparison = compare(program, arguments->each);
    if (!comparison.equal) return tell(program, *arguments);
    operations += comparison.steps - comparison.routines;
    routines += comparison.routines;
    for (unsigned kind = 0; kind < kKinds; ++kind) performed[kind] += comparison.performed[kind];
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  if (arguments->counts)
    for (unsigned kind = 0; kind < kKinds; ++kind) fmt::print("{:10}  {}\n", performed[kind], name_of(static_cast<Kind>(kind)));
  fmt::print("{} processors, seeds {} to {}: {} operations alike, and {} calls of routines; {:.1f} s, {:.0f} operations a second\n",
             arguments->processors, arguments->seed, seed - 1, operations, routines, seconds, static_cast<double>(operations) / seconds);
  return 0;
}
