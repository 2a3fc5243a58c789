// How operations and programs are told to whoever has to find out why one went wrong.
#include <fmt/format.h>

#include "lab/settings.h"

#include "tests/model/operations.h"

namespace kdpc::model {

const char* name_of(Kind kind) {
  static constexpr const char* kNames[] = {"Return",
                                           "Stall",
                                           "InsertDpc",
                                           "RemoveDpc",
                                           "RemoveDpcEx",
                                           "SetImportance",
                                           "SetTarget",
                                           "SetTargetEx",
                                           "InitializeDpc",
                                           "Raise",
                                           "Lower",
                                           "SetTimer",
                                           "SetCoalescableTimer",
                                           "CancelTimer",
                                           "ReadTimer",
                                           "InitializeTimer",
                                           "SetEvent",
                                           "ResetEvent",
                                           "PulseEvent",
                                           "ReadEvent",
                                           "ReleaseSemaphore",
                                           "SignalAndWait",
                                           "WaitForOne",
                                           "WaitForAny",
                                           "WaitForAll",
                                           "Delay",
                                           "Flush",
                                           "SetPriority",
                                           "SetBasePriority",
                                           "SetIdealProcessor",
                                           "SetAffinity",
                                           "RevertAffinity",
                                           "Interrupt",
                                           "SetActive",
                                           "SetResolution",
                                           "SetSystemTime",
                                           "QueryTime",
                                           "QueryTickCount",
                                           "QuerySystemTime",
                                           "QueryExecuting"};
  static_assert(std::size(kNames) == kKinds);
  return kNames[static_cast<unsigned>(kind)];
}

std::string Program::script_name(unsigned script) const {
  if (script < threads.size()) return fmt::format("thread {}", script);
  script -= static_cast<unsigned>(threads.size());
  if (script < dpcs) return fmt::format("DPC {}", script);
  return fmt::format("ISR {}", script - dpcs);
}

namespace {

std::string time_text(std::int64_t time) {
  if (time == kForEver) return "for ever";
  if (time >= kAbsolute) return fmt::format("system time start + {} x 100 ns", time - kAbsolute);
  return fmt::format("{} x 100 ns", time);
}

std::string object_text(const Program& program, unsigned number) {
  if (number == kNone) return {};
  if (number < program.events) return fmt::format(" event {}", number);
  number -= program.events;
  return number < program.timers ? fmt::format(" timer {}", number) : fmt::format(" semaphore {}", number - program.timers);
}

}  // namespace

std::string text_of(const Operation& o, const Program& program) {
  const auto objects = [&] { return object_text(program, o.object) + object_text(program, o.other) + object_text(program, o.third); };
  switch (o.kind) {
    case Kind::Return: return "return";
    case Kind::Stall: return fmt::format("stall {} us", o.time);
    case Kind::InsertDpc: return fmt::format("insert DPC {} ({}, {})", o.object, o.value, o.other);
    case Kind::RemoveDpc: return fmt::format("remove DPC {}", o.object);
    case Kind::SetImportance: return fmt::format("set importance of DPC {} to {}", o.object, o.value);
    case Kind::SetTarget: return fmt::format("set target of DPC {} to {}", o.object, o.value);
    case Kind::SetTargetEx: return fmt::format("set target (Ex) of DPC {} to {}", o.object, o.value);
    case Kind::InitializeDpc: return fmt::format("initialize {}DPC {}, context {}", o.value != 0 ? "threaded " : "", o.object, o.other);
    case Kind::Raise: return fmt::format("raise to {}", o.value);
    case Kind::Lower: return fmt::format("lower to {}", o.value);
    case Kind::SetTimer:
    case Kind::SetCoalescableTimer:
      return fmt::format("set{} timer {}, due {}, period {} ms{}", o.kind == Kind::SetTimer ? "" : " coalescable", o.object, time_text(o.time),
                         o.period, o.other == kNone ? "" : fmt::format(", DPC {}", o.other));
    case Kind::CancelTimer: return fmt::format("cancel timer {}", o.object);
    case Kind::ReadTimer: return fmt::format("read timer {}", o.object);
    case Kind::InitializeTimer: return fmt::format("initialize {} timer {}", o.value != 0 ? "synchronization" : "notification", o.object);
    case Kind::SetEvent: return fmt::format("set event {}, increment {}", o.object, o.value);
    case Kind::ResetEvent: return fmt::format("reset event {}", o.object);
    case Kind::PulseEvent: return fmt::format("pulse event {}, increment {}", o.object, o.value);
    case Kind::ReadEvent: return fmt::format("read event {}", o.object);
    case Kind::WaitForOne: return fmt::format("wait for{}, limit {}", objects(), time_text(o.time));
    case Kind::WaitForAny: return fmt::format("wait for any of{}, limit {}", objects(), time_text(o.time));
    case Kind::WaitForAll: return fmt::format("wait for all of{}, limit {}", objects(), time_text(o.time));
    case Kind::RemoveDpcEx: return fmt::format("remove DPC {}{}", o.object, o.value != 0 ? ", wait if it runs" : "");
    case Kind::ReleaseSemaphore: return fmt::format("release semaphore {} by {}, increment {}", o.object, o.other, o.value);
    case Kind::SignalAndWait:
      return fmt::format("set event {}, increment {}, and wait for{}, limit {}", o.object, o.value, object_text(program, o.other), time_text(o.time));
    case Kind::SetBasePriority: return fmt::format("set base priority of thread {} by {}", o.object, static_cast<std::int8_t>(o.value));
    case Kind::SetIdealProcessor: return fmt::format("set ideal processor of thread {} to {}", o.object, o.value);
    case Kind::SetAffinity: return fmt::format("set affinity {:x}", o.value);
    case Kind::RevertAffinity: return "revert to user affinity";
    case Kind::SetActive: return fmt::format("report source {} {}active", o.object, o.value != 0 ? "" : "in");
    case Kind::SetResolution: return o.value != 0 ? fmt::format("set timer resolution {}", o.time) : "give back timer resolution";
    case Kind::SetSystemTime: return fmt::format("set system time by {} x 100 ns", o.time);
    case Kind::QuerySystemTime: return "query system time";
    case Kind::Delay: return fmt::format("delay {}", time_text(o.time));
    case Kind::Flush: return "flush";
    case Kind::SetPriority: return fmt::format("set priority of thread {} to {}", o.object, o.value);
    case Kind::Interrupt: return fmt::format("let source {} interrupt in {} us", o.object, o.time);
    case Kind::QueryTime: return "query interrupt time";
    case Kind::QueryTickCount: return "query tick count";
    case Kind::QueryExecuting: return "query executing DPC";
  }
  return "?";
}

std::string text_of(const Program& program) {
  std::string text = fmt::format("{} processors, {} DPCs, {} timers, {} events, {} semaphores; odd timers and events are synchronization objects\n",
                                 program.processors, program.dpcs, program.timers, program.events, program.semaphores);
  for (const auto& [name, value] : program.settings) text += fmt::format("  {} = {}\n", name, value);
  for (unsigned i = 0; i < program.threads.size(); ++i)
    text += fmt::format("thread {}: priority {}, affinity {:x}, ideal processor {}\n", i, program.threads[i].priority, program.threads[i].affinity,
                        program.threads[i].ideal);
  for (unsigned i = 0; i < program.sources.size(); ++i) {
    const SourcePlan& plan = program.sources[i];
    text += fmt::format("source {}: {} vector {:#x}, affinity {:x}, synchronize IRQL {}{}{}\n", i, plan.level ? "level" : "latched", plan.vector,
                        plan.affinity, plan.synchronize_irql, plan.shared ? ", shared" : "", plan.claims ? "" : ", never claims");
  }
  for (unsigned i = 0; i < program.scripts.size(); ++i) {
    if (program.scripts[i].empty()) continue;
    text += program.script_name(i) + ":\n";
    for (const Operation& operation : program.scripts[i]) text += "  " + text_of(operation, program) + "\n";
  }
  return text;
}

}  // namespace kdpc::model
