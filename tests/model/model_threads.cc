// The reference model's waits and its scheduling (SEMANTICS 6.4, 8.1).
#include <algorithm>
#include <bit>
#include <utility>

#include "tests/model/model.h"

namespace kdpc::model {

namespace {

constexpr std::int64_t kTimeout = 0x102;

template <class List, class Element>
void take_out(List& list, Element element) {
  list.erase(std::find(list.begin(), list.end(), element));
}

}  // namespace

// -- dispatcher objects: SEMANTICS 8.1 ------------------------------------------------------------------------------------------------------

// WAIT-1
std::int64_t Model::set_event(Processor& here, Object& event, int increment) {
  const int old = event.signal;
  event.signal = 1;
  signal(here, event, increment);
  dispatcher_exit(here);
  return old;
}

// Oldest first: whoever has now what it waits for goes on, as long as the object is signalled.
void Model::signal(Processor& here, Object& object, int increment) {
  std::size_t place = 0;
  while (object.signal > 0 && place < object.waiters.size()) {
    const Waiter waiter = object.waiters[place];
    Thread& thread = *waiter.thread;
    if (waiter.with_others) {
      std::int64_t result = 0;
      if (!try_to_take(thread.waits_for, true, result)) {
        ++place;
        continue;
      }
      end_wait(here, thread, increment, result);
    } else {
      take(object);
      end_wait(here, thread, increment, waiter.key);
    }
    place = 0;
  }
}

// What a satisfied wait takes.
void Model::take(Object& object) {
  if (object.gives == Object::Gives::One) object.signal = 0;
  if (object.gives == Object::Gives::Count) --object.signal;
}

bool Model::try_to_take(const std::vector<Object*>& objects, bool all, std::int64_t& result) {
  if (objects.empty()) return false;
  if (all) {
    for (const Object* object : objects)
      if (object->signal == 0) return false;
    for (Object* object : objects) take(*object);
    result = 0;
    return true;
  }
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (objects[i]->signal == 0) continue;
    take(*objects[i]);
    result = static_cast<std::int64_t>(i);
    return true;
  }
  return false;
}

void Model::wait_then(Processor& p, Actor& actor, Then next, const std::vector<Object*>& objects, bool all, std::int64_t limit, std::uint64_t base) {
  actor.then = Then::Waited;
  actor.after_wait = next;
  if (wait(p, objects, all, limit, base, actor.result)) actor.then = next;
}

// WAIT-3, WAIT-4. `base`: what a relative limit counts from, in interrupt time.
bool Model::wait(Processor& p, const std::vector<Object*>& objects, bool all, std::int64_t limit, std::uint64_t base, std::int64_t& result) {
  const std::int64_t when_over = objects.empty() ? 0 : kTimeout;
  if (try_to_take(objects, all, result)) {
    dispatcher_exit(p);
    return true;
  }
  std::uint64_t due = kNever;
  if (limit != kForEver) {
    const auto now = static_cast<std::int64_t>(system_time());
    due =
        limit < 0 ? base + static_cast<std::uint64_t>(-limit) : interrupt_time_ + static_cast<std::uint64_t>(std::max<std::int64_t>(limit - now, 0));
    if (due <= interrupt_time_) {
      result = when_over;
      dispatcher_exit(p);
      return true;
    }
  }
  Thread& thread = *p.current;
  for (std::size_t i = 0; i < objects.size(); ++i) objects[i]->waiters.push_back({&thread, static_cast<int>(i), all});
  thread.waits_for = objects;
  if (limit != kForEver) {
    thread.limit.signal = 0;
    thread.limit.absolute = limit >= 0;
    thread.limit.waiters.push_back({&thread, static_cast<int>(when_over)});
    insert_timer(p, thread.limit, due);
  }
  thread.state = ThreadState::Waiting;
  thread.preempted = false;
  thread.leaves_dispatcher = true;
  switch_to(p, take_next(p));
  return false;
}

void Model::end_wait(Processor& here, Thread& thread, int increment, std::int64_t result) {
  const auto forget = [&](Object& object) { std::erase_if(object.waiters, [&](const Waiter& waiter) { return waiter.thread == &thread; }); };
  for (Object* object : thread.waits_for) forget(*object);
  forget(thread.limit);
  if (thread.limit.inserted) remove_timer(thread.limit);
  thread.waits_for.clear();
  thread.wait_result = result;
  boost(thread, increment);
  ready(here, thread);
}

// BOOST-1
void Model::boost(Thread& thread, int increment) {
  if (thread.priority >= 16 || thread.base >= 14) {
    thread.quantum = options_.quantum_reset;
    return;
  }
  if (increment > 0) thread.quantum = options_.quantum_reset;
  if (options_.quantum == Options::Quantum::Classic) --thread.quantum;
  if (thread.quantum <= 0) {
    thread.quantum = options_.quantum_reset;
    decay(thread);
  }
  thread.priority = std::max(thread.priority, std::min(thread.base + increment, 15));
}

// -- scheduling -----------------------------------------------------------------------------------------------------------------------------

// Towards the base, one step.
void Model::decay(Thread& thread) {
  if (thread.priority < 16) thread.priority = std::max(thread.priority - 1, thread.base);
}

// WAIT-7: of the processors it may run on an idle one, else any: its ideal one, its last one, the lowest.
Model::Processor& Model::choose_processor(const Thread& thread) {
  for (const bool must_be_idle : {true, false}) {
    const auto fits = [&](unsigned n) { return (thread.affinity >> n & 1) != 0 && (!must_be_idle || idle_processors_[n]); };
    for (const unsigned n : {thread.ideal, thread.processor})
      if (fits(n)) return processors_[n];
    for (unsigned n = 0; n < program_.processors; ++n)
      if (fits(n)) return processors_[n];
  }
  return processors_[0];
}

void Model::stand_by(Thread& thread, Processor& target) {
  thread.state = ThreadState::Standby;
  thread.processor = target.number;
  target.next = &thread;
}

// WAIT-7
void Model::ready(Processor& here, Thread& thread) {
  Processor& target = choose_processor(thread);
  const bool at_head = thread.preempted;
  thread.preempted = false;
  if (idle_processors_[target.number]) {
    idle_processors_[target.number] = false;
    stand_by(thread, target);
    request_dispatch(here, target);
    return;
  }
  Thread& rival = target.next != nullptr ? *target.next : *target.current;
  if (thread.priority > rival.priority || rival.idle) {
    Thread* displaced = target.next;
    stand_by(thread, target);
    rival.preempted = true;
    if (displaced != nullptr) {
      displaced->state = ThreadState::Ready;
      ready(here, *displaced);
    }
    if (&target != &here) request_dispatch(here, target);
    return;
  }
  thread.state = ThreadState::Ready;
  thread.processor = target.number;
  auto& list = target.ready[static_cast<std::size_t>(thread.priority)];
  if (at_head) {
    list.push_front(&thread);
  } else {
    list.push_back(&thread);
  }
}

// Takes the best one that is ready here and at least that good.
Model::Thread* Model::take_ready(Processor& p, int at_least) {
  for (int priority = 31; priority >= at_least; --priority) {
    auto& list = p.ready[static_cast<std::size_t>(priority)];
    if (list.empty()) continue;
    Thread* thread = list.front();
    list.pop_front();
    return thread;
  }
  return nullptr;
}

// Whom a processor runs when its thread stops: who was chosen, who is ready, whom another processor cannot run now, nobody.
Model::Thread& Model::take_next(Processor& p) {
  if (Thread* next = p.next; next != nullptr) {
    p.next = nullptr;
    return *next;
  }
  if (Thread* thread = take_ready(p, 0); thread != nullptr) return *thread;
  for (std::size_t priority = 32; priority-- > 0;)
    for (Processor& other : processors_)
      for (Thread* thread : other.ready[priority])
        if ((thread->affinity >> p.number & 1) != 0) {
          take_out(other.ready[priority], thread);
          return *thread;
        }
  return *p.idle_thread;
}

void Model::set_idle(Processor& p, bool idle) {
  p.idle = idle;
  idle_processors_[p.number] = idle;
}

void Model::switch_to(Processor& p, Thread& next) {
  Thread& old = *p.current;
  old.irql = p.irql;
  stop_charging(p);
  p.current = &next;
  begin_charging(p);
  p.irql = next.idle ? kDispatch : next.irql;
  next.state = ThreadState::Running;
  next.processor = p.number;
  set_idle(p, next.idle);
  if (old.idle && (has_work(p) || p.thread_signal)) p.dispatch_requested = true;  // it does not poll any more
  if (next.quantum <= 0) next.quantum = options_.quantum_reset;
  if (p.next != nullptr) p.dispatch_requested = true;
  if (next.leaves_dispatcher) {
    next.leaves_dispatcher = false;
    dispatcher_exit(p);
  }
}

// The running thread stays runnable, and finds its place anew.
void Model::give_way(Processor& p, Thread& next) {
  Thread& old = *p.current;
  p.current = &next;
  next.processor = p.number;
  if (!old.idle) {
    set_idle(p, next.idle);
    ready(p, old);
  }
  p.current = &old;
  switch_to(p, next);
}

// Gives the processor to the best one that is ready here, whatever its priority.
void Model::yield(Processor& p) {
  Thread& old = *p.current;
  Thread* next = p.next != nullptr ? std::exchange(p.next, nullptr) : take_ready(p, 1);
  if (next == nullptr) return;
  old.quantum = options_.quantum_reset;
  decay(old);
  old.preempted = false;
  old.leaves_dispatcher = true;
  const bool may_go_elsewhere = std::any_of(processors_.begin(), processors_.end(),
                                            [&](const Processor& o) { return idle_processors_[o.number] && (old.affinity >> o.number & 1) != 0; });
  if (old.priority > next->priority && !may_go_elsewhere) {
    // Asked for its place, it would take the processor back at once.
    old.state = ThreadState::Ready;
    p.ready[static_cast<std::size_t>(old.priority)].push_back(&old);
    switch_to(p, *next);
  } else {
    give_way(p, *next);
  }
}

// The thread that runs must leave a processor it may not run on any more; whoever comes next runs here.
void Model::set_affinity(Processor& p, std::uint64_t affinity) {
  Thread& thread = *p.current;
  thread.affinity = affinity;
  if ((affinity >> thread.ideal & 1) == 0) thread.ideal = static_cast<unsigned>(std::countr_zero(affinity));
  if ((affinity >> p.number & 1) != 0) {
    dispatcher_exit(p);
    return;
  }
  thread.leaves_dispatcher = true;
  give_way(p, take_next(p));
}

// WAIT-2, WAIT-6: a better thread runs now, or, where the caller is too high for that, after the DISPATCH interrupt.
void Model::dispatcher_exit(Processor& p) {
  if (p.next == nullptr) return;
  if (p.irql >= kDispatch) {
    if (!p.active) p.dispatch_requested = true;
    return;
  }
  Thread& next = *p.next;
  p.next = nullptr;
  give_way(p, next);
}

// SEMANTICS 6.4
void Model::end_quantum(Processor& p) {
  Thread& thread = *p.current;
  if (thread.idle || thread.quantum > 0) return;
  thread.quantum = options_.quantum_reset;
  decay(thread);
  if (p.next != nullptr) return;
  if (Thread* other = take_ready(p, thread.priority); other != nullptr) stand_by(*other, p);
}

// The base is the process' plus the increment, within the variable priorities; 16 or more, either way, means as far as it goes. What a boost has
// added stays, unless the base is to be all there is.
std::int64_t Model::set_base_priority(Processor& here, Thread& thread, int increment) {
  constexpr int kOfProcess = 8, kLowest = 1, kHighest = 15, kSaturated = 16;
  const int old_base = thread.base;
  const int old = thread.saturation != 0 ? thread.saturation * kSaturated : old_base - kOfProcess;
  thread.saturation = increment >= kSaturated ? 1 : increment <= -kSaturated ? -1 : 0;
  thread.base = std::clamp(kOfProcess + increment, kLowest, kHighest);
  if (thread.saturation != 0) thread.base = thread.saturation > 0 ? kHighest : kLowest;
  set_priority(here, thread, thread.saturation != 0 ? thread.base : std::clamp(thread.priority + thread.base - old_base, kLowest, kHighest));
  return old;
}

void Model::set_priority(Processor& here, Thread& thread, int priority) {
  const int old = thread.priority;
  if (old == priority) return;
  thread.quantum = options_.quantum_reset;
  thread.priority = priority;
  Processor& where = processors_[thread.processor];
  switch (thread.state) {
    case ThreadState::Ready:
      take_out(where.ready[static_cast<std::size_t>(old)], &thread);
      ready(here, thread);
      return;
    case ThreadState::Standby:
      if (priority < old) reconsider_standby(here, thread);
      return;
    case ThreadState::Running: {
      if (priority > old || where.next != nullptr) return;
      Thread* better = take_ready(where, priority + 1);
      if (better == nullptr) return;
      thread.preempted = true;
      stand_by(*better, where);
      if (&where != &here) request_dispatch(here, where);
      return;
    }
    default: return;
  }
}

// Who was chosen to run next has become worse: somebody who is ready, or who runs, may be better now.
void Model::reconsider_standby(Processor& here, Thread& thread) {
  Processor& where = processors_[thread.processor];
  Thread& running = *where.current;
  const int least = running.idle ? thread.priority + 1 : std::max(thread.priority, running.priority) + 1;
  Thread* better = take_ready(where, least);
  if (better == nullptr && (running.idle || thread.priority > running.priority)) return;
  thread.state = ThreadState::Ready;
  if (better != nullptr) {
    stand_by(*better, where);
  } else {
    where.next = nullptr;
    running.preempted = false;
  }
  ready(here, thread);
}

}  // namespace kdpc::model
