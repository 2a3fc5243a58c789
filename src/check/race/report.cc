#include "check/race/report.h"

#include <fmt/format.h>

#include "check/race/activity.h"

namespace kdpc::race {

namespace {

bool is_raised(const Side& side) { return side.irql >= kDispatch; }
bool is_interrupt(const Side& side) { return side.entry > kDispatch; }
bool is_of_device(const Side& side) { return side.acting == Acting::Device; }

const char* name_of(LockKind kind) {
  switch (kind) {
    case LockKind::Spin: return "spin lock";
    case LockKind::Interrupt: return "interrupt spin lock";
    case LockKind::Cancel: return "cancel spin lock";
    case LockKind::System: return "lock of the system";
    case LockKind::Queued: return "queued spin lock";
    case LockKind::ReaderWriter: return "reader/writer spin lock";
    case LockKind::Push: return "push lock";
  }
  return "lock";
}

}  // namespace

std::string locks_of(const Side& side) {
  std::string text;
  for (const HeldLock& held : side.locks)
    text += fmt::format("{}{} {:#x}{}", text.empty() ? "" : ", ", name_of(held.kind), held.lock, held.shared ? " (shared)" : "");
  return text.empty() ? "no lock" : text;
}

namespace {

std::string who(const Side& side) {
  const bool is_called = side.acting == Acting::Thread && side.routine != 0;
  return fmt::format("{}{}", is_called ? "a routine of a thread" : std::string(side.acting == Acting::Isr ? "an " : "a ") + name_of(side.acting),
                     side.routine != 0 ? fmt::format(" {:#x}", side.routine) : "");
}

// How one thing is handed from one activity to another; a level of a processor orders without anything that people could look up.
std::string text_of(const Edge& edge) {
  switch (edge.kind) {
    case EdgeKind::Began: return fmt::format("its beginning, for {:#x}", edge.object);
    case EdgeKind::Object: return fmt::format("the object {:#x}", edge.object);
    case EdgeKind::Lock: return fmt::format("the lock {:#x}", edge.object);
    case EdgeKind::Interlocked: return fmt::format("the interlocked or volatile variable {:#x}", edge.object);
    case EdgeKind::Device: return "a register of the device";
    case EdgeKind::None:
    case EdgeKind::Level: break;
  }
  return "";
}

// The tag as it stands in memory, and as debuggers show it.
std::string tag_of(std::uint32_t tag) {
  std::string text;
  for (unsigned i = 0; i < 4; ++i) {
    const char letter = static_cast<char>(tag >> 8 * i);
    text += letter >= ' ' && letter <= '~' ? letter : '.';
  }
  return text;
}

std::string place_of(const Race& race, std::uintptr_t at) {
  if (race.block.size == 0 || at - race.block.base >= race.block.size) return fmt::format("{:#x}", at);
  return fmt::format("{:#x}, byte {} of the {} of a pool block '{}',", at, at - race.block.base, race.block.size, tag_of(race.block.tag));
}

const char* access_of(const Side& side) {
  if (side.freed) return "frees";
  if (side.atomic) return side.write ? "changes (interlocked)" : "reads (interlocked)";
  if (side.is_volatile) return side.write ? "writes (volatile)" : "reads (volatile)";
  return side.write ? "writes" : "reads";
}

}  // namespace

const char* id_of(Kind kind) {
  switch (kind) {
    case Kind::Data: return "data-race";
    case Kind::BenignLooking: return "data-race-benign";
    case Kind::Freed: return "data-race-freed";
    case Kind::ArmedObject: return "armed-object-written";
  }
  return "?";
}

bool is_id(std::string_view id) {
  for (const Kind kind : {Kind::Data, Kind::BenignLooking, Kind::Freed, Kind::ArmedObject})
    if (id == id_of(kind)) return true;
  return false;
}

std::string role_of(const Side& side) {
  return fmt::format("{}{} {} byte{} at {:#x}", side.kernel ? "the kernel, in a call of this code, " : "", access_of(side), side.size,
                     side.size == 1 ? "" : "s", side.at);
}

std::string sentence_of(const Race& race) {
  const Side& one = race.first;
  const Side& other = race.second;
  switch (race.kind) {
    case Kind::ArmedObject:
      return fmt::format("{} bytes at {:#x} are written, which lie in an object that the kernel was given and still holds, {:#x}.", other.size,
                         other.at, one.at);
    case Kind::Freed:
      return fmt::format("Memory at {} is freed, and accessed by {}, and nothing orders the two{}.", place_of(race, one.freed ? other.at : one.at),
                         who(one.freed ? other : one), race.verdict == Verdict::Certain ? "" : " but chance");
    case Kind::Data:
    case Kind::BenignLooking: break;
  }
  return fmt::format("The same bytes at {} are accessed by {} and by {}, at least one of them writes, and nothing orders the two{}.",
                     place_of(race, other.at), who(one), who(other), race.verdict == Verdict::Certain ? "" : " but chance");
}

std::string why_of(const Race& race) {
  const Side& one = race.first;
  const Side& other = race.second;
  if (race.kind == Kind::ArmedObject) return "From when it is queued, or set, until its routine is called or it is taken back, it is the kernel's.";
  std::string text;
  if (is_of_device(one) || is_of_device(other)) {
    text = "A device waits for no IRQL and no lock.";
    const std::string edge = text_of(is_of_device(one) ? other.edge : one.edge);
    if (edge.empty()) return text;
    if (is_of_device(one)) return text + fmt::format(" Before its access the driver was last ordered by {}.", edge);
    return text + fmt::format(" After its access the driver last ordered others by {}.", edge);
  }
  if (one.processor != other.processor) {
    text = fmt::format("They ran on processors {} and {}, where neither IRQL holds up the other; ", one.processor, other.processor);
  } else if (one.irql < other.entry || other.irql < one.entry) {
    const Side& low = one.irql < other.entry ? one : other;
    const Side& high = one.irql < other.entry ? other : one;
    text = fmt::format("The {} comes at IRQL {}, and the {} is at IRQL {}, where it can be interrupted at every instruction; ",
                       race::name_of(high.acting), high.entry, race::name_of(low.acting), low.irql);
  } else if (!is_raised(one) || !is_raised(other)) {
    text = "Below DISPATCH_LEVEL each may be preempted, or run on another processor; ";
  } else {
    text = fmt::format("That they ran on the same processor, {}, is chance: nothing ties {} to it; ", one.processor,
                       one.pinned     ? "the second"
                       : other.pinned ? "the first"
                                      : "either of them");
  }
  if (one.locks.empty() && other.locks.empty()) {
    text += "neither holds a lock.";
  } else {
    text += fmt::format("the first holds {}, the second {}.", locks_of(one), locks_of(other));
  }
  if (race.verdict == Verdict::Potential) text += " In this run something has ordered them all the same.";
  const std::string since = text_of(one.edge), before = text_of(other.edge);
  if (!since.empty()) text += fmt::format(" After its access the first last ordered others by {}.", since);
  if (!before.empty()) text += fmt::format(" Before its access the second was last ordered by {}.", before);
  return text;
}

const char* fix_of(const Race& race) {
  const Side& one = race.first;
  const Side& other = race.second;
  const bool has_device = is_of_device(one) || is_of_device(other);
  switch (race.kind) {
    case Kind::ArmedObject:
      return "Take it back first (KeRemoveQueueDpc, KeCancelTimer) and let what has begun end (KeFlushQueuedDpcs); then change or initialise it.";
    case Kind::Freed:
      if (has_device)
        return "Before memory that a device uses is freed, stop the device by a register, and read one to know that it has stopped: neither a write "
               "that is only on its way nor IoDisconnectInterrupt keeps it from its memory.";
      return "Before memory is freed, stop everything that uses it: disconnect the interrupt, cancel the timer, remove the DPC, and wait for what "
             "has begun (KeFlushQueuedDpcs; for a work item an event).";
    case Kind::BenignLooking: return "Read it with an interlocked operation, or ReadAcquire and the like, as it is written.";
    case Kind::Data: break;
  }
  if (has_device)
    return "Read first what the device writes last, the descriptor's done bit as a volatile, or else a register of the device, and only then the "
           "rest; give memory to the device by a volatile write of the descriptor's owner bit, or by writing a register, when it is complete.";
  if (one.kernel || other.kernel)
    return "What a routine of the kernel's changes, change by such routines everywhere (ExInterlocked…, IoSetCancelRoutine), or hold one lock around "
           "both.";
  if (one.atomic || other.atomic) return "Access it by interlocked operations everywhere, or by none and under one lock.";
  const bool isr = one.acting == Acting::Isr || other.acting == Acting::Isr;
  const bool both_isr = one.acting == Acting::Isr && other.acting == Acting::Isr;
  if (isr && (is_interrupt(one) || is_interrupt(other))) {
    if (both_isr) return "Connect both interrupts with one spin lock of the driver's, and the higher of their levels as SynchronizeIrql.";
    return "Outside of the ISR, access it between KeAcquireInterruptSpinLock and KeReleaseInterruptSpinLock, or in a routine for "
           "KeSynchronizeExecution. An ordinary spin lock does not keep an ISR out.";
  }
  if (isr) return "Access it in a routine for KeSynchronizeExecution, which also keeps out a passive-level ISR.";
  const auto is_dpc = [](const Side& side) {
    return side.acting == Acting::Dpc || side.acting == Acting::TimerDpc || side.acting == Acting::ThreadedDpc;
  };
  if (is_dpc(one) && is_dpc(other))
    return "A spin lock in both (KeAcquireSpinLockAtDpcLevel): DPCs run on several processors at once, the same KDPC not excepted.";
  if (is_dpc(one) || is_dpc(other))
    return "A spin lock: KeAcquireSpinLock in the thread, KeAcquireSpinLockAtDpcLevel in the DPC. To raise the IRQL alone keeps out DPCs of one "
           "processor only.";
  if (is_raised(one) || is_raised(other)) return "A spin lock in both (KeAcquireSpinLock): to raise the IRQL says nothing to other processors.";
  return "One lock in both: a spin lock, or, as both are below DISPATCH_LEVEL, a fast mutex; for a counter, InterlockedIncrement.";
}

}  // namespace kdpc::race
