#include "check/rules/budgets.h"

#include <fmt/format.h>

namespace kdpc::rules {

namespace {

double microseconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; }

}  // namespace

void Budgets::on(Scene& scene, const Locks&, const ActivityEnded& fact) {
  const bool is_isr = fact.kind == ActivityKind::Isr;
  if (!is_isr && fact.kind != ActivityKind::Dpc && fact.kind != ActivityKind::TimerDpc) return;
  const Actor& actor = scene.actor();
  const std::uint64_t all = scene.stamp.time - actor.began, own = all > actor.nested ? all - actor.nested : 0;
  const std::uint64_t limit = is_isr ? scene.limits.isr : scene.limits.dpc;
  if (own <= limit) return;
  scene.report(
      is_isr ? RuleId::IsrBudget : RuleId::DpcBudget,
      fmt::format("{} has run for {:.3f} us; the guideline is {:.0f} us.", is_isr ? "An ISR" : "A DPC", microseconds(own), microseconds(limit)),
      {scene.at("the routine", actor.routine)});
}

void Budgets::on(Scene& scene, const Locks& locks, const LockReleased& fact) {
  if (fact.kind != LockKind::Spin) return;
  const Actor& actor = scene.actor();
  for (const Locks::Held& held : locks.held(scene.stamp.processor)) {
    if (held.lock != fact.lock.value || held.actor != actor.serial) continue;
    const std::uint64_t all = scene.stamp.time - held.by.when.time, others = actor.nested - held.nested;
    const std::uint64_t own = all > others ? all - others : 0;
    if (own <= scene.limits.spin_lock) return;
    scene.report(RuleId::LockBudget,
                 fmt::format("The spin lock {:#x} was held for {:.3f} us; the guideline is {:.0f} us.", held.lock, microseconds(own),
                             microseconds(scene.limits.spin_lock)),
                 {held.by, scene.here("released here")});
    return;
  }
}

}  // namespace kdpc::rules
