// The interrupt path of one processor in host time: changes of level, DPCs, and the way from an ISR to its DPC, against the least that such a
// thing can cost.
#include <wdm.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <vector>

#include "kdpc/lab.h"
#include "kernel/dpc.h"
#include "kernel/interrupt.h"
#include "machine/host.h"
#include "stamps.h"
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

// What a series of stamped passages took, in nanoseconds, less what passages through nothing take. The result is the mean of the middle: not the
// median, as the counter of a virtual processor may move in steps of 10 ns; and not the mean of all, as the host's own interrupts are among them.
class Passages {
 public:
  explicit Passages(benchmark::State& state) : state_(state) {
    for (int i = 0; i < 10'000; ++i) {
      begin();
      end();
    }
    nothing_ = middle();
    samples_.clear();
  }
  ~Passages() {
    if (samples_.empty()) return;
    const double tick = bench::nanoseconds_per_tick();
    state_.counters[bench::kResult] = std::max(tick, (middle() - nothing_) * tick);
    state_.counters["p99"] = std::max(tick, samples_.nanoseconds(99) - nothing_ * tick);
  }
  Passages(const Passages&) = delete;
  Passages& operator=(const Passages&) = delete;
  void begin() { began_ = bench::stamp(); }
  void end() { samples_.add(began_, bench::stamp()); }

 private:
  double middle() const {
    const std::vector<double> sorted = samples_.sorted();
    const auto tenth = static_cast<std::ptrdiff_t>(sorted.size() / 10);
    return std::accumulate(sorted.begin() + tenth, sorted.end() - tenth, 0.0) /
           static_cast<double>(sorted.size() - 2 * static_cast<std::size_t>(tenth));
  }

  benchmark::State& state_;
  bench::Samples samples_;
  double nothing_ = 0;
  std::uint64_t began_ = 0;
};

Passages* passages = nullptr;

void KDPC_NTAPI end_of_passage(Dpc*, void*, void*, void*) { passages->end(); }

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
BENCHMARK(raise_lower);
BENCHMARK(wdk_raise_lower);
BENCHMARK(insert_retire);
BENCHMARK(wdk_insert_retire);
BENCHMARK(insert_retire_64);
BENCHMARK(insert_queued);
BENCHMARK(isr_to_dpc);

std::vector<bench::Figure> figures() {
  // The peers postpone calls in real time, which of our machines only the live one does.
  return {
      {"raise_lower", "raise and lower", "raise_lower", "stores_and_loads", 2},
      {"raise_lower.wdk", "KeRaiseIrql and KeLowerIrql", "wdk_raise_lower", "raise_lower", 2},
      {"insert_retire", "insert a DPC and run it", "insert_retire", "exchange_and_call", 2},
      bench::on_live({"insert_retire.nt", "insert a DPC and run it", "insert_retire", "peer-nt_queue/same_core", 0.6}),
      bench::on_live({"insert_retire.peer", "insert a DPC and run it", "insert_retire", "best_peer/same_core", 0.75}),
      {"insert_retire.wdk", "KeInsertQueueDpc and the run", "wdk_insert_retire", "insert_retire", 2},
      {"insert_retire_64", "64 DPCs inserted, then run, each", "insert_retire_64", "exchange_and_call", 2},
      bench::on_live({"insert_retire_64.nt", "64 DPCs inserted, then run, each", "insert_retire_64", "peer-nt_queue/same_core_64", 0.6}),
      bench::on_live({"insert_retire_64.peer", "64 DPCs inserted, then run, each", "insert_retire_64", "best_peer/same_core_64", 0.75}),
      {"insert_queued", "insert a DPC that is queued", "insert_queued", "exchange", 2},
      {"isr_to_dpc", "from the ISR's request to the DPC", "isr_to_dpc", "exchange_and_call", 8},
      {"isr_to_dpc.p99", "from there to there, 99 of 100", "isr_to_dpc.p99", "isr_to_dpc", 2},
  };
}

}  // namespace
}  // namespace kdpc

int main(int argc, char** argv) {
  std::string why;
  kdpc::machine = kdpc::lab::Machine::create({.remember_events = 0, .hash = false, .checks = {.on = false}}, why);
  if (kdpc::machine == nullptr) {
    std::fprintf(stderr, "%s\n", why.c_str());
    return 69;
  }
  const int status = kdpc::bench::run(argc, argv, kdpc::figures());
  kdpc::machine.reset();
  return status;
}
