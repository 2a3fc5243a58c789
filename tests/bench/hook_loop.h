// The loop in which hooks are measured: sixteen places of code write 256 numbers, sixteen at a time; then `between` is called, and they begin again.
#pragma once
#include "figures.h"

namespace kdpc::bench {

template <class Hook, class Between>
void hook_loop(benchmark::State& state, Hook hook, Between between) {
  constexpr int kPlaces = 16, kNumbers = 256;
  static volatile int numbers[kNumbers];
  int first = 0;
  while (state.KeepRunningBatch(kPlaces)) {
    volatile int* const at = &numbers[first];
    const auto write = [at, hook](int index) {
      hook(&at[index]);
      at[index] = index;
    };
    write(0), write(1), write(2), write(3), write(4), write(5), write(6), write(7);
    write(8), write(9), write(10), write(11), write(12), write(13), write(14), write(15);
    first = (first + kPlaces) % kNumbers;
    if (first == 0) between();
  }
}

template <class Hook>
void hook_loop(benchmark::State& state, Hook hook) {
  hook_loop(state, hook, [] {});
}

}  // namespace kdpc::bench
