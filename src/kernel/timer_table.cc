#include "kernel/timer_table.h"

#include <algorithm>

#include "kernel/events.h"
#include "kernel/options.h"

namespace kdpc {

namespace {

constexpr std::uint64_t kNever = ~std::uint64_t{0};

Timer& timer_at(Link* link) { return *owner_of<&Timer::link>(link); }
std::uint64_t due_time_at(Link* link) { return timer_at(link).due_time; }

// Both in order; those of `later` go behind those of the same due time in `list`.
void merge(List& list, List& later) {
  Link* position = list.first();
  while (Link* link = later.first()) {
    while (position != nullptr && due_time_at(position) <= due_time_at(link)) position = list.after(position);
    if (position == nullptr) return list.take_over(later);
    List::remove(*link);
    list.insert_before(*link, *position);
  }
}

// What is in order at the beginning of `list` moves to `run`.
void take_run(List& list, List& run) {
  std::uint64_t last = 0;
  for (Link* link = list.first(); link != nullptr && due_time_at(link) >= last; link = list.first()) {
    last = due_time_at(link);
    List::remove(*link);
    run.push_back(*link);
  }
}

// Runs are merged with their neighbours, then those of two with theirs, and so on. What is nearly in order costs little.
void sort_by_due_time(List& list) {
  List merged[32];  // of 2^n runs
  unsigned used = 0;
  while (!list.empty()) {
    List run;
    run.initialize();
    take_run(list, run);
    unsigned n = 0;
    for (; n < used && !merged[n].empty(); ++n) {
      merge(merged[n], run);
      run.take_over(merged[n]);
    }
    if (n == used) merged[used++].initialize();
    merged[n].take_over(run);
  }
  for (unsigned n = 0; n < used; ++n) {
    merge(merged[n], list);
    list.take_over(merged[n]);
  }
}

}  // namespace

void TimerTable::initialize() {
  position_ = 0;
  earliest_ = kNever;
  for (Level& level : levels_) level = {};
  for (List& slot : slots_) slot.initialize();
}

void TimerTable::insert(Timer& timer, std::uint64_t now) {
  advance(std::min(now, earliest()));
  link(timer);
  if (timer.due_time < earliest_) earliest_ = timer.due_time;
}

// The slot is found by its links: a driver can have written over the due time.
void TimerTable::remove(Timer& timer) {
  const std::uintptr_t from_first = Address(timer.link.previous).value - Address(slots_).value;
  List::remove(timer.link);
  if (from_first >= sizeof slots_) return;  // others are before it
  const auto place = static_cast<unsigned>(from_first / sizeof(List));
  Level& level = level_of(place);
  if (slots_[place].empty()) {
    level.used &= ~bit_of(place);
  } else if ((level.sorted & bit_of(place)) == 0) {
    level.led &= ~bit_of(place);
  }
  lead();
}

Timer* TimerTable::first_due(std::uint64_t now, std::uint64_t first_hand) {
  if (earliest_ > now) return nullptr;
  advance(earliest_);
  lead();  // a driver may have written over the due time
  if (earliest_ > now) return nullptr;
  Timer* chosen = &timer_at(slots_[first_place()].first());
  if (now / kClockIncrement < first_hand + kHands) return chosen;
  const auto distance_of = [&](const Timer& timer) { return (timer.due_time / kClockIncrement - first_hand) % kHands; };
  any_slot([&](const List& slot) {
    bool is_any_due = false;
    for (Link* link = slot.first(); link != nullptr; link = slot.after(link)) {
      Timer& timer = timer_at(link);
      if (timer.due_time > now) continue;
      is_any_due = true;
      const std::uint64_t distance = distance_of(timer), least = distance_of(*chosen);
      if (distance < least || (distance == least && timer.due_time < chosen->due_time)) chosen = &timer;
    }
    return !is_any_due;
  });
  return chosen;
}

// As if they were all inserted anew, in the order in which they were due.
void TimerTable::move_absolute(std::int64_t by) {
  List all;
  all.initialize();
  for (unsigned place = first_place(); place != kNowhere; place = first_place()) {
    sort(place);
    empty_into(all, place);
  }
  while (Link* next = all.pop_front()) {
    Timer& timer = timer_at(next);
    if ((timer.header.second & Timer::kAbsolute) != 0) {
      const auto due_time = static_cast<std::int64_t>(timer.due_time) - by;
      timer.due_time = due_time > 0 ? static_cast<std::uint64_t>(due_time) : 0;
    }
    link(timer);
  }
  lead();
}

unsigned TimerTable::first_place() const {
  for (unsigned level = 0; level <= kLevels; ++level)
    if (const std::uint32_t used = in_order(level); used != 0) return level * kSlots + number_in(level, used);
  return kNowhere;
}

void TimerTable::link(Timer& timer) {
  const std::uint64_t time = std::max(timer.due_time, position_);
  unsigned number = 0;
  while (number < kLevels && block_at(number, time) - block_at(number, position_) > 1) ++number;
  const unsigned place = place_at(number, time);
  const std::uint32_t bit = bit_of(place);
  Level& level = levels_[number];
  List& slot = slots_[place];
  if ((level.used & bit) == 0) {
    level.used |= bit;
    level.led |= bit;
    level.sorted |= bit;
  } else if ((level.led & bit) != 0 && timer.due_time < due_time_at(slot.first())) {
    slot.push_front(timer.link);
    return;
  } else if (timer.due_time < due_time_at(slot.last())) {
    level.sorted &= ~bit;
  }
  slot.push_back(timer.link);
}

void TimerTable::empty_into(List& timers, unsigned place) {
  level_of(place).used &= ~bit_of(place);
  timers.take_over(slots_[place]);
}

// A list is walked as fast as its links arrive from memory. So a second walk, from the end, fetches the half that the first one comes to later.
void TimerTable::hand_down(unsigned place) {
  if (slots_[place].empty()) return;
  List timers;
  timers.initialize();
  empty_into(timers, place);
  Link *next = nullptr, *far = timers.last();
  for (Link* each = timers.first(); each != nullptr; each = next) {
    next = timers.after(each);
    if (far != nullptr) far = far == each || far == next ? nullptr : timers.before(far);
    __builtin_prefetch(far);
    link(timer_at(each));
  }
}

// `to` is not after the earliest timer, so that every slot the position passes is empty.
void TimerTable::advance(std::uint64_t to) {
  if (to <= position_) return;
  const std::uint64_t from = position_;
  position_ = to;
  for (unsigned above = 1; above <= kLevels && block_at(above - 1, from) != block_at(above - 1, to); ++above) {
    hand_down(place_at(above, to));
    if (above < kLevels) hand_down(place_at(above, to + (std::uint64_t{1} << bits_below(above))));
  }
}

void TimerTable::sort(unsigned place) {
  if ((level_of(place).sorted & bit_of(place)) != 0) return;
  sort_by_due_time(slots_[place]);
  level_of(place).sorted |= bit_of(place);
  level_of(place).led |= bit_of(place);
}

// Makes K.TIM-4 true of the first slot.
void TimerTable::lead() {
  const unsigned place = first_place();
  if (place == kNowhere) {
    earliest_ = kNever;
    return;
  }
  if ((level_of(place).led & bit_of(place)) == 0) sort(place);
  earliest_ = due_time_at(slots_[place].first());
}

}  // namespace kdpc
