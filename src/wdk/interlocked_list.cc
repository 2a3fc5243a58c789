// Lists and numbers that bring their own lock: any IRQL, because they are touched with every interrupt held off (LCK-5).
//
// To the driver each is one interlocked operation on the head, or on the number: who takes something out of a list comes behind whoever has put it there.
#include "kernel/spinlock.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

template <class Target>
void wrote(const Target* target) {
  Machine::observe(KernelAccess{target, sizeof *target});
}
// Behind what else it has written, which it hands over.
template <class Target>
void operated_on(const Target* target) {
  Machine::observe(KernelAccess{target, sizeof *target, true});
}

}  // namespace

extern "C" {

PLIST_ENTRY NTAPI ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
  KDPC_ROUTINE(ExInterlockedInsertHeadList);
  Locked<Irql::High> locked(as_lock(Lock), LockKind::Spin, LockForm::List);
  const PLIST_ENTRY first = IsListEmpty(ListHead) ? nullptr : ListHead->Flink;
  InsertHeadList(ListHead, ListEntry);
  wrote(ListEntry);
  wrote(&ListEntry->Flink->Blink);
  operated_on(ListHead);
  return first;
}

PLIST_ENTRY NTAPI ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
  KDPC_ROUTINE(ExInterlockedInsertTailList);
  Locked<Irql::High> locked(as_lock(Lock), LockKind::Spin, LockForm::List);
  const PLIST_ENTRY last = IsListEmpty(ListHead) ? nullptr : ListHead->Blink;
  InsertTailList(ListHead, ListEntry);
  wrote(ListEntry);
  wrote(&ListEntry->Blink->Flink);
  operated_on(ListHead);
  return last;
}

PLIST_ENTRY NTAPI ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock) {
  KDPC_ROUTINE(ExInterlockedRemoveHeadList);
  Locked<Irql::High> locked(as_lock(Lock), LockKind::Spin, LockForm::List);
  if (IsListEmpty(ListHead)) {
    Machine::observe(KernelRead{ListHead});
    return nullptr;
  }
  const PLIST_ENTRY first = RemoveHeadList(ListHead);
  wrote(&ListHead->Flink->Blink);
  operated_on(ListHead);
  return first;
}

PSINGLE_LIST_ENTRY NTAPI ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
  KDPC_ROUTINE(ExInterlockedPushEntryList);
  Locked<Irql::High> locked(as_lock(Lock), LockKind::Spin, LockForm::List);
  const PSINGLE_LIST_ENTRY first = ListHead->Next;
  PushEntryList(ListHead, ListEntry);
  wrote(ListEntry);
  operated_on(ListHead);
  return first;
}

PSINGLE_LIST_ENTRY NTAPI ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock) {
  KDPC_ROUTINE(ExInterlockedPopEntryList);
  Locked<Irql::High> locked(as_lock(Lock), LockKind::Spin, LockForm::List);
  const PSINGLE_LIST_ENTRY first = PopEntryList(ListHead);
  if (first != nullptr) {
    operated_on(ListHead);
  } else {
    Machine::observe(KernelRead{ListHead});
  }
  return first;
}

LARGE_INTEGER NTAPI ExInterlockedAddLargeInteger(PLARGE_INTEGER Addend, LARGE_INTEGER Increment, PKSPIN_LOCK Lock) {
  KDPC_ROUTINE(ExInterlockedAddLargeInteger);
  Locked<Irql::High> locked(as_lock(Lock), LockKind::Spin, LockForm::List);
  const LARGE_INTEGER before = *Addend;
  Addend->QuadPart = static_cast<LONGLONG>(static_cast<ULONGLONG>(before.QuadPart) + static_cast<ULONGLONG>(Increment.QuadPart));
  operated_on(Addend);
  return before;
}

ULONG NTAPI ExInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock) {
  KDPC_ROUTINE(ExInterlockedAddUlong);
  Locked<Irql::High> locked(as_lock(Lock), LockKind::Spin, LockForm::List);
  const ULONG before = *Addend;
  *Addend = before + Increment;
  operated_on(Addend);
  return before;
}

}  // extern "C"
