#include "check/race/shadow.h"

namespace kdpc::race {

Shadow::Page& Shadow::fetch(std::uintptr_t number) {
  std::unique_ptr<Page>& page = pages_[number];
  if (page == nullptr) page = std::make_unique<Page>();
  if (page->generation != generation_) {
    page->heads.fill(0);
    page->armed.reset();
    page->generation = generation_;
  }
  return *page;
}

void Shadow::record(std::uint32_t& head, const Cell& cell) {
  // K.RACE-2: what the new one says better is forgotten.
  for (std::uint32_t* link = &head; *link != 0;) {
    Cell& old = cells_[*link];
    if (old.context() == cell.context() && covers(cell.manner, old.manner)) old.mask &= static_cast<std::uint8_t>(~unsigned{cell.mask});
    if (old.mask != 0) {
      link = &old.next;
      continue;
    }
    const std::uint32_t index = *link;
    *link = old.next;
    old.next = free_;
    free_ = index;
  }
  std::uint32_t index = free_;
  if (index != 0) {
    free_ = cells_[index].next;
  } else {
    index = static_cast<std::uint32_t>(cells_.size());
    cells_.emplace_back();
  }
  cells_[index] = cell;
  cells_[index].next = head;
  head = index;
}

void Shadow::drop(std::uint32_t& head) {
  while (head != 0) {
    const std::uint32_t index = head;
    head = cells_[index].next;
    cells_[index].next = free_;
    free_ = index;
  }
}

void Shadow::set_armed(std::uintptr_t low, std::uintptr_t high, bool armed) {
  for (std::uintptr_t address = low & ~std::uintptr_t{7}; address < high; address += 8) page_at(address).armed[address % kPageSize / 8] = armed;
}

void Shadow::clear() {
  cells_.resize(1);
  free_ = 0;
  ++generation_;
}

Shadow::Copy Shadow::copy() const {
  Copy copy{cells_, free_, {}};
  for (const auto& [number, page] : pages_)
    if (page->generation == generation_) copy.pages.emplace_back(number, *page);
  return copy;
}

void Shadow::restore(const Copy& copy) {
  clear();
  if (copy.pages.empty()) return;
  cells_ = copy.cells;
  free_ = copy.free;
  for (const auto& [number, page] : copy.pages) {
    Page& fetched = fetch(number);
    fetched = page;
    fetched.generation = generation_;
  }
}

}  // namespace kdpc::race
