#include "check/rules/levels.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace kdpc::rules {

void Levels::on(Scene& scene, const IrqlChanged& fact) {
  Actor& actor = scene.actor();
  if (fact.to > fact.from) {
    if (actor.raises < std::size(actor.ladder)) actor.ladder[actor.raises] = {fact.from, fact.to, actor.caller};
    if (actor.raises < std::size(actor.ladder)) ++actor.raises;
    return;
  }
  // The level came here by ways that state no raise: there is nothing to compare with.
  if (actor.raises == 0 || actor.ladder[actor.raises - 1].to != fact.from) {
    actor.raises = 0;
    return;
  }
  const Raise last = actor.ladder[actor.raises - 1];
  if (fact.to == last.from) {
    --actor.raises;
    return;
  }
  while (actor.raises != 0 && actor.ladder[actor.raises - 1].to > fact.to) --actor.raises;
  Party raised = scene.here("raised here");
  raised.at = last.caller;
  raised.frames = {};
  scene.report(RuleId::LowerMismatch,
               fmt::format("The IRQL is lowered from {} to {}, and the raise it belongs to was from {}.", fact.from, fact.to, last.from),
               {scene.here("lowered here"), raised});
}

void Levels::on(Scene& scene, const RoutineEntered&) {
  Actor& actor = scene.actor();
  switch (actor.call) {
    case Call::KeEnterCriticalRegion:
    case Call::ExEnterCriticalRegionAndAcquireResourceExclusive:
    case Call::ExEnterCriticalRegionAndAcquireResourceShared:
    case Call::ExEnterCriticalRegionAndAcquireSharedWaitForExclusive: ++actor.critical; return;
    case Call::KeLeaveCriticalRegion: --actor.critical; return;
    default: return;
  }
}

// Of work items, DPCs and threads the kernel itself counts.
void Levels::on(Scene& scene, const IrpReturned&) {
  const Actor& actor = scene.actor();
  if (actor.critical <= 0) return;
  scene.report(RuleId::CriticalAtReturn,
               fmt::format("A {} returns inside a critical region: normal APCs stay disabled for its thread.", name_of(actor.acting)),
               {scene.at("the routine that returns", actor.routine)});
}

}  // namespace kdpc::rules
