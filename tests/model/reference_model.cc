// reference_model --processors 1…8 --seed N --steps M: random programs for the kernel and for the reference model, compared step by step.
// Exit 0: all steps were alike. 1: they were not; the program is made smaller, and everything about it is printed.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/model/compare.h"

int main(int count, char** arguments) {
  using namespace kdpc::model;
  std::uint64_t seed = 1, steps = 20'000, each = 3'000;
  unsigned processors = 2;
  bool shrinks = true;
  for (int i = 1; i < count; ++i) {
    const auto number = [&](const char* name, auto& value) {
      if (std::strcmp(arguments[i], name) != 0 || i + 1 >= count) return false;
      value = static_cast<std::remove_reference_t<decltype(value)>>(std::strtoull(arguments[++i], nullptr, 0));
      return true;
    };
    if (number("--seed", seed) || number("--steps", steps) || number("--each", each) || number("--processors", processors)) continue;
    if (std::strcmp(arguments[i], "--whole") == 0) {
      shrinks = false;
      continue;
    }
    std::fprintf(stderr, "usage: %s [--processors 1..8] [--seed N] [--steps M] [--each STEPS OF ONE PROGRAM] [--whole]\n", arguments[0]);
    return 2;
  }
  const auto begun = std::chrono::steady_clock::now();
  std::uint64_t done = 0, dpcs = 0, programs = 0;
  for (std::uint64_t which = seed; done < steps; ++which, ++programs) {
    const std::uint64_t limit = std::min(each, steps - done);
    const Program program = generate(which, processors, static_cast<unsigned>(each));
    const Comparison comparison = compare(program, limit);
    done += comparison.steps;
    dpcs += comparison.dpcs;
    if (comparison.equal) continue;
    std::printf("kernel and model differ: --processors %u --seed %" PRIu64 " --steps %" PRIu64 " --each %" PRIu64 "\n", processors, which, limit,
                each);
    std::fputs(explain(program, limit).c_str(), stdout);
    if (!shrinks) return 1;
    const Program smaller = shrink(program, limit);
    std::printf("\nThe same, made smaller:\n%s%s", text_of(smaller).c_str(), explain(smaller, limit).c_str());
    return 1;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::printf("%" PRIu64 " steps alike, %" PRIu64 " routines of DPCs among them; %u processors, %" PRIu64 " programs from seed %" PRIu64
              ", %.1f s, %.0f steps/s\n",
              done, dpcs, processors, programs, seed, seconds, static_cast<double>(done) / seconds);
  return 0;
}
