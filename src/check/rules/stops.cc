#include "check/rules/stops.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>

namespace kdpc::rules {

namespace {

struct Known {
  std::uint32_t code;
  std::optional<std::uint64_t> subcode;  // the first parameter; none: whatever it is
  RuleId rule;
};

// From the particular to the general.
constexpr std::optional<std::uint64_t> kAny;
constexpr Known kKnown[] = {
    {0x0F, kAny, RuleId::StopLockTwice},
    {0x10, kAny, RuleId::StopLockNotOwned},
    {0xC4, 0x1000, RuleId::StopLockTwice},
    {0xC4, 0x1002, RuleId::StopLockUninitialized},
    {0xC4, 0x1004, RuleId::StopLockThread},
    {0xC4, 0x1005, RuleId::StopLockReinitialized},
    {0xC4, 0x1007, RuleId::StopLockNotOwned},
    {0xC4, 0x1008, RuleId::StopLockMixed},
    {0xC4, 0x1009, RuleId::StopLockMixed},
    {0xC4, 0x100A, RuleId::StopLockThread},
    {0xC4, 0x100B, RuleId::StopLockFreed},
    {0xC4, 0x15, RuleId::StopFreedWhileQueued},
    {0xC4, 0x42, RuleId::StopLockAboveDispatch},
    {0xC4, 0x30, RuleId::StopIrqlOrder},
    {0xC4, 0x31, RuleId::StopIrqlOrder},
    {0x09, kAny, RuleId::StopIrqlOrder},
    {0xC4, 0x3B, RuleId::StopWaitAtDispatch},
    {0xC4, 0x3E, RuleId::StopCriticalRegion},
    {0x01, kAny, RuleId::StopCriticalRegion},
    {0xC9, 0, RuleId::StopIrpPending},
    {0xC4, 0x120, RuleId::StopWaitAtDispatch},
    {0xC4, 0x121, RuleId::StopWaitAtDispatch},
    {0xC4, 0x122, RuleId::StopWaitAtDispatch},
    {0xB8, kAny, RuleId::StopWaitAtDispatch},
    {0xC4, 0x110, RuleId::StopIrqlAtReturn},
    {0xC4, 0x111, RuleId::StopIrqlAtReturn},
    {0xC4, 0xFA, RuleId::StopIrqlAtReturn},
    {0xC9, 5, RuleId::StopIrqlAtReturn},
    {0xC8, kAny, RuleId::StopIrqlAtReturn},
    {0xE1, kAny, RuleId::StopIrqlAtReturn},
    {0xC4, kAny, RuleId::StopCalledAtWrongIrql},
    {0xC2, 8, RuleId::StopCalledAtWrongIrql},
    {0xC2, 9, RuleId::StopCalledAtWrongIrql},
    {0xC2, kAny, RuleId::StopBadFree},
    {0x19, kAny, RuleId::StopBadFree},
    {0x139, 3, RuleId::StopReinitializedWhileQueued},
    {0xC7, 0, RuleId::StopFreedWhileQueued},
    {0xC7, 1, RuleId::StopFreedWhileQueued},
    {0xC7, 2, RuleId::StopOutlivesUnload},
    {0xC7, 4, RuleId::StopCriticalRegion},
    {0xC7, 5, RuleId::StopCriticalRegion},
    {0xE4, kAny, RuleId::StopWorkItem},
    {0x44, kAny, RuleId::StopCompletedTwice},
    {0x48, kAny, RuleId::StopCancelRoutineLeft},
    {0xF2, kAny, RuleId::StopStorm},
    {0x133, kAny, RuleId::StopWatchdog},
    {0xCE, kAny, RuleId::StopOutlivesUnload},
    {0x0A, kAny, RuleId::StopBadMemory},
    {0x1E, 0xC0000005, RuleId::StopBadMemory},
    {0xD1, kAny, RuleId::StopBadMemory},
    {0x50, kAny, RuleId::StopBadMemory},
};

const Known* known(const Bugchecked& stop) {
  for (const Known& each : kKnown)
    if (each.code == stop.code && (!each.subcode || *each.subcode == stop.p1)) return &each;
  return nullptr;
}

class History {
 public:
  explicit History(Scene& scene) : scene_(scene) {}

  void add(const Party& party) {
    if (!party) return;
    for (const Party& each : parties_)
      if (each.at == party.at && each.when.time == party.when.time) return;
    parties_.push_back(party);
  }

  // Who runs here, from the innermost outwards, and why it may not do what it did.
  void add_levels(const Actor& actor) {
    for (unsigned index = actor.raises; index-- > 0;) {
      Party raised = scene_.brief("the IRQL was raised here");
      raised.at = actor.ladder[index].caller;
      raised.exact = false;
      raised.when.irql = actor.ladder[index].from;
      add(raised);
    }
  }

  bool begun() const { return !parties_.empty(); }

  std::vector<Party> parties_;

 private:
  Scene& scene_;
};

// The DPC, ISR or thread beneath the interrupts that run now, at its last call.
Party interrupted(const Scene& scene) {
  const std::vector<Actor>& running = scene.actors.on(scene.stamp.processor);
  for (auto each = running.rbegin(); each != running.rend(); ++each) {
    if (each->acting == Acting::Interrupt || each->acting == Acting::Drain) continue;
    Party party{"runs here", scene.stamp, each->acting, each->routine, each->caller != 0 ? each->caller : each->routine, each->caller == 0, {}};
    party.when.irql = each->level;
    return party;
  }
  return {};
}

Party at_instruction(const Scene& scene, const char* role, std::uint64_t instruction, std::uint64_t irql) {
  Party party = scene.at(role, instruction);
  party.when.irql = static_cast<std::uint8_t>(irql);
  return party;
}

// The driver's own instruction that has touched bad memory; nothing if it was, or may have been, a routine it has called.
Party touched_by_driver(const Scene& scene, const Bugchecked& stop) {
  if (stop.code == 0xD1)
    return at_instruction(scene, stop.pageable && stop.p1 == stop.p4 ? "called at this level" : "touched here", stop.p4, stop.p2);
  const Actor& actor = scene.actor();
  if (stop.code == 0x1E && stop.p1 == 0xC0000005 && actor.caller == 0) return at_instruction(scene, "touched here", stop.p2, actor.level);
  return {};
}

// Nothing ever lies there; a field of a structure whose pointer is NULL would.
constexpr std::uint64_t kFirstAddress = 0x10000;

// The kernel's own verdicts about objects have these codes too, but 0x0A then names no instruction.
bool is_null_pointer(const Bugchecked& stop, const Irps& irps) {
  if (stop.p1 >= kFirstAddress) return false;
  return stop.code == 0xD1 || stop.code == 0x50 || (stop.code == 0x0A && stop.p4 >= kFirstAddress && irps.find(stop.p4) == nullptr);
}

}  // namespace

void explain_stop(Scene& scene, const Bugchecked& stop, const Locks& locks, const Lifetimes& lifetimes, const Irps& irps) {
  const Known* const row = known(stop);
  if (row == nullptr) return;
  RuleId rule = row->rule;
  History history(scene);
  if (const Party* creator = stop.code == 0xCE ? lifetimes.creator_of_thread(stop.p1) : nullptr) {
    rule = RuleId::StopThreadOutlivesUnload;
    history.add(*creator);
  }
  if (stop.code == 0xC4 && scene.actor().call == Call::KdpcPagedCode && stop.p1 == 0xE5) rule = RuleId::StopPagedCode;
  // The kernel's own verdict about an object: a touch of bad memory names the instruction.
  if (stop.code == 0x0A && stop.p1 != 0 && stop.p3 == 1 && stop.p4 == 0) rule = RuleId::StopObjectUninitialized;
  if (is_null_pointer(stop, irps)) rule = RuleId::StopNullPointer;
  if (stop.pageable) {
    rule = stop.p1 == stop.p4 ? RuleId::StopPagedCode : RuleId::StopPagedMemory;
    // The kernel's own touch is for somebody who called it.
    history.add(stop.code == 0xD1 ? touched_by_driver(scene, stop) : scene.here("the kernel was given it here"));
    if (const Party* allocated = lifetimes.allocated_paged(stop.p1)) history.add(*allocated);
  }
  if (rule == RuleId::StopIrpPending)
    if (const Irps::Irp* irp = irps.find(stop.p2)) history.add(irp->sent);
  // The clock has noticed it; whoever it has interrupted is meant.
  if (rule == RuleId::StopWatchdog) history.add(interrupted(scene));
  if (!stop.pageable) history.add(touched_by_driver(scene, stop));
  // Nobody of the driver stands where it is missed that it has left something behind.
  if (rule != RuleId::StopOutlivesUnload && rule != RuleId::StopThreadOutlivesUnload && rule != RuleId::StopIrpPending && !history.begun())
    history.add(scene.here("stopped here"));
  if (rule == RuleId::StopOutlivesUnload && stop.code == 0xC7)
    for (const Party& given : lifetimes.given_between(stop.p3, stop.p4)) history.add(given);

  const Actor& actor = scene.actor();
  history.add_levels(actor);
  const std::vector<Actor>& running = scene.actors.on(scene.stamp.processor);
  for (auto each = running.rbegin(); each != running.rend(); ++each) {
    if (each->acting != Acting::Dpc && each->acting != Acting::TimerDpc) continue;
    if (const Lifetimes::Object* dpc = lifetimes.find(each->object); dpc != nullptr && dpc->given && each->acting == Acting::Dpc)
      history.add(dpc->given.as("the DPC that runs was queued here"));
    if (const auto* timer = lifetimes.timer_of(each->object); timer != nullptr && each->acting == Acting::TimerDpc) {
      history.add(timer->second.given.as("its timer was set here"));
      if (rule == RuleId::StopFreedWhileQueued && stop.p2 == timer->first && timer->second.period != 0) rule = RuleId::StopTimerFreedInItsDpc;
    }
  }
  for (const Locks::Held& held : locks.held(scene.stamp.processor))
    if (!(held.kind == LockKind::Interrupt && held.by.exact)) history.add(held.by.as("a spin lock that is held was acquired here"));

  for (const std::uint64_t parameter : {stop.p1, stop.p2, stop.p3, stop.p4}) {
    if (const Locks::Held* held = locks.find(parameter)) history.add(held->by);
    if (const Lifetimes::Object* object = lifetimes.find(parameter)) {
      history.add(object->initialized);
      history.add(object->given);
      history.add(object->waited);
    }
    if (const Irps::Irp* irp = irps.find(parameter)) {
      history.add(irp->sent);
      history.add(irp->completed);
      history.add(irp->cancelled);
    }
    if (const Party* freed = lifetimes.freed(parameter)) history.add(*freed);
  }
  // Memory that was freed is filled: a pointer read from there points nowhere.
  const RuleRow& text = row_of(rule);
  scene.explain(rule, text.meaning, std::move(history.parties_));
}

}  // namespace kdpc::rules
