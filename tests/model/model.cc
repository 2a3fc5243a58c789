#include "tests/model/model.h"

#include <algorithm>
#include <utility>

namespace kdpc::model {

namespace {

constexpr std::uint64_t kTick = 15'625'000;  // ns
constexpr std::uint64_t kHundred = 100;      // ns
constexpr int kQuantumPerTick = 3;           // SEMANTICS 6.5

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
      processors_(program.processors),
      idle_processors_(program.processors, true),
      dpcs_(program.dpcs),
      timers_(program.timers),
      events_(program.events),
      threads_(program.threads.size()),
      idle_threads_(program.processors),
      dpc_threads_(program.processors),
      cursors_(program.scripts.size(), 0),
      flush_dpcs_(program.processors) {
  for (unsigned n = 0; n < program.processors; ++n) {
    Processor& p = processors_[n];
    p.number = n;
    p.clock_at = p.tick = beginning.next_clock[n];
    p.inserted = beginning.inserted[n];
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
    server.resumes_wait = true;
    server.priority = server.base = 31;
    server.quantum = beginning.dpc_thread_quantum[n];
    server.processor = server.ideal = n;
    server.affinity = std::uint64_t{1} << n;
    server.actor.where = Where::ThreadedDpc;
    p.dpc_event.resets = true;
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
    timers_[i].resets = i % 2 == 1;
  }
  for (unsigned i = 0; i < program.events; ++i) events_[i].resets = i % 2 == 1;
  for (const SourcePlan& plan : program.sources) sources_.push_back({plan});
  for (unsigned i = 0; i < program.threads.size(); ++i) {
    Thread& thread = threads_[i];
    thread.name = i;
    thread.priority = thread.base = program.threads[i].priority;
    thread.quantum = beginning.threads[i].quantum;
    thread.processor = beginning.threads[i].processor;
    thread.ideal = program.threads[i].ideal;
    thread.affinity = program.threads[i].affinity;
    thread.limit.name = kTimerOfThread + i;
    thread.actor.script = static_cast<int>(program.script_of_thread(i));
    thread.state = ThreadState::Waiting;
    thread.resumes_wait = true;
    thread.waits_for = {&start_};
  }
  start_.name = kStartTimer;
  for (const unsigned i : beginning.waiting) start_.waiters.push_back({&threads_[i], 0});
  insert_timer(processors_[0], start_, beginning.start_due);
  flush_turn_.resets = flush_done_.resets = true;
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
    if (p.ipi_asks) p.dispatch_requested = true;
    p.ipi_asks = false;
    return true;
  }
  if (p.clock_pending && p.irql < kClockLevel) {
    p.clock_pending = false;
    p.woken = true;
    take_clock(p);
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
    }
    p.frames.push_back(drain);
    return true;
  }
  return false;
}

// PNP-2: of an affinity set the lowest processor is interrupted.
Model::Processor& Model::target_of(unsigned vector) {
  for (const Source& source : sources_)
    for (Processor& p : processors_)
      if (source.plan.vector == vector && (source.plan.affinity >> p.number & 1) != 0) return p;
  return processors_[0];
}

// A level line that is asserted while its vector is in service comes back at the end of the interrupt.
void Model::interrupt_from(Source& source) {
  source.due = kNever;
  if (source.asserted) return;
  source.asserted = true;
  const unsigned vector = source.plan.vector;
  if (!source.plan.level || !in_service_[vector]) target_of(vector).pending_vectors.insert(vector);
}

void Model::end_of_interrupt(Processor& p, unsigned vector) {
  in_service_[vector] = false;
  for (const Source& source : sources_)
    if (source.plan.vector == vector && source.plan.level && source.asserted) p.pending_vectors.insert(vector);
}

// INT-13 to INT-15: raises to each object's own level, calls, lowers. A level chain ends at the first that claims; a latched one is walked until a
// whole pass claims nothing, or, by option, as long as the last one called claims.
bool Model::go_on_service(Processor& p) {
  Frame& service = p.frames.back();
  Source& source = *service.chain[service.place];
  const bool claimed = source.plan.claims && (service.mine || !source.plan.shared);
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
  service.turn = Frame::Turn::Call;
  const bool chained = service.chain.size() > 1;
  const bool is_last = ++service.place == service.chain.size();
  if (chained && !source.plan.level) {
    service.again = options_.latched_chain == Options::LatchedChain::FullPass ? service.again || claimed : claimed;
    if (!is_last) return true;
    service.place = 0;
    if (std::exchange(service.again, false)) return true;
  } else if (chained && !claimed && !is_last) {
    return true;
  }
  end_of_interrupt(p, service.vector);
  p.irql = service.interrupted;
  p.frames.pop_back();
  return true;
}

// SEMANTICS 6.5; TIME-1: processor 0 keeps the time.
void Model::take_clock(Processor& p) {
  if (p.number == 0) {
    interrupt_time_ = (p.tick - clock_epoch_) / kHundred;
    ++tick_count_;
  }
  const auto& table = table_for(p);
  if (!p.timer_request && !table.empty() && table.front()->due <= interrupt_time_) {  // RET-3a
    p.timer_request = true;
    p.dispatch_requested = true;
  }
  adapt(p);
  if (Thread& thread = *p.current; !thread.idle) {
    if (thread.quantum > 0) thread.quantum = std::max(thread.quantum - kQuantumPerTick, -1);
    if (thread.quantum <= 0) {
      p.quantum_end = true;
      p.dispatch_requested = true;
    }
  }
  // A tick that was held off is made up for.
  p.tick += kTick;
  if (p.tick <= now_) {
    p.clock_pending = true;
  } else {
    p.clock_at = p.tick;
  }
}

// -- what runs ------------------------------------------------------------------------------------------------------------------------------

bool Model::go_on(Processor& p) {
  if (p.frames.empty()) return p.current->idle ? go_on_idle(p) : go_on_thread(p, *p.current);
  Frame& frame = p.frames.back();
  if (frame.what == Frame::What::Drain) {
    go_on_drain(p);
    return true;
  }
  if (frame.what == Frame::What::Service) return go_on_service(p);
  bool finished = false;
  if (!go_on_actor(p, frame.actor, finished)) return false;
  if (finished) p.frames.pop_back();
  return true;
}

// RET-2: drains by itself, runs who is ready, or halts until an interrupt.
bool Model::go_on_idle(Processor& p) {
  if (p.halted && !p.woken) return false;
  p.halted = p.woken = false;
  p.dispatch_requested = false;
  if (has_work(p)) {
    Frame drain{Frame::What::Drain};
    drain.interrupted = kDispatch;
    drain.from_idle = true;
    p.frames.push_back(drain);
    return true;
  }
  p.requested = false;
  if (p.thread_signal) {
    p.thread_signal = false;
    set_event(p, p.dpc_event, 0);
    return true;
  }
  const bool anybody = p.next != nullptr || std::any_of(p.ready.begin(), p.ready.end(), [](const auto& list) { return !list.empty(); });
  if (!anybody) {
    p.halted = true;
    return false;
  }
  switch_to(p, take_next(p));
  return true;
}

// SEMANTICS 6.2, KiRetireDpcList; TIM-21: the DPCs of a batch run when its timers have all expired.
void Model::go_on_drain(Processor& p) {
  Frame& drain = p.frames.back();
  switch (drain.at) {
    case Frame::At::Top:
      p.active = true;
      drain.at = p.timer_request ? Frame::At::Expire : Frame::At::Queue;
      return;
    case Frame::At::Expire:
      p.timer_request = false;
      drain.stamp = system_time();  // TIM-14: one for the whole pass
      drain.at = Frame::At::Batch;
      drain.more = true;
      return;
    case Frame::At::Batch: {
      if (!drain.batch.empty()) {
        const Call call = drain.batch.front();
        drain.batch.pop_front();
        const std::uint64_t low = drain.stamp & 0xffffffff, high = drain.stamp >> 32;
        if (call.direct) {
          begin_routine(p, {call.dpc, call.script, call.context, low, high, true});
        } else {
          insert(p, *call.dpc, low, high);
        }
      } else if (drain.more) {
        expire_batch(p, drain);
      } else {
        drain.at = Frame::At::Queue;
      }
      return;
    }
    case Frame::At::Queue:
      if (!p.queue.empty()) {
        Dpc& dpc = *p.queue.front();
        p.queue.pop_front();
        dpc.queued = false;  // INS-5, RET-5: before the call
        begin_routine(p, {&dpc, dpc.script, dpc.context, dpc.argument1, dpc.argument2, true});
        return;
      }
      p.active = p.requested = false;
      drain.at = Frame::At::End;
      return;
    case Frame::At::End: {
      const bool from_idle = drain.from_idle;
      p.irql = drain.interrupted;
      p.frames.pop_back();
      if (!from_idle) leave_dispatch_interrupt(p);
    }
  }
}

// RET-1: after the DPC list the quantum's end, then the next thread. THR-3: and who serves threaded DPCs is woken.
void Model::leave_dispatch_interrupt(Processor& p) {
  if (p.thread_signal) {
    p.thread_signal = false;
    const unsigned interrupted = p.irql;
    p.irql = kDispatch;
    set_event(p, p.dpc_event, 0);
    p.irql = interrupted;
  }
  if (p.quantum_end) {
    p.quantum_end = false;
    end_quantum(p);
  }
  if (Thread* next = p.next; next != nullptr) {
    p.next = nullptr;
    give_way(p, *next);
  }
}

void Model::begin_routine(Processor& p, const Call& call) {
  if (call.script < 0) {  // a flush's own
    if (--flush_remaining_ == 0) set_event(p, flush_done_, 0);
    return;
  }
  Frame routine{Frame::What::Routine};
  p.frames.push_back(routine);
  begin(p, p.frames.back().actor, call, Where::Dpc);
}

void Model::begin(Processor& p, Actor& actor, const Call& call, Where where) {
  actor.script = call.script;
  actor.where = where;
  actor.entry = p.irql;
  actor.then = Then::Next;
  record(p, actor, kBegins, begins_with(call.context, call.argument1, call.argument2));
}

// The thread that serves threaded DPCs (SEMANTICS 4.11): waits for its event, then takes and calls until its queue is empty.
bool Model::go_on_dpc_thread(Processor& p, Thread& thread) {
  Processor& served = *thread.serves;
  if (thread.serving) {
    bool finished = false;
    if (!go_on_actor(p, thread.actor, finished)) return false;
    if (finished) thread.serving = false;
    return true;
  }
  served.thread_requested = false;
  served.thread_active = !served.threaded_queue.empty();
  if (!served.thread_active) {
    std::int64_t result = 0;
    wait(p, {&served.dpc_event}, false, kForEver, 0, result);
    return true;
  }
  Dpc& dpc = *served.threaded_queue.front();
  served.threaded_queue.pop_front();
  dpc.queued = false;
  if (dpc.script < 0) {
    if (--flush_remaining_ == 0) set_event(p, flush_done_, 0);
    return true;
  }
  thread.serving = true;
  begin(p, thread.actor, {&dpc, dpc.script, dpc.context, dpc.argument1, dpc.argument2, true}, Where::ThreadedDpc);
  return true;
}

bool Model::go_on_thread(Processor& p, Thread& thread) {
  if (thread.serves != nullptr) return go_on_dpc_thread(p, thread);
  bool finished = false;
  if (!go_on_actor(p, thread.actor, finished)) return false;
  if (!finished) return true;
  thread.state = ThreadState::Terminated;
  thread.preempted = false;
  switch_to(p, take_next(p));
  return true;
}

// One action of whoever performs a script; false: it stalls.
bool Model::go_on_actor(Processor& p, Actor& actor, bool& finished) {
  switch (actor.then) {
    case Then::Stalling:  // TIME-4
      if (now_ < actor.until) {
        p.wakes = actor.until;
        return false;
      }
      actor.then = Then::Record;
      return true;
    case Then::Waited:
      actor.result = p.current->wait_result;
      actor.then = actor.after_wait;
      return true;
    case Then::Record:
      actor.then = Then::Next;
      record(p, actor, actor.index, actor.result);
      return true;
    case Then::Leave: finished = true; return true;

    // KeFlushQueuedDpcs, FLU-1, FLU-2: it has its turn; one DPC after the other goes to the tail of a queue; they have all run.
    case Then::FlushSend: {
      const bool threads = options_.threaded_dpc == Options::ThreadedDpc::Enabled;
      const unsigned each = threads ? 2 : 1;
      if (actor.sent == 0) flush_remaining_ = program_.processors * each;
      if (actor.sent == program_.processors * each) {
        wait_then(p, actor, Then::FlushDone, {&flush_done_}, false, kForEver, 0);
        return true;
      }
      Processor& target = processors_[actor.sent / each];
      const bool threaded = actor.sent % each == 1;
      ++actor.sent;
      Dpc& dpc = flush_dpcs_[target.number][threaded ? 1 : 0];
      dpc.type = threaded ? Type::Threaded : Type::Ordinary;
      dpc.importance = MediumHigh;
      dpc.target = static_cast<int>(target.number);
      insert(p, dpc, 0, 0);
      return true;
    }
    case Then::FlushDone:
      actor.then = Then::Record;
      set_event(p, flush_turn_, 0);
      return true;

    case Then::Next: break;
  }
  const auto& script = program_.scripts[static_cast<std::size_t>(actor.script)];
  std::size_t& cursor = cursors_[static_cast<std::size_t>(actor.script)];
  while (cursor < script.size()) {
    const Operation& operation = script[cursor++];
    if (operation.kind == Kind::Return && actor.where != Where::Thread) break;
    if (!is_legal(operation, actor.where, p.irql, actor.entry, program_)) continue;
    if (operation.kind == Kind::InitializeDpc && dpcs_[operation.object].queued) continue;
    if (operation.kind == Kind::InitializeTimer && (timers_[operation.object].inserted || !timers_[operation.object].waiters.empty())) continue;
    actor.index = static_cast<std::uint32_t>(cursor - 1);
    actor.result = 0;
    actor.then = Then::Record;
    perform(p, actor, operation);
    return true;
  }
  actor.then = Then::Leave;
  p.irql = actor.entry;
  return true;
}

Model::Object& Model::waitable(unsigned number) { return number < events_.size() ? events_[number] : timers_[number - events_.size()]; }

void Model::perform(Processor& p, Actor& actor, const Operation& operation) {
  std::int64_t time = operation.time;
  if (time != kForEver && time >= kAbsolute) time += static_cast<std::int64_t>(system_time_offset_) - kAbsolute;
  switch (operation.kind) {
    case Kind::Return: return;
    case Kind::Stall:
      actor.until = now_ + static_cast<std::uint64_t>(time) * 1000;
      actor.then = Then::Stalling;
      return;
    case Kind::InsertDpc: actor.result = insert(p, dpcs_[operation.object], operation.value, operation.other); return;
    case Kind::RemoveDpc: actor.result = remove(dpcs_[operation.object]); return;
    case Kind::SetImportance: dpcs_[operation.object].importance = operation.value; return;  // IMP-1
    case Kind::SetTarget:                                                                    // TGT-2
      if (operation.value < program_.processors) dpcs_[operation.object].target = operation.value;
      return;
    case Kind::SetTargetEx:
      if (operation.value < program_.processors) {
        dpcs_[operation.object].target = operation.value;
      } else {
        actor.result = static_cast<std::int32_t>(0xC000000D);
      }
      return;
    case Kind::InitializeDpc: {  // INI-1
      Dpc& dpc = dpcs_[operation.object];
      dpc.type = operation.value != 0 ? Type::Threaded : Type::Ordinary;
      dpc.importance = Medium;
      dpc.target = -1;
      dpc.context = operation.object | std::uint64_t{operation.other} << 8;
      return;
    }
    case Kind::Raise:  // IRQL-5, IRQL-6
      actor.result = p.irql;
      p.irql = operation.value;
      return;
    case Kind::Lower: p.irql = operation.value; return;
    case Kind::SetTimer:
    case Kind::SetCoalescableTimer: {
      Dpc* dpc = operation.other == kNone ? nullptr : &dpcs_[operation.other];
      actor.result = set_timer(p, timers_[operation.object], time, operation.period, dpc);
      dispatcher_exit(p);
      return;
    }
    case Kind::CancelTimer:
      actor.result = cancel_timer(timers_[operation.object]);
      dispatcher_exit(p);
      return;
    case Kind::ReadTimer: actor.result = timers_[operation.object].signal != 0; return;
    case Kind::InitializeTimer: {  // TIM-1
      Timer& timer = timers_[operation.object];
      timer.resets = operation.value != 0;
      timer.signal = 0;
      timer.due = 0;
      timer.period = 0;
      return;
    }
    case Kind::SetEvent: actor.result = set_event(p, events_[operation.object], operation.value); return;
    case Kind::ResetEvent: {
      Object& event = events_[operation.object];
      actor.result = event.signal;
      event.signal = 0;
      dispatcher_exit(p);
      return;
    }
    case Kind::PulseEvent: {
      Object& event = events_[operation.object];
      actor.result = event.signal;
      event.signal = 1;
      signal(p, event, operation.value);
      event.signal = 0;
      dispatcher_exit(p);
      return;
    }
    case Kind::ReadEvent: actor.result = events_[operation.object].signal; return;
    case Kind::WaitForOne:
    case Kind::WaitForAny:
    case Kind::WaitForAll: {
      std::vector<Object*> objects;
      for (const unsigned number : {operation.object, operation.other, operation.third})
        if (number != kNone) objects.push_back(&waitable(number));
      wait_then(p, actor, Then::Record, objects, operation.kind == Kind::WaitForAll, time, interrupt_time_);
      return;
    }
    case Kind::Delay: {  // TIM-6, WAIT-5
      const std::uint64_t precise = std::max((now_ - clock_epoch_) / kHundred, interrupt_time_);
      wait_then(p, actor, Then::Record, {}, false, time, options_.delay == Options::Delay::Exact ? precise + 1 : interrupt_time_);
      return;
    }
    case Kind::Flush:
      actor.sent = 0;
      wait_then(p, actor, Then::FlushSend, {&flush_turn_}, false, kForEver, 0);
      return;
    case Kind::SetPriority: {
      Thread& other = threads_[operation.object];
      actor.result = other.priority;
      set_priority(p, other, operation.value);
      dispatcher_exit(p);
      return;
    }
    case Kind::Interrupt:
      if (Source& source = sources_[operation.object]; source.due == kNever) source.due = now_ + static_cast<std::uint64_t>(time) * 1000;
      return;
    case Kind::QueryTime: actor.result = static_cast<std::int64_t>(interrupt_time_); return;
    case Kind::QueryTickCount: actor.result = static_cast<std::int64_t>(tick_count_); return;
    case Kind::QueryExecuting: actor.result = p.active; return;
  }
}

void Model::record(const Processor& p, const Actor& actor, std::uint32_t index, std::int64_t result) {
  if (steps.size() >= limit_ || now_ > last_step_ + kPatience) return;
  last_step_ = now_;
  Digest digest;
  observe(digest);
  steps.push_back({now_, static_cast<std::uint16_t>(actor.script), static_cast<std::uint8_t>(p.number), static_cast<std::uint8_t>(p.irql), index,
                   result, digest.value()});
}

}  // namespace kdpc::model
