#include "kernel/flush.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "kernel/threaded_dpc.h"
#include "this_machine.h"

namespace kdpc::dpc {

namespace {

void KDPC_NTAPI flush_routine(Dpc*, void* context, void*, void*) {
  auto& flush = *static_cast<Flush*>(context);
  if (__atomic_sub_fetch(&flush.remaining, 1, __ATOMIC_ACQ_REL) == 0) wait::set_event(flush.done, 0);
}

void send(Processor& target, DpcType type) {
  Dpc& dpc = target.flush_dpcs[type == DpcType::Threaded ? 1 : 0];
  initialize(dpc, flush_routine, &sys().flush, type);
  set_importance(dpc, Importance::MediumHigh);  // asks for a drain at once, wherever it goes
  set_target(dpc, target.number);
  insert(&dpc, nullptr, nullptr);
}

}  // namespace

void initialize_flush(Flush& flush) {
  wait::initialize_event(flush.turn, ObjectType::SynchronizationEvent, true);
  wait::initialize_event(flush.done, ObjectType::SynchronizationEvent, false);
}

void flush() {
  if (const Irql level = Machine::irql(); level != Irql::Passive)
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(level), 0, 0},
              "KeFlushQueuedDpcs above PASSIVE_LEVEL waits for DPCs that this very processor keeps from running.", "FLU-4");
  if (threaded_dpc::running_here())
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(Irql::Passive), 0, 0},
              "KeFlushQueuedDpcs in a threaded DPC waits for the thread that it runs in.", "FLU-4");
  Flush& flush = sys().flush;
  const bool threads = sys().options.threaded_dpc == Options::ThreadedDpc::Enabled;
  wait::for_object(flush.turn.header, nullptr);
  flush.remaining = static_cast<std::int32_t>(sys().processor_count * (threads ? 2 : 1));
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    send(processor(number), DpcType::Ordinary);
    if (threads) send(processor(number), DpcType::Threaded);
  }
  wait::for_object(flush.done.header, nullptr);
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    Machine::observe(OrderAcquired{&processor(number).active_dpc});
    if (threads) Machine::observe(OrderAcquired{&processor(number).active_threaded_dpc});
  }
  wait::set_event(flush.turn, 0);
}

}  // namespace kdpc::dpc
