// How the lab's answers read.
#include <fmt/format.h>

#include <iterator>

#include "kdpc/lab.h"
#include "trace/symbols.h"
#include "trace/text_trace.h"

namespace kdpc::lab {

std::string_view name_of(Ended how) {
  switch (how) {
    case Ended::ConditionMet: return "condition met";
    case Ended::TimeLimit: return "time limit";
    case Ended::Bugcheck: return "bug check";
    case Ended::Deadlock: return "deadlock";
    case Ended::Quiescent: return "nothing left to happen";
    case Ended::NoProgress: return "no progress";
    case Ended::HostFailure: return "host failure";
    case Ended::Finding: return "finding";
  }
  return "?";
}

bool Outcome::over() const {
  return how == Ended::Bugcheck || how == Ended::Deadlock || how == Ended::NoProgress || how == Ended::HostFailure || how == Ended::Finding;
}

std::string Place::text() const {
  Symbol symbol;
  symbol.address = address;
  symbol.image = image;
  symbol.function = function;
  symbol.offset = offset;
  symbol.file = file;
  symbol.line = line;
  return symbol.text();
}

std::string Finding::report() const {
  std::string nt = code == 0 ? "Windows says nothing" : fmt::format("on Windows {:#x} {}", code, code_name);
  if (subcode != 0) nt += fmt::format(" ({:#x})", subcode);
  std::string report = fmt::format("{} {}: {}\n", stop ? "history" : advice ? "advice" : "finding", id, sentence);
  if (!stop && !rule.empty()) report += fmt::format("  {}{}; rule {}\n", nt, ddi_rule.empty() ? "" : ", DDI rule " + ddi_rule, rule);
  for (const Party& party : parties) {
    report += party.place.address == 0 ? fmt::format("  {}\n", party.role) : fmt::format("  {}: {}\n", party.role, party.place.text());
    report += fmt::format("    {}\n", party.text);
    for (std::size_t i = 1; i < party.stack.size(); ++i)  // our own frames say nothing to people
      if (!party.stack[i].image.starts_with("libkdpc")) report += fmt::format("    called from {}\n", party.stack[i].text());
  }
  report += fmt::format("  The usual fix: {}\n", fix);
  if (count > 1) report += fmt::format("  Found {} times.\n", count);
  return report;
}

std::string Outcome::report() const {
  if (!bugcheck && finding) return finding->report();
  if (!bugcheck) {
    if (how == Ended::Quiescent && !text.empty()) return text + '\n';  // says the same at length
    if (text.starts_with(name_of(how))) return text + '\n';
    return fmt::format("{}{}{}\n", name_of(how), text.empty() ? "" : ": ", text);
  }
  const Bugcheck& stop = *bugcheck;
  std::string report = fmt::format("bug check {:#x} {} ({:#x}, {:#x}, {:#x}, {:#x})\n", stop.code, stop.name, stop.parameters[0], stop.parameters[1],
                                   stop.parameters[2], stop.parameters[3]);
  report += fmt::format("  {}{}\n", stop.sentence, stop.rule.empty() ? "" : fmt::format("  [{}]", stop.rule));
  report += fmt::format("  at {}, processor {}, IRQL {} ({}), thread {}\n", stop.place.text(), stop.processor, stop.irql,
                        short_name_of_irql(stop.irql), stop.thread);
  for (std::size_t i = 0; i < std::size(stop.parameter_places); ++i)
    if (const Place& named = stop.parameter_places[i]; !named.image.empty() && named.address != stop.place.address)
      report += fmt::format("  parameter {} is {}\n", i + 1, named.text());
  for (std::size_t i = 0; i < stop.stack.size(); ++i) {
    std::size_t last = i;
    while (last + 1 < stop.stack.size() && stop.stack[last + 1].address == stop.stack[i].address) ++last;
    report += fmt::format("    #{:<2} {}\n", i, stop.stack[i].text());
    if (last >= i + 2) {
      report += fmt::format("         and {} times more, to #{}\n", last - i, last);
      i = last;
    }
  }
  if (!text.empty()) report += "  " + text + '\n';
  if (finding) report += finding->report();
  return report;
}

bool EventRecord::has(std::string_view field) const {
  for (const Field& candidate : fields)
    if (candidate.name == field) return true;
  return false;
}

std::uint64_t EventRecord::operator[](std::string_view field) const {
  for (const Field& candidate : fields)
    if (candidate.name == field) return candidate.value;
  return 0;
}

std::string Machine::processor_table() const {
  std::string table = "  p   IRQL         thread           DPCs queued/inserted/limit  rate  interrupts  unexpected\n";
  for (unsigned number = 0; number < processors(); ++number) {
    const ProcessorState state = processor_state(number);
    table += fmt::format("  {:<3} {:>2} {:<9} {:<16} {:>11}/{}/{:<11} {:>5} {:>11} {:>11}{}{}\n", number, state.irql, short_name_of_irql(state.irql),
                         fmt::format("{} {}", state.thread, state.thread_name), state.dpc_depth, state.dpc_count, state.maximum_dpc_queue_depth,
                         state.dpc_request_rate, state.interrupts, state.unexpected_interrupts, state.idle ? "  idle" : "",
                         state.dpc_routine_active ? "  draining DPCs" : "");
  }
  return table;
}

}  // namespace kdpc::lab
