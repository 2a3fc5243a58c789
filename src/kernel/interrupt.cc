#include "kernel/interrupt.h"

#include <xmmintrin.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernel/bugcheck.h"
#include "kernel/passive_interrupt.h"
#include "kernel/system.h"
#include "kernel/watchdog.h"
#include "this_machine.h"

namespace kdpc::interrupt {

namespace {

constexpr std::uint32_t kInterruptTag = pool_tag("Intr");

bool is_passive(const InterruptSpec& spec) { return spec.irql == Irql::Passive; }

bool is_sane(const InterruptSpec& spec) {
  if (spec.routine == nullptr && spec.message_routine == nullptr) return false;
  if (irql_of(spec.vector) < Irql::Device || irql_of(spec.vector) >= Irql::Synch) return false;
  if (is_passive(spec)) return spec.synchronize_irql == Irql::Passive && spec.lock == nullptr;
  return irql_of(spec.vector) == spec.irql && spec.synchronize_irql >= spec.irql && spec.synchronize_irql <= Irql::High;
}

// One block of memory: the first object, then those of the other processors.
Interrupt* make_set(const InterruptSpec& spec, PassiveService* service) {
  const unsigned count = spec.processors.count();
  auto* objects = static_cast<Interrupt*>(sys().pool.allocate(sizeof(Interrupt) * count, kInterruptTag, PoolType::NonPaged, Pool::kObject));
  if (objects == nullptr) return nullptr;
  std::memset(static_cast<void*>(objects), 0, sizeof(Interrupt) * count);
  wait::initialize_event(objects[0].own_event, ObjectType::SynchronizationEvent, true);
  unsigned index = 0;
  for (const unsigned number : spec.processors) {
    Interrupt& object = objects[index++];
    object.type = Interrupt::kType;
    object.size = sizeof(Interrupt);
    object.first = objects;
    object.sibling = index < count ? &objects[index] : nullptr;
    object.routine = spec.routine;
    object.message_routine = spec.message_routine;
    object.message = spec.message;
    object.context = spec.context;
    object.vector = spec.vector;
    object.irql = spec.irql;
    object.synchronize_irql = spec.synchronize_irql;
    object.shared = spec.shared;
    object.trigger = spec.trigger;
    object.processor = number;
    object.processors = spec.processors;
    object.active_count = 1;
    object.service = service;
    if (service != nullptr) {
      object.passive_event = &objects[0].own_event;
    } else {
      object.lock = spec.lock != nullptr ? spec.lock : &objects[0].own_lock;
    }
  }
  return objects;
}

// A vector is shared only when everybody on it agrees, triggers alike (INT-5), and runs alike.
bool fits(const Processor& processor, const InterruptSpec& spec, const PassiveService* service) {
  const Interrupt* head = processor.vectors[spec.vector];
  return head == nullptr || (head->shared && spec.shared && head->trigger == spec.trigger && head->service == service);
}

void append(Processor& processor, Interrupt& object) {
  Interrupt* last = processor.vectors[object.vector];
  if (last == nullptr) {
    processor.vectors[object.vector] = &object;
    return;
  }
  while (last->next != nullptr) last = last->next;
  last->next = &object;
}

void unlink(Processor& processor, Interrupt& object) {
  Interrupt* volatile* slot = &processor.vectors[object.vector];
  while (*slot != &object) slot = const_cast<Interrupt* volatile*>(&(*slot)->next);
  *slot = object.next;  // object.next itself stays: a pass may stand on the object (K.INT-2)
}

void state_connection(const Interrupt& object, bool connected) {
  Machine::observe(InterruptConnected{&object, Address::at(routine_of(object)), static_cast<std::uint8_t>(object.vector), connected,
                                      object.trigger == Trigger::Latched});
}

// The set on all its processors, or nothing.
bool open(Interrupt* set, const InterruptSpec& spec) {
  Locked<Irql::High> locked(sys().vector_lock, LockKind::System);
  bool first_of_vector = true;
  for (const unsigned number : spec.processors) {
    if (!fits(processor(number), spec, set->service)) return false;
    first_of_vector = first_of_vector && processor(number).vectors[spec.vector] == nullptr;
  }
  if (first_of_vector) sys().left_asserting[spec.vector] = false;
  const RoutesFollow routes(spec.vector);
  for (Interrupt* object = set; object != nullptr; object = object->sibling) {
    object->connected = true;
    append(processor(object->processor), *object);
    state_connection(*object, true);
  }
  return true;
}

void close(Interrupt* set) {
  const auto vector = static_cast<std::uint8_t>(set->vector);
  Locked<Irql::High> locked(sys().vector_lock, LockKind::System);
  const RoutesFollow routes(vector);
  bool alone = true;
  for (Interrupt* object = set; object != nullptr; object = object->sibling) {
    Processor& where = processor(object->processor);
    unlink(where, *object);
    object->connected = false;
    alone = alone && where.vectors[vector] == nullptr;
    state_connection(*object, false);
  }
  if (set->trigger == Trigger::Latched || !Machine::is_asserted(vector)) return;
  // Perhaps by another device on the line; if nobody quiets it, it was this one (INT-26).
  sys().left_asserting[vector] = true;
  Machine::observe(DisconnectedWhileAsserting{set, Address::at(routine_of(*set)), vector, alone});
}

// Returns when no pass over the vector that began before is still running. A later one does not see what was removed before.
void wait_for_passes(std::uint8_t vector, ProcessorSet processors) {
  // Pairs with the fence in service_here(): either that pass is seen here, or it does not see the removed objects any more.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (const unsigned number : processors) {
    const volatile std::uintptr_t& passes = processor(number).passes[vector];
    const std::uintptr_t seen = passes;
    if (seen % 2 == 0) continue;
    while (passes == seen) Machine::spin_pause(&passes);
  }
}

// The control bits of SSE: what an ISR must leave as it found it and a compiler does not look after (INT-20).
constexpr unsigned kSseStatusFlags = 0x3F;
unsigned sse_control() { return _mm_getcsr() & ~kSseStatusFlags; }

// Free and checked builds look at the level only; what else there is to see, only Driver Verifier sees.
void check_return(Interrupt& object, Irql expected, unsigned sse_before) {
  const bool as_verifier = sys().options.irql_checks == Options::IrqlChecks::Strict;
  const std::uintptr_t routine = routine_of(object);
  if (const Irql now = Machine::irql(); now != expected) {
    constexpr const char* kSentence = "An interrupt service routine returned at another IRQL than it was called at.";
    if (as_verifier)
      bug_check(stop::DriverVerifierDetectedViolation, {0x111, routine, as_parameter(expected), as_parameter(now)}, kSentence, "INT-20");
    bug_check(stop::IrqlUnexpectedValue, {as_parameter(now) << 16 | as_parameter(expected) << 8 | 3, routine, as_parameter(&object), 0}, kSentence,
              "IRQL-7");
  }
  const unsigned sse_after = sse_control();
  if (!as_verifier || sse_after == sse_before) return;
  object.sse_control_before = sse_before;
  object.sse_control_after = sse_after;
  _mm_setcsr(sse_before);
  bug_check(stop::DriverVerifierDetectedViolation,
            {0x110, routine, as_parameter(&object.sse_control_before), as_parameter(&object.sse_control_after)},
            "An interrupt service routine returned with another mode of floating-point arithmetic (MXCSR) than it was called with.", "INT-20");
}

// With the object's lock, or its event at Passive.
bool serve(Interrupt& object, Irql level, bool chained) {
  const Address routine = Address::at(routine_of(object));
  ++object.dispatch_count;
  ++object.statistics.isr_count;
  object.statistics.isr_active = 1;
  Machine::observe(ActivityBegan{ActivityKind::Isr, static_cast<std::uint8_t>(level), routine, &object});
  Machine::window();
  const unsigned sse_before = sse_control();
  const bool claimed =
      object.routine != nullptr ? object.routine(&object, object.context) != 0 : object.message_routine(&object, object.context, object.message) != 0;
  Machine::observe(ActivityEnded{ActivityKind::Isr, claimed, routine, &object});
  check_return(object, level, sse_before);
  const auto vector = static_cast<std::uint8_t>(object.vector);
  if (Machine::observes()) Machine::observe(IsrAnswered{&object, routine, vector, chained, claimed, Machine::is_asserted(vector)});
  object.statistics.isr_active = 0;
  if (claimed) ++object.service_count;
  return claimed;
}

bool call(Interrupt& object, bool chained) {
  if (object.passive_event != nullptr) {
    passive::acquire(object);
    object.service_thread = &thread::current();
    const bool claimed = serve(object, Irql::Passive, chained);
    object.service_thread = nullptr;
    passive::release(object);
    return claimed;
  }
  const Irql level = Machine::irql();
  const Irql raised = std::max(level, object.synchronize_irql);
  if (raised > level) Machine::set_irql(raised);
  object.lock->acquire_here(LockKind::Interrupt);
  const bool claimed = serve(object, raised, chained);
  object.lock->release_here(LockKind::Interrupt);
  if (raised > level) lower_here(level);
  return claimed;
}

// A set may have gone, or become inactive, since the pass began.
bool takes_part(const Interrupt& object) { return object.connected && object.active_count != 0; }

// INT-14: the first that claims a level interrupt ends the walk.
void walk_level(Interrupt* head) {
  for (Interrupt* object = head; object != nullptr; object = object->next)
    if (takes_part(*object) && call(*object, true)) return;
}

// INT-15: an edge may stand for several devices, so whole passes are made until one finds nothing.
void walk_latched(Interrupt* head) {
  const bool full_pass = sys().options.latched_chain == Options::LatchedChain::FullPass;
  for (bool again = true; again;) {
    again = false;
    for (Interrupt* object = head; object != nullptr; object = object->next) {
      if (!takes_part(*object)) continue;
      const bool claimed = call(*object, true);
      again = full_pass ? again || claimed : claimed;
    }
  }
}

// INT-18: a line that stays asserted comes back at once; many times in a row without a pause is a storm.
void watch_for_storm(Processor& self, std::uint8_t vector, const Interrupt& head, bool still_asserted) {
  const Options& options = sys().options;
  if (!still_asserted) {
    if (self.storm_vector == vector) self.storm_count = 0;
    sys().left_asserting[vector] = false;
    return;
  }
  if (self.storm_vector != vector || self.storm_count == 0 || sys().tick_count - self.storm_since > options.storm_ticks) {
    self.storm_vector = vector;
    self.storm_count = 0;
    self.storm_since = sys().tick_count;
  }
  if (++self.storm_count <= options.storm_dispatches || options.storm_dispatches == 0) return;
  const bool chained = head.next != nullptr;
  const bool was_left = sys().left_asserting[vector];
  bug_check(stop::HardwareInterruptStorm, {routine_of(head), as_parameter(head.context), as_parameter(&head), chained ? 2u : 1u},
            was_left ? "An interrupt line stays asserted since a driver disconnected its routine without quieting its device."
                     : "An interrupt line stays asserted although its routines have run: none of them quiets the device.",
            was_left ? "INT-26" : "INT-18");
}

}  // namespace

std::uintptr_t routine_of(const Interrupt& object) {
  return object.routine != nullptr ? reinterpret_cast<std::uintptr_t>(object.routine) : reinterpret_cast<std::uintptr_t>(object.message_routine);
}

ProcessorSet RoutesFollow::wanted() const {
  ProcessorSet set;
  for (const unsigned number : active_processors())
    for (const Interrupt* object = processor(number).vectors[vector_]; object != nullptr; object = object->next)
      if (object->active_count != 0 && (object->service == nullptr || !object->service->masked)) set.add(number);
  return set;
}

RoutesFollow::~RoutesFollow() {
  const ProcessorSet after = wanted();
  for (const unsigned number : before_)
    if (!after.has(number)) Machine::route({vector_, static_cast<std::uint16_t>(number), false});
  for (const unsigned number : after)
    if (!before_.has(number)) Machine::route({vector_, static_cast<std::uint16_t>(number), true});
}

ConnectResult connect(const InterruptSpec& requested, Interrupt*& first) {
  InterruptSpec spec = requested;
  spec.processors = spec.processors & active_processors();
  if (spec.processors.empty()) return ConnectResult::NoProcessor;
  if (!is_sane(spec)) return ConnectResult::BadParameter;
  PassiveService* service = is_passive(spec) ? passive::enter(spec.vector, spec.trigger) : nullptr;
  if (is_passive(spec) && service == nullptr) return ConnectResult::NoMemory;
  Interrupt* set = make_set(spec, service);
  const bool opened = set != nullptr && open(set, spec);
  if (service != nullptr) {
    service->sets += opened ? 1 : 0;
    passive::leave(*service);
  }
  if (opened) {
    first = set;
    return ConnectResult::Connected;
  }
  if (set == nullptr) return ConnectResult::NoMemory;
  sys().pool.free(set, kInterruptTag);
  return ConnectResult::VectorTaken;
}

void disconnect(Interrupt* any) {
  Interrupt* set = any->first;
  const auto vector = static_cast<std::uint8_t>(set->vector);
  const ProcessorSet processors = set->processors;
  PassiveService* service = set->service;
  if (service != nullptr) passive::enter(vector, set->trigger);  // waits for the routines
  close(set);
  wait_for_passes(vector, processors);
  if (service != nullptr) {
    --service->sets;
    passive::leave(*service);
  }
  sys().pool.free(set, kInterruptTag);
}

bool is_connected(const Interrupt* candidate) {
  Locked<Irql::High> locked(sys().vector_lock, LockKind::System);
  for (const unsigned number : active_processors())
    for (const Interrupt* head : processor(number).vectors)
      for (const Interrupt* object = head; object != nullptr; object = object->next)
        if (object->first == candidate) return true;
  return false;
}

void set_active(Interrupt* first, bool active) {
  const auto vector = static_cast<std::uint8_t>(first->vector);
  Locked<Irql::High> locked(sys().vector_lock, LockKind::System);
  if ((first->active_count != 0) == active) return;
  const RoutesFollow routes(vector);
  for (Interrupt* object = first; object != nullptr; object = object->sibling) object->active_count = active ? 1 : 0;
  Machine::observe(InterruptActivated{first, vector, active});
}

unsigned char synchronize(Interrupt& object, SynchronizedRoutine* routine, void* context) {
  const bool passive = object.passive_event != nullptr;
  Irql previous = Irql::Passive;
  if (passive) {
    passive::acquire(object);
  } else {
    previous = acquire_lock(object);
  }
  Machine::observe(ActivityBegan{ActivityKind::SynchronizedRoutine, static_cast<std::uint8_t>(object.synchronize_irql), routine, &object});
  const unsigned char result = routine(context);
  Machine::observe(ActivityEnded{ActivityKind::SynchronizedRoutine, result != 0, routine, &object});
  if (passive) {
    passive::release(object);
  } else {
    release_lock(object, previous);
  }
  return result;
}

Irql acquire_lock(Interrupt& object) NO_PERMISSION_CHECK {
  if (object.lock == nullptr)
    bug_check(stop::PassiveInterruptError, {1, as_parameter(&object), 0, 0},
              "The spin lock of an interrupt was asked for whose routine runs at PASSIVE_LEVEL: it has none.", "INT-22");
  const Irql previous = raise_for_driver(object.synchronize_irql);
  object.lock->acquire_here(LockKind::Interrupt);
  return previous;
}

void release_lock(Interrupt& object, Irql previous) NO_PERMISSION_CHECK {
  if (object.lock == nullptr)
    bug_check(stop::PassiveInterruptError, {1, as_parameter(&object), 0, 0},
              "The spin lock of an interrupt was released whose routine runs at PASSIVE_LEVEL: it has none.", "INT-22");
  object.lock->release_here(LockKind::Interrupt);
  lower_for_driver(previous);
}

void walk(Interrupt* head) {
  if (head->next == nullptr) {
    if (takes_part(*head)) call(*head, false);  // INT-13: nobody else could have meant it, so the answer decides nothing
  } else if (head->trigger == Trigger::Level) {
    walk_level(head);
  } else {
    walk_latched(head);
  }
}

void service_here(Processor& self, std::uint8_t vector) {
  watchdog::isr_begins(self);
  volatile std::uintptr_t& passes = self.passes[vector];
  passes = passes + 1;  // odd: a pass is running
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Interrupt* head = self.vectors[vector];
  if (head == nullptr) {
    ++self.unexpected_interrupts;
    Machine::observe(UnexpectedInterrupt{vector});
    passes = passes + 1;
    Machine::end_of_interrupt(vector);
    return;
  }
  if (head->service != nullptr) {
    passive::interrupted_here(self, *head->service);
    Machine::end_of_interrupt(vector);
  } else {
    walk(head);
    const bool still_asserted = Machine::end_of_interrupt(vector);
    watch_for_storm(self, vector, *head, still_asserted);
  }
  passes = passes + 1;
}

}  // namespace kdpc::interrupt
