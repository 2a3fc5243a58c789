// The least that a step from one processor or thread to another can cost on this host, with nothing of ours in it. (The floors of what one
// processor does alone stand in path_bench.cc, beside what is set against them.)
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <thread>

#include "remote.h"

namespace {

using namespace kdpc::bench;
using namespace std::chrono_literals;

// A thread that does nothing but what a floor is about, on the processor it is told.
template <class Body>
std::thread on_processor(int processor, Body body) {
  return std::thread([processor, body] {
    pin_this_thread(processor);
    body();
  });
}

using Word = std::atomic<std::uint32_t>;

void wait_while(Word& word, std::uint32_t value) {
  while (word.load(std::memory_order_acquire) == value) ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void wake(Word& word) { ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); }

// -- a cache line -----------------------------------------------------------------------------------------------------------------------------

struct alignas(64) Line {
  std::atomic<std::uint64_t> value{0};
};

// Odd numbers go there, even ones come back; stamps around sixteen of them, as reading the counter takes a good part of one.
void cache_line(benchmark::State& state) {
  constexpr int kTrips = 16;
  const auto processors = two_processors();
  if (!processors) return state.SkipWithError(kOneProcessor);
  const Pinned pinned(processors->here);
  Line line;
  std::thread other = on_processor(processors->there, [&line] {
    for (std::uint64_t next = 1;; next += 2) {
      std::uint64_t seen;
      while ((seen = line.value.load(std::memory_order_acquire)) < next) _mm_pause();
      if (seen == UINT64_MAX) return;
      line.value.store(next + 1, std::memory_order_release);
    }
  });
  Samples trips(static_cast<std::size_t>(state.max_iterations));
  std::uint64_t next = 1;
  for (auto _ : state) {
    const std::uint64_t before = stamp();
    for (int i = 0; i < kTrips; ++i, next += 2) {
      line.value.store(next, std::memory_order_release);
      while (line.value.load(std::memory_order_acquire) != next + 1) _mm_pause();
    }
    trips.add(before, stamp());
  }
  line.value.store(UINT64_MAX, std::memory_order_release);
  other.join();
  state.counters[kResult] = trips.nanoseconds(50) / kTrips;
}

// -- a signal to a thread that computes -------------------------------------------------------------------------------------------------------

Arrival signalled;
void handle(int) { signalled.now(); }

void tgkill_busy(benchmark::State& state) {
  const auto processors = two_processors();
  if (!processors) return state.SkipWithError(kOneProcessor);
  const Pinned pinned(processors->here);
  struct sigaction action {
  }, previous{};
  action.sa_handler = &handle;
  ::sigfillset(&action.sa_mask);
  ::sigaction(SIGUSR1, &action, &previous);
  std::atomic<pid_t> thread{0};
  std::atomic<bool> over{false};
  std::thread other = on_processor(processors->there, [&] {
    thread.store(static_cast<pid_t>(::syscall(SYS_gettid)));
    for (volatile std::uint64_t work = 0; !over.load(std::memory_order_relaxed);) work = work + 1;
  });
  while (thread.load() == 0) std::this_thread::yield();
  measure_latency(state, signalled, 3us, [process = ::getpid(), target = thread.load()] { ::syscall(SYS_tgkill, process, target, SIGUSR1); });
  over.store(true);
  other.join();
  ::sigaction(SIGUSR1, &previous, nullptr);
}

// -- a thread that waits ------------------------------------------------------------------------------------------------------------------------

void futex_wake(benchmark::State& state) {
  constexpr std::uint32_t kOver = UINT32_MAX;
  const auto processors = two_processors();
  if (!processors) return state.SkipWithError(kOneProcessor);
  const Pinned pinned(processors->here);
  Word word{0};
  Arrival arrival;
  std::thread other = on_processor(processors->there, [&] {
    for (std::uint32_t seen = 0;;) {
      wait_while(word, seen);
      arrival.now();
      if ((seen = word.load()) == kOver) return;
    }
  });
  measure_latency(state, arrival, 30us, [&word] {
    word.fetch_add(1, std::memory_order_release);
    wake(word);
  });
  word.store(kOver);
  wake(word);
  other.join();
}

// Two threads of one processor take turns: what a switch of threads costs that goes through the host's kernel.
void futex_hand_off(benchmark::State& state) {
  constexpr int kTurns = 32;
  constexpr std::uint32_t kMine = 0, kYours = 1, kOver = 2;
  const auto processors = two_processors();
  const int processor = processors ? processors->here : ::sched_getcpu();
  const Pinned pinned(processor);
  Word turn{kMine};
  std::thread other = on_processor(processor, [&turn] {
    for (;;) {
      wait_while(turn, kMine);
      if (turn.load(std::memory_order_acquire) == kOver) return;
      turn.store(kMine, std::memory_order_release);
      wake(turn);
    }
  });
  Samples turns(static_cast<std::size_t>(state.max_iterations));
  for (auto _ : state) {
    const std::uint64_t before = stamp();
    for (int i = 0; i < kTurns; ++i) {
      turn.store(kYours, std::memory_order_release);
      wake(turn);
      wait_while(turn, kYours);
    }
    turns.add(before, stamp());
  }
  turn.store(kOver);
  wake(turn);
  other.join();
  state.counters[kResult] = turns.nanoseconds(50) / (2 * kTurns);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  const int samples = arguments.quick ? 200 : 3000;
  benchmark::RegisterBenchmark("cache_line", cache_line)->Iterations(samples);
  benchmark::RegisterBenchmark("tgkill_busy", tgkill_busy)->Iterations(samples);
  benchmark::RegisterBenchmark("futex_wake", futex_wake)->Iterations(samples);
  benchmark::RegisterBenchmark("futex_hand_off", futex_hand_off)->Iterations(samples / 10);
  return run(arguments, {},
             {
                 {"cache_line", "a cache line to another processor and back"},
                 {"tgkill_busy.one_way_p50", "tgkill to the handler, in a thread that computes on another processor"},
                 {"tgkill_busy.one_way_p99", "the same, 99 of 100"},
                 {"futex_wake.one_way_p50", "a futex wake, to a thread that waits on another processor"},
                 {"futex_wake.one_way_p99", "the same, 99 of 100"},
                 {"futex_wake.round_trip_p50", "the same, until the waker sees that the thread runs"},
                 {"futex_hand_off", "from one thread to another of the same processor, by a futex"},
             });
}
