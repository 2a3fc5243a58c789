// The interrupt path of one processor in host time: changes of level, DPCs, and the way from an ISR to its DPC, against the least that such a
// thing can cost.
#include "figures.h"

#include <wdm.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <vector>

#include "kdpc/lab.h"
#include "kernel/dpc.h"
#include "kernel/interrupt.h"
#include "machine/host.h"
#include "this_machine.h"

namespace kdpc {

namespace {

using namespace std::chrono_literals;

std::unique_ptr<lab::Machine> machine;

// The loop of a benchmark, in a thread of the machine.
template <class Loop>
void inside(benchmark::State& state, Irql level, Loop&& loop) {
  if (!machine->on(0, level, [&] { loop(); }, {.name = "bench", .limit = 24h})) state.SkipWithError(machine->outcome().report().c_str());
}

// -- floors ---------------------------------------------------------------------------------------------------------------------------------

volatile std::uint8_t level_word = 0;
volatile std::uint32_t request_word = 0;
volatile std::uintptr_t claimed = 0;
volatile std::uint64_t calls = 0;
void KDPC_NTAPI counting_routine(Dpc*, void*, void*, void*) { calls = calls + 1; }
DpcRoutine* volatile routine_pointer = counting_routine;

// Remembering the level, raising it, putting it back, and looking for what has come meanwhile.
void stores_and_loads(benchmark::State& state) {
  for (auto _ : state) {
    const std::uint8_t old = level_word;
    level_word = 2;
    level_word = old;
    benchmark::DoNotOptimize(request_word != 0);
  }
}
void exchange(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(__atomic_exchange_n(&claimed, 1, __ATOMIC_ACQ_REL));
}
void exchange_and_call(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(__atomic_exchange_n(&claimed, 1, __ATOMIC_ACQ_REL));
    routine_pointer(nullptr, nullptr, nullptr, nullptr);
  }
}

// -- the path -------------------------------------------------------------------------------------------------------------------------------

Dpc dpc_object{};
Dpc batch[64]{};
KDPC wdk_dpc{};

void NTAPI wdk_counting_routine(PKDPC, PVOID, PVOID, PVOID) { calls = calls + 1; }

void raise_lower(benchmark::State& state) {
  inside(state, Irql::Passive, [&] {
    for (auto _ : state) lower_for_driver(raise_for_driver(Irql::Dispatch));
  });
}
void wdk_raise_lower(benchmark::State& state) {
  inside(state, Irql::Passive, [&] {
    for (auto _ : state) {
      KIRQL old;
      KeRaiseIrql(DISPATCH_LEVEL, &old);
      KeLowerIrql(old);
    }
  });
}
void insert_retire(benchmark::State& state) {
  inside(state, Irql::Passive, [&] {
    dpc::initialize(dpc_object, counting_routine, nullptr);
    for (auto _ : state) dpc::insert(&dpc_object, nullptr, nullptr);
  });
}
void wdk_insert_retire(benchmark::State& state) {
  inside(state, Irql::Passive, [&] {
    KeInitializeDpc(&wdk_dpc, wdk_counting_routine, nullptr);
    for (auto _ : state) KeInsertQueueDpc(&wdk_dpc, nullptr, nullptr);
  });
}
void insert_retire_64(benchmark::State& state) {
  inside(state, Irql::Passive, [&] {
    for (Dpc& each : batch) dpc::initialize(each, counting_routine, nullptr);
    while (state.KeepRunningBatch(64)) {
      const RaiseTo<Irql::Dispatch> raised;
      for (Dpc& each : batch) dpc::insert(&each, nullptr, nullptr);
    }
  });
}
void insert_queued(benchmark::State& state) {
  inside(state, Irql::Dispatch, [&] {
    dpc::initialize(dpc_object, counting_routine, nullptr);
    dpc::insert(&dpc_object, nullptr, nullptr);
    for (auto _ : state) dpc::insert(&dpc_object, nullptr, nullptr);
  });
}

// -- from the ISR to the DPC: by time stamps, whose own cost is taken off ----------------------------------------------------------------------

std::uint64_t stamp() {
  _mm_lfence();  // what came before has ended …
  const std::uint64_t now = __rdtsc();
  _mm_lfence();  // … and nothing of what follows has begun
  return now;
}

// What a series of stamped passages took, in nanoseconds: the mean of the middle, less that of passages through nothing. Not the median, as
// the counter of a virtual processor may move in steps of 10 ns; and not the mean of all, as the host's own interrupts are among them.
class Passages {
 public:
  explicit Passages(benchmark::State& state) : state_(state) {
    samples_.reserve(1 << 20);
    for (int i = 0; i < 10'000; ++i) {
      began_ = stamp();
      end();
    }
    nothing_ = middle();
    samples_.clear();
    first_ = stamp();
    start_ = std::chrono::steady_clock::now();
  }
  ~Passages() {
    const double nanoseconds = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_).count();
    const double per_tick = nanoseconds / static_cast<double>(stamp() - first_);
    state_.counters[bench::kResult] = std::max(per_tick, (middle() - nothing_) * per_tick);
  }
  Passages(const Passages&) = delete;
  Passages& operator=(const Passages&) = delete;
  void begin() { began_ = stamp(); }
  void end() {
    const std::uint64_t now = stamp();
    if (samples_.size() < samples_.capacity()) samples_.push_back(static_cast<double>(now - began_));
  }

 private:
  double middle() {
    if (samples_.empty()) return 0;
    std::sort(samples_.begin(), samples_.end());
    const auto tenth = static_cast<std::ptrdiff_t>(samples_.size() / 10);
    return std::accumulate(samples_.begin() + tenth, samples_.end() - tenth, 0.0) /
           static_cast<double>(samples_.size() - 2 * static_cast<std::size_t>(tenth));
  }

  benchmark::State& state_;
  std::vector<double> samples_;
  double nothing_ = 0;
  std::uint64_t began_ = 0, first_ = 0;
  std::chrono::steady_clock::time_point start_;
};

Passages* passages = nullptr;

void KDPC_NTAPI end_of_passage(Dpc*, void*, void*, void*) { passages->end(); }
DpcRoutine* volatile end_pointer = end_of_passage;

void exchange_and_call_stamped(benchmark::State& state) {
  Passages all(state);
  passages = &all;
  for (auto _ : state) {
    all.begin();
    benchmark::DoNotOptimize(__atomic_exchange_n(&claimed, 1, __ATOMIC_ACQ_REL));
    end_pointer(nullptr, nullptr, nullptr, nullptr);
  }
}

constexpr std::uint8_t kVector = 0x52;

unsigned char KDPC_NTAPI requesting_isr(Interrupt*, void*) {
  passages->begin();
  dpc::insert(&dpc_object, nullptr, nullptr);
  return 1;
}

void isr_to_dpc(benchmark::State& state) {
  Passages all(state);
  passages = &all;
  inside(state, Irql::Passive, [&] {
    dpc::initialize(dpc_object, end_of_passage, nullptr);
    InterruptSpec spec{};
    spec.routine = requesting_isr;
    spec.vector = kVector;
    spec.irql = spec.synchronize_irql = irql_of(kVector);
    spec.trigger = Trigger::Latched;
    spec.processors = ProcessorSet::only(0);
    Interrupt* interrupt = nullptr;
    if (interrupt::connect(spec, interrupt) != ConnectResult::Connected) return state.SkipWithError("the vector is taken");
    for (auto _ : state) {
      host::raise_message(kVector, 0);
      Machine::window();
    }
    interrupt::disconnect(interrupt);
  });
}

BENCHMARK(stores_and_loads);
BENCHMARK(exchange);
BENCHMARK(exchange_and_call);
BENCHMARK(exchange_and_call_stamped);
BENCHMARK(raise_lower);
BENCHMARK(wdk_raise_lower);
BENCHMARK(insert_retire);
BENCHMARK(wdk_insert_retire);
BENCHMARK(insert_retire_64);
BENCHMARK(insert_queued);
BENCHMARK(isr_to_dpc);

}  // namespace
}  // namespace kdpc

int main(int argc, char** argv) {
  std::string why;
  kdpc::machine = kdpc::lab::Machine::create({.remember_events = 0, .hash = false, .checks = {.on = false}}, why);
  if (kdpc::machine == nullptr) {
    std::fprintf(stderr, "%s\n", why.c_str());
    return 69;
  }
  const int status = kdpc::bench::run(argc, argv,
                                      {
                                          {"raise_lower", "raise and lower", "raise_lower", "stores_and_loads", 2},
                                          {"raise_lower.wdk", "KeRaiseIrql and KeLowerIrql", "wdk_raise_lower", "raise_lower", 2},
                                          {"insert_retire", "insert a DPC and run it", "insert_retire", "exchange_and_call", 2},
                                          {"insert_retire.wdk", "KeInsertQueueDpc and the run", "wdk_insert_retire", "insert_retire", 2},
                                          {"insert_retire_64", "the same, 64 at a time, each", "insert_retire_64", "exchange_and_call", 2},
                                          {"insert_queued", "insert a DPC that is queued", "insert_queued", "exchange", 2},
                                          {"isr_to_dpc", "from the ISR's request to the DPC", "isr_to_dpc", "exchange_and_call_stamped", 9},
                                      });
  kdpc::machine.reset();
  return status;
}
