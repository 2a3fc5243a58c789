#include "machine/sim/fiber.h"

#include <boost/context/detail/fcontext.hpp>

#include "base/invariant.h"
#include "kernel/entry.h"
#include "kernel/thread.h"
#include "machine/frames.h"
#include "machine/sanitizer.h"
#include "machine/sim/accesses.h"
#include "machine/sim/world.h"
#include "machine/stack_switch.h"

namespace kdpc::sim::fiber {

namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

// Bounds of the host's own stack, as ASan saw them when the host last left it.
const void* host_stack_low = nullptr;
std::size_t host_stack_size = 0;

void begin(transfer_t from) {
  sanitizer::arrived(nullptr, &host_stack_low, &host_stack_size);
  fixed().host_context = from.fctx;
  exception_state() = {};
  entry::thread_begins(*current().thread);
}

}  // namespace

void* make(std::uintptr_t stack_low, std::uintptr_t stack_high) {
  return make_fcontext(reinterpret_cast<void*>(stack_high), stack_high - stack_low, begin);
}

Departure enter(Slot& slot) {
  Fixed& words = fixed();
  words.current = &slot;
  words.inside = true;
  const ExceptionState of_host = exception_state();
  give_edges(slot);
  accesses::give(slot);
  close_pages_at(slot.irql);
  for (;;) {
    ++words.switches;
    void* fake = nullptr;
    sanitizer::leaving(&fake, reinterpret_cast<const void*>(slot.stack_low), slot.stack_high - slot.stack_low);
    const transfer_t back = jump_fcontext(slot.context, nullptr);
    sanitizer::arrived(fake);
    if (words.departure != Departure::Switch) {
      slot.context = back.fctx;
      break;
    }
    words.leaving->machine.resume = back.fctx;
    Thread& next = *words.entering;
    slot.thread = &next;
    slot.thread_id = next.id;
    slot.context = next.machine.resume;
    slot.stack_low = next.machine.stack_low;
    slot.stack_high = next.machine.stack_high;
  }
  exception_state() = of_host;
  settle(slot);
  accesses::end(slot);
  words.inside = false;
  return words.departure;
}

void leave(Departure why) {
  accesses::tell();
  Fixed& words = fixed();
  words.departure = why;
  words.current->frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const ExceptionState mine = exception_state();
  void* fake = nullptr;
  sanitizer::leaving(&fake, host_stack_low, host_stack_size);
  const transfer_t back = jump_fcontext(words.host_context, nullptr);
  sanitizer::arrived(fake, &host_stack_low, &host_stack_size);
  words.host_context = back.fctx;
  exception_state() = mine;
}

void abandon() {
  Fixed& words = fixed();
  words.departure = Departure::Stop;
  words.current->frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  sanitizer::leaving(nullptr, host_stack_low, host_stack_size);
  jump_fcontext(words.host_context, nullptr);
  KDPC_INVARIANT("K.SIM-3", false && "an abandoned fiber was entered again");
  __builtin_unreachable();
}

unsigned walk(std::uintptr_t frame, std::uintptr_t* frames, unsigned room) { return frames::walk(frame, frames, room, world::is_on_stack); }

}  // namespace kdpc::sim::fiber
