// What it costs to set a timer anew, and to let one expire and set it again, with a thousand timers set and with a million: the table of
// kernel/timer_table.h against itself with fewer timers, and against NT's way, a sorted list for each of 256 hands.
#include "figures.h"

#include <algorithm>
#include <ctime>
#include <memory>
#include <vector>

#include "kernel/options.h"
#include "kernel/timer_table.h"

namespace kdpc {

namespace {

constexpr std::uint64_t kSecond = 10'000'000;  // 100 ns

// For each tick modulo 256 a list in order of due time, which setting a timer walks from its end. Expiry walks the hands up to that of the time it is.
class Hands {
 public:
  void initialize() {
    for (List& hand : hands_) hand.initialize();
  }
  void insert(Timer& timer, std::uint64_t) {
    List& hand = hands_[timer.due_time / kClockIncrement % TimerTable::kHands];
    Link* position = hand.last();
    while (position != nullptr && owner_of<&Timer::link>(position)->due_time > timer.due_time) position = hand.before(position);
    if (position != nullptr) {
      hand.insert_after(timer.link, *position);
    } else {
      hand.push_front(timer.link);
    }
  }
  void remove(Timer& timer) { List::remove(timer.link); }
  Timer* first_due(std::uint64_t now) {
    const std::uint64_t last = now / kClockIncrement;
    for (tick_ = std::max(tick_, last < TimerTable::kHands ? 0 : last - TimerTable::kHands + 1);; ++tick_) {
      if (Link* link = hands_[tick_ % TimerTable::kHands].first(); link != nullptr)
        if (Timer* timer = owner_of<&Timer::link>(link); timer->due_time <= now) return timer;
      if (tick_ == last) return nullptr;
    }
  }

 private:
  std::uint64_t tick_ = 0;
  List hands_[TimerTable::kHands];
};

class Wheel : public TimerTable {
 public:
  Timer* first_due(std::uint64_t now) { return TimerTable::first_due(now, earliest() / kClockIncrement); }
};

// So many timers, all set at every moment.
template <class Table>
class Crowd {
 public:
  // Due between `soonest` and `latest` from then on, whenever they are set.
  Crowd(std::size_t count, std::uint64_t soonest, std::uint64_t latest) : timers_(count), soonest_(soonest), range_(latest - soonest) {
    table_->initialize();
    for (Timer& timer : timers_) timer.due_time = some_time();
    std::vector<Timer*> in_order;
    for (Timer& timer : timers_) in_order.push_back(&timer);
    std::sort(in_order.begin(), in_order.end(), [](const Timer* a, const Timer* b) { return a->due_time < b->due_time; });
    for (Timer* timer : in_order) table_->insert(*timer, now_);
    for (std::size_t each = 0; each < 4 * count && each < 200'000; ++each) set_anew();  // not in order any more
  }

  void set_anew() {
    Timer& timer = timers_[below(timers_.size())];
    table_->remove(timer);
    set(timer);
  }
  // A tick has gone by: what is due expires and is set again. Returns how many.
  std::size_t tick() {
    now_ += kClockIncrement;
    std::size_t expired = 0;
    for (; Timer* timer = table_->first_due(now_); ++expired) {
      table_->remove(*timer);
      set(*timer);
    }
    return expired;
  }

 private:
  std::uint64_t below(std::uint64_t limit) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return (random_ >> 32) * limit >> 32;
  }
  std::uint64_t some_time() { return now_ + soonest_ + below(range_); }
  void set(Timer& timer) {
    timer.due_time = some_time();
    table_->insert(timer, now_);
  }

  std::vector<Timer> timers_;
  std::unique_ptr<Table> table_ = std::make_unique<Table>();
  std::uint64_t random_ = 0x9e3779b97f4a7c15;
  std::uint64_t now_ = 12'345 * kSecond;
  std::uint64_t soonest_, range_;
};

// The result is this thread's own time: a loop of a second would otherwise be charged for everybody else's use of the processor.
class OwnTime {
 public:
  explicit OwnTime(benchmark::State& state) : state_(state), start_(now()) {}
  ~OwnTime() { state_.counters[bench::kResult] = (now() - start_) / static_cast<double>(state_.iterations()); }
  OwnTime(const OwnTime&) = delete;
  OwnTime& operator=(const OwnTime&) = delete;

 private:
  static double now() {
    std::timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
  }
  benchmark::State& state_;
  double start_;
};

// Time-outs: set for half a minute to one and a half, cancelled long before, 256 in each millisecond.
template <class Table, std::size_t count>
void set_anew(benchmark::State& state) {
  static Crowd<Table> crowd(count, 30 * kSecond, 90 * kSecond);
  constexpr std::size_t kSetInATick = 4'000;
  const OwnTime time(state);
  while (state.KeepRunningBatch(kSetInATick)) {
    for (std::size_t each = 0; each < kSetInATick; ++each) crowd.set_anew();
    benchmark::DoNotOptimize(crowd.tick());
  }
}

// All of them expire within ten seconds. The time of the ticks in which nothing does is part of the price.
template <class Table, std::size_t count>
void expire(benchmark::State& state) {
  static Crowd<Table> crowd(count, kSecond / 1000, 10 * kSecond);
  std::size_t expired = 0;
  const OwnTime time(state);
  for (auto _ : state) {
    while (expired == 0) expired = crowd.tick();
    --expired;
  }
}

}  // namespace
}  // namespace kdpc

int main(int argc, char** argv) {
  using namespace kdpc;
  benchmark::RegisterBenchmark("set_1k", set_anew<Wheel, 1'000>);
  benchmark::RegisterBenchmark("set_10k", set_anew<Wheel, 10'000>);
  benchmark::RegisterBenchmark("set_100k", set_anew<Wheel, 100'000>);
  benchmark::RegisterBenchmark("set_1m", set_anew<Wheel, 1'000'000>)->MinTime(0.5);
  benchmark::RegisterBenchmark("hands_set_1k", set_anew<Hands, 1'000>);
  benchmark::RegisterBenchmark("hands_set_10k", set_anew<Hands, 10'000>);
  benchmark::RegisterBenchmark("hands_set_100k", set_anew<Hands, 100'000>);
  benchmark::RegisterBenchmark("expire_1k", expire<Wheel, 1'000>);
  benchmark::RegisterBenchmark("expire_10k", expire<Wheel, 10'000>);
  benchmark::RegisterBenchmark("expire_100k", expire<Wheel, 100'000>);
  benchmark::RegisterBenchmark("expire_1m", expire<Wheel, 1'000'000>)->MinTime(0.5);  // what is handed down once in seconds is part of it
  benchmark::RegisterBenchmark("hands_expire_1k", expire<Hands, 1'000>);
  benchmark::RegisterBenchmark("hands_expire_100k", expire<Hands, 100'000>);
  return bench::run_at_once(argc, argv,
                            {
                                {"timer.set.10k", "cancel and set a timer, 10,000 set", "set_10k", "set_1k", 8},
                                {"timer.set.100k", "the same, 100,000 set", "set_100k", "set_1k", 8},
                                {"timer.set.1m", "the same, a million set", "set_1m", "set_1k", 8},
                                {"timer.set.1k.hands", "1,000 set, against 256 sorted lists", "set_1k", "hands_set_1k", 1},
                                {"timer.set.10k.hands", "10,000 set, against 256 sorted lists", "set_10k", "hands_set_10k", 0.2},
                                {"timer.set.100k.hands", "100,000 set, against 256 sorted lists", "set_100k", "hands_set_100k", 0.02},
                                {"timer.expire.10k", "expire a timer and set it, 10,000 set", "expire_10k", "expire_1k", 8},
                                {"timer.expire.100k", "the same, 100,000 set", "expire_100k", "expire_1k", 8},
                                {"timer.expire.1m", "the same, a million set", "expire_1m", "expire_1k", 8},
                                {"timer.expire.1k.hands", "1,000 set, against 256 sorted lists", "expire_1k", "hands_expire_1k", 3},
                                {"timer.expire.100k.hands", "100,000 set, against 256 sorted lists", "expire_100k", "hands_expire_100k", 0.02},
                            });
}
