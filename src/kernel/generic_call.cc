#include "kernel/generic_call.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::generic_call {

namespace {

constexpr std::uint64_t kInvalidReferenceCount = 14;  // of bug check 0x139

bool is_lenient() { return sys().options.irql_checks == Options::IrqlChecks::Free; }

// NT spins, until its DPC watchdog acts; here it is certain at once, and these are the parameters it would have.
[[noreturn]] void stop_stuck(const char* sentence, const char* rule) {
  const std::uint32_t limit = sys().options.dpc_time_limit;
  bug_check(stop::DpcWatchdogViolation, {0, limit + std::uint64_t{1}, limit, 0}, sentence, rule);
}

void check_argument(const void* argument, const volatile void* expected) {
  if (argument != const_cast<const void*>(expected))
    bug_check(stop::IrqlNotLessOrEqual, {as_parameter(argument), as_parameter(Machine::irql()), 1, 0},
              "KeSignalCallDpcDone or KeSignalCallDpcSynchronize was not given the argument of the KeGenericCallDpc that is under way.", "GEN-2");
}

bool takes_part(const CallPart& part, std::uint32_t call) { return __atomic_load_n(&part.serial, __ATOMIC_SEQ_CST) == call; }
bool takes_part(const CallPart& part) { return takes_part(part, __atomic_load_n(&sys().generic_call.serial, __ATOMIC_SEQ_CST)); }

// K.CALL-2: somebody waits at the barrier more often than another, whose routine is over, has come.
void check_barrier() {
  if (is_lenient()) return;
  const std::uint32_t call = __atomic_load_n(&sys().generic_call.serial, __ATOMIC_SEQ_CST);
  for (unsigned gone = 0; gone < sys().processor_count; ++gone) {
    const CallPart& left = processor(gone).call;
    if (!takes_part(left, call) || !__atomic_load_n(&left.returned, __ATOMIC_SEQ_CST)) continue;
    for (unsigned number = 0; number < sys().processor_count; ++number) {
      const CallPart& waiting = processor(number).call;
      const bool came_more_often = takes_part(waiting, call) && __atomic_load_n(&waiting.arrivals, __ATOMIC_SEQ_CST) > left.arrivals;
      // Counts of one call: neither processor has begun the next one meanwhile.
      if (came_more_often && takes_part(waiting, call) && takes_part(left, call))
        stop_stuck("Processors wait in KeSignalCallDpcSynchronize for one whose KeGenericCallDpc routine has returned without calling it as often.",
                   "GEN-3");
    }
  }
}

}  // namespace

void initialize(GenericCall& call) {
  wait::initialize_event(call.turn, ObjectType::SynchronizationEvent, true);
  wait::initialize_event(call.done, ObjectType::SynchronizationEvent, false);
}

void run(DpcRoutine* routine, void* context) {
  GenericCall& call = sys().generic_call;
  wait::for_object(call.turn.header, nullptr);
  call.remaining = static_cast<std::int32_t>(sys().processor_count);
  call.barrier = {0, static_cast<std::int32_t>(sys().processor_count), 0};
  __atomic_store_n(&call.serial, call.serial + 1, __ATOMIC_RELEASE);
  Machine::observe(GenericCallBegan{routine, context, sys().processor_count, false});
  {
    RaiseTo<Irql::Dispatch> raised;  // this processor's part begins when all have theirs
    for (unsigned number = 0; number < sys().processor_count; ++number) {
      Dpc& dpc = processor(number).call.dpc;
      dpc::initialize(dpc, routine, context);
      dpc::set_importance(dpc, Importance::High);  // those who have come spin for those who have not
      (void)dpc::set_target(dpc, number);
      dpc::insert(&dpc, const_cast<std::int32_t*>(&call.remaining), &call.barrier);
    }
  }
  wait::for_object(call.done.header, nullptr);
  Machine::observe(OrderAcquired{&call.remaining});
  Machine::observe(GenericCallEnded{routine});
  wait::set_event(call.turn, 0);
}

void done(void* argument1) {
  GenericCall& call = sys().generic_call;
  check_argument(argument1, &call.remaining);
  const Processor& self = Machine::here();
  CallPart& part = processor(self.number).call;
  const bool again = self.active_dpc == &part.dpc && part.done;
  if (self.active_dpc == &part.dpc) part.done = true;
  Machine::observe(OrderReleased{&call.remaining});
  const std::int32_t left = __atomic_sub_fetch(&call.remaining, 1, __ATOMIC_ACQ_REL);
  if ((again || left < 0) && !is_lenient())
    bug_check(stop::KernelSecurityCheckFailure, {kInvalidReferenceCount, as_parameter(argument1), 0, 0},
              "A KeGenericCallDpc routine has called KeSignalCallDpcDone more than once: the caller goes on while others still work.", "GEN-2");
  if (left == 0) wait::set_event(call.done, 0);
}

bool synchronize(void* argument2) {
  CallBarrier& barrier = sys().generic_call.barrier;
  check_argument(argument2, &barrier);
  Processor& self = Machine::here();
  __atomic_add_fetch(&self.call.arrivals, 1u, __ATOMIC_SEQ_CST);
  check_barrier();
  Machine::observe(OrderReleased{&barrier});
  const std::uintptr_t generation = __atomic_load_n(&barrier.generation, __ATOMIC_ACQUIRE);
  const bool last = __atomic_add_fetch(&barrier.arrived, 1, __ATOMIC_ACQ_REL) == barrier.processors;
  if (last) {
    barrier.arrived = 0;
    __atomic_store_n(&barrier.generation, generation + 1, __ATOMIC_RELEASE);
  }
  while (__atomic_load_n(&barrier.generation, __ATOMIC_ACQUIRE) == generation) Machine::spin_pause(&barrier.generation);
  Machine::observe(OrderAcquired{&barrier});
  return last;
}

void routine_begins_here(Processor& self) {
  CallPart& part = self.call;
  part.arrivals = 0;
  part.done = false;
  part.returned = false;
  __atomic_store_n(&part.serial, sys().generic_call.serial, __ATOMIC_SEQ_CST);
}

void routine_returned_here(Processor& self) {
  CallPart& part = self.call;
  if (!part.done && !is_lenient())
    stop_stuck("A KeGenericCallDpc routine has returned without KeSignalCallDpcDone: the caller would wait for ever.", "GEN-2");
  if (!takes_part(part)) return;  // it was done, and the next call has begun
  __atomic_store_n(&part.returned, true, __ATOMIC_SEQ_CST);
  check_barrier();
}

}  // namespace kdpc::generic_call
