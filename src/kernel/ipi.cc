#include "kernel/ipi.h"

#include <algorithm>

#include "kernel/bugcheck.h"
#include "kernel/clock.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::ipi {

namespace {

constexpr std::uint64_t kPerformanceFrequency = 10'000'000;  // one count is 100 ns
constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;

void send(ProcessorSet targets, std::uint32_t request) {
  for (const unsigned number : targets) __atomic_or_fetch(&processor(number).ipi_requests, request, __ATOMIC_RELEASE);
  Machine::observe(IpiSent{targets.mask()});
  Machine::send_ipi(targets);
}

// Waits until `word` counts all the others, and not for ever.
void wait_for_others(const volatile std::uintptr_t& word, std::uint64_t others, std::uint64_t since) {
  const std::uint64_t limit = sys().options.ipi_time_limit_ms * kNanosecondsPerMillisecond;
  const std::uint64_t deadline = limit == 0 ? ~std::uint64_t{0} : since + limit;
  while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) != others) {
    if (const std::uint64_t now = Machine::now(); now >= deadline)
      bug_check(stop::IpiWatchdogTimeout, {kPerformanceFrequency, now / kNanosecondsPer100, since / kNanosecondsPer100, 0},
                "KeIpiGenericCall waits for a processor that takes no IPI, or whose function does not return.", "IPI-2");
    Machine::spin_pause(&word, deadline);
  }
}

std::uintptr_t run_here(IpiCall& call) {
  Machine::observe(OrderAcquired{&call});
  Machine::observe(ActivityBegan{ActivityKind::BroadcastRoutine, static_cast<std::uint8_t>(Irql::Ipi), call.routine, &call});
  const std::uintptr_t result = call.routine(call.argument);
  Machine::observe(ActivityEnded{ActivityKind::BroadcastRoutine, true, call.routine, &call});
  if (const Irql now = Machine::irql(); now != Irql::Ipi)
    bug_check(stop::IrqlUnexpectedValue, {as_parameter(now) << 16 | as_parameter(Irql::Ipi) << 8 | 2, as_parameter(call.routine), call.argument, 0},
              "The function of KeIpiGenericCall returned at another IRQL than IPI_LEVEL.", "IPI-2");
  return result;
}

void take_part_here() {
  IpiCall& call = sys().ipi_call;
  __atomic_add_fetch(&call.arrived, std::uintptr_t{1}, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(&call.gate, __ATOMIC_ACQUIRE) == 0) Machine::spin_pause(&call.gate);
  run_here(call);
  Machine::observe(OrderReleased{&call.finished});
  __atomic_add_fetch(&call.finished, std::uintptr_t{1}, __ATOMIC_ACQ_REL);
}

}  // namespace

void request_dispatch(Processor& target) {
  // The caller is at Dispatch or above, so "this processor" cannot change under it.
  if (&target == &Machine::here()) {
    Machine::observe(DrainRequested{target.number});
    Machine::request_here(kDispatchRequest);
  } else {
    interrupt_for_dispatch(target);
  }
}

void interrupt_for_dispatch(Processor& target) {
  Machine::observe(DrainRequested{target.number});
  send(ProcessorSet::only(target.number), kIpiDispatch);
}

void request_clock(Processor& target) {
  if (&target == &Machine::here()) {
    clock::rearm_here(target);
  } else {
    send(ProcessorSet::only(target.number), kIpiClock);
  }
}

void request_apc(Processor& target) { send(ProcessorSet::only(target.number), kIpiApc); }

std::uintptr_t call_everywhere(BroadcastRoutine* routine, std::uintptr_t argument) NO_PERMISSION_CHECK {
  const Irql previous = raise_here(std::max(Machine::irql(), Irql::Synch));
  IpiCall& call = sys().ipi_call;
  call.lock.acquire_here(LockKind::System);  // K.IPI-1
  ProcessorSet others = active_processors();
  others.remove(Machine::here().number);
  call.routine = routine;
  call.argument = argument;
  call.arrived = 0;
  call.gate = 0;
  call.finished = 0;
  Machine::observe(GenericCallBegan{routine, Address::at(argument), sys().processor_count, true});
  Machine::observe(OrderReleased{&call});
  const std::uint64_t began = Machine::now();
  Machine::set_irql(Irql::Ipi);
  if (!others.empty()) send(others, kIpiCall);
  wait_for_others(call.arrived, others.count(), began);
  __atomic_store_n(&call.gate, std::uintptr_t{1}, __ATOMIC_RELEASE);
  const std::uintptr_t result = run_here(call);
  wait_for_others(call.finished, others.count(), Machine::now());
  Machine::observe(OrderAcquired{&call.finished});
  Machine::observe(GenericCallEnded{routine});
  call.lock.release_here(LockKind::System);
  lower_here(previous);
  return result;
}

void receive_here() {
  Processor& self = Machine::here();
  const std::uint32_t requests = __atomic_exchange_n(&self.ipi_requests, 0u, __ATOMIC_ACQUIRE);
  if ((requests & kIpiDispatch) != 0) Machine::request_here(kDispatchRequest);
  if ((requests & kIpiClock) != 0) clock::rearm_here(self);
  if ((requests & kIpiApc) != 0) Machine::request_here(kApcRequest);
  if ((requests & kIpiCall) != 0) take_part_here();
}

}  // namespace kdpc::ipi
