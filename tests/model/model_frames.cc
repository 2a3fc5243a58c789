// What runs on the reference model's processors, one action at a time: threads, drains, routines, and the operations of their scripts.
#include <algorithm>
#include <utility>

#include "tests/model/model.h"

namespace kdpc::model {

namespace {

constexpr std::uint64_t kHundred = 100;  // ns

}  // namespace

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
  if (!finished) return true;
  p.active_dpc = nullptr;
  p.frames.pop_back();
  return true;
}

// RET-2: drains by itself, runs who is ready, or halts until an interrupt.
bool Model::go_on_idle(Processor& p) {
  if (p.halted && !p.woken) return false;
  if (p.halted) resume_ticks(p);
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
    put_off_ticks(p);
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
        begin_routine(p, {call.dpc, call.script, call.context, low, high});
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
        begin_routine(p, {&dpc, dpc.script, dpc.context, dpc.argument1, dpc.argument2});
        return;
      }
      p.active = p.requested = false;
      drain.at = Frame::At::End;
      return;
    case Frame::At::End: {
      const bool from_idle = drain.from_idle;
      if (drain.charges) begin_charging(p);
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
  p.active_dpc = call.dpc;
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
    if (!finished) return true;
    thread.serving = false;
    served.active_threaded_dpc = nullptr;
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
  served.active_threaded_dpc = &dpc;
  begin(p, thread.actor, {&dpc, dpc.script, dpc.context, dpc.argument1, dpc.argument2}, Where::ThreadedDpc);
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
    case Then::BothResults:
      actor.result |= actor.first_result << 32;
      actor.then = Then::Record;
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
    if (operation.kind == Kind::RemoveDpcEx && operation.value != 0 &&
        std::any_of(processors_.begin(), processors_.end(), [&](const Processor& other) {
          const Dpc* dpc = &dpcs_[operation.object];
          return other.active_dpc == dpc || other.active_threaded_dpc == dpc;
        }))
      continue;
    if (operation.kind == Kind::SetActive) {
      const Source& source = sources_[operation.object];
      if (source.asserted && (source.plan.shared || source.plan.lowest_processor() != p.number)) continue;
    }
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

Model::Object& Model::waitable(unsigned number) {
  if (number < events_.size()) return events_[number];
  const std::size_t timer = number - events_.size();
  return timer < timers_.size() ? timers_[timer] : semaphores_[timer - timers_.size()];
}

void Model::perform(Processor& p, Actor& actor, const Operation& operation) {
  std::int64_t time = operation.time;
  if (time != kForEver && time >= kAbsolute) time += static_cast<std::int64_t>(start_of_time_) - kAbsolute;
  switch (operation.kind) {
    case Kind::Return: return;
    case Kind::Stall:
      actor.until = now_ + static_cast<std::uint64_t>(time) * 1000;
      actor.then = Then::Stalling;
      return;
    case Kind::InsertDpc: actor.result = insert(p, dpcs_[operation.object], operation.value, operation.other); return;
    case Kind::RemoveDpcEx:
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
      timer.gives = operation.value != 0 ? Object::Gives::One : Object::Gives::All;
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
    case Kind::ReleaseSemaphore: {
      Object& semaphore = semaphores_[operation.object];
      actor.result = semaphore.signal;
      semaphore.signal += operation.other;
      signal(p, semaphore, operation.value);
      dispatcher_exit(p);
      return;
    }
    case Kind::SignalAndWait: {  // WAIT-1: between the two the caller stays at DISPATCH_LEVEL
      Object& event = events_[operation.object];
      actor.first_result = event.signal;
      event.signal = 1;
      signal(p, event, operation.value);
      if (p.next != nullptr) p.dispatch_requested = true;
      wait_then(p, actor, Then::BothResults, {&waitable(operation.other)}, false, time, interrupt_time_);
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
      if (time == 0) yield(p);
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
    case Kind::SetBasePriority: {
      actor.result = set_base_priority(p, threads_[operation.object], static_cast<std::int8_t>(operation.value));
      dispatcher_exit(p);
      return;
    }
    case Kind::SetIdealProcessor:
      actor.result = threads_[operation.object].ideal;
      if (operation.value < program_.processors) threads_[operation.object].ideal = operation.value;
      dispatcher_exit(p);
      return;
    case Kind::SetAffinity: set_affinity(p, operation.value); return;
    case Kind::RevertAffinity: set_affinity(p, p.current->user_affinity); return;
    case Kind::SetActive: set_active(sources_[operation.object], operation.value != 0); return;
    case Kind::SetResolution:
      actor.result = set_resolution(p, static_cast<std::uint32_t>(time), operation.value != 0);
      dispatcher_exit(p);
      return;
    case Kind::SetSystemTime:
      set_system_time(p, time);
      dispatcher_exit(p);
      return;
    case Kind::QuerySystemTime: actor.result = static_cast<std::int64_t>(system_time()); return;
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
