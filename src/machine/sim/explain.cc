#include "machine/sim/explain.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <iterator>

#include "kernel/bugcheck.h"
#include "kernel/mutex.h"
#include "kernel/system.h"
#include "machine/sim/fiber.h"
#include "machine/sim/run.h"
#include "machine/sim/world.h"

namespace kdpc::sim::explain {

namespace {

const char* verb_of(Doing doing) {
  switch (doing) {
    case Doing::Running: return "runs";
    case Doing::Halted: return "is idle";
    case Doing::Stalled: return "stalls";
    case Doing::Spinning: return "spins";
  }
  return "";
}

const char* name_of(WaitReason reason) {
  switch (reason) {
    case WaitReason::Executive: return "waits";
    case WaitReason::Delay: return "delays its execution";
    case WaitReason::QuantumEnd: return "has used up its quantum";
    case WaitReason::Preempted: return "was preempted";
    case WaitReason::Ended: return "has ended";
    case WaitReason::Worker: return "waits for work";
    case WaitReason::Yield: return "has yielded";
  }
  return "";
}

const char* name_of(std::uint8_t object_type) {
  switch (static_cast<ObjectType>(object_type)) {
    case ObjectType::NotificationEvent: return "notification event";
    case ObjectType::SynchronizationEvent: return "synchronization event";
    case ObjectType::Mutant: return "mutex";
    case ObjectType::Semaphore: return "semaphore";
    case ObjectType::Thread: return "thread";
    case ObjectType::NotificationTimer: return "notification timer";
    case ObjectType::SynchronizationTimer: return "synchronization timer";
  }
  return "object";
}

std::string thread_text(const Thread& thread) { return fmt::format("thread {} \"{}\"", thread.id, thread.name); }

// A system worker without work is no clue.
bool waits_for_work(const Thread& thread) {
  if (thread.wait_reason == WaitReason::Worker || kdpc::processor(thread.processor).dpc_thread == &thread) return true;
  for (const WorkerPool& pool : sys().workers)
    if (thread.waiting_for == &pool.available.header) return true;
  return false;
}

std::string object_text(const DispatcherHeader& object) {
  std::string text = fmt::format("the {} at {}", name_of(object.type), fmt::ptr(&object));
  if (object.type != static_cast<std::uint8_t>(ObjectType::Mutant)) return text;
  const Thread* owner = reinterpret_cast<const Mutant&>(object).owner;
  return owner != nullptr ? text + " owned by " + thread_text(*owner) : text;
}

// What it waits for: one object, or several of which all or any will do.
std::string wanted_text(const Thread& thread) {
  if (thread.wait_count < 2) return object_text(*thread.waiting_for);
  std::string text = thread.wait_blocks[0].kind == WaitKind::All ? "all of" : "any of";
  for (std::uint32_t index = 0; index < thread.wait_count; ++index)
    text += (index == 0 ? " " : ", ") + object_text(*thread.wait_blocks[index].object);
  return text;
}

}  // namespace

std::string place(std::uintptr_t address) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(address), &info) == 0 || info.dli_fname == nullptr) return fmt::format("{:#x}", address);
  const std::string path = info.dli_fname;
  const std::string image = path.substr(path.rfind('/') + 1);
  const std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  if (info.dli_sname == nullptr) return fmt::format("{:#x} {}+{:#x}", address, image, offset);
  return fmt::format("{:#x} {}+{:#x} ({}+{:#x})", address, image, offset, info.dli_sname, address - reinterpret_cast<std::uintptr_t>(info.dli_saddr));
}

std::string processor(const Slot& slot) {
  std::string text = fmt::format("processor {} {} at {} in {}", slot.number, verb_of(slot.doing), kdpc::name_of(slot.irql),
                                 thread_text(*slot.processor->current_thread));
  if (slot.doing == Doing::Spinning)
    text += fmt::format(", waiting for {} at {}", slot.spin_word.word() == slot.spin_word.lock() ? "the word" : "its place in the queue of the lock",
                        fmt::ptr(slot.spin_word.lock()));
  for (std::uint32_t index = 0; index < slot.held_count && index < kMaxHeldLocks; ++index)
    text += fmt::format("\n  holds the lock at {} since {} ns (taken by thread {})", fmt::ptr(slot.held[index].lock), slot.held[index].since,
                        slot.held[index].thread);
  std::uintptr_t frames[kMaxFrames];
  const unsigned count = fiber::walk(slot.frame, frames, kMaxFrames);
  for (unsigned index = 0; index < count; ++index) text += "\n  at " + place(frames[index]);
  return text;
}

std::string circle_of_locks(const Circle& circle) {
  std::string text = "deadlock: processors spin for locks that each other hold, so none of them can ever go on.";
  for (unsigned place = 0; place < circle.count; ++place) {
    const Slot& slot = *circle.slots[place];
    const Slot& owner = *circle.slots[(place + 1) % circle.count];
    const HeldLock* held = find_held(owner, slot.spin_word.lock());
    text += fmt::format("\nprocessor {} waits for the lock at {}, which processor {} has held since {} ns", slot.number,
                        fmt::ptr(slot.spin_word.lock()), owner.number, held->since);
  }
  return text + "\n" + everybody();
}

std::string everybody() {
  std::string text;
  for (unsigned number = 0; number < state().processors; ++number) text += (number == 0 ? "" : "\n") + processor(state().slots[number]);
  return text;
}

std::string quiescence() {
  std::string text =
      "nothing will ever happen again: every processor is idle, no DPC is queued, no timer is set, no device has anything to do, and no thread is "
      "ready.";
  const List& threads = sys().threads;
  for (Link* link = threads.first(); link != nullptr; link = threads.after(link)) {
    const Thread& thread = *owner_of<&Thread::all_link>(link);
    if (thread.state != ThreadState::Waiting || waits_for_work(thread)) continue;
    text += fmt::format("\n{} {}", thread_text(thread), name_of(thread.wait_reason));
    if (thread.waiting_for != nullptr) text += " for " + wanted_text(thread);
    const auto* stopped = static_cast<const Stopped*>(thread.machine.extra);
    std::uintptr_t frames[kMaxFrames];
    const unsigned count = stopped == nullptr ? 0 : fiber::walk(stopped->frame, frames, kMaxFrames);
    for (unsigned index = 0; index < count; ++index) text += "\n  at " + place(frames[index]);
  }
  return text;
}

}  // namespace kdpc::sim::explain
