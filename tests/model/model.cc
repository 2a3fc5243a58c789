#include "tests/model/model.h"

#include <algorithm>
#include <utility>

namespace kdpc::model {

namespace {

constexpr std::uint64_t kTick = 15'625'000;  // ns
constexpr std::uint64_t kHundred = 100;      // ns
constexpr std::int64_t kQuantumPerTick = 3;  // SEMANTICS 6.5
constexpr std::int64_t kQuantumUnit = kTick / kQuantumPerTick;

}  // namespace

Model::Model(const Program& program, const Beginning& beginning)
    : program_(program),
      options_(program.options),
      now_(beginning.now),
      last_step_(beginning.now),
      clock_epoch_(beginning.clock_epoch),
      interrupt_time_(beginning.interrupt_time),
      tick_count_(beginning.tick_count),
      system_time_offset_(beginning.system_time_offset),
      start_of_time_(beginning.system_time_offset),
      processors_(program.processors),
      idle_processors_(program.processors, true),
      dpcs_(program.dpcs),
      timers_(program.timers),
      events_(program.events),
      semaphores_(program.semaphores),
      threads_(program.threads.size()),
      idle_threads_(program.processors),
      dpc_threads_(program.processors),
      cursors_(program.scripts.size(), 0),
      flush_dpcs_(program.processors) {
  for (unsigned n = 0; n < program.processors; ++n) {
    Processor& p = processors_[n];
    p.number = n;
    const Beginning::OfProcessor& given = beginning.processors[n];
    p.clock_at = p.next_clock = given.next_clock;
    p.next_tick = given.next_tick;
    p.last_clock = given.last_clock;
    p.inserted = given.inserted;
    p.maximum_depth = options_.dpc_queue_depth;
    p.countdown = options_.adjust_dpc_threshold;
    Thread& idle = idle_threads_[n];
    idle.name = kIdleThread + n;
    idle.idle = true;
    idle.state = ThreadState::Running;
    idle.processor = n;
    p.current = p.idle_thread = &idle;
    Thread& server = dpc_threads_[n];
    server.name = kDpcThread + n;
    server.serves = &p;
    server.state = ThreadState::Waiting;
    server.leaves_dispatcher = true;
    server.priority = server.base = 31;
    server.quantum = given.dpc_thread_quantum;
    server.processor = server.ideal = n;
    server.affinity = server.user_affinity = std::uint64_t{1} << n;
    server.actor.where = Where::ThreadedDpc;
    p.dpc_event.gives = Object::Gives::One;
    p.dpc_event.waiters.push_back({&server, 0});
    server.waits_for = {&p.dpc_event};
    p.dpc_thread = &server;
  }
  for (unsigned i = 0; i < program.dpcs; ++i) {
    dpcs_[i].script = static_cast<int>(program.script_of_dpc(i));
    dpcs_[i].context = i;
  }
  for (unsigned i = 0; i < program.timers; ++i) {
    timers_[i].name = i;
    timers_[i].gives = i % 2 == 1 ? Object::Gives::One : Object::Gives::All;
  }
  for (unsigned i = 0; i < program.events; ++i) events_[i].gives = i % 2 == 1 ? Object::Gives::One : Object::Gives::All;
  for (Object& semaphore : semaphores_) semaphore.gives = Object::Gives::Count;
  for (const SourcePlan& plan : program.sources) sources_.push_back({plan});
  for (unsigned i = 0; i < program.threads.size(); ++i) {
    Thread& thread = threads_[i];
    thread.name = i;
    thread.priority = thread.base = program.threads[i].priority;
    thread.quantum = beginning.threads[i].quantum;
    thread.processor = beginning.threads[i].processor;
    thread.ideal = program.threads[i].ideal;
    thread.affinity = thread.user_affinity = program.threads[i].affinity;
    thread.uncharged = beginning.threads[i].uncharged;
    thread.limit.name = kTimerOfThread + i;
    thread.actor.script = static_cast<int>(program.script_of_thread(i));
    thread.state = ThreadState::Waiting;
    thread.leaves_dispatcher = true;
    thread.waits_for = {&start_};
  }
  start_.name = kStartTimer;
  for (const unsigned i : beginning.waiting) start_.waiters.push_back({&threads_[i], 0});
  insert_timer(processors_[0], start_, beginning.start_due);
  flush_turn_.gives = flush_done_.gives = Object::Gives::One;
  flush_turn_.signal = 1;
}

// -- instants -------------------------------------------------------------------------------------------------------------------------------

void Model::run(std::size_t limit) {
  limit_ = limit;
  while (steps.size() < limit_ && advance())
    for (Processor& p : processors_) run_processor(p);
}

bool Model::advance() {
  std::uint64_t first = kNever;
  for (const Processor& p : processors_) first = std::min({first, p.clock_at, p.ipi_at, p.wakes});
  for (const Source& source : sources_) first = std::min(first, source.due);
  if (first == kNever || first > last_step_ + kPatience) return false;
  now_ = std::max(now_, first);
  for (Source& source : sources_)
    if (source.due <= now_) interrupt_from(source);
  for (Processor& p : processors_) {
    if (p.clock_at <= now_) p.clock_pending = true, p.clock_at = kNever;
    if (p.ipi_at <= now_) p.ipi_pending = true, p.ipi_at = kNever;
  }
  return true;
}

void Model::run_processor(Processor& p) {
  p.wakes = kNever;
  while (steps.size() < limit_)
    if (!take_interrupt(p) && !go_on(p)) return;
}

// -- interrupts -----------------------------------------------------------------------------------------------------------------------------

// IRQL-3, IRQL-9: what is above the current level, the highest first; the DISPATCH interrupt last of all.
bool Model::take_interrupt(Processor& p) {
  if (p.ipi_pending && p.irql < kIpiLevel) {
    // IPI-1: the handler only requests the DISPATCH interrupt.
    p.ipi_pending = false;
    p.woken = true;
    stop_charging(p);
    if (std::exchange(p.ipi_asks, false)) p.dispatch_requested = true;
    if (std::exchange(p.ipi_rearms, false)) rearm_clock(p);
    charge_again(p);
    return true;
  }
  if (p.clock_pending && p.irql < kClockLevel) {
    p.clock_pending = false;
    p.woken = true;
    stop_charging(p);
    take_clock(p);
    charge_again(p);
    return true;
  }
  if (!p.pending_vectors.empty() && p.irql < *p.pending_vectors.rbegin() >> 4) {
    Frame service{Frame::What::Service};
    service.vector = *p.pending_vectors.rbegin();
    p.pending_vectors.erase(service.vector);
    in_service_[service.vector] = true;
    for (Source& source : sources_)  // INT-5: in the order of connection
      if (source.plan.vector == service.vector) service.chain.push_back(&source);
    service.interrupted = p.irql;
    p.irql = service.vector >> 4;
    p.woken = true;
    stop_charging(p);
    p.frames.push_back(service);
    return true;
  }
  if (p.dispatch_requested && p.irql < kDispatch) {
    p.dispatch_requested = false;
    Frame drain{Frame::What::Drain};
    drain.interrupted = p.irql;
    p.irql = kDispatch;
    if (!has_work(p)) {
      drain.at = Frame::At::End;
      p.requested = false;
    } else {
      stop_charging(p);
      drain.charges = true;
    }
    p.frames.push_back(drain);
    return true;
  }
  return false;
}

// PNP-2: of an affinity set the lowest processor is interrupted.
Model::Processor& Model::target_of(unsigned vector) {
  for (const Source& source : sources_)
    if (source.plan.vector == vector) return processors_[source.plan.lowest_processor()];
  return processors_[0];
}

// A level line that is asserted while its vector is in service comes back at the end of the interrupt.
void Model::interrupt_from(Source& source) {
  source.due = kNever;
  if (source.asserted || (source.plan.shared && !source.active)) return;
  source.asserted = true;
  const unsigned vector = source.plan.vector;
  if (is_routed(vector) && !(source.plan.level && in_service_[vector])) target_of(vector).pending_vectors.insert(vector);
}

// INT-11: a vector is let through while one of its objects is active; a line that is asserted then has waited for that.
bool Model::is_routed(unsigned vector) const {
  return std::any_of(sources_.begin(), sources_.end(), [&](const Source& other) { return other.plan.vector == vector && other.active; });
}

void Model::set_active(Source& source, bool active) {
  const unsigned vector = source.plan.vector;
  const bool before = is_routed(vector);
  source.active = active;
  if (is_routed(vector) == before) return;
  std::set<unsigned>& pending = target_of(vector).pending_vectors;
  if (!active) {
    pending.erase(vector);
    return;
  }
  for (const Source& other : sources_)
    if (other.plan.vector == vector && other.asserted && !(other.plan.level && in_service_[vector])) pending.insert(vector);
}

void Model::end_of_interrupt(Processor& p, unsigned vector) {
  in_service_[vector] = false;
  if (!is_routed(vector)) return;
  for (const Source& source : sources_)
    if (source.plan.vector == vector && source.plan.level && source.asserted) p.pending_vectors.insert(vector);
}

// INT-13 to INT-15: raises to each object's own level, calls, lowers. A level chain ends at the first that claims; a latched one is walked until a
// whole pass claims nothing, or, by option, as long as the last one called claims.
bool Model::go_on_service(Processor& p) {
  Frame& service = p.frames.back();
  Source& source = *service.chain[service.place];
  const bool claimed = source.plan.claims && (service.mine || !source.plan.shared);
  if (service.turn == Frame::Turn::Call && !source.active) {
    service.turn = Frame::Turn::Skipped;
    return true;
  }
  if (service.turn == Frame::Turn::Call) {
    service.turn = Frame::Turn::Runs;
    ++source.calls;
    service.mine = source.asserted;
    source.asserted = false;
    p.irql = std::max<unsigned>(p.irql, source.plan.synchronize_irql);
    Actor& actor = service.actor;
    actor = {};
    actor.script = static_cast<int>(program_.script_of_source(static_cast<unsigned>(&source - sources_.data())));
    actor.where = Where::Isr;
    actor.entry = p.irql;
    record(p, actor, kBegins, service.mine);
    return true;
  }
  if (service.turn == Frame::Turn::Runs) {
    bool finished = false;
    if (!go_on_actor(p, service.actor, finished)) return false;
    if (!finished) return true;
    service.turn = Frame::Turn::Over;
    if (claimed) ++source.claims;
    p.irql = service.vector >> 4;
    return true;
  }
  const bool skipped = service.turn == Frame::Turn::Skipped;
  service.turn = Frame::Turn::Call;
  const bool chained = service.chain.size() > 1;
  const bool is_last = ++service.place == service.chain.size();
  if (chained && !source.plan.level) {
    if (!skipped) service.again = options_.latched_chain == Options::LatchedChain::FullPass ? service.again || claimed : claimed;
    if (!is_last) return true;
    service.place = 0;
    if (std::exchange(service.again, false)) return true;
  } else if (chained && (skipped || !claimed) && !is_last) {
    return true;
  }
  end_of_interrupt(p, service.vector);
  p.irql = service.interrupted;
  p.frames.pop_back();
  charge_again(p);
  return true;
}

// -- the clock: SEMANTICS 6.5, TIME-1, TIM-18 ---------------------------------------------------------------------------------------------------

// Processor 0 keeps the time. Only a full tick, not a shortened interrupt, counts for accounting.
void Model::take_clock(Processor& p) {
  const bool full = p.next_clock == p.next_tick;
  if (p.number == 0) {
    interrupt_time_ = (p.next_clock - clock_epoch_) / kHundred;
    if (full) ++tick_count_;
  }
  const auto& table = table_for(p);
  if (!p.timer_request && !table.empty() && table.front()->due <= interrupt_time_) {  // RET-3a
    p.timer_request = true;
    p.dispatch_requested = true;
  }
  if (full) {
    adapt(p);
    take_quantum(p);
    p.next_tick += kTick;
  }
  p.last_clock = p.next_clock;
  arm_clock(p);
}

void Model::take_quantum(Processor& p) {
  Thread& thread = *p.current;
  if (thread.idle) return;
  std::int64_t units = kQuantumPerTick;
  if (options_.quantum == Options::Quantum::Cycles) {  // its own time, to the nearest unit
    units = (thread.uncharged + kQuantumUnit / 2) / kQuantumUnit;
    thread.uncharged -= units * kQuantumUnit;
  }
  if (thread.quantum > 0) thread.quantum = std::max(thread.quantum - static_cast<int>(units), -1);
  if (thread.quantum > 0) return;
  p.quantum_end = true;
  p.dispatch_requested = true;
}

// A full tick that was held off is made up for, a shortened interrupt is not.
std::uint64_t Model::next_clock(const Processor& p) const {
  const std::uint64_t interval = interval_ * kHundred;
  const std::uint64_t passed = now_ > p.last_clock ? (now_ - p.last_clock) / interval : 0;
  return std::min(p.next_tick, p.last_clock + (passed + 1) * interval);
}

void Model::arm_clock(Processor& p) {
  p.next_clock = next_clock(p);
  p.clock_pending = p.clock_pending || p.next_clock <= now_;
  p.clock_at = p.next_clock <= now_ ? kNever : p.next_clock;
}

void Model::rearm_clock(Processor& p) {
  if (next_clock(p) < p.next_clock) arm_clock(p);
}

void Model::request_clock(Processor& here, Processor& target) {
  if (&here == &target) {
    rearm_clock(here);
    return;
  }
  target.ipi_rearms = true;
  target.ipi_at = std::min(target.ipi_at, now_ + kIpiLatency);
}

std::int64_t Model::set_resolution(Processor& here, std::uint32_t desired, bool set) {
  constexpr std::uint64_t kLongest = 156'250, kShortest = 10'000;
  if (set) {
    ++interval_requests_;
    interval_asked_ = std::min(interval_asked_, std::max<std::uint64_t>(desired, kShortest));
  } else if (interval_requests_ != 0 && --interval_requests_ == 0) {
    interval_asked_ = kLongest;
  }
  const bool shorter = interval_asked_ < interval_;
  interval_ = interval_asked_;
  if (shorter)
    for (Processor& p : processors_) request_clock(here, p);
  return static_cast<std::int64_t>(interval_);
}

// ADP-1, idle_ticks = timekeeper_only: an idle processor takes the next tick at which one of its timers is due, and none before.
void Model::put_off_ticks(Processor& p) {
  constexpr std::uint64_t kForEverTicks = std::uint64_t{1} << 32;
  if (!may_put_off_ticks(p) || interval_ * kHundred != kTick || p.next_clock <= now_) return;
  std::uint64_t skipped = kForEverTicks;
  if (!p.timers.empty()) {
    const std::uint64_t due = clock_epoch_ + p.timers.front()->due * kHundred;
    skipped = due <= p.next_tick ? 0 : (due - p.next_tick + kTick - 1) / kTick;
  }
  p.next_tick += skipped * kTick;
  p.next_clock = p.clock_at = p.next_tick;
}

void Model::resume_ticks(Processor& p) {
  if (!may_put_off_ticks(p) || p.next_clock <= now_ || p.next_tick - now_ <= kTick) return;
  p.next_tick -= (p.next_tick - now_ - 1) / kTick * kTick;
  arm_clock(p);
}

// quantum = cycles: a thread pays for the time it runs, not for that of interrupts and DPCs.
void Model::begin_charging(Processor& p) {
  if (options_.quantum == Options::Quantum::Cycles) p.charges_since = now_;
}

void Model::stop_charging(Processor& p) {
  if (p.charges_since == kNever) return;
  p.current->uncharged += static_cast<std::int64_t>(now_ - p.charges_since);
  p.charges_since = kNever;
}

void Model::charge_again(Processor& p) {
  const bool in_service = std::any_of(p.frames.begin(), p.frames.end(), [](const Frame& frame) { return frame.what == Frame::What::Service; });
  if (!in_service && !p.active) begin_charging(p);
}

}  // namespace kdpc::model
