#include "tools/kdpc/line_report.h"

#include <algorithm>

namespace kdpc::tool {

namespace {

// The longest wait that was under way when characters were lost.
const ChainWait* longest_of(const std::vector<ChainWait>& waits, std::uint64_t from, std::uint64_t to) {
  const ChainWait* longest = nullptr;
  for (const ChainWait& wait : waits)
    if (wait.who == ChainWait::Who::Interrupt && wait.began <= to && wait.ended >= from &&
        (longest == nullptr || wait.ended - wait.began > longest->ended - longest->began))
      longest = &wait;
  return longest;
}

// Overruns of neighbouring characters are one loss.
std::vector<LineLoss> losses_of(const std::vector<cards::SerialPort::Overrun>& overruns) {
  std::vector<LineLoss> losses;
  for (const auto& overrun : overruns) {
    if (losses.empty() || losses.back().first_byte + losses.back().bytes != overrun.number)
      losses.push_back({overrun.number, 0, overrun.when, 0, 0, {}});
    ++losses.back().bytes;
    losses.back().ended_ns = overrun.when;
  }
  return losses;
}

// Everything that was received was sent, in this order, and something was left out.
bool is_part_of(std::string_view part, std::string_view whole) {
  for (const char byte : part) {
    const std::size_t at = whole.find(byte);
    if (at == std::string_view::npos) return false;
    whole.remove_prefix(at + 1);
  }
  return true;
}

Culprit& culprit_for(Report& report, const Occupant& occupant, unsigned processor, const Namer& name) {
  const RoutineName its_name = name(occupant.routine);
  for (Culprit& known : report.culprits)
    if (known.name.text() == its_name.text() && known.kind == kind_text(*occupant.kind)) return known;
  return report.culprits.emplace_back(Culprit{kind_text(*occupant.kind), its_name, processor, 0, 0, 0});
}

}  // namespace

void find_losses(Report& report, const LineEvidence& evidence, const std::vector<RoutineLatency>& routines, const Namer& name) {
  LineReport& line = *report.line;
  line.source_bytes = evidence.sent.size();
  line.received_bytes = evidence.received.size();
  line.fifo_ns = evidence.fifo_ns;
  line.losses = losses_of(evidence.overruns);
  line.lost_in_chip = evidence.overruns.size();

  std::string expected(evidence.sent);
  for (auto overrun = evidence.overruns.rbegin(); overrun != evidence.overruns.rend(); ++overrun)
    if (overrun->number < expected.size()) expected.erase(overrun->number, 1);
  line.is_garbled = !is_part_of(evidence.received, expected);
  line.lost_later = expected.size() > evidence.received.size() ? expected.size() - evidence.received.size() : 0;

  for (LineLoss& loss : line.losses) {
    const ChainWait* const wait = evidence.waits != nullptr ? longest_of(*evidence.waits, loss.began_ns, loss.ended_ns) : nullptr;
    if (wait == nullptr) continue;
    loss.isr_waited_ns = wait->ended - wait->began;
    for (const auto& [occupant, nanoseconds] : wait->occupants) {
      if (!occupant.kind || occupant.routine == 0) continue;
      Culprit& culprit = culprit_for(report, occupant, wait->processor, name);
      culprit.delayed_ns = std::max(culprit.delayed_ns, nanoseconds);
      ++culprit.dropouts;
      loss.culprit = culprit.name;
      break;
    }
  }
  std::stable_sort(report.culprits.begin(), report.culprits.end(), [](const Culprit& left, const Culprit& right) {
    return left.dropouts != right.dropouts ? left.dropouts > right.dropouts : left.delayed_ns > right.delayed_ns;
  });
  for (Culprit& culprit : report.culprits)
    for (const RoutineLatency& routine : routines)
      if (kind_text(routine.kind) == culprit.kind && name(routine.routine).text() == culprit.name.text())
        culprit.ran_ns = std::max(culprit.ran_ns, routine.exclusive.longest());
}

}  // namespace kdpc::tool
