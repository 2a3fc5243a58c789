// The hooks of drivers' check variants, the very code that is linked into each, with the machine to which one in a thousand goes.
#include <wdm.h>

#include <chrono>
#include <memory>

#include "hook_loop.h"
#include "kdpc/lab.h"
#include "machine/sink.h"

// From drvcrt_check.c, compiled for drivers.
extern "C" NTKERNELAPI VOID NTAPI __tsan_write4(const volatile void* at);  // NOLINT(bugprone-reserved-identifier)

namespace kdpc {

namespace {

using namespace std::chrono_literals;

std::unique_ptr<lab::Machine> machine;

struct Listener final : EventSink {
  std::uint64_t heard = 0;
  void event(const Stamp&, const Event&) override {}
  bool wants_accesses() const override { return true; }
  void accesses(const Stamp&, std::span<const Access> batch) override { heard += batch.size(); }
};

template <class Loop>
void inside(benchmark::State& state, Loop&& loop) {
  if (!machine->on(0, PASSIVE_LEVEL, [&] { loop(); }, {.name = "bench", .limit = 24h})) state.SkipWithError(machine->outcome().report().c_str());
}

void hook(benchmark::State& state) {
  inside(state, [&] {
    bench::hook_loop(
        state, [](const volatile int* at) __attribute__((always_inline)) { __tsan_write4(at); });
  });
}

void hook_heard(benchmark::State& state) {
  Listener listener;
  machine->add_sink(listener);
  hook(state);
  machine->remove_sink(listener);
}

// The floor: a call with the same convention, of a function that only returns.
[[gnu::noinline]] VOID NTAPI return_at_once(const volatile void* at) { asm volatile("" : : "r"(at)); }

void empty_hook(benchmark::State& state) {
  bench::hook_loop(
      state, [](const volatile int* at) __attribute__((always_inline)) { return_at_once(at); });
}

BENCHMARK(hook);
BENCHMARK(hook_heard);
BENCHMARK(empty_hook);

}  // namespace
}  // namespace kdpc

int main(int argc, char** argv) {
  std::string why;
  kdpc::machine = kdpc::lab::Machine::create({.remember_events = 0, .hash = false, .checks = {.on = false}}, why);
  if (kdpc::machine == nullptr) {
    fmt::print(stderr, "{}\n", why);
    return 1;
  }
  const int status =
      kdpc::bench::run(argc, argv,
                       {
                           {"hook", "the hook of a write in a check variant, with the write", "hook", "empty_hook", 1.5},
                           {"hook.heard", "the same with a sink that listens", "hook_heard", "empty_hook"},
                           {"hook.tsan", "against ThreadSanitizer's, first write since a lock was released", "hook", "tsan_hook/write_first", 0.25},
                           {"hook.tsan.again", "against ThreadSanitizer's, where it knows the write", "hook", "tsan_hook/write_again"},
                       });
  kdpc::machine.reset();
  return status;
}
