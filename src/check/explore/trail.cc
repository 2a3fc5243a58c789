#include "check/explore/trail.h"

#include <algorithm>

namespace kdpc::explore {

namespace {

using How = Touch::How;
using sim::Candidate;

constexpr std::uint8_t kDispatch = 2;
constexpr std::uint64_t kGranule = 8;

// Things that are no memory.
enum class Special : std::uint64_t { Kernel = 1, Boards, Requests, Ipi, Thread, Ready, Queue, Order, Idle };
constexpr std::uint64_t special(Special what, std::uint64_t number = 0, std::uint64_t detail = 0) {
  return std::uint64_t{1} << 63 | static_cast<std::uint64_t>(what) << 48 | number << 8 | detail;
}

constexpr std::uint64_t kThreads = std::uint64_t{1} << 32;  // names of contexts
constexpr std::uint64_t kEvents = std::uint64_t{2} << 32;

Actor actor_of(const Candidate& candidate) { return {static_cast<Actor::Kind>(candidate.kind), candidate.number}; }

// How a pending interrupt and the routine that serves it know each other.
constexpr std::uint64_t kClockDetail = 100, kIpiDetail = 101;

}  // namespace

void Trail::begin() {
  ended_ = false;
  transitions_.clear();
  transitions_.emplace_back();  // up to the first question
  now_ = 0;
  entries_.clear();
  calls_.clear();
  named_.clear();
  processors_.clear();
  timers_.clear();
  queued_.clear();
  asked_.clear();
}

Trail::OnProcessor& Trail::at(std::uint16_t processor) {
  if (processor >= processors_.size()) processors_.resize(processor + 1u);
  return processors_[processor];
}

std::uint32_t Trail::named_context(std::uint64_t name) {
  const auto [found, is_new] = named_.try_emplace(name, contexts());
  if (is_new) {
    entries_.push_back(0);
    calls_.push_back(kNone);
  }
  return found->second;
}

std::uint32_t Trail::innermost(std::uint16_t processor) {
  const OnProcessor& here = at(processor);
  return here.nested.empty() ? named_context(kThreads + here.thread) : here.nested.back();
}

std::uint32_t Trail::context_of(const Stamp& stamp) {
  if (const Actor& actor = transitions_[now_].actor; actor.is_event())
    return named_context(kEvents + static_cast<std::uint64_t>(actor.kind) * 65536 + actor.number);
  at(stamp.processor).thread = stamp.thread;
  return innermost(stamp.processor);
}

void Trail::touch(std::uint32_t context, std::uint64_t thing, How how) {
  std::vector<Touch>& touches = transitions_[now_].touches;
  // The same again and again needs to be said once; but not looked for far.
  constexpr std::size_t kFar = 8;
  const auto far = touches.size() > kFar ? touches.end() - kFar : touches.begin();
  const auto is_same = [&](const Touch& one) { return one.thing == thing && one.context == context && one.how == how; };
  if (how >= How::Cause || std::none_of(far, touches.end(), is_same)) touches.push_back({how, thing, context});
}

void Trail::touch_object(std::uint32_t context, std::uint64_t address) {
  tells(context);
  touch(context, special(Special::Kernel), How::Read);
  touch(context, address / kGranule, How::Write);
}

void Trail::touch_memory(std::uint32_t context, std::uint64_t address, std::uint64_t size, bool write) {
  for (std::uint64_t granule = address / kGranule; granule <= (address + std::max<std::uint64_t>(size, 1) - 1) / kGranule; ++granule)
    touch(context, granule, write ? How::Write : How::Read);
}

// Of what the routine has touched that it has called: so it was not just anything.
void Trail::tells(std::uint32_t context) {
  for (std::size_t which = calls_[context]; which < transitions_.size(); ++which)
    for (Touch& one : transitions_[which].touches)
      if (one.context == context && one.thing == special(Special::Kernel)) one.how = How::Read;
  calls_[context] = kNone;
}

// What it has called may have come back, or goes on in this transition.
void Trail::goes_on(std::uint32_t context) {
  if (calls_[context] != kNone) touch(context, special(Special::Kernel), How::Write);
}

void Trail::asked(std::span<const Candidate> candidates, std::size_t by_itself, std::size_t chosen) {
  if (transitions_.size() > kMost) ended_ = true;
  if (ended_) return;
  Transition next;
  next.actor = actor_of(candidates[chosen]);
  next.by_itself = actor_of(candidates[by_itself]);
  next.step = next.by_itself.is_processor() ? candidates[by_itself].step : 0;
  for (const auto& [timer, its] : timers_) next.clocks |= std::uint64_t{1} << its.processor % 64;
  for (const auto& [dpc, its] : queued_)
    if (its.is_quiet) next.clocks |= std::uint64_t{1} << its.target % 64;
  std::uint64_t earliest = ~std::uint64_t{0};
  for (const Candidate& candidate : candidates)
    if (actor_of(candidate).is_processor()) earliest = std::min(earliest, candidate.time);
  for (const Candidate& candidate : candidates) {
    if (candidate.time == Candidate::kNeverByItself) continue;  // not turned round by whoever looks at this
    const Actor actor = actor_of(candidate);
    if (actor.is_event() || candidate.time <= earliest + Plan::kLatePatience) next.enabled.push_back(actor);
  }
  // What could have come, and can no longer.
  for (const Actor& actor : transitions_[now_].enabled)
    if (actor.is_event() && actor != transitions_[now_].actor &&
        std::none_of(candidates.begin(), candidates.end(), [&](const Candidate& one) { return actor_of(one) == actor; }))
      transitions_[now_].prevents.push_back(actor);
  now_ = transitions_.size();
  transitions_.push_back(std::move(next));
  Transition& here = transitions_.back();
  if (here.actor.is_processor()) {
    here.irql = candidates[chosen].irql;
    here.context = innermost(here.actor.number);
    goes_on(here.context);
    return;
  }
  const std::uint32_t context = named_context(kEvents + static_cast<std::uint64_t>(here.actor.kind) * 65536 + here.actor.number);
  if (here.actor.kind == Actor::Kind::Board) {
    touch(context, special(Special::Boards), How::Write);
    return;
  }
  const bool is_ipi = here.actor.kind == Actor::Kind::Ipi;
  here.targets = std::uint64_t{1} << here.actor.number % 64;
  if (is_ipi) touch(context, special(Special::Ipi, here.actor.number), How::Effect);
  touch(context, special(Special::Requests, here.actor.number, is_ipi ? kIpiDetail : kClockDetail), How::Cause);
}

void Trail::picked(std::uint64_t bound, std::uint64_t number) {
  if (ended_) return;
  Transition pick;
  pick.actor = {Actor::Kind::Pick, static_cast<std::uint16_t>(number)};
  pick.by_itself = {Actor::Kind::Pick, 0};
  for (std::uint64_t other = 0; other < bound; ++other) pick.enabled.push_back({Actor::Kind::Pick, static_cast<std::uint16_t>(other)});
  transitions_.push_back(std::move(pick));  // and the one in which it happens goes on
}

void Trail::accesses(const Stamp& stamp, std::span<const Access> batch) {
  if (ended_) return;
  const std::uint32_t context = context_of(stamp);
  calls_[context] = kNone;  // it has come back
  for (const Access& access : batch) touch_memory(context, access.at, access.size(), access.is_write());
}

void Trail::push(std::uint16_t processor, std::uint8_t entry) {
  at(processor).nested.push_back(contexts());
  entries_.push_back(entry);
  calls_.push_back(kNone);
  transitions_[now_].begins = true;
}

void Trail::pop(std::uint16_t processor) {
  std::vector<std::uint32_t>& nested = at(processor).nested;
  if (nested.empty()) return;
  nested.pop_back();
  goes_on(innermost(processor));
}

// DPCs are a part of the drain in which they run. True: nothing else is to be said about the fact.
bool Trail::of_activities(const Stamp& stamp, const Event& event) {
  const std::uint64_t queue = special(Special::Queue, stamp.processor);
  if (std::holds_alternative<DrainBegan>(event)) {
    context_of(stamp);
    push(stamp.processor, kDispatch);
    touch(innermost(stamp.processor), queue, How::Effect);
    return true;
  }
  if (std::holds_alternative<DrainEnded>(event)) {
    pop(stamp.processor);
    return true;
  }
  const auto is_interrupt = [](ActivityKind kind) {
    return kind == ActivityKind::Isr || kind == ActivityKind::ClockInterrupt || kind == ActivityKind::IpiInterrupt ||
           kind == ActivityKind::BroadcastRoutine;
  };
  if (const auto* fact = std::get_if<ActivityBegan>(&event)) {
    context_of(stamp);
    if (is_interrupt(fact->kind)) {
      push(stamp.processor, fact->level);
      const std::uint64_t detail = fact->kind == ActivityKind::ClockInterrupt ? kClockDetail
                                   : fact->kind == ActivityKind::Isr          ? fact->level
                                                                              : kIpiDetail;
      touch(innermost(stamp.processor), special(Special::Requests, stamp.processor, detail), How::Effect);
    } else if (fact->kind == ActivityKind::Dpc || fact->kind == ActivityKind::TimerDpc) {
      const std::uint32_t context = innermost(stamp.processor);
      queued_.erase(fact->object.value);
      touch(context, queue, How::Effect);
      touch_object(context, fact->object.value);
    }
    return true;
  }
  if (const auto* fact = std::get_if<ActivityEnded>(&event)) {
    if (!is_interrupt(fact->kind)) return true;
    touch(innermost(stamp.processor), queue, How::Cause);  // it may have asked for a drain
    pop(stamp.processor);
    return true;
  }
  return false;
}

void Trail::of_locks(std::uint32_t context, const Event& event) {
  const auto touch_lock = [&](Address lock, How how) {
    tells(context);
    touch(context, special(Special::Kernel), How::Read);
    touch(context, lock.value / kGranule, how);
  };
  if (const auto* fact = std::get_if<LockAcquired>(&event); fact != nullptr && fact->kind != LockKind::System)
    touch_lock(fact->lock, fact->form == LockForm::Try ? How::Write : How::Acquire);
  if (const auto* fact = std::get_if<LockReleased>(&event); fact != nullptr && fact->kind != LockKind::System) touch_lock(fact->lock, How::Release);
  if (const auto* fact = std::get_if<LockInitialized>(&event)) touch_lock(fact->lock, How::Write);
}

void Trail::of_timers(std::uint32_t context, const Event& event) {
  const auto forget = [&](Address timer, bool prevents) {
    const auto found = timers_.find(timer.value);
    if (found == timers_.end()) return;
    if (prevents) transitions_[now_].prevents.push_back({Actor::Kind::Clock, found->second.processor});
    timers_.erase(found);
  };
  if (const auto* fact = std::get_if<TimerSet>(&event)) {
    forget(fact->timer, true);
    timers_[fact->timer.value] = {fact->processor, fact->period != 0};
    touch_object(context, fact->timer.value);
  } else if (const auto* cancelled = std::get_if<TimerCancelled>(&event)) {
    forget(cancelled->timer, cancelled->was_set);
    touch_object(context, cancelled->timer.value);
  } else if (const auto* expired = std::get_if<TimerExpired>(&event)) {
    const auto found = timers_.find(expired->timer.value);
    if (found != timers_.end() && !found->second.is_periodic) timers_.erase(found);
    touch_object(context, expired->timer.value);
  }
}

void Trail::of_objects(std::uint32_t context, const Event& event) {
  const auto object = [&](Address address) { touch_object(context, address.value); };
  if (const auto* fact = std::get_if<OrderReleased>(&event)) object(fact->object);
  if (const auto* fact = std::get_if<OrderAcquired>(&event)) object(fact->object);
  if (const auto* fact = std::get_if<ObjectInitialized>(&event)) object(fact->object);
  if (const auto* fact = std::get_if<ObjectSignalled>(&event)) object(fact->object);
  if (const auto* fact = std::get_if<WorkQueued>(&event)) object(fact->item);
  if (const auto* fact = std::get_if<IrpSent>(&event)) object(fact->irp);
  if (const auto* fact = std::get_if<IrpCompleted>(&event)) object(fact->irp);
  if (const auto* fact = std::get_if<IrpCancelled>(&event)) object(fact->irp);
  if (const auto* fact = std::get_if<DpcTargeted>(&event)) object(fact->dpc);
  if (const auto* fact = std::get_if<DpcRefused>(&event)) object(fact->dpc);
  if (const auto* fact = std::get_if<DpcQueued>(&event)) {
    object(fact->dpc);
    touch(context, special(Special::Order, fact->target), How::Write);
    touch(context, special(Special::Queue, fact->target), How::Cause);
    queued_[fact->dpc.value] = {fact->target, !fact->drain_requested};
  }
  if (const auto* fact = std::get_if<DpcRemoved>(&event)) {
    object(fact->dpc);
    if (const auto found = queued_.find(fact->dpc.value); found != queued_.end()) {
      for (const Actor::Kind kind : {Actor::Kind::Ipi, Actor::Kind::Processor, Actor::Kind::Clock})
        if (kind != Actor::Kind::Clock || found->second.is_quiet) transitions_[now_].prevents.push_back({kind, found->second.target});
      queued_.erase(found);
    }
  }
  if (const auto* fact = std::get_if<KernelAccess>(&event)) {
    tells(context);
    touch_memory(context, fact->at.value, fact->size, true);
  }
  if (const auto* fact = std::get_if<KernelRead>(&event)) {
    tells(context);
    touch(context, special(Special::Kernel), How::Read);
    touch(context, fact->at.value / kGranule, How::Read);
  }
  if (const auto* fact = std::get_if<DmaAccessed>(&event)) touch_memory(context, fact->at.value, fact->size, fact->write);
  if (const auto* fact = std::get_if<PoolFreed>(&event)) touch_memory(context, fact->block.value, fact->size, true);
  // The level, and how long it takes: what one does there is nothing to the others.
  if (std::holds_alternative<IrqlChanged>(event) || std::holds_alternative<Stalled>(event)) tells(context);
}

// Which processors are idle. Whoever gives a thread to one of them, or has asked and gives it to none, writes: the next one finds something else. Whoever makes
// one idle does not, for among themselves they do not matter.
void Trail::touch_idle(std::uint32_t context, std::uint64_t processors, How how) {
  for (unsigned number = 0; number < 64; ++number)
    if ((processors >> number & 1) != 0) touch(context, special(Special::Idle, number), how);
}

void Trail::of_threads(const Stamp& stamp, std::uint32_t context, const Event& event) {
  if (const auto* fact = std::get_if<WaitBegan>(&event)) touch_object(context, fact->object.value);
  if (const auto* fact = std::get_if<WaitEnded>(&event)) touch_object(context, fact->object.value);
  if (const auto* fact = std::get_if<ThreadReadied>(&event)) {
    touch(context, special(Special::Thread, fact->thread), How::Cause);
    touch(context, special(Special::Ready, fact->processor), How::Write);
    touch_idle(context, fact->asked, How::Write);
    asked_[fact->thread] = fact->asked;
  }
  if (const auto* fact = std::get_if<ThreadSwitched>(&event)) {
    OnProcessor& here = at(stamp.processor);
    const std::uint32_t from = named_context(kThreads + fact->from), to = named_context(kThreads + fact->to);
    here.thread = fact->to;
    touch(to, special(Special::Thread, fact->to), How::Effect);
    if (fact->to_idle) {
      touch_idle(from, std::uint64_t{1} << stamp.processor % 64, How::Read);
    } else if (!here.idle) {  // it was in a list of those that are ready, from which whoever becomes idle takes it, too
      touch_idle(from, asked_[fact->to], How::Write);
    }
    here.idle = fact->to_idle;
  }
}

void Trail::of_requests(std::uint32_t context, const Event& event) {
  Transition& now = transitions_[now_];
  if (std::holds_alternative<RegisterAccessed>(event)) {
    tells(context);
    touch(context, special(Special::Boards), How::Write);  // reading changes a device too
  }
  if (const auto* fact = std::get_if<IpiSent>(&event))
    for (unsigned target = 0; target < 64; ++target)
      if ((fact->targets >> target & 1) != 0) touch(context, special(Special::Ipi, target), How::Cause);
  const bool is_known = now.actor.kind == Actor::Kind::Clock || now.actor.kind == Actor::Kind::Ipi;
  if (const auto* fact = std::get_if<InterruptRequested>(&event); fact != nullptr && !is_known) {
    touch(context, special(Special::Requests, fact->processor, fact->vector >> 4), How::Cause);
    if (now.actor.is_event()) now.targets |= std::uint64_t{1} << fact->processor % 64;
  }
}

void Trail::event(const Stamp& stamp, const Event& event) {
  if (ended_) return;
  if (of_activities(stamp, event)) return;
  const std::uint32_t context = context_of(stamp);
  if (const auto* fact = std::get_if<RoutineEntered>(&event)) {
    calls_[context] = fact->apart ? kNone : now_;
    goes_on(context);
    return;
  }
  of_locks(context, event);
  of_timers(context, event);
  of_objects(context, event);
  of_threads(stamp, context, event);
  of_requests(context, event);
}

}  // namespace kdpc::explore
