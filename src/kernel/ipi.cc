#include "kernel/ipi.h"

#include "kernel/clock.h"
#include "kernel/processor.h"
#include "this_machine.h"

namespace kdpc::ipi {

namespace {

void send(Processor& target, std::uint32_t request) {
  __atomic_or_fetch(&target.ipi_requests, request, __ATOMIC_RELEASE);
  Machine::observe(IpiSent{ProcessorSet::only(target.number).mask()});
  Machine::send_ipi(ProcessorSet::only(target.number));
}

}  // namespace

void request_dispatch(Processor& target) {
  Machine::observe(DrainRequested{target.number});
  // The caller is at Dispatch or above, so "this processor" cannot change under it.
  if (&target == &Machine::here()) {
    Machine::request_here(kDispatchRequest);
  } else {
    send(target, kIpiDispatch);
  }
}

void request_clock(Processor& target) {
  if (&target == &Machine::here()) {
    clock::rearm_here(target);
  } else {
    send(target, kIpiClock);
  }
}

void request_apc(Processor& target) {
  __atomic_or_fetch(&target.ipi_requests, kIpiApc, __ATOMIC_RELEASE);
  Machine::observe(IpiSent{ProcessorSet::only(target.number).mask()});
  Machine::send_ipi(ProcessorSet::only(target.number));
}

void receive_here() {
  Processor& self = Machine::here();
  const std::uint32_t requests = __atomic_exchange_n(&self.ipi_requests, 0u, __ATOMIC_ACQUIRE);
  if ((requests & kIpiDispatch) != 0) Machine::request_here(kDispatchRequest);
  if ((requests & kIpiClock) != 0) clock::rearm_here(self);
  if ((requests & kIpiApc) != 0) Machine::request_here(kApcRequest);
}

}  // namespace kdpc::ipi
