#include "check/rules/locks.h"

#include <fmt/format.h>

#include <algorithm>

namespace kdpc::rules {

namespace {

constexpr unsigned kDispatch = 2;

// The kernel's own locks are its own affair, and push locks belong to threads.
bool is_drivers(LockKind kind) { return kind != LockKind::System && belongs_to_processor(kind); }

// Does the one give back what the other has taken (LCK-1)? What the kernel takes, in whatever way, it gives back itself.
bool is_mixed(LockForm taken, LockForm given_back) {
  if (taken == LockForm::Try) taken = LockForm::AtDpcLevel;
  if (taken == LockForm::RaiseToSynch) taken = LockForm::RaiseToDpc;
  const auto is_known = [](LockForm form) { return form == LockForm::RaiseToDpc || form == LockForm::AtDpcLevel || form == LockForm::ForDpc; };
  return is_known(taken) && is_known(given_back) && taken != given_back;
}

// The level at which the code on this processor has interrupted what was there: of its innermost ISR, or of its DPCs; 0: a thread that nobody
// called in between.
unsigned interrupting_level(const Scene& scene) {
  const std::vector<Actor>& stack = scene.actors.on(scene.stamp.processor);
  for (auto actor = stack.rbegin(); actor != stack.rend(); ++actor) {
    if (actor->acting == Acting::Isr) return actor->interrupts;
    if (actor->acting == Acting::Dpc || actor->acting == Acting::TimerDpc) return kDispatch;
  }
  return 0;
}

}  // namespace

void Locks::on(Scene& scene, const LockAcquired& fact) {
  if (!is_drivers(fact.kind)) return;
  judge_pending(scene);
  const Actor& actor = scene.actor();
  held_[scene.stamp.processor].push_back(
      {fact.lock.value, fact.kind, fact.form, fact.shared, scene.stamp.irql, actor.serial, actor.nested, scene.here("acquired here")});
  if (fact.kind == LockKind::Interrupt) {
    pending_[scene.stamp.processor] = true;
  } else {
    judge(scene, false, 0);
  }
}

void Locks::on(Scene& scene, const ActivityBegan& fact) {
  if (!pending_[scene.stamp.processor]) return;
  judge(scene, fact.kind == ActivityKind::Isr, fact.routine.value);
}

// The newest of the held locks, now that it is known who has taken it.
void Locks::judge(Scene& scene, bool for_isr, std::uintptr_t routine) {
  pending_[scene.stamp.processor] = false;
  Held& now = held_[scene.stamp.processor].back();
  if (for_isr) {
    now.actor = scene.actor().serial;
    now.by = scene.at("taken for the ISR", routine);
  }
  Lock& lock = locks_[now.lock];
  lock.exclusive = lock.exclusive || !now.shared;
  check_level(scene, now.lock, lock, now);
  if (held_[scene.stamp.processor].size() > 1 && now.form != LockForm::Try) draw_arrows(scene, now.lock);
}

// LCK-1 and INT-21 in one: whoever can be interrupted by code that takes the same lock, while he holds it, waits for himself then.
void Locks::check_level(Scene& scene, std::uintptr_t address, Lock& lock, const Held& now) {
  const unsigned level = now.level, interrupts = interrupting_level(scene);
  if (interrupts > lock.interrupts) {
    lock.interrupts = interrupts;
    lock.interrupter = now.by;
  }
  // Before there is any interrupt to come, a driver may use what it will share with its ISR as it likes.
  if (level < lock.lowest && (level < kDispatch || !interrupts_.empty())) {
    lock.lowest = level;
    lock.low = now.by;
  }
  if (lock.lowest >= lock.interrupts) return;
  scene.report(
      RuleId::LockBelowInterrupt,
      fmt::format("The spin lock {:#x} is held at IRQL {}, where an interrupt at IRQL {} can come whose routine takes the same lock: on that "
                  "processor it would wait for ever.",
                  address, lock.lowest, lock.interrupts),
      {lock.low.as("holds it at the lower IRQL"), lock.interrupter.as("takes it when it interrupts")});
}

void Locks::draw_arrows(Scene& scene, std::uintptr_t to) {
  const std::vector<Held>& held = held_[scene.stamp.processor];
  for (std::size_t i = 0; i + 1 < held.size(); ++i) {
    if (held[i].lock == to) continue;  // twice the same: the kernel's own finding
    Lock& from = locks_[held[i].lock];
    if (std::any_of(from.arrows.begin(), from.arrows.end(), [&](const Arrow& arrow) { return arrow.to == to; })) continue;
    from.arrows.push_back({to, held[i].by, held.back().by});
    look_for_circle(scene, held[i].lock, from.arrows.back());
  }
}

bool Locks::path(std::uintptr_t from, std::uintptr_t to, std::vector<const Arrow*>& arrows, std::vector<std::uintptr_t>& seen) const {
  const auto lock = locks_.find(from);
  if (lock == locks_.end() || !lock->second.exclusive || std::find(seen.begin(), seen.end(), from) != seen.end()) return false;
  seen.push_back(from);
  for (const Arrow& arrow : lock->second.arrows) {
    arrows.push_back(&arrow);
    if (arrow.to == to || path(arrow.to, to, arrows, seen)) return true;
    arrows.pop_back();
  }
  return false;
}

void Locks::look_for_circle(Scene& scene, std::uintptr_t from, const Arrow& closing) {
  std::vector<const Arrow*> back;
  std::vector<std::uintptr_t> seen;
  if (!path(closing.to, from, back, seen)) return;
  if (!locks_[from].exclusive) return;
  std::vector<Party> parties = {closing.taker.as("takes the second lock while it holds the first"), closing.holder.as("took the first")};
  for (const Arrow* arrow : back) {
    parties.push_back(
        arrow->taker.as(back.size() == 1 ? "earlier: took the first while it held the second" : "earlier: took the next of the circle"));
    parties.push_back(arrow->holder.as(back.size() == 1 ? "earlier: had taken the second" : "earlier: holding this one"));
  }
  scene.report(
      RuleId::LockOrder,
      fmt::format("The spin lock {:#x} is taken while {:#x} is held; before, they were taken in the other order{}. Two processors that do both "
                  "at the same time wait for each other for ever.",
                  closing.to, from, back.size() == 1 ? "" : fmt::format(", by way of {} more", back.size() - 1)),
      std::move(parties));
}

void Locks::on(Scene& scene, const LockReleased& fact) {
  if (!is_drivers(fact.kind)) return;
  judge_pending(scene);
  std::vector<Held>& held = held_[scene.stamp.processor];
  for (auto each = held.rbegin(); each != held.rend(); ++each) {
    if (each->lock != fact.lock.value) continue;
    if (is_mixed(each->form, fact.form))
      scene.report(RuleId::LockWrongVariant,
                   fmt::format("The spin lock {:#x} is let go with another routine than belongs to the one it was taken with.", fact.lock.value),
                   {scene.here("released here"), each->by});
    held.erase(std::next(each).base());
    return;
  }
}

const Locks::Held* Locks::find(std::uintptr_t lock) const {
  for (const std::vector<Held>& held : held_)
    for (const Held& each : held)
      if (each.lock == lock) return &each;
  return nullptr;
}

// What lies there from now on is another lock.
void Locks::forget(std::uintptr_t low, std::uintptr_t high) {
  const auto first = locks_.lower_bound(low), last = locks_.lower_bound(high);
  if (first == last) return;  // none of them was ever taken
  locks_.erase(first, last);
  for (auto& [address, lock] : locks_) std::erase_if(lock.arrows, [&](const Arrow& arrow) { return arrow.to >= low && arrow.to < high; });
}

void Locks::on(Scene&, const LockInitialized& fact) { forget(fact.lock.value, fact.lock.value + 1); }
void Locks::on(Scene&, const PoolFreed& fact) { forget(fact.block.value, fact.block.value + fact.size); }

// LCK-8
void Locks::on(Scene& scene, const IrqlChanged& fact) {
  if (fact.to >= kDispatch || fact.from < kDispatch) return;
  for (const Held& each : held_[scene.stamp.processor])
    scene.report(
        RuleId::LockHeldBelowDispatch,
        fmt::format("The IRQL is lowered to {} while the spin lock {:#x} is held: the next thread, DPC or ISR on this processor that wants it "
                    "waits for ever.",
                    fact.to, each.lock),
        {scene.here("lowered here"), each.by});
}

// SpinLockSafe: what is called from there, completion routines and StartIo, may well want the lock.
void Locks::on(Scene& scene, const RoutineEntered&) {
  judge_pending(scene);
  const Call call = scene.actor().call;
  if (call != Call::IofCompleteRequest && call != Call::IoStartNextPacket) return;
  const std::vector<Held>& held = held_[scene.stamp.processor];
  if (held.empty()) return;
  scene.report(call == Call::IofCompleteRequest ? RuleId::CompleteUnderLock : RuleId::StartNextPacketUnderLock,
               fmt::format("{} is called while the {} {:#x} is held.", call == Call::IofCompleteRequest ? "IoCompleteRequest" : "IoStartNextPacket",
                           held.back().kind == LockKind::Cancel ? "cancel spin lock" : "spin lock", held.back().lock),
               {scene.here("called here"), held.back().by});
}

void Locks::on(Scene&, const InterruptConnected& fact) {
  if (fact.connected) {
    interrupts_[fact.interrupt.value] = static_cast<std::uint8_t>(fact.vector >> 4);
  } else {
    interrupts_.erase(fact.interrupt.value);
  }
}

void Locks::on(Scene& scene, const ActivityEnded& fact) {
  if (fact.kind != ActivityKind::ClockInterrupt && fact.kind != ActivityKind::IpiInterrupt) check_return(scene);
}
void Locks::on(Scene& scene, const IrpReturned&) { check_return(scene); }

// SpinLock, SpinLockDpc: what a routine has taken, it has let go when it returns. The lock of an ISR is the kernel's to release.
void Locks::check_return(Scene& scene) {
  const Actor& actor = scene.actor();
  for (const Held& each : held_[scene.stamp.processor]) {
    const bool is_the_kernels = each.kind == LockKind::Interrupt && each.by.exact;
    if (each.actor != actor.serial || is_the_kernels) continue;
    scene.report(RuleId::LockHeldAtReturn, fmt::format("A {} returns and still holds the spin lock {:#x}.", name_of(actor.acting), each.lock),
                 {each.by.as("taken here, and not let go"), scene.at("the routine that returns", actor.routine)});
  }
}

}  // namespace kdpc::rules
