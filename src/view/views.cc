#include "view/views.h"

#include <fmt/format.h>

#include <charconv>
#include <sstream>

namespace kdpc::view {

namespace {

struct Row {
  std::string_view name;
  std::string (*show)(const World&, const Request&);
  std::string_view takes;  // letters of options, and 'C' for a processor
  std::string_view about;
};

constexpr Row kRows[] = {
    {"dpcs", dpcs, "C", "queued DPCs: type, KDPC, routine; importance, target, who queued them and since when"},
    {"irql", irql, "Cv", "at which IRQL each processor is, or was stopped"},
    {"ipi", ipi, "C", "requests between processors: KeIpiGenericCall, and what is pending"},
    {"timer", timer, "C", "timers that are set, in the order in which they expire"},
    {"pcr", pcr, "C", "a processor's control region: stacks, IRQL, threads, its DPC queue"},
    {"prcb", prcb, "C", "a processor's control block: threads, interrupt and tick counts, DPC thresholds"},
    {"running", running, "it", "what runs where, and who owns the queued locks; -i idle processors too, -t stacks"},
    {"idt", idt, "Ca", "vectors and the ISRs behind them; -a the kernel's own too"},
    {"qlocks", qlocks, "", "who owns queued locks, and who waits for them in which order"},
    {"analyze", analyze, "v", "the bug check that ended the run, explained"},
};

const Row* row_of(std::string_view word) {
  if (word.starts_with('!')) word.remove_prefix(1);
  for (const Row& row : kRows)
    if (row.name == word) return &row;
  return nullptr;
}

std::string usage(const Row& row) {
  std::string text(row.name);
  for (const char letter : row.takes) text += letter == 'C' ? " [CPU]" : fmt::format(" [-{}]", letter);
  return text;
}

struct Parsed {
  const Row* row;
  Request request;
};

Result<Parsed> parse(std::string_view line) {
  std::istringstream words{std::string(line)};
  std::string word;
  words >> word;
  Parsed parsed{row_of(word), {}};
  if (parsed.row == nullptr) return Error{fmt::format("there is no view '{}'; there are {}", word, fmt::join(names(), ", "))};
  while (words >> word) {
    if (word.size() == 2 && word[0] == '-' && word[1] != 'C' && parsed.row->takes.find(word[1]) != std::string_view::npos) {
      switch (word[1]) {
        case 'a': parsed.request.all = true; break;
        case 'i': parsed.request.idle = true; break;
        case 't': parsed.request.stacks = true; break;
        case 'v': parsed.request.verbose = true; break;
        default: break;
      }
      continue;
    }
    unsigned number = 0;
    const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (failed != std::errc() || end != word.data() + word.size() || parsed.row->takes.find('C') == std::string_view::npos ||
        parsed.request.processor)
      return Error{fmt::format("'{}' is nothing that '{}' takes: {}", word, parsed.row->name, usage(*parsed.row))};
    parsed.request.processor = number;
  }
  return parsed;
}

}  // namespace

Result<std::string> show(const World& world, std::string_view line) {
  const auto parsed = parse(line);
  if (!parsed) return parsed.error();
  if (parsed->request.processor && *parsed->request.processor >= world.processors()) return std::string(kNoProcessor);
  return parsed->row->show(world, parsed->request);
}

Result<void> check(std::string_view line) {
  if (const auto parsed = parse(line); !parsed) return parsed.error();
  return {};
}

bool is_view(std::string_view word) { return row_of(word) != nullptr; }

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  return names;
}

std::string help() {
  std::string text;
  for (const Row& row : kRows) text += fmt::format("  {:<20} {}\n", usage(row), row.about);
  return text;
}

std::string trouble(const Walk& walk, std::string_view what) {
  std::string text;
  if (walk.torn != 0) text += fmt::format("Corrupt {}: the link at 0x{:016x} does not point back to the one before it\n", what, walk.torn);
  if (walk.end == Walk::End::Loops) text += fmt::format("Corrupt {}: it never ends, the link at 0x{:016x} comes a second time\n", what, walk.at);
  return text;
}

}  // namespace kdpc::view
