#include "lab/explored_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "lab/build_id.h"
#include "lab/time_line.h"

namespace kdpc::lab {

namespace {

constexpr std::size_t kLastEvents = 20;

}  // namespace

std::string counted(std::uint64_t number, std::string_view what) { return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s"); }

std::string why_no_bound(unsigned bound) {
  if (bound == 1 || bound == 2) return {};
  return fmt::format("every order with 1 move can be tried, or with 2, and not with {}", bound);
}

std::string indented(const std::string& text) {
  std::string lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines += "  " + text.substr(begin, end - begin) + '\n';
    begin = end + 1;
  }
  return lines;
}

explore::Record record_of(const explore::Schedule& schedule, const Execution& execution, bool races) {
  return {.version = KDPC_VERSION, .build = build_id(), .races = races, .failure = execution.key, .hash = execution.hash, .schedule = schedule};
}

std::string why_other_boards(const explore::Record& was, const std::string& boards) {
  const auto is_board = [](const explore::Deviation& one) { return one.kind == explore::Deviation::Kind::Board; };
  if (was.boards.empty() || was.boards == boards || std::none_of(was.schedule.begin(), was.schedule.end(), is_board)) return {};
  return fmt::format("it was found with the boards '{}', and there are '{}' now, so that 'board N' does not mean the same", was.boards,
                     boards.empty() ? "none" : boards);
}

std::string how_it_differs(const explore::Record& was, const explore::Record& is, std::size_t missed) {
  if (is.hash == was.hash) return {};
  std::string why = why_other_boards(was, is.boards);
  if (!why.empty()) why += "; ";
  for (const auto& [driver, id] : is.drivers)
    for (const auto& [name, its] : was.drivers)
      if (name == driver && its != id) why += fmt::format("the driver {} is not the one that it was found with; ", name);
  if (was.version != is.version) {
    why += fmt::format("it was found with kdpc {}, and this is {}; ", was.version, is.version);
  } else if (was.build != is.build) {
    why += "it was found with another build of kdpc; ";
  }
  if (missed != 0)
    why += fmt::format("of its {} {} {} not possible, or {} place was never come to; ", counted(was.schedule.size(), "deviation"), missed,
                       missed == 1 ? "was" : "were", missed == 1 ? "its" : "their");
  return fmt::format("{}the run's hash is {:016x} and was {:016x}", why, is.hash, was.hash);
}

std::string how_it_ended(const Execution& execution) {
  std::string text;
  for (const std::string& deed : execution.deeds) text += deed + '\n';
  if (execution.outcome.over()) return text + execution.outcome.report();
  if (!execution.refused.empty()) text += execution.refused + '\n';
  for (const Finding& finding : execution.findings)
    if (!finding.advice) text += finding.report();
  return text;
}

std::string how_it_came(const explore::TimeLine& line, const explore::Schedule& schedule, const Machine& machine) {
  const std::string processors = text_of(line, schedule, machine);
  std::string text = processors.empty() ? "" : "How it came to that:\n" + indented(processors) + '\n';
  text += "The last events:\n";
  for (const std::string& event : machine.last_events_that_tell(kLastEvents)) text += event + '\n';
  return text;
}

std::string order_of_failure(const explore::TimeLine& line, const explore::Schedule& schedule, const Execution& execution, const Machine& machine) {
  const std::string order = schedule.empty() ? "It fails in the default order.\n"
                                             : fmt::format("The order in which it fails, {} from the default one:\n{}",
                                                           counted(schedule.size(), "deviation"), indented(text_of(schedule)));
  return fmt::format("{}\n{}\n{}", order, how_it_ended(execution), how_it_came(line, schedule, machine));
}

std::string not_alone_text(std::uint64_t orders) {
  return counted(orders, "order") +
         " failed, but not when run alone: something reads what nobody has written, such as a local variable that is not initialised";
}

std::string covered(const explore::Coverage& coverage) {
  std::string text = coverage.attempts[0] != 0 ? "the default order" : "nothing";
  const auto add = [&](const std::string& part) { text += ", " + part; };
  if (coverage.moves != 0)
    add(fmt::format("{} {} with one move", coverage.complete >= 1 ? "all" : fmt::format("{} of", coverage.attempts[1]),
                    counted(coverage.moves, "order")));
  if (coverage.attempts[2] != 0) add(fmt::format("{}{} with two", coverage.complete >= 2 ? "all " : "", coverage.attempts[2]));
  if (coverage.directed != 0) add(fmt::format("{} directed at suspicious accesses", coverage.directed));
  if (coverage.wandered != 0) add(fmt::format("{} at random", coverage.wandered));
  if (coverage.reduced != 0) add(fmt::format("{} in which conflicting steps change places", coverage.reduced));
  return text;
}

}  // namespace kdpc::lab
