#include "lab/explored_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "lab/time_line.h"

namespace kdpc::lab {

namespace {

constexpr std::size_t kLastEvents = 20;

}  // namespace

std::string indented(const std::string& text) {
  std::string lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines += "  " + text.substr(begin, end - begin) + '\n';
    begin = end + 1;
  }
  return lines;
}

std::string how_it_ended(const Execution& execution) {
  std::string text;
  for (const std::string& fault : execution.faults) text += fmt::format("Made to fail: {}\n", fault);
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

std::string covered(const explore::Coverage& coverage) {
  std::string text = coverage.attempts[0] != 0 ? "the default order" : "nothing";
  const auto add = [&](const std::string& part) { text += ", " + part; };
  if (coverage.moves != 0)
    add(coverage.complete >= 1 ? fmt::format("all {} orders with one move", coverage.moves)
                               : fmt::format("{} of {} orders with one move", coverage.attempts[1], coverage.moves));
  if (coverage.attempts[2] != 0) add(fmt::format("{}{} with two", coverage.complete >= 2 ? "all " : "", coverage.attempts[2]));
  if (coverage.directed != 0) add(fmt::format("{} directed at suspicious accesses", coverage.directed));
  if (coverage.wandered != 0) add(fmt::format("{} at random", coverage.wandered));
  if (coverage.reduced != 0) add(fmt::format("{} in which conflicting steps change places", coverage.reduced));
  return text;
}

}  // namespace kdpc::lab
