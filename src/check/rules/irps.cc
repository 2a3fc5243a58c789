#include "check/rules/irps.h"

#include <fmt/format.h>

#include <algorithm>

namespace kdpc::rules {

namespace {

constexpr std::int32_t kStatusPending = 0x103;

}  // namespace

const Irps::Irp* Irps::find(std::uintptr_t irp) const {
  const auto found = irps_.find(irp);
  return found != irps_.end() ? &found->second : nullptr;
}

void Irps::on(Scene& scene, const IrpSent& fact) {
  const Actor& actor = scene.actor();
  Irp& irp = irps_[fact.irp.value];
  irp.sent = scene.at("given to this dispatch routine", fact.driver.value);
  irp.completed = {};
  calls_.push_back({actor.serial, fact.irp.value, fact.location, false, false, false, false, actor.sent_by_driver, irp.sent});
}

void Irps::on(Scene& scene, const IrpLocationDone& fact) {
  for (Call& call : calls_) {
    if (call.irp != fact.irp.value || call.location != fact.location || call.done) continue;
    call.done = true;
    call.pending = fact.pending;
    if (call.returned) judge(scene, call);
  }
  std::erase_if(calls_, [](const Call& call) { return call.done && call.returned; });
}

void Irps::on(Scene& scene, const IrpReturned& fact) {
  const auto call = std::find_if(calls_.begin(), calls_.end(), [&](const Call& each) { return each.actor == scene.actor().serial; });
  if (call == calls_.end()) return;
  call->returned = true;
  call->says_pending = fact.status == kStatusPending;
  if (call->done) {
    judge(scene, *call);
  } else if (call->sent_by_driver && !call->says_pending && !is_kept_below(*call)) {
    scene.report(RuleId::IrpForgotten,
                 fmt::format("A dispatch routine returns {:#010x} for the IRP {:#x} and has neither completed it nor passed it on, and does not say "
                             "STATUS_PENDING: whoever sent it waits for ever.",
                             static_cast<std::uint32_t>(fact.status), fact.irp.value),
                 {call->by});
  }
  if (call->done) calls_.erase(call);
}

// A lower driver has it at this very location, or below: what it said is what this one says.
bool Irps::is_kept_below(const Call& call) const {
  return std::any_of(calls_.begin(), calls_.end(), [&](const Call& other) {
    return &other != &call && other.irp == call.irp && other.location <= call.location && other.actor > call.actor && !other.done;
  });
}

void Irps::judge(Scene& scene, const Call& call) {
  if (call.says_pending == call.pending || !call.sent_by_driver) return;
  // Who skips his stack location shares it with the driver below, and it is he who has marked it, or not.
  const bool is_shared = std::any_of(calls_.begin(), calls_.end(), [&](const Call& other) {
    return other.irp == call.irp && other.location == call.location && other.actor < call.actor;
  });
  if (is_shared) return;
  const bool forgot_mark = call.says_pending;
  scene.report(forgot_mark ? RuleId::PendingNotMarked : RuleId::PendingNotReturned,
               forgot_mark ? fmt::format("A dispatch routine has returned STATUS_PENDING for the IRP {:#x} and has not marked it pending.", call.irp)
                           : fmt::format("A dispatch routine has marked the IRP {:#x} pending and has not returned STATUS_PENDING.", call.irp),
               {call.by});
}

void Irps::on(Scene& scene, const IrpCompleted& fact) { irps_[fact.irp.value].completed = scene.here("completed here"); }
void Irps::on(Scene& scene, const IrpCancelled& fact) { irps_[fact.irp.value].cancelled = scene.here("cancelled here"); }

void Irps::on(Scene&, const PoolFreed& fact) {
  const auto low = irps_.lower_bound(fact.block.value), high = irps_.lower_bound(fact.block.value + fact.size);
  if (low == high) return;
  irps_.erase(low, high);
  std::erase_if(calls_, [&](const Call& call) { return call.returned && call.irp - fact.block.value < fact.size; });
}

}  // namespace kdpc::rules
