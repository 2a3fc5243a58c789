#include "kernel/interrupt.h"

#include <atomic>
#include <cstring>

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "kernel/watchdog.h"
#include "this_machine.h"

namespace kdpc::interrupt {

namespace {

constexpr std::uint32_t kInterruptTag = pool_tag("Intr");

// A vector is shared only when everybody on it agrees and triggers alike (INT-5).
bool fits(const Processor& processor, const InterruptSpec& spec) {
  const Interrupt* head = processor.vectors[spec.vector];
  return head == nullptr || (head->spec.shared && spec.shared && head->spec.trigger == spec.trigger);
}

void append(Processor& processor, Interrupt& object) {
  Interrupt* last = processor.vectors[object.spec.vector];
  if (last == nullptr) {
    processor.vectors[object.spec.vector] = &object;
    return;
  }
  while (last->next != nullptr) last = last->next;
  last->next = &object;
}

void unlink(Processor& processor, Interrupt& object) {
  Interrupt* volatile* slot = &processor.vectors[object.spec.vector];
  while (*slot != &object) slot = const_cast<Interrupt* volatile*>(&(*slot)->next);
  *slot = object.next;  // object.next itself stays: a pass may stand on the object (K.INT-2)
}

bool is_sane(const InterruptSpec& spec) {
  return spec.synchronize_irql >= spec.irql && spec.synchronize_irql <= Irql::High && spec.irql >= Irql::Device && spec.irql < Irql::Synch &&
         irql_of(spec.vector) == spec.irql && (spec.routine != nullptr || spec.message_routine != nullptr);
}

bool call(Interrupt& object) {
  const Irql level = Machine::irql();
  const InterruptSpec& spec = object.spec;
  if (spec.synchronize_irql > level) Machine::set_irql(spec.synchronize_irql);
  const Irql expected = Machine::irql();
  object.lock->acquire_here(LockKind::Interrupt);
  ++object.dispatched;
  const Address routine = spec.routine != nullptr ? Address(spec.routine) : Address(spec.message_routine);
  Machine::observe(ActivityBegan{ActivityKind::Isr, static_cast<std::uint8_t>(expected), routine, &object});
  Machine::window();
  const bool claimed =
      spec.routine != nullptr ? spec.routine(&object, spec.context) != 0 : spec.message_routine(&object, spec.context, spec.message) != 0;
  Machine::observe(ActivityEnded{ActivityKind::Isr, claimed, routine, &object});
  if (const Irql now = Machine::irql(); now != expected)
    bug_check(stop::IrqlUnexpectedValue, {as_parameter(now) << 16 | as_parameter(expected) << 8 | 3, routine.value, as_parameter(&object), 0},
              "An interrupt service routine returned at another IRQL than it was called at.", "IRQL-7");
  object.lock->release_here(LockKind::Interrupt);
  if (expected > level) lower_here(level);
  return claimed;
}

// INT-14: the first that claims a level interrupt ends the walk.
void walk_level(Interrupt* head) {
  for (Interrupt* object = head; object != nullptr; object = object->next)
    if (call(*object)) return;
}

// INT-15: an edge may stand for several devices, so whole passes are made until one finds nothing.
void walk_latched(Interrupt* head) {
  const bool full_pass = sys().options.latched_chain == Options::LatchedChain::FullPass;
  for (bool again = true; again;) {
    again = false;
    for (Interrupt* object = head; object != nullptr; object = object->next) {
      const bool claimed = call(*object);
      again = full_pass ? again || claimed : claimed;
    }
  }
}

// INT-18: a line that stays asserted comes back at once; many times in a row without a pause is a storm.
void watch_for_storm(Processor& self, std::uint8_t vector, const Interrupt& head, bool still_asserted) {
  const Options& options = sys().options;
  if (!still_asserted) {
    if (self.storm_vector == vector) self.storm_count = 0;
    return;
  }
  if (self.storm_vector != vector || self.storm_count == 0 || sys().tick_count - self.storm_since > options.storm_ticks) {
    self.storm_vector = vector;
    self.storm_count = 0;
    self.storm_since = sys().tick_count;
  }
  if (++self.storm_count <= options.storm_dispatches || options.storm_dispatches == 0) return;
  const bool chained = head.next != nullptr;
  bug_check(stop::HardwareInterruptStorm, {as_parameter(head.spec.routine), as_parameter(head.spec.context), as_parameter(&head), chained ? 2u : 1u},
            "An interrupt line stays asserted although its routines have run: none of them quiets the device.", "INT-18");
}

}  // namespace

ConnectResult connect(const InterruptSpec& requested, Interrupt*& first) {
  InterruptSpec spec = requested;
  spec.processors = spec.processors & active_processors();
  if (spec.processors.empty()) return ConnectResult::NoProcessor;
  if (!is_sane(spec)) return ConnectResult::BadParameter;
  const unsigned count = spec.processors.count();
  auto* objects = static_cast<Interrupt*>(sys().pool.allocate(sizeof(Interrupt) * count, kInterruptTag));
  if (objects == nullptr) return ConnectResult::NoMemory;
  std::memset(static_cast<void*>(objects), 0, sizeof(Interrupt) * count);
  unsigned index = 0;
  for (const unsigned number : spec.processors) {
    Interrupt& object = objects[index];
    object.first = objects;
    object.sibling = index + 1 < count ? &objects[index + 1] : nullptr;
    object.spec = spec;
    object.lock = spec.lock != nullptr ? spec.lock : &objects[0].own_lock;
    object.processor = static_cast<std::uint16_t>(number);
    ++index;
  }
  bool fitting = true;
  {
    Locked<Irql::High> locked(sys().vector_lock, LockKind::Dispatcher);
    for (const unsigned number : spec.processors) fitting = fitting && fits(processor(number), spec);
    if (fitting) {
      for (Interrupt* object = objects; object != nullptr; object = object->sibling) {
        object->connected = true;
        append(processor(object->processor), *object);
        Machine::observe(
            InterruptConnected{object, spec.routine != nullptr ? Address(spec.routine) : Address(spec.message_routine), spec.vector, true});
      }
      for (const unsigned number : spec.processors) Machine::route({spec.vector, static_cast<std::uint16_t>(number), true});
    }
  }
  if (!fitting) {
    sys().pool.free(objects, kInterruptTag);
    return ConnectResult::VectorTaken;
  }
  first = objects;
  return ConnectResult::Connected;
}

void disconnect(Interrupt* any) {
  Interrupt* objects = any->first;
  const InterruptSpec spec = objects->spec;
  {
    Locked<Irql::High> locked(sys().vector_lock, LockKind::Dispatcher);
    for (Interrupt* object = objects; object != nullptr; object = object->sibling) {
      Processor& where = processor(object->processor);
      unlink(where, *object);
      object->connected = false;
      if (where.vectors[spec.vector] == nullptr) Machine::route({spec.vector, object->processor, false});
      Machine::observe(
          InterruptConnected{object, spec.routine != nullptr ? Address(spec.routine) : Address(spec.message_routine), spec.vector, false});
    }
  }
  // Pairs with the fence in service_here(): either that pass is seen here, or it does not see these objects any more.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (const unsigned number : spec.processors) {
    volatile std::uintptr_t& passes = processor(number).servicing[spec.vector];
    while (passes != 0) Machine::spin_pause(&passes);
  }
  sys().pool.free(objects, kInterruptTag);
}

unsigned char synchronize(Interrupt& object, SynchronizedRoutine* routine, void* context) {
  const Irql previous = acquire_lock(object);
  Machine::observe(ActivityBegan{ActivityKind::SynchronizedRoutine, static_cast<std::uint8_t>(object.spec.synchronize_irql), routine, &object});
  const unsigned char result = routine(context);
  Machine::observe(ActivityEnded{ActivityKind::SynchronizedRoutine, result != 0, routine, &object});
  release_lock(object, previous);
  return result;
}

Irql acquire_lock(Interrupt& object) NO_PERMISSION_CHECK {
  const Irql previous = raise_for_driver(object.spec.synchronize_irql);
  object.lock->acquire_here(LockKind::Interrupt);
  return previous;
}

void release_lock(Interrupt& object, Irql previous) NO_PERMISSION_CHECK {
  object.lock->release_here(LockKind::Interrupt);
  lower_for_driver(previous);
}

void service_here(Processor& self, std::uint8_t vector) {
  watchdog::isr_begins(self);
  volatile std::uintptr_t& passes = self.servicing[vector];
  passes = passes + 1;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Interrupt* head = self.vectors[vector];
  if (head == nullptr) {
    ++self.unexpected_interrupts;
    Machine::observe(UnexpectedInterrupt{vector});
    passes = passes - 1;
    Machine::end_of_interrupt(vector);
    return;
  }
  if (head->next == nullptr) {
    call(*head);  // INT-13: nobody else could have meant it, so the answer decides nothing
  } else if (head->spec.trigger == Trigger::Level) {
    walk_level(head);
  } else {
    walk_latched(head);
  }
  const bool still_asserted = Machine::end_of_interrupt(vector);
  watch_for_storm(self, vector, *head, still_asserted);
  passes = passes - 1;
}

}  // namespace kdpc::interrupt
