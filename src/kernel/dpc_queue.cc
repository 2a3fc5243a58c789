#include "kernel/dpc_queue.h"

#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

void DpcQueue::initialize(std::uint16_t number) {
  list_.initialize();
  listed_ = 0;
  ever_listed_ = 0;
  inside_ = 0;
  wanted_ = 0;
  urgent_sent_ = false;
  fenced_ = false;
  known_ = false;
  refused_ = false;
  number_ = number;
  inbox_ = 0;
  visitors_.initialize();
}

bool DpcQueue::claim_once_more(Dpc& dpc, unsigned processor) {
  for (;;) {
    const bool known = __atomic_load_n(&sys().dpcs_refused, __ATOMIC_ACQUIRE);  // before the fence that is in the exchange
    DpcQueue* none = nullptr;
    if (__atomic_compare_exchange_n(&dpc.queue, &none, this, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return true;
    const Dpc::Where where = load(dpc.where);
    if (known || (where.place == Dpc::Place::Listed && where.home / 2u == processor)) return false;
    let_others_be_refused();
  }
}

void DpcQueue::let_others_be_refused() {
  for (unsigned number = 0; number < sys().processor_count; ++number)
    for (DpcQueue* queue : {&kdpc::processor(number).dpcs, &kdpc::processor(number).threaded_dpcs})
      __atomic_store_n(&queue->refused_, true, __ATOMIC_SEQ_CST);
  Machine::fence_everywhere();
  __atomic_store_n(&sys().dpcs_refused, true, __ATOMIC_RELEASE);
}

void DpcQueue::send(Dpc& dpc) {
  if (!__atomic_load_n(&known_, __ATOMIC_ACQUIRE)) [[unlikely]]
    let_others_send();
  const bool urgent = dpc.where.urgent;  // it may be gone when it has been sent
  // Most often nothing is in it. To guess that, instead of looking, fetches the line once and not twice.
  std::uintptr_t last = 0, with = 0;
  do {
    const std::uintptr_t count = last >> kCountShift;
    dpc.link.next = reinterpret_cast<Link*>(last & kAddress);
    with = reinterpret_cast<std::uintptr_t>(&dpc) | (count == kMostCounted ? count : count + 1) << kCountShift;
  } while (!__atomic_compare_exchange_n(&inbox_, &last, with, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  if (urgent) __atomic_store_n(&urgent_sent_, true, __ATOMIC_RELEASE);
}

void DpcQueue::let_others_send() {
  __atomic_store_n(&fenced_, true, __ATOMIC_SEQ_CST);
  Machine::fence_everywhere();
  __atomic_store_n(&known_, true, __ATOMIC_RELEASE);
}

bool DpcQueue::remove(Dpc& dpc) {
  const Inside inside(*this);
  const Dpc::Where where = load(dpc.where);
  if (dpc.queue == nullptr || where.home != number_ || where.place != Dpc::Place::Listed) return false;
  List::remove(dpc.link);
  listed_ = listed_ - 1;
  store(dpc.where, {number_, Dpc::Place::None, false});
  (void)__atomic_exchange_n(&dpc.queue, nullptr, __ATOMIC_SEQ_CST);
  return true;
}

bool DpcQueue::contains(const Dpc& dpc) {
  const Inside inside(*this);
  return list_.contains(dpc.link);
}

bool DpcQueue::is_owned_here() const { return number_ / 2u == Machine::here().number; }

void DpcQueue::wait_for_visitors() {
  do {
    leave_here();
    while (__atomic_load_n(&wanted_, __ATOMIC_ACQUIRE) != 0) Machine::spin_pause(&wanted_);
    __atomic_store_n(&inside_, 1u, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);  // K.QUE-1
  } while (__atomic_load_n(&wanted_, __ATOMIC_ACQUIRE) != 0);
}

void DpcQueue::visit() {
  visitors_.acquire_here(LockKind::System);
  __atomic_store_n(&wanted_, 1u, __ATOMIC_SEQ_CST);
  Machine::fence_everywhere();
  while (__atomic_load_n(&inside_, __ATOMIC_ACQUIRE) != 0) Machine::spin_pause(&inside_);
}

void DpcQueue::end_visit() {
  __atomic_store_n(&wanted_, 0u, __ATOMIC_RELEASE);
  visitors_.release_here(LockKind::System);
}

// The last one sent comes first, and each is touched once: it goes in front of those that were sent after it; of the urgent ones the last one stays in front.
void DpcQueue::take_in() {
  __atomic_store_n(&urgent_sent_, false, __ATOMIC_RELAXED);  // first: one that is sent meanwhile is taken in with the next
  auto* dpc = reinterpret_cast<Dpc*>(__atomic_exchange_n(&inbox_, std::uintptr_t{0}, __ATOMIC_ACQUIRE) & kAddress);
  List urgent, usual;
  urgent.initialize();
  usual.initialize();
  while (dpc != nullptr) {
    fetch_for_writing(dpc);
    auto* sent_before = reinterpret_cast<Dpc*>(dpc->link.next);
    if (dpc->where.urgent) {
      urgent.push_back(dpc->link);
    } else {
      usual.push_front(dpc->link);
    }
    count_in(*dpc);
    dpc = sent_before;
  }
  list_.take_over(usual);
  if (urgent.empty()) return;
  urgent.take_over(list_);
  list_.take_over(urgent);
}

}  // namespace kdpc
