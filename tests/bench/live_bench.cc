// The live machine with several processors: a DPC to another one that polls, is busy or is asleep, a stream of them, a switch of threads, and whether
// the cost of a DPC stays the same when many are queued or many processors have some. What each is set against is in floors.cc and peers/.
#include <time.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "kdpc/lab.h"
#include "kernel/dpc.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "kernel/wait.h"
#include "remote.h"
#include "this_machine.h"

namespace kdpc {

namespace {

using namespace std::chrono_literals;

// How long the machine runs before the host looks whether all is done: to look, it stands still.
constexpr auto kSlice = 10ms;

// A machine from here to the end of the scope; null if there is none, and the benchmark says why.
std::unique_ptr<lab::Machine> make(benchmark::State& state, unsigned processors) {
  std::string why;
  auto machine = lab::Machine::create({.processors = processors, .remember_events = 0, .hash = false, .checks = {.on = false}}, why);
  if (machine == nullptr) state.SkipWithError(why.c_str());
  return machine;
}

// Runs until all have ended.
void finish(benchmark::State& state, lab::Machine& machine, const std::vector<lab::Task>& tasks) {
  for (const lab::Task& task : tasks)
    while (!task.done())
      if (!machine.run_for(kSlice)) return state.SkipWithError(machine.outcome().report().c_str());
}

constexpr unsigned kHere = 0, kThere = 1;

// body() in a thread of processor 0, with another processor that has nothing to do.
template <class Body>
void with_another(benchmark::State& state, Body&& body) {
  if (!bench::two_processors()) return state.SkipWithError(bench::kOneProcessor);
  const auto machine = make(state, 2);
  if (machine != nullptr) finish(state, *machine, {machine->start(kHere, Irql::Passive, [&] { body(); })});
}

// -- to another processor -----------------------------------------------------------------------------------------------------------------------

void KDPC_NTAPI arrive(Dpc*, void* context, void*, void*) { static_cast<bench::Arrival*>(context)->now(); }
void KDPC_NTAPI count(Dpc*, void* context, void*, void*) { static_cast<bench::Done*>(context)->one_more(); }

void remote(benchmark::State& state, std::chrono::nanoseconds pause, Importance importance) {
  bench::Arrival arrival;
  Dpc dpc{};
  dpc::initialize(dpc, arrive, &arrival);
  dpc::set_target(dpc, kThere);
  dpc::set_importance(dpc, importance);
  bench::measure_latency(state, arrival, pause, [&dpc] { dpc::insert(&dpc, nullptr, nullptr); });
}

// There and back as floors/cache_line measures it: stamps around sixteen trips, as reading the counter takes as long as half of one.
void remote_trip(benchmark::State& state) {
  constexpr int kTrips = 16;
  with_another(state, [&] {
    bench::Done done;
    Dpc dpc{};
    dpc::initialize(dpc, count, &done);
    dpc::set_target(dpc, kThere);
    bench::Samples trips(static_cast<std::size_t>(state.max_iterations));
    std::uint64_t there = 0;
    for (auto _ : state) {
      const std::uint64_t before = bench::stamp();
      for (int i = 0; i < kTrips; ++i) {
        dpc::insert(&dpc, nullptr, nullptr);
        ++there;
        if (!bench::spin_until([&] { return done.count.load(std::memory_order_acquire) == there; })) return state.SkipWithError(bench::kNoAnswer);
      }
      trips.add(before, bench::stamp());
    }
    if (!trips.empty()) state.counters[bench::kResult] = trips.nanoseconds(50) / kTrips;
  });
}

// Nothing has come to it for three microseconds: it looks all the time. For sixty: it sleeps.
void remote_polling(benchmark::State& state) {
  with_another(state, [&] { remote(state, 3us, Importance::Medium); });
}
void remote_blocked(benchmark::State& state) {
  with_another(state, [&] { remote(state, 60us, Importance::Medium); });
}

// It computes, in a thread at Passive. Only high importance interrupts it (SEMANTICS 5.2).
void remote_busy(benchmark::State& state) {
  if (!bench::two_processors()) return state.SkipWithError(bench::kOneProcessor);
  const auto machine = make(state, 2);
  if (machine == nullptr) return;
  std::atomic<bool> computes{false}, over{false};
  const lab::Task busy = machine->start(kThere, Irql::Passive, [&] {
    computes.store(true);
    for (volatile std::uint64_t work = 0; !over.load(std::memory_order_relaxed);) work = work + 1;
  });
  const lab::Task poster = machine->start(kHere, Irql::Passive, [&] {
    if (bench::spin_until([&] { return computes.load(); })) remote(state, 3us, Importance::High);
    over.store(true);
  });
  finish(state, *machine, {poster, busy});
}

void stream(benchmark::State& state, std::uint64_t length) {
  with_another(state, [&] {
    bench::Done done;
    const auto dpcs = std::make_unique<bench::Separate<Dpc>[]>(bench::kUnderWay);
    for (std::size_t n = 0; n < bench::kUnderWay; ++n) {
      dpc::initialize(dpcs[n], count, &done);
      dpc::set_target(dpcs[n], kThere);
    }
    bench::measure_stream(
        state, done, length, [&](std::size_t n) { dpc::insert(&dpcs[n], nullptr, nullptr); }, [] {});
  });
}

// -- threads --------------------------------------------------------------------------------------------------------------------------------------

// Two threads of one processor take turns: by giving way, and by setting an event each for the other. The result is one way.
constexpr int kTurns = 32;

void turns(benchmark::State& state, void (*one_turn)(unsigned who), void (*last_turn)(unsigned who)) {
  const auto machine = make(state, 1);
  if (machine == nullptr) return;
  std::atomic<bool> over{false}, there{false};
  bench::Samples samples(static_cast<std::size_t>(state.max_iterations));
  const lab::Task other = machine->start(0, Irql::Passive, [&] {
    there = true;
    while (!over.load(std::memory_order_relaxed)) one_turn(1);
  });
  const lab::Task first = machine->start(0, Irql::Passive, [&] {
    while (!there.load()) thread::yield();
    for (auto _ : state) {
      const std::uint64_t before = bench::stamp();
      for (int i = 0; i < kTurns; ++i) one_turn(0);
      samples.add(before, bench::stamp());
    }
    over = true;
    last_turn(0);
  });
  finish(state, *machine, {first, other});
  if (!samples.empty()) state.counters[bench::kResult] = samples.nanoseconds(50) / (2 * kTurns);
}

void thread_switch(benchmark::State& state) {
  turns(
      state, [](unsigned) { thread::yield(); }, [](unsigned) {});
}

EventObject events[2];
void give_turn(unsigned who) { wait::set_event(events[1 - who], 0); }
void hand_off_turn(unsigned who) {
  give_turn(who);
  wait::for_object(events[who].header, nullptr);
}
void thread_hand_off(benchmark::State& state) {
  for (EventObject& event : events) wait::initialize_event(event, ObjectType::SynchronizationEvent, false);
  turns(state, hand_off_turn, give_turn);
}

// The machine's part of a switch alone: registers, stack and thread-local data. Two threads hand the processor to and fro, with the dispatcher's lock held
// all the time; the scheduler knows the second one as ready, and nowhere queued, while the first runs.
void switch_by_hand(Thread& from, Thread& to) {
  Machine::here().current_thread = &to;
  to.state = ThreadState::Running;
  from.state = ThreadState::Ready;
  Machine::switch_to(from, to);
}
void machine_switch(benchmark::State& state) NO_PERMISSION_CHECK {
  const auto machine = make(state, 1);
  if (machine == nullptr) return;
  Thread *first = nullptr, *second = nullptr;
  bool over = false;
  bench::Samples samples(static_cast<std::size_t>(state.max_iterations));
  const lab::Task one = machine->start(0, Irql::Passive, [&] {
    first = &thread::current();
    while (second == nullptr) thread::yield();
    const Irql previous = scheduler::acquire_dispatcher_lock();
    for (auto _ : state) {
      const std::uint64_t before = bench::stamp();
      for (int i = 0; i < kTurns; ++i) switch_by_hand(*first, *second);
      samples.add(before, bench::stamp());
    }
    over = true;
    scheduler::ready_locked(*second);
    scheduler::release_dispatcher_lock(previous);
  });
  const lab::Task other = machine->start(0, Irql::Passive, [&] {
    while (first == nullptr) thread::yield();
    const Irql previous = scheduler::acquire_dispatcher_lock();
    Machine::here().ready.remove(*first);  // there since it gave way
    second = &thread::current();
    while (!over) switch_by_hand(*second, *first);
    thread::finish_switch_locked();
    scheduler::release_dispatcher_lock(previous);
  });
  finish(state, *machine, {one, other});
  if (!samples.empty()) state.counters[bench::kResult] = samples.nanoseconds(50) / (2 * kTurns);
}

// -- many -----------------------------------------------------------------------------------------------------------------------------------------

volatile std::uint64_t calls = 0;
void KDPC_NTAPI call(Dpc*, void*, void*, void*) { calls = calls + 1; }

// What a figure is made of: the dearest of them is set against the cheapest.
void tell_range(benchmark::State& state, const std::vector<double>& costs) {
  if (costs.empty()) return;
  state.counters["least"] = *std::min_element(costs.begin(), costs.end());
  state.counters["most"] = *std::max_element(costs.begin(), costs.end());
}

// So many are queued, then run: the time of one.
void queue_length(benchmark::State& state, std::size_t longest) {
  const auto machine = make(state, 1);
  if (machine == nullptr) return;
  const auto dpcs = std::make_unique<Dpc[]>(longest);
  const auto all_at_once = [&](std::size_t length) {
    const std::uint64_t before = bench::stamp();
    for (std::size_t done = 0; done < longest; done += length) {
      const RaiseTo<Irql::Dispatch> raised;
      for (std::size_t n = 0; n < length; ++n) dpc::insert(&dpcs[n], nullptr, nullptr);
    }
    return static_cast<double>(bench::stamp() - before) * bench::nanoseconds_per_tick() / static_cast<double>(longest);
  };
  std::vector<double> costs;
  const lab::Task task = machine->start(0, Irql::Passive, [&] {
    for (std::size_t n = 0; n < longest; ++n) dpc::initialize(dpcs[n], call, nullptr);
    for (auto _ : state)
      for (std::size_t length = 1; length <= longest; length *= 10) {
        // The least of three, as it is one long stretch of time in which the host has things of its own to do.
        costs.push_back(std::min({all_at_once(length), all_at_once(length), all_at_once(length)}));
        state.counters["of_" + std::to_string(length)] = costs.back();
      }
  });
  finish(state, *machine, {task});
  tell_range(state, costs);
}

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// A thread on each processor inserts DPCs there and runs them, 64 at a time. As more processors than the host has take turns on those, what counts is
// the host's processor time for one DPC, with everything that the machine does meanwhile.
double cost_with(benchmark::State& state, unsigned processors, std::uint64_t rounds) {
  constexpr std::size_t kBatch = 64;
  const auto machine = make(state, processors);
  if (machine == nullptr) return 0;
  struct alignas(64) Part {
    Dpc dpcs[kBatch] = {};
    volatile std::uint64_t ran = 0;
    static void KDPC_NTAPI run(Dpc*, void* context, void*, void*) {
      auto& part = *static_cast<Part*>(context);
      part.ran = part.ran + 1;
    }
  };
  const auto parts = std::make_unique<Part[]>(processors);
  std::vector<lab::Task> tasks;
  for (unsigned number = 0; number < processors; ++number)
    tasks.push_back(machine->start(number, Irql::Passive, [&part = parts[number], rounds] {
      for (Dpc& dpc : part.dpcs) dpc::initialize(dpc, Part::run, &part);
      for (std::uint64_t round = 0; round < rounds; ++round) {
        const RaiseTo<Irql::Dispatch> raised;
        for (Dpc& dpc : part.dpcs) dpc::insert(&dpc, nullptr, nullptr);
      }
    }));
  const double before = processor_seconds();
  finish(state, *machine, tasks);
  const double spent = processor_seconds() - before;
  std::uint64_t ran = 0;
  for (unsigned number = 0; number < processors; ++number) ran += parts[number].ran;
  if (ran != processors * rounds * kBatch) state.SkipWithError("not every DPC ran once");
  return spent * 1e9 / static_cast<double>(ran);
}

void many_processors(benchmark::State& state, std::uint64_t rounds) {
  std::vector<double> costs;
  for (auto _ : state)
    for (unsigned processors = 1; processors <= kMaxProcessors; processors *= 4) {
      costs.push_back(cost_with(state, processors, rounds / processors));
      state.counters["of_" + std::to_string(processors)] = costs.back();
    }
  tell_range(state, costs);
}

std::vector<bench::Figure> figures() {
  return {
      {"remote_polling", "a DPC to a processor that polls, and back", "remote_trip", "floors/cache_line", 2},
      {"remote_polling.tbb", "a DPC to a processor that polls, and back", "remote_polling.round_trip_p50", "peer-tbb/latency.round_trip_p50", 0.75},
      {"remote_polling.asio", "a DPC to a processor that polls, and back", "remote_polling.round_trip_p50", "peer-asio/latency.round_trip_p50",
       1.0 / 7},
      {"remote_polling.libuv", "a DPC to a processor that polls, and back", "remote_polling.round_trip_p50", "peer-libuv/latency.round_trip_p50",
       1.0 / 7},
      {"remote_busy", "a DPC to a processor that computes", "remote_busy.one_way_p50", "floors/tgkill_busy.one_way_p50", 1.25},
      {"remote_busy.p99", "the same, 99 of 100", "remote_busy.one_way_p99", "floors/tgkill_busy.one_way_p99"},
      {"remote_blocked", "a DPC to a processor that sleeps", "remote_blocked.one_way_p50", "floors/futex_wake.one_way_p50", 1.2},
      {"remote_blocked.p99", "the same, 99 of 100", "remote_blocked.one_way_p99", "floors/futex_wake.one_way_p99"},
      {"stream.asio", "a DPC of a stream to another processor", "stream", "peer-asio/stream", 0.2},
      {"stream.tbb", "a DPC of a stream to another processor", "stream", "peer-tbb/stream", 0.2},
      {"stream.libuv", "a DPC of a stream to another processor", "stream", "peer-libuv/stream", 1},
      {"stream.nt", "a DPC of a stream to another processor", "stream", "peer-nt_queue/stream"},
      {"thread_switch", "a thread gives way to another", "thread_switch", "floors/futex_hand_off", 0.02},
      {"thread_switch.machine", "the machine's part of that", "machine_switch", "floors/futex_hand_off", 0.02},
      {"thread_hand_off", "a thread sets an event for another and waits", "thread_hand_off", "floors/futex_hand_off"},
      {"queue_length", "a DPC of 1 to a million: the dearest", "queue_length.most", "queue_length.least", 2},
      {"processors", "a DPC with 1 to 64 processors: the dearest", "processors.most", "processors.least", 2},
  };
}

}  // namespace
}  // namespace kdpc

int main(int argc, char** argv) {
  using namespace kdpc;
  const bench::Arguments arguments = bench::parse(argc, argv);
  const int samples = arguments.quick ? 200 : 2000;
  benchmark::RegisterBenchmark("remote_polling", remote_polling)->Iterations(samples * 5);
  benchmark::RegisterBenchmark("remote_trip", remote_trip)->Iterations(samples);
  benchmark::RegisterBenchmark("remote_blocked", remote_blocked)->Iterations(samples);
  benchmark::RegisterBenchmark("remote_busy", remote_busy)->Iterations(samples);
  benchmark::RegisterBenchmark("stream", stream, arguments.quick ? 10'000 : 100'000)->Iterations(1);
  benchmark::RegisterBenchmark("thread_switch", thread_switch)->Iterations(samples);
  benchmark::RegisterBenchmark("machine_switch", machine_switch)->Iterations(samples);
  benchmark::RegisterBenchmark("thread_hand_off", thread_hand_off)->Iterations(samples);
  benchmark::RegisterBenchmark("queue_length", queue_length, arguments.quick ? 10'000 : 1'000'000)->Iterations(1);
  benchmark::RegisterBenchmark("processors", many_processors, arguments.quick ? 1'000 : 64'000)->Iterations(1);
  return bench::run(arguments, figures(), {});
}
