// Who has accessed which bytes last: for each eight bytes of memory a list of cells, one for each kind of access in each context, so that nobody's
// access is forgotten because of another's.
//
//   K.RACE-2  Cells of the same context and manner have no byte in common; the newest access is the one that is kept.
//   K.RACE-3  What is restored is what there was when it was copied, and nothing that has come since.
#pragma once
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "check/race/clock.h"

namespace kdpc::race {

// The manner of an access. Torn: the store of a volatile access that has loaded the same bytes before, as x++ does, which keeps readers happy but loses
// what others have stored in between. Device: by DMA.
enum Manner : std::uint8_t { kWrite = 1, kAtomic = 2, kVolatile = 4, kFreed = 8, kKernel = 16, kTorn = 32, kDevice = 64 };

constexpr bool conflict(std::uint8_t one, std::uint8_t other) {
  if ((one & other & kAtomic) != 0) return (one & other & kWrite) != 0 && ((one | other) & kTorn) != 0;
  return ((one | other) & kWrite) != 0;
}
// Does whatever is in conflict with the new access conflict with the old one as well?
constexpr bool covers(std::uint8_t old_manner, std::uint8_t new_manner) {
  return (old_manner & kWrite) >= (new_manner & kWrite) && (old_manner & kAtomic) <= (new_manner & kAtomic) &&
         ((old_manner & kTorn) >= (new_manner & kTorn) || (old_manner & kAtomic) == 0);
}

struct Cell {
  std::uint64_t who;   // context in the upper half, epoch in the lower
  std::uint64_t step;  // of the processor
  std::uintptr_t pc;
  std::uint32_t next;
  LaneId lane;
  std::uint8_t mask;  // of the eight bytes
  std::uint8_t manner;

  Epoch epoch() const { return static_cast<Epoch>(who); }
  std::uint32_t context() const { return static_cast<std::uint32_t>(who >> 32); }
};
static_assert(sizeof(Cell) == 32);

class Shadow {
 public:
  static constexpr std::uintptr_t kPageSize = 4096;

  struct Page {
    std::uint32_t generation = 0;
    std::array<std::uint32_t, kPageSize / 8> heads{};  // indices of cells; 0: none
    std::bitset<kPageSize / 8> armed;                  // lies in an object that the kernel was given
  };

  // What is about to be recorded, and all that decides whether it conflicts.
  struct Visitor {
    std::uint64_t who;
    LaneId lane;
    Epoch first;  // of the activity
    const Order* order;
  };

  // Records an access to the bytes `mask` of the eight at `address`. `report(cell, is_certain)` hears of every other access of which the clocks do
  // not say that it came before; `untouched()` is asked first if nobody has accessed the eight bytes.
  template <class Report, class Untouched>
  void touch(std::uintptr_t address, std::uint8_t mask, std::uint8_t manner, std::uintptr_t pc, std::uint64_t step, const Visitor& visitor,
             Report&& report, Untouched&& untouched) {
    std::uint32_t& head = page_at(address).heads[address % kPageSize / 8];
    for (std::uint32_t index = head; index != 0; index = cells_[index].next) {
      const Cell& cell = cells_[index];
      if (cell.who == visitor.who && (cell.mask & mask) == mask && covers(cell.manner, manner)) return;
    }
    if (head == 0) untouched();
    look(head, mask, manner, visitor, report);
    record(head, {visitor.who, step, pc, 0, visitor.lane, mask, manner});
  }

  // Asks `visit` for the accesses of others to the byte until it answers true.
  template <class Visit>
  bool any_of_others(std::uintptr_t address, const Visitor& visitor, Visit&& visit) {
    for (std::uint32_t index = page_at(address).heads[address % kPageSize / 8]; index != 0; index = cells_[index].next) {
      const Cell& cell = cells_[index];
      const bool is_own = cell.lane == visitor.lane && cell.epoch() >= visitor.first;
      if (!is_own && (cell.mask >> address % 8 & 1) != 0 && visit(cell)) return true;
    }
    return false;
  }

  // Whoever has accessed these bytes; then they are forgotten.
  template <class Report>
  void take(std::uintptr_t low, std::uintptr_t high, std::uint8_t manner, const Visitor& visitor, Report&& report) {
    each_head(low, high, [&](std::uintptr_t address, std::uint32_t& head) {
      look(head, 0xff, manner, visitor, [&](const Cell& cell, bool is_certain) { report(address, cell, is_certain); });
      drop(head);
    });
  }
  void forget(std::uintptr_t low, std::uintptr_t high) {
    each_head(low, high, [&](std::uintptr_t, std::uint32_t& head) { drop(head); });
  }

  bool is_armed(std::uintptr_t address) { return page_at(address).armed[address % kPageSize / 8]; }
  void set_armed(std::uintptr_t low, std::uintptr_t high, bool armed);

  void clear();

  // Everything that there is, to be put back later.
  struct Copy {
    std::vector<Cell> cells;
    std::uint32_t free = 0;
    std::vector<std::pair<std::uintptr_t, Page>> pages;
  };
  Copy copy() const;
  void restore(const Copy& copy);

 private:
  static constexpr std::size_t kNear = 64;  // pages that are found without a search

  Page& page_at(std::uintptr_t address) {
    const std::uintptr_t number = address / kPageSize;
    auto& [its_number, page] = near_[number % kNear];
    if (its_number != number || page == nullptr || page->generation != generation_) [[unlikely]] {
      page = &fetch(number);
      its_number = number;
    }
    return *page;
  }
  Page& fetch(std::uintptr_t number);

  template <class Report>
  void look(std::uint32_t head, std::uint8_t mask, std::uint8_t manner, const Visitor& visitor, Report&& report) {
    for (std::uint32_t index = head, next = 0; index != 0; index = next) {
      const Cell cell = cells_[index];
      next = cell.next;
      if ((cell.mask & mask) == 0 || !conflict(cell.manner, manner)) continue;
      if (cell.lane == visitor.lane && cell.epoch() >= visitor.first) continue;  // its own
      const bool is_certain = cell.epoch() > visitor.order->full[cell.lane];
      if (is_certain || cell.epoch() > visitor.order->hard[cell.lane]) report(cell, is_certain);
    }
  }
  void record(std::uint32_t& head, const Cell& cell);
  void drop(std::uint32_t& head);
  template <class Visit>
  void each_head(std::uintptr_t low, std::uintptr_t high, Visit&& visit);

  std::uint32_t generation_ = 1;
  std::vector<Cell> cells_{1};  // the first is nobody's
  std::uint32_t free_ = 0;
  std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
  std::array<std::pair<std::uintptr_t, Page*>, kNear> near_{};
};

template <class Visit>
void Shadow::each_head(std::uintptr_t low, std::uintptr_t high, Visit&& visit) {
  for (std::uintptr_t address = low & ~std::uintptr_t{7}; address < high;) {
    const auto found = pages_.find(address / kPageSize);
    const std::uintptr_t behind = std::min(high, (address / kPageSize + 1) * kPageSize);
    if (found == pages_.end() || found->second->generation != generation_) {
      address = behind;
      continue;
    }
    for (; address < behind; address += 8)
      if (std::uint32_t& head = found->second->heads[address % kPageSize / 8]; head != 0) visit(address, head);
  }
}

}  // namespace kdpc::race
