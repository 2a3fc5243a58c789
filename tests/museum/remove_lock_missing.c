/* A request finds the device still there and uses its table; removal, which nobody has told of the request, frees the table at the same time.
 * Idea: https://learn.microsoft.com/windows-hardware/drivers/kernel/using-remove-locks */
#include "museum.h"

#define ENTRIES 8

struct _DEVICE {
  CARD Card;
  IO_REMOVE_LOCK RemoveLock;
  PULONG Table;
  volatile LONG Removing;
  volatile LONG Pulses;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  InterlockedIncrement(&Device->Pulses);
  return TRUE;
}

static NTSTATUS Control(PDEVICE Device, PIRP Irp) {
#ifdef FIXED
  const NTSTATUS Status = IoAcquireRemoveLock(&Device->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return Complete(Irp, Status);
#else
  if (ReadAcquire(&Device->Removing)) return Complete(Irp, STATUS_DELETE_PENDING);
#endif
  Device->Table[0] = (ULONG)ReadAcquire(&Device->Pulses);
  Device->Table[1] += 1;
#ifdef FIXED
  Complete(Irp, STATUS_SUCCESS);
  IoReleaseRemoveLock(&Device->RemoveLock, Irp);
  return STATUS_SUCCESS;
#else
  return Complete(Irp, STATUS_SUCCESS);
#endif
}

static NTSTATUS RequestDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  IoFreeIrp(Irp);
  return STATUS_MORE_PROCESSING_REQUIRED;
}

/* As an application would. */
static VOID AskUntilGone(PDEVICE Device) {
  NTSTATUS Status = STATUS_SUCCESS;
  ULONG Round;
  for (Round = 0; Round < 20 && NT_SUCCESS(Status); ++Round) {
    const PIRP Irp = NewRequest(Device, RequestDone, NULL);
    if (Irp == NULL) return;
    Status = IoCallDriver(Device->Card.Self, Irp);
    KeStallExecutionProcessor(80);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  IoInitializeRemoveLock(&Device->RemoveLock, MUSEUM_TAG, 0, 0);
  Device->Table = ExAllocatePool2(POOL_FLAG_NON_PAGED, ENTRIES * sizeof(ULONG), MUSEUM_TAG);
  if (Device->Table == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  return ConnectAndEnable(Device, Isr, AskUntilGone);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
#ifdef FIXED
  if (NT_SUCCESS(IoAcquireRemoveLock(&Device->RemoveLock, Device))) IoReleaseRemoveLockAndWait(&Device->RemoveLock, Device);
#else
  WriteRelease(&Device->Removing, TRUE);
#endif
  if (Device->Table != NULL) ExFreePoolWithTag(Device->Table, MUSEUM_TAG);
  Device->Table = NULL;
  JoinThreads(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop, Control};
