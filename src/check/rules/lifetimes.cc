#include "check/rules/lifetimes.h"

#include <fmt/format.h>

#include <algorithm>

namespace kdpc::rules {

namespace {

using Kind = Lifetimes::Kind;

Kind kind_of(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::Dpc: return Kind::Dpc;
    case ObjectKind::Timer: return Kind::Timer;
    case ObjectKind::Event: return Kind::Event;
    case ObjectKind::Semaphore: return Kind::Semaphore;
    case ObjectKind::WorkItem: return Kind::WorkItem;
  }
  return Kind::Unknown;
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::Dpc: return "KDPC";
    case Kind::Timer: return "timer";
    case Kind::Event: return "event";
    case Kind::Semaphore: return "semaphore";
    case Kind::WorkItem: return "work item";
    case Kind::Unknown: break;
  }
  return "object";
}

constexpr std::size_t kFreedKept = 4096;

}  // namespace

const Lifetimes::Object* Lifetimes::find(std::uintptr_t address) const {
  const auto found = objects_.find(address);
  return found != objects_.end() ? &found->second : nullptr;
}

const std::pair<const std::uintptr_t, Lifetimes::Object>* Lifetimes::timer_of(std::uintptr_t dpc) const {
  const Object* object = find(dpc);
  if (object == nullptr || object->timer == 0) return nullptr;
  const auto timer = objects_.find(object->timer);
  if (timer != objects_.end() && timer->second.kind == Kind::Timer && timer->second.busy && timer->second.dpc == dpc) return &*timer;
  return nullptr;
}

std::vector<Party> Lifetimes::given_between(std::uintptr_t low, std::uintptr_t high) const {
  std::vector<Party> parties;
  for (const auto& [address, object] : objects_)
    if (object.busy && object.given.at >= low && object.given.at < high) parties.push_back(object.given);
  return parties;
}

const Party* Lifetimes::creator_of_thread(std::uintptr_t routine) const {
  for (const auto& [id, thread] : threads_)
    if (thread.routine == routine) return &thread.by;
  return nullptr;
}

namespace {

template <class Blocks>
const Party* block_around(const Blocks& blocks, std::uintptr_t address) {
  auto block = blocks.upper_bound(address);
  if (block == blocks.begin()) return nullptr;
  --block;
  return address < block->first + block->second.size ? &block->second.by : nullptr;
}

}  // namespace

const Party* Lifetimes::freed(std::uintptr_t address) const { return block_around(freed_, address); }
const Party* Lifetimes::allocated_paged(std::uintptr_t address) const { return block_around(paged_, address); }

void Lifetimes::on(Scene& scene, const ObjectInitialized& fact) {
  const Kind kind = kind_of(fact.kind);
  if (kind == Kind::Unknown) return;
  Object& object = objects_[fact.object.value];
  if (object.waiters != 0)
    scene.report(RuleId::ReinitializedWhileWaited,
                 fmt::format("The {} {:#x} is initialised again while a thread waits for it: nothing will ever wake that thread.", name_of(kind),
                             fact.object.value),
                 {scene.here("initialised again here"), object.waited});
  object = {};
  object.kind = kind;
  object.initialized = scene.brief("initialised here");
  look_for_stack(scene, fact.object.value, object);
  if (const Party* allocated = allocated_paged(fact.object.value))
    scene.report(RuleId::ObjectInPagedPool, fmt::format("The {} {:#x} is made in paged pool.", name_of(kind), fact.object.value),
                 {scene.here("initialised here"), *allocated});
}

// The kernel has taken the object: into a queue, or a table.
Lifetimes::Object& Lifetimes::give(Scene& scene, std::uintptr_t address, Kind kind, const char* role) {
  Object& object = objects_[address];
  object.kind = kind;
  object.busy = true;
  object.given = scene.here(role);
  look_for_stack(scene, address, object);
  return object;
}

void Lifetimes::look_for_stack(Scene& scene, std::uintptr_t address, Object& object) {
  object.on_stack = scene.stack_word(address) != StackWord::None;
  object.gone = false;
  if (object.on_stack && std::find(on_stacks_.begin(), on_stacks_.end(), address) == on_stacks_.end()) on_stacks_.push_back(address);
}

void Lifetimes::on(Scene& scene, const DpcQueued& fact) { give(scene, fact.dpc.value, Kind::Dpc, "queued here").routine = fact.routine.value; }

void Lifetimes::on(Scene&, const DpcRemoved& fact) { objects_[fact.dpc.value].busy = false; }

void Lifetimes::on(Scene& scene, const TimerSet& fact) {
  Object& object = give(scene, fact.timer.value, Kind::Timer, "set here");
  object.period = fact.period;
  object.dpc = fact.dpc.value;
  if (fact.dpc.value != 0) objects_[fact.dpc.value].timer = fact.timer.value;
}

void Lifetimes::on(Scene&, const TimerCancelled& fact) { objects_[fact.timer.value].busy = false; }

void Lifetimes::on(Scene& scene, const TimerExpired& fact) {
  const auto found = objects_.find(fact.timer.value);
  if (found == objects_.end()) return;  // a thread's own
  check_stack(scene, fact.timer.value, "The clock has found the timer due");
  found->second.busy = found->second.period != 0;
}

void Lifetimes::on(Scene& scene, const WorkQueued& fact) { give(scene, fact.item.value, Kind::WorkItem, "queued here").routine = fact.routine.value; }

// It is its owner's again.
void Lifetimes::on(Scene& scene, const ActivityBegan& fact) {
  if (fact.kind != ActivityKind::Dpc && fact.kind != ActivityKind::ThreadedDpc && fact.kind != ActivityKind::WorkItem) return;
  const auto found = objects_.find(fact.object.value);
  if (found == objects_.end()) return;
  check_stack(scene, fact.object.value, "The kernel has just taken it off its queue");
  found->second.busy = false;
}

void Lifetimes::on(Scene& scene, const WaitBegan& fact) {
  const auto found = objects_.find(fact.object.value);
  if (found == objects_.end()) return;
  ++found->second.waiters;
  found->second.waited = scene.here("waits here");
}

void Lifetimes::on(Scene&, const WaitEnded& fact) {
  const auto found = objects_.find(fact.object.value);
  if (found != objects_.end() && found->second.waiters != 0) --found->second.waiters;
}

void Lifetimes::on(Scene& scene, const ObjectSignalled& fact) {
  const auto found = objects_.find(fact.object.value);
  if (found == objects_.end()) return;
  const Object& object = found->second;
  if (!object.gone && scene.stack_word(fact.object.value) != StackWord::Dead) return;
  std::vector<Party> parties = {scene.here("signalled here"), object.initialized};
  if (object.waited) parties.push_back(object.waited);
  scene.report(
      RuleId::ObjectOnDeadStack,
      fmt::format("The {} {:#x} lay in a function's local variables, and that function has returned: whatever lies there now was overwritten.",
                  name_of(object.kind), fact.object.value),
      std::move(parties));
}

void Lifetimes::check_stack(Scene& scene, std::uintptr_t address, const char* what) {
  const Object& object = objects_[address];
  if (!object.on_stack || scene.stack_word(address) != StackWord::Dead) return;
  std::vector<Party> parties = {object.given};
  if (object.initialized) parties.push_back(object.initialized);
  scene.report(
      RuleId::ObjectOnDeadStack,
      fmt::format("The {} {:#x} lies in a function's local variables, and that function has returned. {}.", name_of(object.kind), address, what),
      std::move(parties));
}

void Lifetimes::on(Scene&, const InterruptConnected& fact) {
  if (fact.connected) disconnected_.erase(fact.interrupt.value);
}

void Lifetimes::on(Scene& scene, const RoutineEntered& fact) {
  // Soon something else lies there, and it cannot be seen any more.
  std::erase_if(on_stacks_, [&](std::uintptr_t address) {
    Object& object = objects_[address];
    if (scene.stack_word(address) != StackWord::Dead) return false;
    if (object.busy) check_stack(scene, address, "The kernel still holds on to it");
    return object.gone = true;
  });
  if (fact.object.value == 0 || disconnected_.empty()) return;
  const auto gone = disconnected_.find(fact.object.value);
  if (gone == disconnected_.end()) return;
  switch (scene.actor().call) {
    case Call::KeSynchronizeExecution:
    case Call::KeAcquireInterruptSpinLock:
    case Call::KeReleaseInterruptSpinLock:
      scene.report(RuleId::InterruptUsedAfterDisconnect, fmt::format("The interrupt object {:#x} is used, and was disconnected before.", gone->first),
                   {scene.here("used here"), gone->second});
      return;
    default: return;
  }
}

void Lifetimes::on(Scene& scene, const ThreadCreated& fact) { threads_[fact.thread] = {fact.routine.value, scene.brief("created here")}; }
void Lifetimes::on(Scene&, const ThreadEnded& fact) { threads_.erase(fact.thread); }

void Lifetimes::on(Scene& scene, const PoolAllocated& fact) {
  freed_.erase(fact.block.value);
  if (fact.paged) paged_[fact.block.value] = {fact.size, scene.brief("allocated from paged pool here")};
}

void Lifetimes::on(Scene& scene, const PoolFreed& fact) {
  const std::uintptr_t low = fact.block.value, high = low + fact.size;
  const Party by = scene.brief("freed here");
  if (freed_.size() >= kFreedKept) freed_.clear();
  freed_[low] = {fact.size, by};
  paged_.erase(low);
  if (scene.actor().call == Call::IoDisconnectInterrupt || scene.actor().call == Call::IoDisconnectInterruptEx)
    disconnected_[low] = by.as("disconnected here");

  const auto first = objects_.lower_bound(low);
  if (first == objects_.end() || first->first >= high) return;
  for (auto each = first; each != objects_.end() && each->first < high; ++each) {
    const Object& object = each->second;
    if (object.waiters != 0)
      scene.report(
          RuleId::FreedWhileWaited,
          fmt::format("The pool block {:#x} is freed, and a thread waits for the {} {:#x} inside it.", low, name_of(object.kind), each->first),
          {scene.here("freed here"), object.waited});
  }
  objects_.erase(first, objects_.lower_bound(high));
}

void Lifetimes::on(Scene&, const ImageUnloading& fact) {
  const auto inside = [&](std::uintptr_t address) { return address - fact.base.value < fact.size; };
  std::erase_if(objects_, [&](const auto& each) { return inside(each.first); });
}

}  // namespace kdpc::rules
