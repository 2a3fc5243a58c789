// A set of processors, at most 64: one bit each, as NT's KAFFINITY.
#pragma once
#include <bit>
#include <cstdint>

namespace kdpc {

inline constexpr unsigned kMaxProcessors = 64;

class ProcessorSet {
 public:
  constexpr ProcessorSet() = default;
  constexpr explicit ProcessorSet(std::uint64_t mask) : mask_(mask) {}
  static constexpr ProcessorSet only(unsigned number) { return ProcessorSet{std::uint64_t{1} << number}; }
  static constexpr ProcessorSet first(unsigned count) { return ProcessorSet{count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1}; }

  constexpr std::uint64_t mask() const { return mask_; }
  constexpr bool empty() const { return mask_ == 0; }
  constexpr bool has(unsigned number) const { return number < 64 && ((mask_ >> number) & 1) != 0; }
  constexpr unsigned lowest() const { return static_cast<unsigned>(std::countr_zero(mask_)); }
  constexpr unsigned count() const { return static_cast<unsigned>(std::popcount(mask_)); }
  constexpr void add(unsigned number) { mask_ |= std::uint64_t{1} << number; }
  constexpr void remove(unsigned number) { mask_ &= ~(std::uint64_t{1} << number); }
  constexpr ProcessorSet operator&(ProcessorSet other) const { return ProcessorSet{mask_ & other.mask_}; }
  constexpr bool operator==(const ProcessorSet&) const = default;

  // for (unsigned number : set) …, lowest first.
  class Iterator {
   public:
    constexpr explicit Iterator(std::uint64_t rest) : rest_(rest) {}
    constexpr unsigned operator*() const { return static_cast<unsigned>(std::countr_zero(rest_)); }
    constexpr Iterator& operator++() {
      rest_ &= rest_ - 1;
      return *this;
    }
    constexpr bool operator!=(const Iterator& other) const { return rest_ != other.rest_; }

   private:
    std::uint64_t rest_;
  };
  constexpr Iterator begin() const { return Iterator{mask_}; }
  constexpr Iterator end() const { return Iterator{0}; }

 private:
  std::uint64_t mask_ = 0;
};

}  // namespace kdpc
