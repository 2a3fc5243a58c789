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
  fenced_ = false;
  known_ = false;
  number_ = number;
  inbox_ = 0;
  visitors_.initialize();
}

void DpcQueue::send(Dpc& dpc) {
  if (!__atomic_load_n(&known_, __ATOMIC_ACQUIRE)) [[unlikely]]
    let_others_send();
  // Most often nothing is in it. To guess that, instead of looking, fetches the line once and not twice.
  std::uintptr_t last = 0, with = 0;
  do {
    const std::uintptr_t count = last >> kCountShift;
    dpc.link.next = reinterpret_cast<Link*>(last & kAddress);
    with = reinterpret_cast<std::uintptr_t>(&dpc) | (count == kMostCounted ? count : count + 1) << kCountShift;
  } while (!__atomic_compare_exchange_n(&inbox_, &last, with, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
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
  if (inbox_ != 0) take_in();
}

void DpcQueue::end_visit() {
  __atomic_store_n(&wanted_, 0u, __ATOMIC_RELEASE);
  visitors_.release_here(LockKind::System);
}

// Last in, first out: turned round, it is the order of arrival.
void DpcQueue::take_in() {
  Dpc* newest = reinterpret_cast<Dpc*>(__atomic_exchange_n(&inbox_, std::uintptr_t{0}, __ATOMIC_ACQUIRE) & kAddress);
  Dpc* oldest = nullptr;
  while (newest != nullptr) {
    Dpc* before = reinterpret_cast<Dpc*>(newest->link.next);
    newest->link.next = reinterpret_cast<Link*>(oldest);
    oldest = newest;
    newest = before;
  }
  while (oldest != nullptr) {
    Dpc* after = reinterpret_cast<Dpc*>(oldest->link.next);
    enlist(*oldest);
    oldest = after;
  }
}

}  // namespace kdpc
