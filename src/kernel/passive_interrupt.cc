#include "kernel/passive_interrupt.h"

#include <cstring>

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::passive {

namespace {

constexpr std::uint32_t kServiceTag = pool_tag("Pass");

// NT promises no more than that it is comparatively high (INT-25): above every worker and every ordinary thread, and room above it for a driver's.
constexpr std::uint8_t kServicePriority = 24;

void set_masked(PassiveService& service, bool masked) {
  Locked<Irql::High> locked(sys().vector_lock, LockKind::System);
  const interrupt::RoutesFollow routes(service.vector);
  service.masked = masked;
}

void take(EventObject& event) { wait::for_object(event.header, nullptr); }
void give(EventObject& event) { wait::set_event(event, 0); }

void KDPC_NTAPI wake(Dpc*, void* context, void*, void*) { give(static_cast<PassiveService*>(context)->wake); }

void KDPC_NTAPI serve(void* context) {
  auto& service = *static_cast<PassiveService*>(context);
  for (;;) {
    take(service.wake);
    if (service.ending) return;
    take(service.busy);
    for (const unsigned number : ProcessorSet(__atomic_exchange_n(&service.asked, std::uintptr_t{0}, __ATOMIC_SEQ_CST)))
      if (Interrupt* head = processor(number).vectors[service.vector]) interrupt::walk(head);
    if (service.masked) set_masked(service, false);
    give(service.busy);
  }
}

PassiveService* find_with_gate(std::uint8_t vector) {
  PassiveService* service = sys().passive_services.first;
  while (service != nullptr && service->vector != vector) service = service->next;
  return service;
}

PassiveService* make_with_gate(std::uint8_t vector, Trigger trigger) {
  auto* service = static_cast<PassiveService*>(sys().pool.allocate(sizeof(PassiveService), kServiceTag, PoolType::NonPaged, Pool::kObject));
  if (service == nullptr) return nullptr;
  std::memset(static_cast<void*>(service), 0, sizeof *service);
  service->vector = vector;
  service->level = trigger == Trigger::Level;
  dpc::initialize(service->dpc, wake, service);
  wait::initialize_event(service->wake, ObjectType::SynchronizationEvent, false);
  wait::initialize_event(service->busy, ObjectType::SynchronizationEvent, true);
  service->thread = thread::create("passive interrupt", serve, service, kServicePriority, active_processors());
  if (service->thread == nullptr) {
    sys().pool.free(service, kServiceTag);
    return nullptr;
  }
  service->next = sys().passive_services.first;
  sys().passive_services.first = service;
  thread::start(*service->thread);
  return service;
}

// Nothing is connected any more, so nothing asks any more; what has asked has its DPC flushed out.
void end_with_gate(PassiveService& service) {
  PassiveService** slot = &sys().passive_services.first;
  while (*slot != &service) slot = &(*slot)->next;
  *slot = service.next;
  dpc::remove(service.dpc);
  dpc::flush();
  service.ending = true;
  give(service.wake);
  wait::for_object(service.thread->header, nullptr);
  thread::release(*service.thread);
  sys().pool.free(&service, kServiceTag);
}

}  // namespace

void initialize(PassiveServices& services) {
  services.first = nullptr;
  wait::initialize_event(services.gate, ObjectType::SynchronizationEvent, true);
}

PassiveService* enter(std::uint8_t vector, Trigger trigger) {
  take(sys().passive_services.gate);
  PassiveService* service = find_with_gate(vector);
  if (service == nullptr) service = make_with_gate(vector, trigger);
  if (service != nullptr) {
    take(service->busy);
  } else {
    give(sys().passive_services.gate);
  }
  return service;
}

void leave(PassiveService& service) {
  give(service.busy);
  if (service.sets == 0) end_with_gate(service);
  give(sys().passive_services.gate);
}

void interrupted_here(Processor& self, PassiveService& service) {
  if (service.level) set_masked(service, true);
  __atomic_fetch_or(&service.asked, ProcessorSet::only(self.number).mask(), __ATOMIC_SEQ_CST);
  dpc::insert(&service.dpc, nullptr, nullptr);
}

void acquire(Interrupt& interrupt) { take(*interrupt.passive_event); }
void release(Interrupt& interrupt) { give(*interrupt.passive_event); }

}  // namespace kdpc::passive
