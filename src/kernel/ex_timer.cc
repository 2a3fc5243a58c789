#include "kernel/ex_timer.h"

#include <cstring>

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::ex_timer {

namespace {

constexpr std::uint32_t kTag = pool_tag("ExTm");

bool is_over_locked(const ExTimer& timer) { return timer.deleted && timer.calls == 0 && timer.timer.header.inserted == 0; }

// Nobody can reach the object any more.
void finish(ExTimer& timer) {
  ExTimerDeleteCallback* callback = timer.delete_callback;
  void* context = timer.delete_context;
  EventObject* gone = timer.gone;
  timer.signature = 0;
  sys().pool.free(&timer, kTag);
  if (callback != nullptr) {
    RaiseTo<Irql::Dispatch> raised;
    Machine::observe(ActivityBegan{ActivityKind::DriverRoutine, static_cast<std::uint8_t>(Irql::Dispatch), callback, Address()});
    callback(context);
    Machine::observe(ActivityEnded{ActivityKind::DriverRoutine, true, callback, Address()});
  }
  if (gone != nullptr) wait::set_event(*gone, 0);
}

void end_call(ExTimer& timer) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  KDPC_INVARIANT("K.EXT-1", timer.calls != 0);
  --timer.calls;
  const bool over = is_over_locked(timer);
  scheduler::release_dispatcher_lock(previous);
  if (over) finish(timer);
}

void KDPC_NTAPI expired(Dpc*, void* context, void*, void*) {
  auto& timer = *static_cast<ExTimer*>(context);
  if (ExTimerCallback* callback = timer.callback; callback != nullptr) {
    Machine::observe(ActivityBegan{ActivityKind::DriverRoutine, static_cast<std::uint8_t>(Irql::Dispatch), callback, &timer});
    callback(&timer, timer.context);
    Machine::observe(ActivityEnded{ActivityKind::DriverRoutine, true, callback, &timer});
  }
  end_call(timer);
}

}  // namespace

ExTimer* allocate(ExTimerCallback* callback, void* context, timer::Kind kind, bool high_resolution) {
  auto* timer = static_cast<ExTimer*>(sys().pool.allocate(sizeof(ExTimer), kTag, PoolType::NonPaged, Pool::kObject));
  if (timer == nullptr) return nullptr;
  std::memset(static_cast<void*>(timer), 0, sizeof *timer);
  timer::initialize(timer->timer, kind);
  dpc::initialize(timer->dpc, expired, timer);
  timer->callback = callback;
  timer->context = context;
  timer->kind = static_cast<std::uint16_t>(Timer::kExTimer | (high_resolution ? Timer::kHighResolution : 0));
  timer->signature = ExTimer::kSignature;
  return timer;
}

bool set(ExTimer& timer, std::int64_t due, std::uint32_t period) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_set = !timer.deleted && timer::set_locked(timer.timer, {.due = due, .period = period, .dpc = &timer.dpc, .kind = timer.kind});
  scheduler::release_dispatcher_lock(previous);
  return was_set;
}

bool cancel(ExTimer& timer) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_set = !timer.deleted && timer::cancel_locked(timer.timer);
  scheduler::release_dispatcher_lock(previous);
  return was_set;
}

bool remove(ExTimer& timer, const Deletion& deletion) {
  EventObject gone;
  wait::initialize_event(gone, ObjectType::NotificationEvent, false);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  if (timer.deleted) {
    scheduler::release_dispatcher_lock(previous);
    return false;
  }
  timer.deleted = true;
  timer.delete_callback = deletion.callback;
  timer.delete_context = deletion.context;
  timer.timer.period = 0;
  const bool was_set = deletion.cancel && timer::cancel_locked(timer.timer);
  const bool over = is_over_locked(timer);
  if (!over && deletion.wait) timer.gone = &gone;
  scheduler::release_dispatcher_lock(previous);
  if (over) {
    finish(timer);
  } else if (deletion.wait) {
    wait::for_object(gone.header, nullptr);
  }
  return was_set;
}

void check(const ExTimer* timer) {
  if (!sys().pool.contains(timer) || timer->signature != ExTimer::kSignature)
    bug_check(stop::TimerOrDpcInvalid, {0, as_parameter(timer), 0, 0},
              "An ExXxxTimer routine was given something that ExAllocateTimer has not returned, or a timer that has been deleted.", "TIM-19");
}

std::uintptr_t routine_of(const Dpc& dpc) {
  if (dpc.routine != expired) return Address(dpc.routine).value;
  return Address(static_cast<const ExTimer*>(dpc.context)->callback).value;
}

ExTimer* call_begins_locked(const Timer& timer) {
  if ((timer.kind & Timer::kExTimer) == 0) return nullptr;
  auto* owner = reinterpret_cast<ExTimer*>(const_cast<Timer*>(&timer));  // its first member
  ++owner->calls;
  return owner;
}

void call_absorbed_locked(ExTimer& timer) { --timer.calls; }

}  // namespace kdpc::ex_timer
