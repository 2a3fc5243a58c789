// What passes between two processors: how long a callback takes to begin on the other one, and how many a second get there. Whoever posts is told
// by a function, so that the floors, the peers and the live machine are all measured by the same code.
#pragma once
#include <sched.h>

#include <atomic>
#include <memory>
#include <optional>

#include "stamps.h"

namespace kdpc::bench {

// The first two processors this program may use: the poster's and the target's.
struct TwoProcessors {
  int here, there;
};

inline std::optional<TwoProcessors> two_processors() {
  static const std::optional<TwoProcessors> found = []() -> std::optional<TwoProcessors> {
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
    int first = -1;
    for (int number = 0; number < CPU_SETSIZE; ++number) {
      if (!CPU_ISSET(number, &allowed)) continue;
      if (first >= 0) return TwoProcessors{first, number};
      first = number;
    }
    return {};
  }();
  return found;
}

inline void pin_this_thread(int processor) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(processor, &only);
  ::sched_setaffinity(0, sizeof only, &only);
}

// This thread stays on one processor for a scope.
class Pinned {
 public:
  explicit Pinned(int processor) {
    ::sched_getaffinity(0, sizeof before_, &before_);
    pin_this_thread(processor);
  }
  ~Pinned() { ::sched_setaffinity(0, sizeof before_, &before_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  cpu_set_t before_;
};

// A target that does not answer within this is broken; better told than waited for.
inline constexpr std::chrono::seconds kPatience{5};

// Waits, awake, until done(); false: in vain.
template <class Done>
[[nodiscard]] bool spin_until(Done&& done) {
  const auto ticks = static_cast<std::uint64_t>(std::chrono::nanoseconds(kPatience).count() / nanoseconds_per_tick());
  const std::uint64_t start = __rdtsc();
  for (unsigned looks = 1; !done(); ++looks) {
    if (looks % 4096 == 0 && __rdtsc() - start > ticks) return false;  // seldom: reading the counter takes as long as a look
    _mm_pause();
  }
  return true;
}

inline constexpr const char* kNoAnswer = "a callback did not run within five seconds";
inline constexpr const char* kOneProcessor = "it takes two processors";

// What the callback of a latency measurement does: says when it began. A cache line of its own.
struct alignas(64) Arrival {
  std::atomic<std::uint64_t> when{0};
  void now() { when.store(stamp(), std::memory_order_release); }
};

// Each iteration is one callback, posted to a target that has had `pause` to come to rest; post() brings about one arrival.now() over there.
// Results: one_way_p50, one_way_p99 from before the post to the callback's first instruction; round_trip_p50 until the poster sees that; post_p50,
// until the poster can go on.
template <class Post>
void measure_latency(benchmark::State& state, Arrival& arrival, std::chrono::nanoseconds pause, Post&& post) {
  const auto expected = static_cast<std::size_t>(state.max_iterations);
  Samples one_way(expected), round_trip(expected), sender(expected);
  for (auto _ : state) {
    spin_for(pause);
    arrival.when.store(0, std::memory_order_relaxed);
    const std::uint64_t before = stamp();
    post();
    const std::uint64_t posted = stamp();
    if (!spin_until([&] { return arrival.when.load(std::memory_order_acquire) != 0; })) return state.SkipWithError(kNoAnswer);
    const std::uint64_t back = stamp();
    one_way.add(before, arrival.when.load(std::memory_order_relaxed));
    round_trip.add(before, back);
    sender.add(before, posted);
  }
  if (one_way.empty() || one_way.nanoseconds(50) <= 0) return state.SkipWithError("the time stamp counters of the two processors differ");
  state.counters["one_way_p50"] = one_way.nanoseconds(50);
  state.counters["one_way_p99"] = one_way.nanoseconds(99);
  state.counters["round_trip_p50"] = round_trip.nanoseconds(50);
  state.counters["post_p50"] = sender.nanoseconds(50);
}

// How many callbacks of a stream have run: written by the target alone.
struct alignas(64) Done {
  std::atomic<std::uint64_t> count{0};
  void one_more() { count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
};

// So many may be under way in a stream. Each has an object of its own, which is not posted again before its callback has run.
inline constexpr std::size_t kUnderWay = 4096;

// Objects that go to and fro share no cache line, neither ours nor the peers'.
template <class T>
struct alignas(64) Separate : T {};

// Each iteration posts `count` callbacks; the result is the time of one, from the first post to the end of the last callback. post(n) posts object
// n of kUnderWay, whose callback ends with done.one_more(); flush() is called after every 64.
template <class Post, class Flush>
void measure_stream(benchmark::State& state, Done& done, std::uint64_t count, Post&& post, Flush&& flush) {
  const double tick = nanoseconds_per_tick();  // found out once, which takes longer than all of this
  const std::uint64_t before = done.count.load(std::memory_order_acquire);
  std::uint64_t posted = 0, ran = 0;
  const std::uint64_t start = stamp();
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < count; ++i, ++posted) {
      const auto there_is_room = [&] { return posted - (ran = done.count.load(std::memory_order_acquire) - before) < kUnderWay; };
      if (posted - ran >= kUnderWay) {
        flush();
        if (!spin_until(there_is_room)) return state.SkipWithError(kNoAnswer);
      }
      post(posted % kUnderWay);
      if (posted % 64 == 63) flush();
    }
    flush();
  }
  if (!spin_until([&] { return done.count.load(std::memory_order_acquire) - before == posted; })) return state.SkipWithError(kNoAnswer);
  state.counters[kResult] = static_cast<double>(stamp() - start) * tick / static_cast<double>(posted);
}

}  // namespace kdpc::bench
