#include "machine/live/fiber.h"

#include <boost/context/detail/fcontext.hpp>

#include "base/invariant.h"
#include "kernel/entry.h"
#include "kernel/system.h"
#include "machine/live/arena.h"
#include "machine/live/segments.h"
#include "machine/live/tls.h"
#include "machine/sanitizer.h"

namespace kdpc::live::fiber {

namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

// Whoever goes on keeps the context of whom it was left by.
void arrived_from(transfer_t from) {
  Slot& slot = here();
  sanitizer::came_to(&slot);
  *slot.left = from.fctx;
}

// To the sanitizer a thread is its thread-local data, so each fiber has one of its own: it learns once which stack that is on.
void be_on(std::uintptr_t low, std::uintptr_t high) {
  sanitizer::leaving(nullptr, reinterpret_cast<const void*>(low), high - low);
  sanitizer::arrived(nullptr);
}

void begin(transfer_t from) {
  arrived_from(from);
  Thread& thread = *processor_here()->current_thread;
  be_on(thread.machine.stack_low, thread.machine.stack_high);
  if (!thread.is_idle) set_irql(Irql::Synch);
  entry::thread_begins(thread);
}

KDPC_NOT_SEEN void jump(void** left, void* to, std::uintptr_t fs, std::uintptr_t low, std::uintptr_t high) {
  Slot& slot = here();
  slot.left = left;
  slot.stack_low = low;
  slot.stack_high = high;
  sanitizer::left(&slot);
  segments::set_fs(fs);
  arrived_from(jump_fcontext(to, nullptr));
}

bool make_context(Thread& thread) {
  const arena::Bounds stack = arena::take_stack();
  if (stack.low == 0) return false;
  thread.machine.stack_low = stack.low;
  thread.machine.stack_high = stack.high;
  thread.machine.resume = make_fcontext(reinterpret_cast<void*>(stack.high), stack.high - stack.low, begin);
  return true;
}

}  // namespace

bool make(Thread& thread) {
  tls::Donor* donor = tls::take();
  if (donor == nullptr) return false;
  if (!make_context(thread)) {
    tls::give(donor);
    return false;
  }
  thread.machine.extra = donor;
  return true;
}

void forget(Thread& thread) {
  arena::give_stack(thread.machine.stack_low);
  tls::give(static_cast<tls::Donor*>(thread.machine.extra));
  thread.machine = {};
}

void make_at_home(Thread& idle) {
  tls::give(static_cast<tls::Donor*>(idle.machine.extra));
  idle.machine.extra = nullptr;
}

namespace {

std::uintptr_t fs_of(const Thread& thread) {
  return thread.machine.extra != nullptr ? tls::fs_of(static_cast<const tls::Donor*>(thread.machine.extra)) : here().home_fs;
}

}  // namespace

void enter(Slot& slot) {
  const Thread& thread = *slot.processor->current_thread;
  jump(&slot.home, thread.machine.resume, slot.home_fs, thread.machine.stack_low, thread.machine.stack_high);
  be_on(slot.home_low, slot.home_high);
}

void go_home() {
  Slot& slot = here();
  jump(&slot.abandoned, slot.home, slot.home_fs, slot.home_low, slot.home_high);
  KDPC_INVARIANT("K.LIVE-14", !"an abandoned fiber was entered again");
  __builtin_unreachable();
}

void switch_to(Thread& from, Thread& to) {
  set_irql(Irql::High);
  jump(&from.machine.resume, to.machine.resume, fs_of(to), to.machine.stack_low, to.machine.stack_high);
  set_irql(Irql::Synch);
}

}  // namespace kdpc::live::fiber
