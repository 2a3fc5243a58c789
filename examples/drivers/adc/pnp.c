/* The life of a card: added, started with resources, stopped, removed or pulled out. \\.\Adc0, \\.\Adc1, … in the order in which they are added. */
#include "adc.h"

#include <ntstrsafe.h>

static volatile LONG AdcCards;

NTSTATUS AdcAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
  DECLARE_UNICODE_STRING_SIZE(Name, 32);
  DECLARE_UNICODE_STRING_SIZE(Link, 32);
  const ULONG Number = (ULONG)InterlockedIncrement(&AdcCards) - 1;
  PDEVICE_OBJECT DeviceObject;
  PADC_CARD Card;
  NTSTATUS Status;
  RtlUnicodeStringPrintf(&Name, L"\\Device\\Adc%u", Number);
  RtlUnicodeStringPrintf(&Link, L"\\DosDevices\\Adc%u", Number);
  Status = IoCreateDevice(DriverObject, sizeof(ADC_CARD), &Name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &DeviceObject);
  if (!NT_SUCCESS(Status)) return Status;
  Card = AdcCard(DeviceObject);
  RtlZeroMemory(Card, sizeof(*Card));
  Card->Self = DeviceObject;
  Card->Pdo = PhysicalDeviceObject;
  Card->Number = Number;
  KeInitializeSpinLock(&Card->Lock);
  IoInitializeRemoveLock(&Card->RemoveLock, ADC_TAG, 0, 0);
  IoInitializeDpcRequest(DeviceObject, AdcDpcForIsr);
  IoSetStartIoAttributes(DeviceObject, TRUE, TRUE);
  Status = IoInitializeTimer(DeviceObject, AdcTimer, Card);
  if (NT_SUCCESS(Status)) Status = IoCreateSymbolicLink(&Link, &Name);
  if (NT_SUCCESS(Status)) {
    Card->Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Card->Lower == NULL) {
      IoDeleteSymbolicLink(&Link);
      Status = STATUS_NO_SUCH_DEVICE;
    }
  }
  if (!NT_SUCCESS(Status)) {
    IoDeleteDevice(DeviceObject);
    return Status;
  }
  DeviceObject->Flags |= DO_BUFFERED_IO | DO_POWER_PAGABLE;
  DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
  return STATUS_SUCCESS;
}

/* Returns with no service routine, DPC or timer under way, and no request either. */
static VOID AdcLeave(PADC_CARD Card, BOOLEAN IsThere) {
  KIRQL OldIrql;
  if (Card->Registers == NULL) return;
  IoStopTimer(Card->Self);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  Card->Started = FALSE;
  if (IsThere) {
    WRITE_REGISTER_ULONG(Card->Registers + ADC_CONTROL, 0);
    WRITE_REGISTER_ULONG(Card->Registers + ADC_STATUS, ADC_DONE);
  }
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  if (Card->Interrupt != NULL) IoDisconnectInterrupt(Card->Interrupt);
  Card->Interrupt = NULL;
  KeFlushQueuedDpcs();
  AdcAbandon(Card, IsThere ? STATUS_DEVICE_NOT_READY : STATUS_DELETE_PENDING);
  MmUnmapIoSpace(Card->Registers, Card->RegisterBytes);
  Card->Registers = NULL;
}

static NTSTATUS AdcStart(PADC_CARD Card, PCM_RESOURCE_LIST Resources) {
  PCM_PARTIAL_RESOURCE_DESCRIPTOR Interrupt = NULL;
  IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
  KIRQL OldIrql;
  ULONG Index;
  NTSTATUS Status;
  for (Index = 0; Resources != NULL && Index < Resources->List[0].PartialResourceList.Count; ++Index) {
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Descriptor = &Resources->List[0].PartialResourceList.PartialDescriptors[Index];
    if (Descriptor->Type == CmResourceTypeInterrupt) Interrupt = Descriptor;
    if (Descriptor->Type != CmResourceTypeMemory) continue;
    Card->RegisterBytes = Descriptor->u.Memory.Length;
    Card->Registers = MmMapIoSpace(Descriptor->u.Memory.Start, Card->RegisterBytes, MmNonCached);
  }
  if (Card->Registers == NULL || Interrupt == NULL) return STATUS_DEVICE_CONFIGURATION_ERROR;
  WRITE_REGISTER_ULONG(Card->Registers + ADC_CONTROL, 0);
  WRITE_REGISTER_ULONG(Card->Registers + ADC_STATUS, ADC_DONE);
  RtlZeroMemory(&Parameters, sizeof(Parameters));
  Parameters.Version = CONNECT_LINE_BASED;
  Parameters.LineBased.PhysicalDeviceObject = Card->Pdo;
  Parameters.LineBased.InterruptObject = &Card->Interrupt;
  Parameters.LineBased.ServiceRoutine = AdcIsr;
  Parameters.LineBased.ServiceContext = Card;
  Status = IoConnectInterruptEx(&Parameters);
  if (!NT_SUCCESS(Status)) return Status;
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  Card->Started = TRUE;
  WRITE_REGISTER_ULONG(Card->Registers + ADC_CONTROL, ADC_INTERRUPT);
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  IoStartTimer(Card->Self);
  return STATUS_SUCCESS;
}

static NTSTATUS AdcRemove(PADC_CARD Card, PIRP Irp) {
  DECLARE_UNICODE_STRING_SIZE(Link, 32);
  PDEVICE_OBJECT DeviceObject = Card->Self, Lower = Card->Lower;
  NTSTATUS Status;
  RtlUnicodeStringPrintf(&Link, L"\\DosDevices\\Adc%u", Card->Number);
  AdcLeave(Card, TRUE);
  IoReleaseRemoveLockAndWait(&Card->RemoveLock, Irp);
  Irp->IoStatus.Status = STATUS_SUCCESS;
  IoSkipCurrentIrpStackLocation(Irp);
  Status = IoCallDriver(Lower, Irp);
  IoDeleteSymbolicLink(&Link);
  IoDetachDevice(Lower);
  IoDeleteDevice(DeviceObject);
  return Status;
}

NTSTATUS AdcPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PADC_CARD Card = AdcCard(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return AdcComplete(Irp, Status, 0);
  switch (Stack->MinorFunction) {
    case IRP_MN_START_DEVICE: /* the bus first: before it has started the card there are no registers */
      Status = IoForwardIrpSynchronously(Card->Lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
      if (NT_SUCCESS(Status)) {
        Status = AdcStart(Card, Stack->Parameters.StartDevice.AllocatedResourcesTranslated);
        if (!NT_SUCCESS(Status)) AdcLeave(Card, TRUE);
      }
      return AdcFinish(Card, Irp, Status, 0);
    case IRP_MN_REMOVE_DEVICE: return AdcRemove(Card, Irp);
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
      AdcLeave(Card, Stack->MinorFunction == IRP_MN_STOP_DEVICE);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      break;
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE: Irp->IoStatus.Status = STATUS_SUCCESS; break;
    default: break;
  }
  IoSkipCurrentIrpStackLocation(Irp);
  Status = IoCallDriver(Card->Lower, Irp);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}
