// One processor's set timers, in the order in which NT expires them: that of the due times, of equal ones that in which they were inserted, and of a
// walk that comes more than a round late that of NT's 256 hands (TIM-12). Inserting and removing cost the same for ten timers and for a million.
//
// It is a wheel of wheels. A timer's level is the lowest one whose block of slots holds it, the block with the table's position in it or the next one;
// so a slot is never wider than the time until its timers are due. When the position enters another block, the slots of the level above that have
// come so close are handed down. Within a slot the order is that of the insertions, until the slot is the first of all and its order is asked for.
//
//   level 0     0.8 ms a slot, less than the shortest clock interval: a periodic timer that expires does not go back where it came from
//   level 1 …   16 times the one below     |position's block|next block|   32 slots
//   level 6     3.8 hours a slot
//   level 7     one slot for what is days and centuries ahead
//
//   K.TIM-3  A timer of one slot is due before those of all later slots. Timers of one due time are in one slot, in the order of insertion.
//   K.TIM-4  The first timer in a slot that is `led` is the earliest there, and of equals the one inserted first. The first slot is always led: what
//            earliest() says is exact, at every moment.
//   K.TIM-5  No timer is due before the position, except those that were inserted late: they are in the position's own slot.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "kernel/timer.h"

namespace kdpc {

class TimerTable {
 public:
  static constexpr std::uint64_t kHands = 256;  // of NT's table: the ticks of the due times modulo 256

  void initialize();
  void insert(Timer& timer, std::uint64_t now);  // D
  void remove(Timer& timer);                     // D
  // D  The next one to expire of a walk that began at the tick `first_hand`; null: none is due.
  Timer* first_due(std::uint64_t now, std::uint64_t first_hand);
  std::uint64_t earliest() const { return earliest_; }  // any level, unlocked: a hint for the clock
  void move_absolute(std::int64_t by);                  // D  the system time has been set forward by so much

  // D  visit(slot) for each slot with timers in it, in the order of time, until one returns true.
  template <class Visit>
  bool any_slot(Visit&& visit) const {
    for (unsigned level = 0; level <= kLevels; ++level)
      for (std::uint32_t left = in_order(level); left != 0; left &= left - 1)
        if (visit(slots_[level * kSlots + number_in(level, left)])) return true;
    return false;
  }
  // D  Some timer of which wanted(timer) is true, or null. Those of one due time are asked in the order of insertion, others in any.
  template <class Predicate>
  Timer* find(Predicate&& wanted) const {
    Timer* found = nullptr;
    any_slot([&](const List& slot) {
      for (Link* link = slot.first(); link != nullptr && found == nullptr; link = slot.after(link))
        if (Timer* timer = owner_of<&Timer::link>(link); wanted(*timer)) found = timer;
      return found != nullptr;
    });
    return found;
  }
  // D  visit(timer) for all, in the same order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    find([&](Timer& timer) {
      visit(timer);
      return false;
    });
  }

 private:
  static constexpr unsigned kSlots = 32;  // of a level: two blocks
  static constexpr unsigned kBlockBits = 4;
  static constexpr unsigned kLevels = 7;
  static constexpr unsigned kNowhere = ~0u;

  // Of a level, by slot.
  struct Level {
    std::uint32_t used;    // timers are in it
    std::uint32_t led;     // K.TIM-4
    std::uint32_t sorted;  // by due time; led too
  };

  // A time without its last so many bits is the number of a slot of that level, and of a block of the level below.
  static constexpr unsigned bits_below(unsigned level) { return 13 + kBlockBits * level; }
  static constexpr std::uint64_t block_at(unsigned level, std::uint64_t time) { return time >> bits_below(level + 1); }
  static constexpr unsigned place_at(unsigned level, std::uint64_t time) {
    return level * kSlots + (level < kLevels ? static_cast<unsigned>(time >> bits_below(level)) % kSlots : 0);
  }
  static constexpr std::uint32_t bit_of(unsigned place) { return 1u << place % kSlots; }
  Level& level_of(unsigned place) { return levels_[place / kSlots]; }
  // The used slots of a level, the earliest one lowest; and which slot the lowest of these is.
  unsigned turned(unsigned level) const { return block_at(level, position_) % 2 << kBlockBits; }
  std::uint32_t in_order(unsigned level) const { return std::rotr(levels_[level].used, static_cast<int>(turned(level))); }
  unsigned number_in(unsigned level, std::uint32_t left) const { return (static_cast<unsigned>(std::countr_zero(left)) + turned(level)) % kSlots; }

  unsigned first_place() const;
  void link(Timer& timer);
  void empty_into(List& timers, unsigned place);
  void hand_down(unsigned place);
  void advance(std::uint64_t to);
  void sort(unsigned place);
  void lead();

  volatile std::uint64_t earliest_;
  std::uint64_t position_;
  Level levels_[kLevels + 1];
  List slots_[kLevels * kSlots + 1];
};

}  // namespace kdpc
