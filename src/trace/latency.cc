#include "trace/latency.h"

#include <fmt/format.h>

#include <algorithm>

#include "trace/text_trace.h"

namespace kdpc {

namespace {

constexpr unsigned kDispatch = 2;

Holder::What what_of(ActivityKind kind) {
  switch (kind) {
    case ActivityKind::Isr: return Holder::What::Isr;
    case ActivityKind::Dpc: return Holder::What::Dpc;
    case ActivityKind::TimerDpc: return Holder::What::TimerDpc;
    case ActivityKind::SynchronizedRoutine: return Holder::What::Synchronized;
    case ActivityKind::ClockInterrupt: return Holder::What::ClockInterrupt;
    case ActivityKind::IpiInterrupt:
    case ActivityKind::BroadcastRoutine: return Holder::What::IpiInterrupt;
    case ActivityKind::WorkItem:
    case ActivityKind::ThreadedDpc:
    case ActivityKind::DriverRoutine: return Holder::What::RaisedThread;
  }
  return Holder::What::RaisedThread;
}

// Below DISPATCH_LEVEL an activity belongs to its thread, which may be switched away and come back on another processor.
bool is_threads(const std::uint8_t level) { return level < kDispatch; }

}  // namespace

std::string text_of(const Holder& holder, EventText& text) {
  using What = Holder::What;
  switch (holder.what) {
    case What::Isr: return "ISR " + text.address(holder.routine);
    case What::Dpc: return "DPC " + text.address(holder.routine);
    case What::TimerDpc: return "timer DPC " + text.address(holder.routine);
    case What::Synchronized: return "synchronized routine " + text.address(holder.routine);
    case What::ClockInterrupt: return "clock interrupt";
    case What::IpiInterrupt: return "IPI";
    case What::RaisedThread: return fmt::format("thread {} at raised IRQL in {}", holder.thread, text.address(holder.routine));
    case What::NobodyAsked: return fmt::format("no drain was requested (thread {} ran)", holder.thread);
    case What::Idle: return "waking from idle";
    case What::Drain: return "DPC dispatching";
  }
  return "?";
}

Latency::Latency(unsigned processors, std::size_t keep_worst) : processors_(processors), keep_worst_(keep_worst) {
  state_.processors.resize(processors);
}

RoutineLatency& Latency::of(ActivityKind kind, std::uintptr_t routine, unsigned processor) {
  RoutineLatency& latency = state_.routines[{kind, routine, processor}];
  latency.kind = kind;
  latency.routine = routine;
  latency.processor = processor;
  return latency;
}

Holder Latency::holder_of(const OfProcessor& processor, unsigned irql, std::uint32_t thread) const {
  if (!processor.open.empty()) return {what_of(processor.open.back().kind), processor.open.back().routine, thread};
  if (processor.draining) return {Holder::What::Drain, 0, thread};
  if (thread <= processors_) return {Holder::What::Idle, 0, thread};  // idle threads are numbered first
  if (irql < kDispatch) return {Holder::What::NobodyAsked, 0, thread};
  if (processor.caller != 0) return {Holder::What::RaisedThread, processor.caller, thread};
  const auto start = state_.starts.find(thread);
  return {Holder::What::RaisedThread, start == state_.starts.end() ? 0 : start->second, thread};
}

void Latency::event(const Stamp& stamp, const Event& event) {
  if (stamp.processor >= state_.processors.size()) return;
  OfProcessor& here = state_.processors[stamp.processor];
  unsigned irql = stamp.irql;
  std::uint32_t thread = stamp.thread;

  if (const auto* activity = std::get_if<ActivityBegan>(&event)) {
    began(stamp, *activity);
  } else if (const auto* activity_ended = std::get_if<ActivityEnded>(&event)) {
    ended(stamp, *activity_ended);
  } else if (const auto* queued = std::get_if<DpcQueued>(&event)) {
    if (queued->target < state_.processors.size()) {
      forget(queued->dpc.value);
      state_.queued[queued->dpc.value] = {stamp.time, queued->target, stamp.processor, holder_of(here, irql, thread), queued->threaded};
      if (!queued->threaded) ++state_.processors[queued->target].queued;
    }
  } else if (const auto* removed = std::get_if<DpcRemoved>(&event)) {
    forget(removed->dpc.value);
  } else if (std::holds_alternative<DrainBegan>(event)) {
    here.draining = true;
  } else if (std::holds_alternative<DrainEnded>(event)) {
    here.draining = false;
  } else if (const auto* changed = std::get_if<IrqlChanged>(&event)) {
    irql = changed->to;
  } else if (const auto* switched = std::get_if<ThreadSwitched>(&event)) {
    thread = switched->to;
    here.caller = 0;
  } else if (const auto* entered = std::get_if<RoutineEntered>(&event)) {
    if (irql < kDispatch && here.open.empty()) here.caller = entered->caller.value;
  } else if (const auto* created = std::get_if<ThreadCreated>(&event)) {
    state_.starts[created->thread] = created->routine.value;
  } else if (const auto* connected = std::get_if<InterruptConnected>(&event)) {
    state_.vectors[connected->interrupt.value] = connected->vector;
  } else if (const auto* requested = std::get_if<InterruptRequested>(&event)) {
    if (requested->processor < state_.processors.size()) state_.processors[requested->processor].requested.try_emplace(requested->vector, stamp.time);
  }

  const Segment now{stamp.time, holder_of(here, irql, thread), here.draining};
  if (here.queued == 0) here.history.clear();
  if (here.history.empty() || !(here.history.back().holder == now.holder) || here.history.back().draining != now.draining)
    here.history.push_back(now);
}

void Latency::forget(std::uintptr_t dpc) {
  const auto queued = state_.queued.find(dpc);
  if (queued == state_.queued.end()) return;
  if (!queued->second.threaded) --state_.processors[queued->second.target].queued;
  state_.queued.erase(queued);
}

// A queued DPC's routine is about to run: who had its processor since?
std::size_t Latency::started(const Stamp& stamp, const ActivityBegan& began, RoutineLatency& statistics) {
  const auto found = state_.queued.find(began.object.value);
  if (found == state_.queued.end()) return 0;
  const Queued queued = found->second;
  const OfProcessor& here = state_.processors[stamp.processor];

  DpcRun run;
  run.dpc = began.object.value;
  run.routine = began.routine.value;
  run.processor = stamp.processor;
  run.queued_by = queued.by;
  run.queued_on = queued.on;
  run.queued = std::min(queued.when, stamp.time);
  run.began = stamp.time;
  run.allowed = stamp.time;
  const std::uint64_t delay = run.began - run.queued;
  const auto is_less_bad = [](const Worst& left, const Worst& right) {
    return left.run.began - left.run.queued < right.run.began - right.run.queued;
  };
  const bool competes = keep_worst_ != 0 && (!watched_ || watched_(run.routine));
  const bool is_kept = competes && (state_.worst.size() < keep_worst_ || delay > [&] {
                         const auto least = std::min_element(state_.worst.begin(), state_.worst.end(), is_less_bad);
                         return least->run.began - least->run.queued;
                       }());
  for (std::size_t i = 0; i < here.history.size(); ++i) {
    const std::uint64_t until = i + 1 < here.history.size() ? here.history[i + 1].since : stamp.time;
    if (until <= run.queued) continue;
    const std::uint64_t since = i == 0 ? run.queued : std::max(here.history[i].since, run.queued);
    if (here.history[i].draining) run.allowed = std::min(run.allowed, since);
    if (!is_kept) continue;
    const bool masked = run.allowed > since;
    const auto same = std::find_if(run.waits.begin(), run.waits.end(),
                                   [&](const Wait& wait) { return wait.whom == here.history[i].holder && wait.masked == masked; });
    if (same == run.waits.end()) {
      run.waits.push_back({here.history[i].holder, until - since, masked});
    } else {
      same->nanoseconds += until - since;
    }
  }
  statistics.delay.add(delay);
  statistics.masked.add(run.allowed - run.queued);
  statistics.behind.add(run.began - run.allowed);
  forget(run.dpc);
  if (!is_kept) return 0;
  if (state_.worst.size() >= keep_worst_) state_.worst.erase(std::min_element(state_.worst.begin(), state_.worst.end(), is_less_bad));
  state_.worst.push_back({++state_.serials, std::move(run)});
  return state_.serials;
}

// What a threaded DPC waits for is its thread.
void Latency::threaded_started(const Stamp& stamp, const ActivityBegan& began) {
  const auto found = state_.queued.find(began.object.value);
  if (found == state_.queued.end()) return;
  of(began.kind, began.routine.value, stamp.processor).delay.add(stamp.time - std::min(found->second.when, stamp.time));
  forget(began.object.value);
}

void Latency::began(const Stamp& stamp, const ActivityBegan& began) {
  Open open{began.kind, began.routine.value, began.object.value, stamp.time};
  if (is_threads(began.level)) {
    if (began.kind == ActivityKind::ThreadedDpc) threaded_started(stamp, began);
    state_.threads[stamp.thread].push_back(open);
    return;
  }
  OfProcessor& here = state_.processors[stamp.processor];
  RoutineLatency& statistics = of(began.kind, began.routine.value, stamp.processor);
  if (began.kind == ActivityKind::Dpc || began.kind == ActivityKind::TimerDpc) open.worst_run = started(stamp, began, statistics);
  if (began.kind == ActivityKind::Isr) {
    const auto vector = state_.vectors.find(began.object.value);
    if (vector != state_.vectors.end()) {
      const auto requested = here.requested.find(vector->second);
      if (requested != here.requested.end()) {
        statistics.delay.add(stamp.time > requested->second ? stamp.time - requested->second : 0);
        here.requested.erase(requested);
      }
    }
  }
  here.open.push_back(open);
}

void Latency::ended(const Stamp& stamp, const ActivityEnded& ended) {
  std::vector<Open>* stack = &state_.processors[stamp.processor].open;
  const auto is_it = [&](const std::vector<Open>& candidates) {
    return !candidates.empty() && candidates.back().kind == ended.kind && candidates.back().routine == ended.routine.value &&
           candidates.back().object == ended.object.value;
  };
  if (!is_it(*stack)) {
    const auto threads = state_.threads.find(stamp.thread);
    if (threads == state_.threads.end() || !is_it(threads->second)) return;  // began before this sink listened
    stack = &threads->second;
  }
  const Open open = stack->back();
  stack->pop_back();
  const std::uint64_t inclusive = stamp.time - open.began;
  RoutineLatency& statistics = of(open.kind, open.routine, stamp.processor);
  statistics.inclusive.add(inclusive);
  statistics.exclusive.add(inclusive - std::min(open.nested, inclusive));
  if (ended.claimed) ++statistics.claimed;
  // What a routine calls itself is its own time; what interrupts it is not.
  if (!stack->empty()) stack->back().nested += open.kind == ActivityKind::SynchronizedRoutine ? open.nested : inclusive;
  if (open.worst_run == 0) return;
  for (Worst& worst : state_.worst)
    if (worst.serial == open.worst_run) worst.run.ended = stamp.time;
}

std::size_t Latency::mark() {
  marks_.push_back(state_);
  return marks_.size() - 1;
}

void Latency::rewind(std::size_t mark) { state_ = marks_[mark]; }

std::vector<RoutineLatency> Latency::routines() const {
  std::vector<RoutineLatency> routines;
  for (const auto& [key, latency] : state_.routines) routines.push_back(latency);
  return routines;
}

std::vector<DpcRun> Latency::worst() const {
  std::vector<Worst> worst = state_.worst;
  std::sort(worst.begin(), worst.end(), [](const Worst& left, const Worst& right) {
    const std::uint64_t of_left = left.run.began - left.run.queued, of_right = right.run.began - right.run.queued;
    return of_left != of_right ? of_left > of_right : left.serial < right.serial;
  });
  std::vector<DpcRun> runs;
  for (Worst& each : worst) runs.push_back(std::move(each.run));
  return runs;
}

std::uint64_t Latency::time_in_isrs(unsigned processor) const {
  std::uint64_t total = 0;
  for (const auto& [key, latency] : state_.routines)
    if (latency.kind == ActivityKind::Isr && latency.processor == processor) total += latency.exclusive.total();
  return total;
}

std::uint64_t Latency::time_in_dpcs(unsigned processor) const {
  std::uint64_t total = 0;
  for (const auto& [key, latency] : state_.routines)
    if ((latency.kind == ActivityKind::Dpc || latency.kind == ActivityKind::TimerDpc) && latency.processor == processor)
      total += latency.exclusive.total();
  return total;
}

}  // namespace kdpc
