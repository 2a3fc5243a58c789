// What ThreadSanitizer's own hook for a write costs, in the same loop. Linked with its runtime, but not compiled for it: only the loop is watched.
#include "hook_loop.h"

extern "C" void __tsan_write4(void* at);       // NOLINT(bugprone-reserved-identifier)
extern "C" void __tsan_release(void* object);  // NOLINT(bugprone-reserved-identifier)

namespace {

using kdpc::bench::hook_loop;

void hook(const volatile int* at) { __tsan_write4(const_cast<int*>(at)); }

// Its hook goes the short way for what the thread has done before since it last released something.
void write_again(benchmark::State& state) {
  hook_loop(
      state, [](const volatile int* at) __attribute__((always_inline)) { hook(at); });
}
void write_first(benchmark::State& state) {
  static int lock;
  hook_loop(
      state, [](const volatile int* at) __attribute__((always_inline)) { hook(at); }, [] { __tsan_release(&lock); });
}
BENCHMARK(write_again);
BENCHMARK(write_first);

}  // namespace

int main(int argc, char** argv) {
  return kdpc::bench::run(argc, argv, {},
                          {
                              {"write_first", "ThreadSanitizer's hook for a write of four bytes, the first since a lock was released"},
                              {"write_again", "the same, where the thread has written that before"},
                          });
}
