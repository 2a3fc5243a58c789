// What the facts mean to the race detector: who begins and ends, and what orders them.
#include <algorithm>
#include <bit>

#include "check/race/detector.h"

namespace kdpc::race {

namespace {

constexpr std::uintptr_t kObjectSize = 64;  // of a KDPC and of a KTIMER
constexpr std::uintptr_t kRegisterPage = 4096;
constexpr std::uintptr_t kPorts = 0x10000;                    // what lies below are ports, and not memory
constexpr std::uint8_t kPnp = 0x1B, kSurpriseRemoval = 0x17;  // IRP_MJ_PNP, IRP_MN_SURPRISE_REMOVAL
constexpr std::uintptr_t kHost = 0;                           // no object lies there

Acting acting_of(ActivityKind kind) {
  switch (kind) {
    case ActivityKind::Isr: return Acting::Isr;
    case ActivityKind::Dpc: return Acting::Dpc;
    case ActivityKind::TimerDpc: return Acting::TimerDpc;
    case ActivityKind::ThreadedDpc: return Acting::ThreadedDpc;
    case ActivityKind::WorkItem: return Acting::WorkItem;
    case ActivityKind::ClockInterrupt:
    case ActivityKind::IpiInterrupt: return Acting::Interrupt;
    case ActivityKind::SynchronizedRoutine:
    case ActivityKind::DriverRoutine:
    case ActivityKind::BroadcastRoutine: break;
  }
  return Acting::Thread;
}

// The others are called by the code that is there anyway. Below Dispatch so is an ISR: its thread serves nothing else.
bool is_of_its_own(const ActivityBegan& fact) {
  return acting_of(fact.kind) != Acting::Thread && !(fact.kind == ActivityKind::Isr && fact.level < kDispatch);
}
bool is_dpc(ActivityKind kind) { return kind == ActivityKind::Dpc || kind == ActivityKind::TimerDpc || kind == ActivityKind::ThreadedDpc; }
// Beneath them is a thread of the kernel's that serves one after the other.
bool is_of_a_thread(Acting acting) { return acting == Acting::WorkItem || acting == Acting::ThreadedDpc; }

}  // namespace

Detector::Index Detector::acting(const Stamp& stamp) {
  if (const auto found = activities().innermost(stamp.processor, stamp.thread)) return *found;
  const Index index = activities().begin_on_thread(stamp.thread);
  Activity& thread = activity(index);
  thread.acting = Acting::Thread;
  thread.irql = stamp.irql;
  thread.processor = stamp.processor;
  thread.thread = stamp.thread;
  const auto pinned = state_.pinned_threads.find(stamp.thread);
  thread.pinned = !is_alone_ && pinned != state_.pinned_threads.end() && pinned->second;
  state_.ordering.begin(index, {true, stamp.thread, 0, 0});
  return index;
}

void Detector::settle(const Stamp& stamp) {
  Pending& pending = state_.pending[stamp.processor];
  const Pending::What what = pending.what;
  if (what == Pending::What::Nothing) return;
  pending.what = Pending::What::Nothing;
  if (what == Pending::What::Lock) {
    state_.ordering.lock(acting(stamp), pending.lock);
  } else {
    state_.ordering.acquire(acting(stamp.thread == pending.by.thread ? stamp : pending.by), pending.object);
  }
}

void Detector::set_level(Index index, std::uint8_t irql) {
  Activity& its = activity(index);
  if (its.irql == irql) return;
  its.irql = irql;
  its.context = kUnknown;
}

void Detector::begin(const Stamp& stamp, Acting acting_as, const ActivityBegan& fact) {
  const bool on_thread = is_of_a_thread(acting_as) && !activities().is_on_top(stamp.processor);
  const Index under = on_thread ? acting(stamp) : 0;
  const Index index = on_thread ? activities().begin_on_thread(stamp.thread) : activities().begin_on_processor(stamp.processor);
  Activity& begun = activity(index);
  begun.acting = acting_as;
  begun.irql = fact.level;
  begun.entry = fact.level < kDispatch ? std::uint8_t{0} : fact.level;
  begun.processor = stamp.processor;
  begun.thread = stamp.thread;
  begun.routine = fact.routine.value;
  if (fact.kind == ActivityKind::Isr) {
    const auto interrupt = state_.interrupts.find(fact.object.value);
    if (interrupt != state_.interrupts.end()) begun.entry = std::min<std::uint8_t>(interrupt->second.vector >> 4, fact.level);
    begun.pinned = is_pinned_interrupt(fact.object.value);
  }
  if (is_dpc(fact.kind)) {
    const auto pinned = state_.pinned_dpcs.find(fact.object.value);
    begun.pinned = !is_alone_ && pinned != state_.pinned_dpcs.end();
    if (pinned != state_.pinned_dpcs.end() && pinned->second) state_.pinned_dpcs.erase(pinned);
    disarm(fact.object.value);
  }
  state_.ordering.begin(index, {on_thread, on_thread ? stamp.thread : stamp.processor, begun.entry, begun.routine});
  // One that serves many orders them only by its being one.
  if (on_thread) begun.order.full.join(activity(under).order.full);
  if (on_thread) begun.order.full.raise(activity(under).lane, state_.ordering.now(activity(under).lane));
  begun.ordered_by = {EdgeKind::Began, fact.object.value};
  if (fact.object.value != 0) state_.ordering.acquire(index, fact.object.value, EdgeKind::Began);
}

void Detector::on(const Stamp& stamp, const ActivityBegan& fact) {
  Pending& pending = state_.pending[stamp.processor];
  const bool its_own = is_of_its_own(fact);
  const bool its_lock = its_own && fact.kind == ActivityKind::Isr && pending.what == Pending::What::Lock;
  const bool its_order = its_own && pending.what == Pending::What::Order && pending.object == fact.object.value;
  const HeldLock lock = pending.lock;
  if (its_lock || its_order) pending.what = Pending::What::Nothing;
  settle(stamp);
  if (!its_own) {
    push_call(stamp, fact.kind == ActivityKind::Isr ? Acting::Isr : activity(acting(stamp)).acting, fact.routine.value);
    return;
  }
  begin(stamp, acting_of(fact.kind), fact);
  if (its_lock) state_.ordering.lock(acting(stamp), lock);
}

void Detector::on(const Stamp& stamp, const ActivityEnded& fact) {
  const Acting acting_as = acting_of(fact.kind);
  const Index index = acting(stamp);
  if (acting_as == Acting::Thread || activity(index).acting != acting_as) return pop_call(stamp, fact.routine.value);
  // The lock of an ISR is given back by the kernel, a moment later; nobody can have taken it meanwhile.
  while (!activity(index).locks.empty()) {
    const HeldLock held = activity(index).locks.back();
    state_.ordering.unlock(index, held);
  }
  if (acting_as == Acting::Isr) state_.ordering.service_ended(index, fact.object.value);
  // What the kernel does when the routine has returned, it does after it.
  const auto under = activities().under(index, stamp.processor, stamp.thread);
  if (under && acting_as != Acting::Isr && acting_as != Acting::Interrupt) state_.ordering.go_on(index, *under);
  state_.ordering.end(index);
  if (activities().is_on_top(stamp.processor)) {
    activities().end_on_processor(stamp.processor);
  } else {
    activities().end_on_thread(stamp.thread);
  }
}

void Detector::on(const Stamp& stamp, const DrainBegan&) {
  const Index index = activities().begin_on_processor(stamp.processor);
  Activity& drain = activity(index);
  drain.acting = Acting::Drain;
  drain.irql = drain.entry = kDispatch;
  drain.processor = stamp.processor;
  drain.thread = stamp.thread;
  state_.ordering.begin(index, {false, stamp.processor, kDispatch, 0});
}

void Detector::on(const Stamp& stamp, const DrainEnded&) {
  const Index index = acting(stamp);
  if (activity(index).acting != Acting::Drain) return;
  state_.ordering.end(index);
  activities().end_on_processor(stamp.processor);
}

void Detector::push_call(const Stamp& stamp, Acting acting_as, std::uintptr_t routine) {
  Activity& caller = activity(acting(stamp));
  caller.calls.push_back({acting_as, routine, caller.caller});
  caller.last = {};
  caller.context = kUnknown;
}

void Detector::pop_call(const Stamp& stamp, std::uintptr_t routine) {
  Activity& caller = activity(acting(stamp));
  if (caller.calls.empty() || caller.calls.back().routine != routine) return;
  caller.caller = caller.calls.back().caller;
  caller.calls.pop_back();
  caller.last = {};
  caller.context = kUnknown;
}

bool Detector::is_in_service(Index index) {
  const Activity& its = activity(index);
  return its.acting == Acting::Isr || (!its.calls.empty() && its.calls.back().acting == Acting::Isr);
}

// What it has called has returned since, so others have ended.
void Detector::catch_up(Index index) {
  Activity& its = activity(index);
  for (const std::uintptr_t interrupt : its.disconnects) state_.ordering.after_services(index, interrupt);
  its.disconnects.clear();
}

void Detector::on(const Stamp& stamp, const RoutineEntered& fact) {
  const Index index = acting(stamp);
  catch_up(index);
  set_level(index, stamp.irql);
  activity(index).caller = fact.caller.value;
  activity(index).last = {};
}

void Detector::on(const Stamp& stamp, const IrqlChanged& fact) { set_level(acting(stamp), fact.to); }

// Without a target it goes where its inserter is.
void Detector::on(const Stamp& stamp, const DpcQueued& fact) {
  const auto [found, is_new] = state_.pinned_dpcs.try_emplace(fact.dpc.value, true);
  if (is_new && !(activity(acting(stamp)).pinned && fact.target == stamp.processor)) state_.pinned_dpcs.erase(found);
  arm(stamp, fact.dpc.value, kObjectSize, 0);
}
void Detector::on(const Stamp& stamp, const DpcRemoved& fact) {
  disarm(fact.dpc.value);
  if (const auto pinned = state_.pinned_dpcs.find(fact.dpc.value); pinned != state_.pinned_dpcs.end() && pinned->second)
    state_.pinned_dpcs.erase(pinned);
  state_.ordering.acquire(acting(stamp), fact.dpc.value);
}
void Detector::on(const Stamp&, const DpcTargeted& fact) { state_.pinned_dpcs[fact.dpc.value] = false; }

void Detector::on(const Stamp& stamp, const TimerSet& fact) { arm(stamp, fact.timer.value, kObjectSize, fact.period); }
void Detector::on(const Stamp& stamp, const TimerCancelled& fact) {
  if (!fact.was_set) return;
  disarm(fact.timer.value);
  state_.ordering.acquire(acting(stamp), fact.timer.value);
}
void Detector::on(const Stamp&, const TimerExpired& fact) {
  const auto armed = state_.armed.find(fact.timer.value);
  if (armed != state_.armed.end() && armed->second.period == 0) disarm(fact.timer.value);
}

// The kernel's own locks are of no use to drivers. An interrupt's lock may have been taken for its ISR, which is about to begin.
void Detector::on(const Stamp& stamp, const LockAcquired& fact) {
  if (fact.kind == LockKind::System) return;
  const HeldLock held{fact.lock.value, fact.kind, fact.shared};
  if (fact.kind == LockKind::Interrupt) {
    state_.pending[stamp.processor] = {Pending::What::Lock, held, 0};
  } else {
    state_.ordering.lock(acting(stamp), held);
  }
}
void Detector::on(const Stamp& stamp, const LockReleased& fact) {
  if (fact.kind != LockKind::System) state_.ordering.unlock(acting(stamp), {fact.lock.value, fact.kind, fact.shared});
}
void Detector::on(const Stamp&, const LockInitialized& fact) { state_.ordering.forget(fact.lock.value, fact.lock.value + 1); }
void Detector::on(const Stamp&, const ObjectInitialized& fact) {
  state_.ordering.forget(fact.object.value, fact.object.value + 1);
  state_.pinned_dpcs.erase(fact.object.value);
}

void Detector::on(const Stamp& stamp, const OrderReleased& fact) { state_.ordering.release(acting(stamp), fact.object.value); }
// Perhaps on behalf of what is about to begin.
void Detector::on(const Stamp& stamp, const OrderAcquired& fact) {
  state_.pending[stamp.processor] = {Pending::What::Order, {}, fact.object.value, stamp};
}

void Detector::on(const Stamp& stamp, const InterruptConnected& fact) {
  if (fact.connected) {
    state_.interrupts[fact.interrupt.value] = {fact.vector, fact.routine.value};
    state_.ordering.release(acting(stamp), fact.interrupt.value);
  } else {
    state_.interrupts.erase(fact.interrupt.value);
    activity(acting(stamp)).disconnects.push_back(fact.interrupt.value);
  }
}

// It comes to one processor only if no other has an object for it.
bool Detector::is_pinned_interrupt(std::uintptr_t interrupt) const {
  const auto its = state_.interrupts.find(interrupt);
  if (is_alone_ || its == state_.interrupts.end()) return false;
  return std::count_if(state_.interrupts.begin(), state_.interrupts.end(), [&](const auto& other) {
           return other.second.vector == its->second.vector && other.second.routine == its->second.routine;
         }) == 1;
}

// By a register code makes the device interrupt, and by another the ISR learns of it. A read comes back behind all that the device has written before, and so does a
// write to a port; one to memory is only on its way.
void Detector::on(const Stamp& stamp, const RegisterAccessed& fact) {
  const Index index = acting(stamp);
  const std::uintptr_t page = fact.at / kRegisterPage;
  if (is_in_service(index)) state_.ordering.device_read(index, page);
  if (fact.write) state_.ordering.device_written(index, page);
  if (!state_.devices) return;
  const bool comes_back = !fact.write || fact.at < kPorts;
  if (fact.write) state_.ordering.go_on(index, *state_.devices);
  if (comes_back) state_.ordering.come_behind(index, *state_.devices);
}

void Detector::on(const Stamp& stamp, const IrpSent& fact) {
  const Index index = acting(stamp);
  if (state_.devices && fact.major == kPnp && fact.minor == kSurpriseRemoval)
    state_.ordering.come_behind(index, *state_.devices);  // one is there no more
  state_.ordering.release(index, fact.irp.value);
  push_call(stamp, activity(index).acting, fact.driver.value);
}
void Detector::on(const Stamp& stamp, const IrpReturned& fact) { pop_call(stamp, fact.driver.value); }
// Who completes an IRP, or cancels it, got it from whoever has sent it.
void Detector::on(const Stamp& stamp, const IrpCompleted& fact) { state_.ordering.acquire(acting(stamp), fact.irp.value); }
void Detector::on(const Stamp& stamp, const IrpCancelled& fact) { state_.ordering.acquire(acting(stamp), fact.irp.value); }

// Drivers create no threads in a DPC: this one is the host's, who has seen what the others of his have done so far.
void Detector::on(const Stamp& stamp, const ThreadCreated& fact) {
  const Index creator = acting(stamp);
  if (activity(creator).acting != Acting::Dpc) return;
  state_.ordering.acquire(creator, kHost);
  for (const std::uint32_t thread : state_.hosts_threads)
    if (const auto base = activities().outermost(thread)) state_.ordering.go_on(*base, creator);
  state_.hosts_threads.push_back(fact.thread);
}
void Detector::on(const Stamp& stamp, const ThreadEnded& fact) {
  if (std::erase(state_.hosts_threads, fact.thread) != 0) state_.ordering.release(acting(stamp), kHost);
  state_.ending_threads.push_back(fact.thread);
  if (surroundings_.stack_here == nullptr || stamp.thread != fact.thread) return;
  const StackRange stack = surroundings_.stack_here();
  forget(stack.low, stack.high);
}
void Detector::on(const Stamp& stamp, const ThreadSwitched& fact) {
  const auto ending = std::find(state_.ending_threads.begin(), state_.ending_threads.end(), fact.from);
  if (ending == state_.ending_threads.end()) return;
  state_.ending_threads.erase(ending);
  while (!activities().is_on_top(stamp.processor)) {
    const auto index = activities().innermost(stamp.processor, fact.from);
    if (!index) break;
    state_.ordering.end(*index);
    activities().end_on_thread(fact.from);
  }
  state_.ordering.thread_ended(fact.from);
  state_.pinned_threads.erase(fact.from);
}
void Detector::on(const Stamp& stamp, const AffinityChanged& fact) {
  const bool pinned = !is_alone_ && std::has_single_bit(fact.processors);
  state_.pinned_threads[fact.thread] = pinned;
  Activity& its = activity(acting(stamp));
  if (its.thread != fact.thread) return;
  its.pinned = pinned;
  its.context = kUnknown;
}

}  // namespace kdpc::race
