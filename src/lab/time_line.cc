#include "lab/time_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "lab/stops.h"
#include "trace/symbols.h"
#include "wdk/routine.h"

namespace kdpc::lab {

namespace {

using explore::Deviation;
using explore::Row;
using Kind = explore::Row::Kind;

constexpr std::size_t kWidth = 110;  // of all columns

bool is_our_own(const Place& place) { return place.image.empty() || place.image.starts_with("libkdpc"); }

// Of an instruction that comes before `at`.
Place place_before(std::uintptr_t at, const Machine& machine) { return place_of(machine.symbols().find(at, Symbols::Meaning::ReturnAddress)); }

// What interrupts by itself is told by what it lets happen.
const char* name_of(std::uint64_t kind) {
  switch (static_cast<ActivityKind>(kind)) {
    case ActivityKind::Isr: return "ISR";
    case ActivityKind::Dpc: return "DPC";
    case ActivityKind::TimerDpc: return "timer's DPC";
    case ActivityKind::ThreadedDpc: return "threaded DPC";
    case ActivityKind::SynchronizedRoutine: return "synchronized";
    case ActivityKind::WorkItem: return "work item";
    case ActivityKind::DriverRoutine: return "routine";
    case ActivityKind::BroadcastRoutine: return "broadcast";
    case ActivityKind::ClockInterrupt:
    case ActivityKind::IpiInterrupt: break;
  }
  return nullptr;
}

bool tells(const Row& row, const Machine& machine) {
  switch (row.kind) {
    case Kind::Began:
    case Kind::Ended: return name_of(row.number) != nullptr && !is_our_own(machine.place_of(row.at));
    case Kind::Called:
    case Kind::Read:
    case Kind::Written: return row.at == 0 || !is_our_own(place_before(row.at, machine));
    default: return true;
  }
}

std::string text_of(const Place& place) {
  if (place.file.empty()) return place.function;
  return fmt::format("{}, {}:{}", place.function, place.file.substr(place.file.rfind('/') + 1), place.line);
}

std::string what_comes(const Deviation& deviation, const Machine& machine) {
  if (deviation.delays)
    return fmt::format("{} {} is late", deviation.kind == Deviation::Kind::Board ? "board" : "the IPI to processor", deviation.number);
  switch (deviation.kind) {
    case Deviation::Kind::Hold: return "waits here";
    case Deviation::Kind::Board: {
      const std::string deed = machine.hand_comes(deviation.number);
      return deed.empty() ? fmt::format("board {} goes on", deviation.number) : deed;
    }
    case Deviation::Kind::Clock: return fmt::format("the clock of processor {} interrupts", deviation.number);
    case Deviation::Kind::Ipi: return fmt::format("an IPI arrives at processor {}", deviation.number);
    case Deviation::Kind::Low: return "goes on from here only while nobody else can";
    case Deviation::Kind::Switch: return fmt::format("processor {} goes on in its place", deviation.number);
    case Deviation::Kind::Fail: return "what it calls fails";
    case Deviation::Kind::Pick:
    case Deviation::Kind::Late: break;
  }
  return {};
}

std::string text_of(const Row& row, const explore::Schedule& schedule, const Machine& machine) {
  switch (row.kind) {
    case Kind::Began: return fmt::format("{} {}", name_of(row.number), machine.place_of(row.at).function);
    case Kind::Ended: return fmt::format("{} ends", machine.place_of(row.at).function);
    case Kind::Thread: return fmt::format("thread {}", row.number);
    case Kind::Called:
      return fmt::format("{}  {}", wdk::row_of(static_cast<wdk::RoutineId>(row.number)).name, text_of(place_before(row.at, machine)));
    case Kind::Read:
    case Kind::Written: {
      const char* const what = row.kind == Kind::Read ? "reads" : "writes";
      return row.at == 0 ? fmt::format("a device {}", what) : fmt::format("{}  {}", what, text_of(place_before(row.at, machine)));
    }
    case Kind::Stopped: return fmt::format("bug check {:#x}", row.number);
    case Kind::Deviation: return fmt::format("> {}  [{}]", what_comes(schedule[row.number], machine), explore::text_of(schedule[row.number]));
    case Kind::GoesOn: return "> goes on";
    case Kind::LeftOut:
    case Kind::Other: break;
  }
  return {};
}

std::string indentation(const Row& row) {
  if (row.kind == Kind::Deviation || row.kind == Kind::GoesOn) return {};
  return std::string(2 + (row.irql > 2 ? 4 : row.irql == 2 ? 2 : 0), ' ');
}

}  // namespace

std::string text_before(std::uintptr_t at, const Machine& machine) { return text_of(place_before(at, machine)); }

std::string text_of(const explore::TimeLine& line, const explore::Schedule& schedule, const Machine& machine) {
  const std::vector<Row> rows = line.rows(schedule, [&](const Row& row) { return tells(row, machine); });
  std::vector<std::uint16_t> columns;
  for (const Row& row : rows)
    if (row.kind != Kind::LeftOut && std::find(columns.begin(), columns.end(), row.processor) == columns.end()) columns.push_back(row.processor);
  if (columns.empty()) return {};
  std::sort(columns.begin(), columns.end());
  const std::size_t width = kWidth / columns.size();
  std::string head;
  for (std::size_t column = 0; column < columns.size(); ++column)
    head += fmt::format("{:<{}}", fmt::format("processor {}", columns[column]), column + 1 < columns.size() ? width : 0);
  std::vector<std::string> lines{head};
  std::size_t times = 1;
  for (const Row& row : rows) {
    if (row.kind == Kind::LeftOut) {
      lines.push_back(fmt::format("  … {} more", row.number));
      continue;
    }
    const auto column = static_cast<std::size_t>(std::find(columns.begin(), columns.end(), row.processor) - columns.begin());
    std::string one(column * width, ' ');
    one += indentation(row) + text_of(row, schedule, machine);
    if (one == lines.back()) {
      ++times;
      continue;
    }
    if (times > 1) lines.back() += fmt::format("  ({} times)", times);
    times = 1;
    lines.push_back(std::move(one));
  }
  if (times > 1) lines.back() += fmt::format("  ({} times)", times);
  std::string text;
  for (const std::string& one : lines) text += one + '\n';
  return text;
}

}  // namespace kdpc::lab
