#include "check/rules/actors.h"

namespace kdpc::rules {

const char* name_of(Acting acting) {
  switch (acting) {
    case Acting::Thread: return "thread";
    case Acting::Dispatch: return "dispatch routine";
    case Acting::WorkItem: return "work item";
    case Acting::ThreadedDpc: return "threaded DPC";
    case Acting::Synchronized: return "synchronized routine";
    case Acting::Drain: return "expiry of timers";
    case Acting::Dpc: return "DPC";
    case Acting::TimerDpc: return "timer DPC";
    case Acting::Isr: return "ISR";
    case Acting::Interrupt: return "clock or IPI";
  }
  return "?";
}

Actor& Actors::begin(const Stamp& stamp, Acting acting, std::uintptr_t routine, std::uintptr_t object, std::uint8_t level) {
  std::vector<Actor>& on_top = processors_[stamp.processor];
  std::vector<Actor>& stack = on_top.empty() && is_threads(acting, level) ? thread(stamp.thread) : on_top;
  Actor actor;
  actor.acting = acting;
  actor.level = level;
  actor.interrupts = level;
  actor.routine = routine;
  actor.object = object;
  actor.serial = ++serial_;
  actor.began = stamp.time;
  stack.push_back(actor);
  return stack.back();
}

Actor Actors::end(const Stamp& stamp, Acting acting) {
  std::vector<Actor>& on_top = processors_[stamp.processor];
  std::vector<Actor>& stack = on_top.empty() ? thread(stamp.thread) : on_top;
  if (stack.back().acting != acting) return {};
  const Actor ended = stack.back();
  stack.pop_back();
  if (!stack.empty()) {
    stack.back().nested += stamp.time - ended.began;
  } else {
    thread(stamp.thread).back().nested += stamp.time - ended.began;
  }
  return ended;
}

}  // namespace kdpc::rules
