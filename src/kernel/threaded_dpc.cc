#include "kernel/threaded_dpc.h"

#include "base/invariant.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::threaded_dpc {

namespace {

bool take(Processor& self, DueDpc& due) {
  RaiseTo<Irql::High> raised;
  do {
    self.dpc_thread_active = true;
    (void)__atomic_exchange_n(&self.dpc_thread_requested, false, __ATOMIC_SEQ_CST);  // K.THR-1
    if (self.threaded_dpcs.pop_here(due, self.active_threaded_dpc)) return true;
    (void)__atomic_exchange_n(&self.dpc_thread_active, false, __ATOMIC_SEQ_CST);
  } while (self.threaded_dpcs.has_any());
  return false;
}

void KDPC_NTAPI serve(void* context) {
  auto& self = *static_cast<Processor*>(context);  // K.THR-2
  for (;;) {
    wait::for_object(self.dpc_event.header, nullptr);
    for (DueDpc due; take(self, due);) {
      dpc::call_checked(due, ActivityKind::ThreadedDpc, Irql::Passive);
      Machine::observe(OrderReleased{&self.active_threaded_dpc});
      __atomic_store_n(&self.active_threaded_dpc, nullptr, __ATOMIC_RELEASE);
      // A routine that has moved the thread away and not back does not take the next one with it.
      if (const ProcessorSet home = ProcessorSet::only(self.number); !(thread::current().affinity == home)) thread::set_affinity_of_current(home);
    }
  }
}

}  // namespace

bool may_request_thread(const Processor& target) { return !target.dpc_thread_active && !target.dpc_thread_requested; }

bool request_thread(Processor& target) {
  if (!may_request_thread(target) || __atomic_exchange_n(&target.dpc_thread_requested, true, __ATOMIC_ACQ_REL)) return false;
  __atomic_store_n(&target.dpc_thread_signal, true, __ATOMIC_RELEASE);
  return true;
}

void wake_thread_here() {
  Processor& self = Machine::here();
  if (!__atomic_load_n(&self.dpc_thread_signal, __ATOMIC_ACQUIRE)) return;
  // Who sets it again before the thread is awake has queued what the thread will find.
  __atomic_store_n(&self.dpc_thread_signal, false, __ATOMIC_RELAXED);
  wait::set_event(self.dpc_event, 0);
}

bool running_here() {
  if (Machine::irql() >= Irql::Dispatch) return false;
  const Thread& self = thread::current();
  const Processor& home = processor(self.processor);
  return home.dpc_thread == &self && home.active_threaded_dpc != nullptr;
}

void start_threads() {
  if (sys().options.threaded_dpc == Options::ThreadedDpc::Disabled) return;
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    Processor& target = processor(number);
    wait::initialize_event(target.dpc_event, ObjectType::SynchronizationEvent, false);
    target.dpc_thread = thread::create("threaded DPCs", serve, &target, kHighPriority, ProcessorSet::only(number));
    KDPC_INVARIANT("K.THR-3", target.dpc_thread != nullptr);
    thread::start(*target.dpc_thread);  // its reference is kept for good
  }
}

}  // namespace kdpc::threaded_dpc
