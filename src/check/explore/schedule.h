// A schedule: what is otherwise than in the default order. It is short, readable, and all that is needed to see a run again.
//
//   cpu0@17 hold        processor 0 waits before its step 17 until nobody else can go on
//   cpu0@17 board 0     before that step, what board 0 would do next happens now
//   cpu0@17 clock 1     … the clock of processor 1 interrupts
//   cpu0@17 ipi 1       … an IPI that is under way arrives at processor 1
//   pick 3 = 1          where the order leaves something open for the fourth time (which of several processors gets a line), the second is taken
//
// Steps are counted per processor (machine/sim/choice.h), so a deviation means the same wherever the others are left out.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kdpc::explore {

struct Deviation {
  enum class Kind : std::uint8_t { Hold, Board, Clock, Ipi, Pick } kind = Kind::Hold;
  std::uint16_t processor = 0;  // of Pick 0
  std::uint64_t step = 0;       // of Pick: which, from 0
  std::uint32_t number = 0;     // of the board, of whose clock or IPI; of Pick: which is taken
  auto operator<=>(const Deviation&) const = default;
};
using Schedule = std::vector<Deviation>;  // in the order in which they are followed

std::string text_of(const Deviation& deviation);
std::string text_of(const Schedule& schedule);  // a line each; of none: a sentence
Result<Deviation> deviation_from(std::string_view line);

}  // namespace kdpc::explore
