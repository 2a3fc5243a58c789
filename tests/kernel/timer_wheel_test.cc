// The wheel against a sorted list: a multimap keeps what is due at the same time in the order of insertion, and everything else is in order anyway.
#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "kdpc/test.h"
#include "kernel/options.h"
#include "kernel/timer_table.h"

using kdpc::kClockIncrement;
using kdpc::Link;
using kdpc::List;
using kdpc::Timer;
using kdpc::TimerTable;

static_assert(sizeof(TimerTable) < 4096, "each processor has one, and a checkpoint copies it");

namespace {

constexpr std::uint64_t kNever = ~std::uint64_t{0};
constexpr std::uint64_t kSecond = 10'000'000;

class SortedList {
 public:
  using Order = std::multimap<std::uint64_t, Timer*>;

  void insert(Timer& timer) { places_[&timer] = order_.emplace(timer.due_time, &timer); }
  void remove(Timer& timer) {
    order_.erase(places_.at(&timer));
    places_.erase(&timer);
  }
  bool has(Timer& timer) const { return places_.count(&timer) != 0; }
  std::uint64_t earliest() const { return order_.empty() ? kNever : order_.begin()->first; }
  const Order& in_order() const { return order_; }

  // TIM-12: the first timer of the first hand, from that one on, with something due on it.
  Timer* first_due(std::uint64_t now, std::uint64_t first_hand) const {
    if (now / kClockIncrement < first_hand + TimerTable::kHands) return earliest() <= now ? order_.begin()->second : nullptr;
    std::map<std::uint64_t, Timer*> hands;
    for (auto each = order_.begin(); each != order_.end() && each->first <= now; ++each)
      hands.emplace((each->first / kClockIncrement - first_hand) % TimerTable::kHands, each->second);
    return hands.empty() ? nullptr : hands.begin()->second;
  }

  // The due times of absolute ones as the wheel has changed them.
  void order_anew() {
    const Order before = std::exchange(order_, {});
    places_.clear();
    for (const auto& each : before) insert(*each.second);
  }

 private:
  Order order_;
  std::map<Timer*, Order::iterator> places_;
};

// Both at once, with so many timers.
class Pair {
 public:
  Pair(unsigned seed, std::size_t timers, std::uint64_t now) : random_(seed), timers_(timers), table_(std::make_unique<TimerTable>()), now_(now) {
    table_->initialize();
  }

  TimerTable& table() { return *table_; }
  std::uint64_t now() const { return now_; }
  std::size_t expired() const { return expired_; }
  std::size_t expired_late() const { return expired_late_; }
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  Timer& any() { return timers_[below(timers_.size())]; }
  Timer& operator[](std::size_t index) { return timers_[index]; }

  void insert(Timer& timer, std::uint64_t due_time) {
    timer.due_time = due_time;
    table_->insert(timer, now_);
    list_.insert(timer);
    ASSERT_EQ(table_->earliest(), list_.earliest());
  }
  void remove(Timer& timer) {
    table_->remove(timer);
    list_.remove(timer);
    ASSERT_EQ(table_->earliest(), list_.earliest());
  }
  void toggle(Timer& timer, std::uint64_t due_time) {
    if (list_.has(timer)) {
      remove(timer);
    } else {
      insert(timer, due_time);
    }
  }
  void remove_earliest() {
    if (!list_.in_order().empty()) remove(*list_.in_order().begin()->second);
  }
  void move_absolute(std::int64_t by) {
    std::vector<std::uint64_t> moved;
    for (const auto& each : list_.in_order()) {
      const auto due_time = static_cast<std::int64_t>(each.first) - by;
      const bool is_absolute = each.second->header.second == Timer::kAbsolute;
      moved.push_back(!is_absolute ? each.first : due_time < 0 ? 0 : static_cast<std::uint64_t>(due_time));
    }
    table_->move_absolute(by);
    std::size_t index = 0;
    for (const auto& each : list_.in_order()) ASSERT_EQ(each.second->due_time, moved[index++]);
    list_.order_anew();
  }

  // Time passes, then a drain begins at the tick of what is earliest, as the kernel's does. Each expired timer is set again `again` times of a hundred.
  void expire(std::uint64_t after, unsigned again = 0) {
    now_ += after;
    const std::uint64_t first_hand = table_->earliest() / kClockIncrement;
    for (;;) {
      Timer* const expected = list_.first_due(now_, first_hand);
      Timer* const timer = table_->first_due(now_, first_hand);
      ASSERT_EQ(timer, expected);
      if (timer == nullptr) break;
      remove(*timer);
      ++expired_;
      expired_late_ += now_ / kClockIncrement >= first_hand + TimerTable::kHands ? 1 : 0;
      if (below(100) < again) insert(*timer, now_ + 1 + below(kSecond));
    }
    ASSERT_GT(table_->earliest(), now_);
  }

  // K.TIM-3, of every slot and timer; and that none is missing.
  void compare_all() {
    std::uint64_t last_slot = 0, latest = 0;
    std::map<std::uint64_t, std::vector<Timer*>> by_due_time, expected;
    table_->any_slot([&](const List& slot) {
      EXPECT_FALSE(slot.empty());
      for (Link* link = slot.first(); link != nullptr; link = slot.after(link)) {
        Timer* const timer = kdpc::owner_of<&Timer::link>(link);
        EXPECT_GE(timer->due_time, last_slot);
        latest = std::max(latest, timer->due_time + 1);
        by_due_time[timer->due_time].push_back(timer);
      }
      last_slot = latest;
      return false;
    });
    for (const auto& each : list_.in_order()) expected[each.first].push_back(each.second);
    ASSERT_EQ(by_due_time, expected);
    ASSERT_EQ(table_->earliest(), list_.earliest());
  }

 private:
  std::mt19937_64 random_;
  std::vector<Timer> timers_;
  std::unique_ptr<TimerTable> table_;
  SortedList list_;
  std::uint64_t now_;
  std::size_t expired_ = 0, expired_late_ = 0;
};

// From at once to centuries ahead, every magnitude as often as another; on the edges between magnitudes; and again where something is due already.
std::uint64_t some_due_time(Pair& pair) {
  const std::uint64_t magnitude = std::uint64_t{1} << pair.below(61);
  switch (pair.below(8)) {
    case 0: return pair.now() - std::min(pair.now(), pair.below(kSecond));
    case 1: return (pair.now() / magnitude + 1 + pair.below(3)) * magnitude + pair.below(3) - 1;
    case 2: return std::max(pair.any().due_time, pair.now());
    case 3: return pair.now() + pair.below(4) * kClockIncrement;
    default: return pair.now() + pair.below(magnitude);
  }
}

void do_anything(Pair& pair, unsigned steps) {
  for (unsigned step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
    const std::uint64_t what = pair.below(1000);
    if (what < 900) {
      Timer& timer = pair.any();
      timer.header.second = pair.below(2) == 0 ? Timer::kAbsolute : 0;
      pair.toggle(timer, some_due_time(pair));
    } else if (what < 940) {
      pair.remove_earliest();
    } else if (what < 990) {
      pair.expire(pair.below(std::uint64_t{1} << pair.below(24)), 30);
    } else if (what < 995) {
      pair.expire(pair.below(std::uint64_t{1} << pair.below(45)), 10);
    } else if (what < 997) {
      const auto by = static_cast<std::int64_t>(pair.below(std::uint64_t{1} << pair.below(45)));
      pair.move_absolute(pair.below(2) == 0 ? by : -by);
    } else {
      pair.compare_all();
    }
    ASSERT_EQ(pair.table().earliest() <= pair.now(), pair.table().first_due(pair.now(), pair.now() / kClockIncrement) != nullptr);
  }
  pair.compare_all();
}

TEST(TimerWheel, IsASortedListWhateverIsDone) {
  RULE("TIM-12");
  std::size_t expired = 0, expired_late = 0;
  for (const std::size_t timers : {4, 40, 400, 2000})
    for (unsigned seed = 1; seed <= 4; ++seed) {
      Pair pair(seed, timers, seed % 2 == 0 ? 0 : (std::uint64_t{1} << 40) - kSecond);
      do_anything(pair, 20'000);
      ASSERT_FALSE(HasFatalFailure()) << timers << " timers, seed " << seed;
      expired += pair.expired();
      expired_late += pair.expired_late();
    }
  EXPECT_GT(expired, 20'000u);
  EXPECT_GT(expired_late, 5'000u);
}

// What drivers do: time-outs that are set for a while and cancelled, and periods.
TEST(TimerWheel, IsASortedListForTimeOutsAndPeriods) {
  RULE("TIM-12");
  Pair pair(7, 3000, 123'456'789);
  for (unsigned tick = 0; tick < 8'000 && !HasFatalFailure(); ++tick) {
    for (unsigned each = 0; each < 10; ++each)
      pair.toggle(pair.any(), pair.now() + kSecond * (1 + pair.below(3)) + pair.below(2) * pair.below(kSecond));
    pair.expire(kClockIncrement, 80);
    if (tick % 1000 == 0) pair.compare_all();
  }
  EXPECT_GT(pair.expired(), 8'000u);
}

// Set hours before, minutes before … and at the last moment; some while they wait above, some when others have been handed down already.
TEST(TimerWheel, TimersOfOneDueTimeExpireInTheOrderOfInsertion) {
  RULE("TIM-12");
  for (std::uint64_t due_time = 400'000 * kSecond; due_time < 400'000 * kSecond + 40'000; due_time += 10'007) {
    Pair pair(1, 3000, 1);
    std::size_t next = 0;
    for (std::uint64_t before = due_time - 1; before != 0; before -= before / 3 + 1) {
      pair.expire(due_time - before - pair.now());
      for (unsigned each = 0; each < 5; ++each) {
        pair.insert(pair[next], due_time);
        pair[next].period = static_cast<std::uint32_t>(next);
        ++next;
        pair.insert(pair[next], due_time - pair.below(before));
        pair[next].period = ~0u;
        ++next;
      }
      pair.compare_all();
      ASSERT_FALSE(HasFatalFailure());
    }
    pair.expire(due_time - pair.now() - 1);
    std::uint32_t last = 0;
    while (Timer* timer = pair.table().first_due(due_time, due_time / kClockIncrement)) {
      pair.remove(*timer);
      if (timer->period == ~0u) continue;
      EXPECT_GE(timer->period, last);
      last = timer->period;
    }
    EXPECT_EQ(last, next - 2);
  }
}

TEST(TimerWheel, KnowsWhatIsNextWhenTheEarliestIsCancelled) {
  Pair pair(3, 20'000, 5 * kSecond);
  // In no order, most of them in one slot an hour ahead.
  for (std::size_t index = 0; index < 20'000; ++index) pair.insert(pair[index], pair.now() + 3600 * kSecond + pair.below(100 * kSecond));
  for (unsigned round = 0; round < 20'000 && !HasFatalFailure(); ++round) pair.remove_earliest();
  EXPECT_EQ(pair.table().earliest(), kNever);
  pair.compare_all();
}

// The memory of a KTIMER is the driver's. Such a timer may expire late, and others with it; but the walk ends, nothing is lost, and none comes early.
TEST(TimerWheel, AWrittenOverDueTimeKeepsNoWalkFromEnding) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<Timer> timers(100);
    TimerTable table;
    table.initialize();
    for (Timer& timer : timers) {
      timer.due_time = 1 + random() % kSecond;
      table.insert(timer, 1);
    }
    for (Timer& timer : timers) timer.due_time = random() % 3 == 0 ? random() >> random() % 64 : timer.due_time;
    std::size_t expired = 0;
    for (std::uint64_t now = 1; now != 0; now <<= 1)
      while (Timer* timer = table.first_due(now, now / kClockIncrement)) {
        ASSERT_LE(timer->due_time, now);
        table.remove(*timer);
        ASSERT_LE(++expired, timers.size());
      }
    table.for_each([&](Timer&) { ++expired; });
    EXPECT_EQ(expired, timers.size());
  }
}

}  // namespace
