// A schedule: what is otherwise than in the default order. It is short, readable, and all that is needed to see a run again.
//
//   cpu0@17 hold        processor 0 waits before its step 17 until nobody else can go on, or until it is 40 ms behind
//   cpu0@17 low         from then on processor 0 goes on only while nobody else can, but for those that were lowered later, or until it is 40 ms behind
//   cpu0@17 board 0     before that step, what source 0 of the boards' (machine/sim/bus.h) would do next happens now: the first card
//   cpu0@17 clock 1     … the clock of processor 1 interrupts
//   cpu0@17 ipi 1       … an IPI that is under way arrives at processor 1
//   cpu0@17 delay ipi 1    from that step on it does not arrive by itself while a processor can go on, unless it is more than 1 ms late
//   cpu0@17 delay board 0  likewise what board 0 would do next
//   cpu0@17 switch 1    instead of that step, processor 1 goes on
//   cpu0@17 fail        the routine that it calls with that step fails, as it may without a mistake of its caller's
//   late                nothing comes by itself while a processor can go on, unless it is more than 1 ms late
//   pick 3 = 1          where the order leaves something open for the fourth time (which of several processors gets a line), the second is taken
//
// Steps are counted per processor (machine/sim/choice.h), so a deviation means the same wherever the others are left out.
//
//   K.EXPLORE-4  Every order in which processors take their steps and events come is a schedule that begins with `late`, as long as nobody is left behind, and
//                nothing comes too late, by more than 1 ms. For before a step the order may go on with whoever can, by one deviation: with that processor, as it
//                does by itself; with another one; with an event. That an event comes later than it is due needs none.
//   K.EXPLORE-11 An event that is delayed comes as late as all do in a schedule that begins with `late`, or where another deviation wants it; the next one like it
//                comes when it is due. A clock cannot be delayed: what a tick brings about has waited for it up to 15 ms as it is, and `late` makes 1 ms more.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kdpc::explore {

struct Deviation {
  enum class Kind : std::uint8_t { Hold, Board, Clock, Ipi, Pick, Switch, Late, Fail, Low } kind = Kind::Hold;
  std::uint16_t processor = 0;  // of Pick and Late 0
  std::uint64_t step = 0;       // of Pick: which, from 0
  std::uint32_t number = 0;     // of the board, of whose clock or IPI, of who goes on; of Pick: which is taken
  bool delays = false;          // of Board and Ipi: it does not come there, but later than by itself
  auto operator<=>(const Deviation&) const = default;
};
using Schedule = std::vector<Deviation>;  // in the order in which they are followed

std::string text_of(const Deviation& deviation);
std::string text_of(const Schedule& schedule);  // a line each; of none: a sentence
Result<Deviation> deviation_from(std::string_view line);

}  // namespace kdpc::explore
