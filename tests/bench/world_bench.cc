// The simulated machine as a whole: how many events it makes of a second of the host's, and what it costs to copy and restore its state.
#include "figures.h"

#include <wdm.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "kdpc/lab.h"
#include "kernel/events.h"
#include "kernel/pool.h"
#include "machine/host.h"
#include "machine/sink.h"
#include "trace/event_log.h"

namespace kdpc {

namespace {

using namespace std::chrono_literals;

// -- events ---------------------------------------------------------------------------------------------------------------------------------

// A thread on processor 0 queues a DPC to processor 1; that one sets the event the thread waits for. Everything is in it: queueing, an IPI, a
// drain, a wait that ends, and two switches of threads.
struct PingPong {
  KDPC dpc;
  KEVENT event;
  bool stop = false;

  static void NTAPI answer(PKDPC, PVOID context, PVOID, PVOID) { KeSetEvent(&static_cast<PingPong*>(context)->event, 0, FALSE); }
  void play() {
    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    KeInitializeDpc(&dpc, answer, this);
    KeSetTargetProcessorDpc(&dpc, 1);
    KeSetImportanceDpc(&dpc, HighImportance);
    while (!stop) {
      KeInsertQueueDpc(&dpc, nullptr, nullptr);
      KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr);
    }
  }
};

struct Counter final : EventSink {
  std::uint64_t events = 0;
  void event(const Stamp&, const Event&) override { ++events; }
};

template <class Count>
void rate_of_events(benchmark::State& state, lab::Machine& machine, Count&& count) {
  PingPong game;
  const lab::Task task = machine.start(0, PASSIVE_LEVEL, [&game] { game.play(); });
  machine.run_for(1ms);
  const std::uint64_t before = count();
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) machine.run_for(1ms);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  state.counters[bench::kResult] = static_cast<double>(count() - before) / seconds.count();
  game.stop = true;
  machine.run_until([&] { return task.done(); }, 10ms);
}

// Remembered and hashed; and, as a test does it, listened to by the rule checks as well.
template <bool checked>
void recorded(benchmark::State& state) {
  std::string why;
  const auto machine = lab::Machine::create({.processors = 2, .checks = {.on = checked}}, why);
  if (machine == nullptr) return state.SkipWithError(why.c_str());
  rate_of_events(state, *machine, [&] { return machine->log().end(); });
}
void events_recorded(benchmark::State& state) { recorded<false>(state); }
void events_checked(benchmark::State& state) { recorded<true>(state); }

void events_counted(benchmark::State& state) {
  std::string why;
  const auto machine = lab::Machine::create({.processors = 2, .remember_events = 0, .hash = false, .checks = {.on = false}}, why);
  if (machine == nullptr) return state.SkipWithError(why.c_str());
  Counter counter;
  machine->add_sink(counter);
  rate_of_events(state, *machine, [&] { return counter.events; });
  machine->remove_sink(counter);
}

// The floor: facts of the same size are copied to a log of the same length, and nothing brings them about.
void copies_of_events(benchmark::State& state) {
  struct Entry {
    Stamp stamp;
    Event event;
  };
  static std::vector<Entry> ring(1'000'000);
  std::size_t next = 0;
  Entry entry{{}, DpcQueued{}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(entry);
    ring[next] = entry;
    next = next + 1 == ring.size() ? 0 : next + 1;
  }
  state.counters[bench::kResult] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

// -- checkpoints ----------------------------------------------------------------------------------------------------------------------------

// A machine whose driver has allocated `kilobytes`.
std::unique_ptr<lab::Machine> machine_with(std::size_t kilobytes, std::string& why) {
  auto machine = lab::Machine::create({.remember_events = 0, .hash = false, .checks = {.on = false}}, why);
  if (machine == nullptr) return nullptr;
  machine->on(0, PASSIVE_LEVEL, [kilobytes] {
    if (kilobytes != 0) ExAllocatePoolWithTag(NonPagedPool, kilobytes * 1024, pool_tag("Bnch"));
  });
  return machine;
}

enum class Action { Take, Restore, Copy };

template <Action action, std::size_t kilobytes>
void checkpoint(benchmark::State& state) {
  std::string why;
  const auto machine = machine_with(kilobytes, why);
  if (machine == nullptr) return state.SkipWithError(why.c_str());
  auto taken = host::checkpoint();
  if (!taken) return state.SkipWithError(taken.error().what.c_str());
  const std::size_t bytes = host::size_of(**taken);
  std::vector<char> from(bytes, 1), to(bytes);
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    if constexpr (action == Action::Take) host::discard(host::checkpoint().value());
    if constexpr (action == Action::Restore) host::restore(**taken);
    if constexpr (action == Action::Copy) {
      std::memcpy(to.data(), from.data(), bytes);
      benchmark::ClobberMemory();
    }
  }
  const double nanoseconds = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  state.counters[bench::kResult] = nanoseconds / static_cast<double>(state.iterations()) / (static_cast<double>(bytes) / 1024);
  host::discard(*taken);
}

void take_small(benchmark::State& state) { checkpoint<Action::Take, 0>(state); }
void restore_small(benchmark::State& state) { checkpoint<Action::Restore, 0>(state); }
void copy_small(benchmark::State& state) { checkpoint<Action::Copy, 0>(state); }
void take_large(benchmark::State& state) { checkpoint<Action::Take, 1024>(state); }
void restore_large(benchmark::State& state) { checkpoint<Action::Restore, 1024>(state); }
void copy_large(benchmark::State& state) { checkpoint<Action::Copy, 1024>(state); }

BENCHMARK(events_recorded);
BENCHMARK(events_checked);
BENCHMARK(events_counted);
BENCHMARK(copies_of_events);
BENCHMARK(take_small);
BENCHMARK(restore_small);
BENCHMARK(copy_small);
BENCHMARK(take_large);
BENCHMARK(restore_large);
BENCHMARK(copy_large);

}  // namespace
}  // namespace kdpc

int main(int argc, char** argv) {
  return kdpc::bench::run(
      argc, argv,
      {
          {"events", "events a second, logged and hashed", "events_recorded", "copies_of_events", 0.01, "1/s", true},
          {"events.checked", "events a second, the rule checks listening too", "events_checked", "events_recorded", 0.7, "1/s", true},
          {"events.bare", "events a second, counted only", "events_counted", "copies_of_events", 0.02, "1/s", true},
          {"checkpoint", "checkpoint of a small machine, a KB", "take_small", "copy_small", 2, "ns"},
          {"restore", "restore of a small machine, a KB", "restore_small", "copy_small", 2, "ns"},
          {"checkpoint.1mb", "with 1 MB of pool in use, a KB", "take_large", "copy_large", 2, "ns"},
          {"restore.1mb", "with 1 MB of pool in use, a KB", "restore_large", "copy_large", 2, "ns"},
      });
}
