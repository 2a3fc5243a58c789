// The debugger's views of this process's own machine, with what only a log of events knows: who queued a DPC, and when.
#include "lab/view.h"
#include "kdpc/lab.h"
#include "trace/event_log.h"
#include "view/views.h"

namespace kdpc::lab {

namespace {

std::string our_name(Symbols& symbols, std::uintptr_t address, Symbols::Meaning meaning) {
  Symbol symbol = symbols.find(address, meaning);
  symbol.image = debuggers_name_of(symbol.image);
  return symbol.short_text();
}

}  // namespace

// What queued it is the last thing that its processor had said before: a routine that was called, or a timer that expired.
std::optional<view::QueuedBy> queued_by(const EventLog& log, Symbols& symbols, std::uintptr_t dpc) {
  std::uint64_t number = log.end();
  const DpcQueued* queued = nullptr;
  while (queued == nullptr && number > log.first()) {
    queued = std::get_if<DpcQueued>(&log[--number].event);
    if (queued != nullptr && queued->dpc.value != dpc) queued = nullptr;
  }
  if (queued == nullptr) return {};
  const Stamp& stamp = log[number].stamp;
  view::QueuedBy by{"-", stamp.time};
  while (number > log.first()) {
    const EventLog::Entry& entry = log[--number];
    if (entry.stamp.processor != stamp.processor) continue;
    if (const auto* entered = std::get_if<RoutineEntered>(&entry.event)) {
      by.who = our_name(symbols, entered->caller.value, Symbols::Meaning::ReturnAddress);
      return by;
    }
    if (const auto* expired = std::get_if<TimerExpired>(&entry.event)) {
      by.who = "timer " + our_name(symbols, expired->timer.value, Symbols::Meaning::Exact);
      return by;
    }
    if (std::holds_alternative<ActivityBegan>(entry.event) || std::holds_alternative<ActivityEnded>(entry.event)) return by;  // the kernel itself
  }
  return by;
}

std::string Machine::view(std::string_view command) const {
  const view::OwnMemory memory;
  const auto world = view::World::open({memory, symbols(), [this](std::uintptr_t dpc) { return queued_by(log(), symbols(), dpc); }});
  if (!world) return world.error().what + '\n';
  const auto shown = view::show(*world, command);
  return shown ? *shown : shown.error().what + '\n';
}

}  // namespace kdpc::lab
