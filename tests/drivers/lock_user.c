/* One call of each lock, list and reference a driver may use, from driver code. DriverEntry fails with the number of the first answer that is wrong. */
#include <wdm.h>

static KSPIN_LOCK Lock;
static EX_SPIN_LOCK ReaderWriter;
static EX_PUSH_LOCK Push;
static EX_RUNDOWN_REF Rundown;
static SLIST_HEADER Stack;
static NPAGED_LOOKASIDE_LIST Lookaside;
static LOOKASIDE_LIST_EX Extended;

typedef struct _ITEM {
  SLIST_ENTRY Link;
  ULONG Number;
} ITEM, *PITEM;

static VOID NTAPI LockUserUnload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  ExDeleteNPagedLookasideList(&Lookaside);
  ExDeleteLookasideListEx(&Extended);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KLOCK_QUEUE_HANDLE handle;
  KIRQL irql;
  PITEM item;
  PVOID block;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = LockUserUnload;

  KeInitializeSpinLock(&Lock);
  KeAcquireInStackQueuedSpinLock(&Lock, &handle);
  if (KeGetCurrentIrql() != DISPATCH_LEVEL || handle.OldIrql != PASSIVE_LEVEL || KeTestSpinLock(&Lock)) return 0xE0000001;
  KeReleaseInStackQueuedSpinLock(&handle);

  irql = ExAcquireSpinLockShared(&ReaderWriter);
  if (!ExTryConvertSharedSpinLockExclusive(&ReaderWriter)) return 0xE0000002;
  ExReleaseSpinLockExclusive(&ReaderWriter, irql);

  ExInitializePushLock(&Push);
  KeEnterCriticalRegion();
  ExAcquirePushLockExclusive(&Push);
  if (ExTryAcquirePushLockShared(&Push)) return 0xE0000003;
  ExReleasePushLockExclusive(&Push);
  KeLeaveCriticalRegion();

  ExInitializeRundownProtection(&Rundown);
  if (!ExAcquireRundownProtection(&Rundown)) return 0xE0000004;
  ExReleaseRundownProtection(&Rundown);
  ExWaitForRundownProtectionRelease(&Rundown);
  if (ExAcquireRundownProtection(&Rundown)) return 0xE0000005;

  ExInitializeSListHead(&Stack);
  ExInitializeNPagedLookasideList(&Lookaside, NULL, NULL, 0, sizeof(ITEM), 'resU', 0);
  item = (PITEM)ExAllocateFromNPagedLookasideList(&Lookaside);
  if (item == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  item->Number = 7;
  ExInterlockedPushEntrySList(&Stack, &item->Link, NULL);
  item = CONTAINING_RECORD(ExInterlockedPopEntrySList(&Stack, NULL), ITEM, Link);
  if (item->Number != 7 || ExQueryDepthSList(&Stack) != 0) return 0xE0000006;
  ExFreeToNPagedLookasideList(&Lookaside, item);

  if (!NT_SUCCESS(ExInitializeLookasideListEx(&Extended, NULL, NULL, NonPagedPoolNx, 0, 48, 'resU', 0))) return 0xE0000007;
  block = ExAllocateFromLookasideListEx(&Extended);
  if (block == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  ExFreeToLookasideListEx(&Extended, block);
  return STATUS_SUCCESS;
}
