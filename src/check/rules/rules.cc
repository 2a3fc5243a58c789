#include "check/rules/rules.h"

#include "check/rules/stops.h"

#include <string_view>

namespace kdpc::rules {

namespace {

constexpr RuleRow kRows[] = {
#define CHECK(name, id, severity, code, subcode, ddi_rule, rule, meaning, fix) {id, Severity::severity, code, subcode, ddi_rule, rule, meaning, fix},
#include "check/rules/catalogue.def"
#undef CHECK
};

Call call_of(std::string_view name) {
#define CALL(routine) \
  if (name == #routine) return Call::routine;
#include "check/rules/calls.def"
#undef CALL
  return Call::Other;
}

Acting acting_of(ActivityKind kind) {
  switch (kind) {
    case ActivityKind::Isr: return Acting::Isr;
    case ActivityKind::Dpc: return Acting::Dpc;
    case ActivityKind::TimerDpc: return Acting::TimerDpc;
    case ActivityKind::SynchronizedRoutine: return Acting::Synchronized;
    case ActivityKind::ThreadedDpc: return Acting::ThreadedDpc;
    case ActivityKind::BroadcastRoutine:
    case ActivityKind::ClockInterrupt:
    case ActivityKind::IpiInterrupt: return Acting::Interrupt;
    case ActivityKind::WorkItem: return Acting::WorkItem;
    case ActivityKind::DriverRoutine: return Acting::Dispatch;
  }
  return Acting::Thread;
}

template <class Family, class Fact, class... Others>
void hear(Family& family, Scene& scene, const Fact& fact, const Others&... others) {
  if constexpr (requires { family.on(scene, others..., fact); }) family.on(scene, others..., fact);
}

}  // namespace

const RuleRow& row_of(RuleId id) { return kRows[static_cast<unsigned>(id)]; }

Rules::Rules(unsigned processors, const Surroundings& surroundings, const Limits& limits)
    : surroundings_(surroundings), limits_(limits), state_(processors) {
  if (surroundings_.name_of_routine == nullptr) return;
  for (std::uint16_t number = 0;; ++number) {
    const char* const name = surroundings_.name_of_routine(number);
    if (name == nullptr) break;
    calls_.push_back(call_of(name));
  }
}

// Who acts is known before the families hear the fact; what ends is gone only after they have.
template <class Fact>
void Rules::tell(const Stamp& stamp, const Fact& fact) {
  Actors& actors = state_.actors;
  if constexpr (std::is_same_v<Fact, RoutineEntered>) {
    Actor& actor = actors.actor(stamp);
    actor.call = fact.routine < calls_.size() ? calls_[fact.routine] : Call::Other;
    actor.caller = fact.caller.value;
    actor.called_for = fact.object.value;
    actor.called_at = stamp.irql;
  }
  if constexpr (std::is_same_v<Fact, ActivityBegan>) {
    Actor& begun = actors.begin(stamp, acting_of(fact.kind), fact.routine.value, fact.object.value, fact.level);
    if (fact.kind == ActivityKind::Isr) begun.interrupts = state_.locks.level_of_interrupt(fact.object.value, fact.level);
  }
  if constexpr (std::is_same_v<Fact, DrainBegan>) actors.begin(stamp, Acting::Drain, 0, 0, stamp.irql);
  if constexpr (std::is_same_v<Fact, IrpSent>) {
    const Actor& sender = actors.actor(stamp);
    const bool by_driver = sender.called_for == fact.irp.value && (sender.call == Call::IofCallDriver || sender.call == Call::PoCallDriver ||
                                                                   sender.call == Call::IoForwardIrpSynchronously);
    Actor& begun = actors.begin(stamp, Acting::Dispatch, fact.driver.value, fact.irp.value, stamp.irql);
    begun.location = fact.location;
    begun.sent_by_driver = by_driver;
  }

  Scene scene(stamp, actors, surroundings_, limits_, state_.report);
  hear(state_.budgets, scene, fact, state_.locks);
  hear(state_.locks, scene, fact);
  hear(state_.levels, scene, fact);
  hear(state_.lifetimes, scene, fact);
  hear(state_.dpcs, scene, fact, state_.lifetimes);
  hear(state_.irps, scene, fact);
  hear(state_.interrupts, scene, fact);
  if constexpr (std::is_same_v<Fact, Bugchecked>) explain_stop(scene, fact, state_.locks, state_.lifetimes, state_.irps);

  if constexpr (std::is_same_v<Fact, ActivityEnded>) actors.end(stamp, acting_of(fact.kind));
  if constexpr (std::is_same_v<Fact, DrainEnded>) actors.end(stamp, Acting::Drain);
  if constexpr (std::is_same_v<Fact, IrpReturned>) actors.end(stamp, Acting::Dispatch);
  if constexpr (std::is_same_v<Fact, ThreadEnded>) actors.forget_thread(fact.thread);
}

void Rules::event(const Stamp& stamp, const Event& event) {
  std::visit([&](const auto& fact) { tell(stamp, fact); }, event);
}

std::size_t Rules::mark() {
  marks_.emplace(next_mark_, state_);
  return next_mark_++;
}

void Rules::rewind(std::size_t mark) { state_ = marks_.at(mark); }
void Rules::forget_mark(std::size_t mark) { marks_.erase(mark); }

}  // namespace kdpc::rules
