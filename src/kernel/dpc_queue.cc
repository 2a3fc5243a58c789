#include "kernel/dpc_queue.h"

#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

namespace {

void store(Dpc::Where& to, Dpc::Where where) { __atomic_store(&to, &where, __ATOMIC_RELAXED); }
Dpc::Where load(const Dpc::Where& from) {
  Dpc::Where where;
  __atomic_load(&from, &where, __ATOMIC_RELAXED);
  return where;
}

}  // namespace

void DpcQueue::initialize(std::uint16_t number) {
  list_.initialize();
  listed_ = 0;
  ever_listed_ = 0;
  inside_ = 0;
  wanted_ = 0;
  number_ = number;
  inbox_ = 0;
  visitors_.initialize();
}

bool DpcQueue::claim(Dpc& dpc) {
  // The interlocked operation comes before the answer also when that is no: the caller's stores are seen by the run that is still to come (INS-1).
  // Whoever loses the race for a Dpc leaves another queue's address in it, which says no less that it is queued.
  if (dpc.queue != nullptr) {
    DpcQueue* none = nullptr;
    if (!__atomic_compare_exchange_n(&dpc.queue, &none, this, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return false;
  } else if (__atomic_exchange_n(&dpc.queue, this, __ATOMIC_SEQ_CST) != nullptr) {
    return false;
  }
  store(dpc.where, {number_, Dpc::Place::None, dpc.importance == static_cast<std::uint8_t>(Importance::High)});
  return true;
}

void DpcQueue::insert_here(Dpc& dpc) {
  enter_here();
  enlist(dpc);
  leave_here();
}

void DpcQueue::send(Dpc& dpc) {
  std::uintptr_t last = __atomic_load_n(&inbox_, __ATOMIC_RELAXED);
  std::uintptr_t with = 0;
  do {
    const std::uintptr_t count = last >> kCountShift;
    dpc.link.next = reinterpret_cast<Link*>(last & kAddress);
    with = reinterpret_cast<std::uintptr_t>(&dpc) | (count == kMostCounted ? count : count + 1) << kCountShift;
  } while (!__atomic_compare_exchange_n(&inbox_, &last, with, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

bool DpcQueue::pop_here(DueDpc& due, Dpc* volatile& active) {
  enter_here();
  Link* link = list_.pop_front();
  if (link != nullptr) {
    listed_ = listed_ - 1;
    Dpc* dpc = owner_of<&Dpc::link>(link);
    due = {dpc, dpc->routine, dpc->context, dpc->argument1, dpc->argument2};
    store(dpc->where, {number_, Dpc::Place::None, false});
    __atomic_store_n(&active, dpc, __ATOMIC_RELAXED);
    (void)__atomic_exchange_n(&dpc->queue, nullptr, __ATOMIC_SEQ_CST);  // K.DPC-2, K.QUE-4: from here on the object is its owner's again
  }
  leave_here();
  return link != nullptr;
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

void DpcQueue::enter_here() {
  for (;;) {
    __atomic_store_n(&inside_, 1u, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);  // K.QUE-1
    if (__atomic_load_n(&wanted_, __ATOMIC_ACQUIRE) == 0) [[likely]]
      break;
    leave_here();
    while (__atomic_load_n(&wanted_, __ATOMIC_ACQUIRE) != 0) Machine::spin_pause(&wanted_);
  }
  if (inbox_ != 0) [[unlikely]]
    take_in();
}

void DpcQueue::leave_here() { __atomic_store_n(&inside_, 0u, __ATOMIC_RELEASE); }

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

void DpcQueue::enlist(Dpc& dpc) {
  listed_ = listed_ + 1;
  ever_listed_ = ever_listed_ + 1;
  if (dpc.where.urgent) {
    list_.push_front(dpc.link);
  } else {
    list_.push_back(dpc.link);
  }
  store(dpc.where, {number_, Dpc::Place::Listed, dpc.where.urgent});
}

}  // namespace kdpc
