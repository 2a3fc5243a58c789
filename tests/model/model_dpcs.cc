// The reference model's DPC queues and timers (SEMANTICS 3.4 to 7).
#include <algorithm>

#include "tests/model/model.h"

namespace kdpc::model {

namespace {

constexpr std::size_t kExpiriesPerBatch = 4;  // SEMANTICS 6.3

}  // namespace

// -- DPCs: SEMANTICS 4, 5 -------------------------------------------------------------------------------------------------------------------

// THR-1
bool Model::is_threaded(const Dpc& dpc) const { return dpc.type == Type::Threaded && options_.threaded_dpc == Options::ThreadedDpc::Enabled; }

// INS-4
unsigned Model::target_of(const Dpc& dpc, const Processor& here) const { return dpc.target < 0 ? here.number : static_cast<unsigned>(dpc.target); }

bool Model::insert(Processor& here, Dpc& dpc, std::uint64_t argument1, std::uint64_t argument2) {
  if (dpc.queued) return false;  // INS-1
  Processor& target = processors_[target_of(dpc, here)];
  dpc.queued = true;
  dpc.argument1 = argument1;
  dpc.argument2 = argument2;
  auto& queue = is_threaded(dpc) ? target.threaded_queue : target.queue;
  if (dpc.importance == High) {  // 5.1
    queue.push_front(&dpc);
  } else {
    queue.push_back(&dpc);
  }
  bool request = false;
  if (is_threaded(dpc)) {  // THR-3, TAB-6
    request = !target.thread_active && !target.thread_requested;
    if (request) target.thread_requested = target.thread_signal = true;
  } else {
    ++target.inserted;
    request = !target.active && !target.requested && wants_drain(dpc, here, target);  // TAB-5
    if (request) target.requested = true;
  }
  if (request) request_dispatch(here, target);
  return true;
}

// TAB-2
bool Model::is_deep(const Processor& p) const {
  const int depth = static_cast<int>(p.queue.size());
  return options_.depth_compare == Options::DepthCompare::GreaterOrEqual ? depth >= p.maximum_depth : depth > p.maximum_depth;
}

// SEMANTICS 5.2, TAB-1, TAB-3, TAB-4.
bool Model::wants_drain(const Dpc& dpc, const Processor& here, const Processor& target) const {
  if (&here == &target) return dpc.importance != Low || is_deep(target) || target.rate < options_.minimum_dpc_rate;
  if (target.idle && !target.halted) return false;  // it polls
  const bool urgent = dpc.importance == High || (dpc.importance == MediumHigh && options_.medium_high_remote == Options::MediumHighRemote::Immediate);
  switch (options_.remote_ipi) {
    case Options::RemoteIpi::Microsoft:
      return urgent || is_deep(target) || (target.halted && options_.idle_low_medium == Options::IdleLowMedium::Wake);
    case Options::RemoteIpi::IdleOnly: return is_deep(target) || (target.halted && urgent);
    case Options::RemoteIpi::ReactOs: return is_deep(target) || dpc.importance == High;
  }
  return false;
}

// REM-1, REM-3
bool Model::remove(Dpc& dpc) {
  if (!dpc.queued) return false;
  dpc.queued = false;
  for (Processor& p : processors_) {
    std::erase(p.queue, &dpc);
    std::erase(p.threaded_queue, &dpc);
  }
  return true;
}

// IPI-1: requests coalesce; one that is under way serves a later one too.
void Model::request_dispatch(Processor& here, Processor& target) {
  if (&here == &target) {
    here.dispatch_requested = true;
    return;
  }
  target.ipi_asks = true;
  target.ipi_at = std::min(target.ipi_at, now_ + kIpiLatency);
}

// SEMANTICS 3.4, ADP-1 to ADP-4.
void Model::adapt(Processor& p) {
  p.rate = ((p.inserted - p.last_count) + p.rate) >> 1;
  p.last_count = p.inserted;
  if (!p.queue.empty() && !p.active) {
    p.countdown = options_.adjust_dpc_threshold;
    p.dispatch_requested = true;
    if (p.rate < options_.ideal_dpc_rate && p.maximum_depth > 1) --p.maximum_depth;
  } else if (--p.countdown == 0) {
    p.countdown = options_.adjust_dpc_threshold;
    if (p.maximum_depth != options_.dpc_queue_depth) ++p.maximum_depth;
  }
}

// -- timers: SEMANTICS 7 --------------------------------------------------------------------------------------------------------------------

// TIM-12
std::deque<Model::Timer*>& Model::table_for(Processor& p) {
  return options_.timer_table == Options::TimerTables::Global ? processors_[0].timers : p.timers;
}

// TIM-13
unsigned Model::table_of(const Timer& timer, const Processor& here) const {
  if (options_.timer_table == Options::TimerTables::Global) return 0;
  if (timer.dpc == nullptr) return here.number;
  if (timer.dpc->target < 0 && options_.untargeted_timer == Options::UntargetedTimer::ProcessorZero) return 0;
  return target_of(*timer.dpc, here);
}

// A processor that has put off its ticks must think again.
void Model::announce(Processor& here, Processor& where) {
  if (options_.idle_ticks != Options::IdleTicks::All && &where != &here && where.halted) request_clock(here, where);
}

void Model::insert_timer(Processor& here, Timer& timer, std::uint64_t due) {
  timer.due = due;
  timer.inserted = true;
  timer.table = table_of(timer, here);
  auto& table = processors_[timer.table].timers;
  auto place = table.begin();
  while (place != table.end() && (*place)->due <= due) ++place;
  table.insert(place, &timer);
  announce(here, processors_[timer.table]);
}

void Model::remove_timer(Timer& timer) {
  timer.inserted = false;
  std::erase(processors_[timer.table].timers, &timer);
}

// TIM-2, TIM-3, TIM-4
bool Model::set_timer(Processor& here, Timer& timer, std::int64_t due, std::uint32_t period, Dpc* dpc) {
  const bool was_set = timer.inserted;
  if (was_set) remove_timer(timer);
  timer.signal = 0;
  timer.dpc = dpc;
  timer.period = period;
  timer.absolute = due >= 0;
  if (due < 0) {
    insert_timer(here, timer, interrupt_time_ + static_cast<std::uint64_t>(-due));
    return was_set;
  }
  const std::uint64_t now = system_time();
  if (static_cast<std::uint64_t>(due) > now) {
    insert_timer(here, timer, interrupt_time_ + static_cast<std::uint64_t>(due) - now);
    return was_set;
  }
  timer.due = interrupt_time_;
  expire(here, timer);
  if (dpc != nullptr) insert(here, *dpc, now & 0xffffffff, now >> 32);  // TIM-14
  return was_set;
}

// TIM-7, TIM-8
bool Model::cancel_timer(Timer& timer) {
  const bool was_set = timer.inserted;
  if (was_set) remove_timer(timer);
  return was_set;
}

// TIM-2: absolute timers follow the system time, relative ones do not.
void Model::set_system_time(Processor& here, std::int64_t by) {
  system_time_offset_ += static_cast<std::uint64_t>(by);
  for (Processor& p : processors_) {
    std::deque<Timer*> before;
    before.swap(p.timers);
    for (Timer* timer : before) {
      if (timer->absolute) timer->due = static_cast<std::uint64_t>(std::max<std::int64_t>(static_cast<std::int64_t>(timer->due) - by, 0));
      auto place = p.timers.begin();
      while (place != p.timers.end() && (*place)->due <= timer->due) ++place;
      p.timers.insert(place, timer);
    }
    if (by > 0) announce(here, p);
  }
}

// TIM-10, TIM-11
void Model::expire(Processor& here, Timer& timer) {
  timer.signal = 1;
  signal(here, timer, 0);
  if (timer.period == 0) return;
  timer.absolute = false;  // the period is relative
  insert_timer(here, timer, interrupt_time_ + std::uint64_t{timer.period} * 10'000);
}

// SEMANTICS 6.3, TIM-15, TIM-21, FLU-2: up to four leave the table and are signalled, and DPCs that belong elsewhere are queued; then the others are called.
void Model::expire_batch(Processor& p, Frame& drain) {
  auto& table = table_for(p);
  for (std::size_t expired = 0; expired < kExpiriesPerBatch && !table.empty() && table.front()->due <= interrupt_time_; ++expired) {
    Timer& timer = *table.front();
    remove_timer(timer);
    Dpc* dpc = timer.dpc;
    const bool direct = dpc != nullptr && options_.timer_dpc == Options::TimerDpc::Direct && !is_threaded(*dpc) && target_of(*dpc, p) == p.number;
    if (direct) drain.batch.push_back({dpc, dpc->script, dpc->context, 0, 0});
    expire(p, timer);
    if (dpc != nullptr && !direct) insert(p, *dpc, drain.stamp & 0xffffffff, drain.stamp >> 32);
  }
  drain.more = !table.empty() && table.front()->due <= interrupt_time_;
}

}  // namespace kdpc::model
