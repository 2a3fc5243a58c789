#include "lab/races.h"

#include <fmt/format.h>

#include "check/race/report.h"
#include "lab/stops.h"
#include "machine/host.h"
#include "this_machine.h"
#include "trace/text_trace.h"

namespace kdpc::lab {

namespace {

// Of the frames those of the function that made the access, and outwards: what is inside of it is the hook and the machine. None, if that function has
// returned since.
std::vector<Place> stack_of(const race::Side& side, const Place& place, Symbols& symbols) {
  std::vector<Place> stack;
  for (const std::uintptr_t frame : side.stack) {
    Place next = place_of(symbols.find(frame, Symbols::Meaning::ReturnAddress));
    if (is_outermost(next)) break;
    if (stack.empty() && (next.image != place.image || next.function != place.function)) continue;
    stack.push_back(stack.empty() ? place : std::move(next));
  }
  return stack;
}

Party describe(const race::Side& side, Symbols& symbols) {
  Party party;
  party.role = race::role_of(side);
  if (side.acting == race::Acting::Device) {
    party.text = "a device, by itself (DMA)";
    return party;
  }
  party.processor = side.processor;
  party.irql = side.irql;
  party.thread = side.thread;
  party.place = place_of(symbols.find(side.pc, Symbols::Meaning::ReturnAddress));
  party.stack = stack_of(side, party.place, symbols);
  const std::string routine = side.routine != 0 ? " " + symbols.find(side.routine).short_text() : "";
  party.text = fmt::format("{}{} on processor {} at IRQL {} ({}), thread {}, holding {}, step {} of that processor", race::name_of(side.acting),
                           routine, side.processor, side.irql, short_name_of_irql(side.irql), side.thread, race::locks_of(side), side.step);
  return party;
}

}  // namespace

std::unique_ptr<race::Detector> make_race_detector(unsigned processors, const Checks& checks) {
  race::Options options;
  if (checks.memory_model == Checks::MemoryModel::Arm64) options.memory_model = race::MemoryModel::Arm64;
  options.benign_looking = checks.benign_races;
  race::Surroundings surroundings;
  surroundings.stack = &host::stack_of_fact;
  surroundings.stack_here = [] {
    const StackLimits limits = kdpc::Machine::stack_limits();
    return race::StackRange{limits.low, limits.high};
  };
  return std::make_unique<race::Detector>(processors, surroundings, options);
}

Finding describe(const race::Race& race, Symbols& symbols) {
  Finding finding;
  finding.id = race::id_of(race.kind);
  finding.advice = race.verdict == race::Verdict::Potential || race.kind == race::Kind::BenignLooking;
  finding.sentence = race::sentence_of(race) + " " + race::why_of(race);
  finding.fix = race::fix_of(race);
  finding.parties = {describe(race.first, symbols), describe(race.second, symbols)};
  finding.place = finding.parties[race.second.acting == race::Acting::Device ? 0 : 1].place;
  finding.count = race.count;
  return finding;
}

}  // namespace kdpc::lab
