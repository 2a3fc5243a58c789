#include "check/rules/dpcs.h"

#include <fmt/format.h>

namespace kdpc::rules {

void Dpcs::on(Scene& scene, const Lifetimes& lifetimes, const DpcQueued& fact) {
  Dpc& dpc = dpcs_[fact.dpc.value];
  dpc.argument1 = fact.argument1.value;
  dpc.argument2 = fact.argument2.value;
  Actor& actor = scene.actor();
  if (actor.acting == Acting::Dpc && actor.object == fact.dpc.value) actor.requeued = true;
  const Lifetimes::Object* object = lifetimes.find(fact.dpc.value);
  const bool called = actor.acting != Acting::Drain && (actor.call == Call::KeInsertQueueDpc || actor.call == Call::IoRequestDpc);
  dpc.by_call = called && object != nullptr ? object->given : Party();
  if (!dpc.by_call) return;
  if (const auto* timer = lifetimes.timer_of(fact.dpc.value))  // TIM-16
    scene.report(RuleId::DpcSharedWithTimer,
                 fmt::format("The KDPC {:#x} is that of the timer {:#x}, which is set, and is queued by itself too.", fact.dpc.value, timer->first),
                 {object->given, timer->second.given});
}

// INS-1: what comes with a refused insertion is forgotten.
void Dpcs::on(Scene& scene, const Lifetimes& lifetimes, const DpcRefused& fact) {
  const Dpc& dpc = dpcs_[fact.dpc.value];
  const auto is_lost = [](std::uintptr_t given, std::uintptr_t counts) { return given != 0 && given != counts; };
  if (!is_lost(fact.argument1.value, dpc.argument1) && !is_lost(fact.argument2.value, dpc.argument2)) return;
  std::vector<Party> parties = {scene.here("refused here: it is queued already")};
  if (const Lifetimes::Object* object = lifetimes.find(fact.dpc.value); object != nullptr && object->given) parties.push_back(object->given);
  scene.report(RuleId::DpcArgumentsLost,
               fmt::format("The KDPC {:#x} is queued already, so the arguments {:#x} and {:#x} are lost; its routine will see {:#x} and {:#x}.",
                           fact.dpc.value, fact.argument1.value, fact.argument2.value, dpc.argument1, dpc.argument2),
               std::move(parties));
}

void Dpcs::on(Scene& scene, const Lifetimes& lifetimes, const TimerSet& fact) {
  const auto found = dpcs_.find(fact.dpc.value);
  const Lifetimes::Object* object = lifetimes.find(fact.dpc.value);
  if (fact.dpc.value == 0 || found == dpcs_.end() || object == nullptr || !object->busy || !found->second.by_call) return;
  if (scene.actor().acting == Acting::Dpc && scene.actor().object == fact.dpc.value) return;
  scene.report(RuleId::DpcSharedWithTimer,
               fmt::format("The KDPC {:#x} is given to the timer {:#x} while it is queued by itself.", fact.dpc.value, fact.timer.value),
               {scene.here("set here"), found->second.by_call});
}

void Dpcs::on(Scene& scene, const Lifetimes& lifetimes, const ActivityEnded& fact) {
  if (fact.kind != ActivityKind::Dpc) return;
  const Actor& actor = scene.actor();
  const auto found = dpcs_.find(actor.object);
  if (found == dpcs_.end()) return;
  found->second.requeues = actor.requeued ? found->second.requeues + 1 : 0;
  const Lifetimes::Object* object = lifetimes.find(actor.object);
  if (found->second.requeues < scene.limits.requeues || object == nullptr) return;
  scene.report(
      RuleId::DpcRequeuesItself,
      fmt::format("A DPC has queued itself again in each of its last {} runs: no thread runs on that processor meanwhile.", found->second.requeues),
      {object->given});
}

void Dpcs::on(Scene&, const Lifetimes&, const PoolFreed& fact) {
  dpcs_.erase(dpcs_.lower_bound(fact.block.value), dpcs_.lower_bound(fact.block.value + fact.size));
}

}  // namespace kdpc::rules
