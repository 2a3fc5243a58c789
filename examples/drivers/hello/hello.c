/* The smallest driver with an interrupt: its device raises a line, the ISR quiets it and queues a DPC, and a read tells how often both ran.
 *
 *   device --line--> HelloIsr --KeInsertQueueDpc--> HelloDpc          read --> HELLO_COUNTS
 *
 * The device's registers, 32 bits each: 0 status (bit 0: it interrupts; writing 1 ends that), 4 enable, 8 trigger.
 *
 * It is the usual sketch of a DPC written out, with the mistakes such sketches make put right where MISTAKE stands. */
#include <wdm.h>

#include "hello.h"

typedef struct _HELLO {
  PDEVICE_OBJECT Self;
  PDEVICE_OBJECT Lower;
  PDEVICE_OBJECT Physical;
  PKINTERRUPT Interrupt;
  PULONG Registers;
  SIZE_T RegistersSize;
  volatile LONG Interrupts; /* of the ISR */
  volatile LONG Dpcs;       /* of the DPC */
  KDPC Dpc;                 /* MISTAKE: a global KDPC serves one device only; the second device's would be the same object. */
} HELLO, *PHELLO;

enum { RegisterStatus, RegisterEnable, RegisterTrigger };

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD HelloUnload;
static DRIVER_ADD_DEVICE HelloAddDevice;
static DRIVER_DISPATCH HelloCreateClose, HelloRead, HelloControl, HelloPnp, HelloPower, HelloSystemControl;
static KSERVICE_ROUTINE HelloIsr;
static KDEFERRED_ROUTINE HelloDpc;

static PHELLO HelloOf(PDEVICE_OBJECT DeviceObject) { return (PHELLO)DeviceObject->DeviceExtension; }

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = Information;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
  return Status;
}

static BOOLEAN HelloIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
  PHELLO Hello = ServiceContext;
  UNREFERENCED_PARAMETER(Interrupt); /* may come before Hello->Interrupt is filled in */
  if ((READ_REGISTER_ULONG(&Hello->Registers[RegisterStatus]) & 1) == 0) return FALSE; /* another device on this line */
  WRITE_REGISTER_ULONG(&Hello->Registers[RegisterStatus], 1);
  Hello->Interrupts++;
  /* MISTAKE: an ISR that returns what KeInsertQueueDpc returns. FALSE there means "is queued already", and one run serves both requests; the
   * ISR's own result says whose interrupt it was, and it was ours. */
  KeInsertQueueDpc(&Hello->Dpc, NULL, NULL);
  return TRUE;
}

/* DISPATCH_LEVEL. MISTAKE: "a DPC must never call KeInsertQueueDpc". It may, even with its own KDPC, which has left the queue by now. */
static VOID HelloDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
  PHELLO Hello = DeferredContext;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(SystemArgument1);
  UNREFERENCED_PARAMETER(SystemArgument2);
  InterlockedIncrement(&Hello->Dpcs);
}

static NTSTATUS HelloAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
  UNICODE_STRING Name, Link;
  PDEVICE_OBJECT Self;
  NTSTATUS Status;
  RtlInitUnicodeString(&Name, L"\\Device\\Hello");
  RtlInitUnicodeString(&Link, L"\\DosDevices\\Hello");
  Status = IoCreateDevice(DriverObject, sizeof(HELLO), &Name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &Self);
  if (!NT_SUCCESS(Status)) return Status;
  Status = IoCreateSymbolicLink(&Link, &Name);
  if (!NT_SUCCESS(Status)) {
    IoDeleteDevice(Self);
    return Status;
  }
  HelloOf(Self)->Self = Self;
  HelloOf(Self)->Physical = PhysicalDeviceObject;
  /* MISTAKE: initialising with the driver object and then writing Dpc.DeferredContext. The field is the kernel's; the context belongs here. */
  KeInitializeDpc(&HelloOf(Self)->Dpc, HelloDpc, HelloOf(Self));
  HelloOf(Self)->Lower = IoAttachDeviceToDeviceStack(Self, PhysicalDeviceObject);
  if (HelloOf(Self)->Lower == NULL) {
    IoDeleteSymbolicLink(&Link);
    IoDeleteDevice(Self);
    return STATUS_NO_SUCH_DEVICE;
  }
  Self->Flags |= DO_BUFFERED_IO;
  Self->Flags &= ~DO_DEVICE_INITIALIZING;
  return STATUS_SUCCESS;
}

/* The bus has started the device: its registers can be mapped and its interrupt connected. */
static NTSTATUS HelloStart(PHELLO Hello, PCM_RESOURCE_LIST Translated) {
  IO_CONNECT_INTERRUPT_PARAMETERS Connect = {0};
  NTSTATUS Status;
  ULONG Index;
  for (Index = 0; Translated != NULL && Index < Translated->List[0].PartialResourceList.Count; Index++) {
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Resource = &Translated->List[0].PartialResourceList.PartialDescriptors[Index];
    if (Resource->Type != CmResourceTypeMemory) continue;
    Hello->RegistersSize = Resource->u.Memory.Length;
    Hello->Registers = MmMapIoSpace(Resource->u.Memory.Start, Hello->RegistersSize, MmNonCached);
  }
  if (Hello->Registers == NULL) return STATUS_DEVICE_CONFIGURATION_ERROR;
  Connect.Version = CONNECT_LINE_BASED;
  Connect.LineBased.PhysicalDeviceObject = Hello->Physical;
  Connect.LineBased.InterruptObject = &Hello->Interrupt;
  Connect.LineBased.ServiceRoutine = HelloIsr;
  Connect.LineBased.ServiceContext = Hello;
  Status = IoConnectInterruptEx(&Connect);
  if (NT_SUCCESS(Status)) WRITE_REGISTER_ULONG(&Hello->Registers[RegisterEnable], 1);
  return Status;
}

/* In this order: quiet the device, disconnect, wait for what the ISR has queued, release. */
static VOID HelloStop(PHELLO Hello) {
  IO_DISCONNECT_INTERRUPT_PARAMETERS Disconnect = {0};
  if (Hello->Interrupt != NULL) {
    WRITE_REGISTER_ULONG(&Hello->Registers[RegisterEnable], 0);
    Disconnect.Version = CONNECT_LINE_BASED;
    Disconnect.ConnectionContext.InterruptObject = Hello->Interrupt;
    IoDisconnectInterruptEx(&Disconnect);
    Hello->Interrupt = NULL;
    KeFlushQueuedDpcs();
  }
  if (Hello->Registers != NULL) MmUnmapIoSpace(Hello->Registers, Hello->RegistersSize);
  Hello->Registers = NULL;
}

static NTSTATUS HelloPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHELLO Hello = HelloOf(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  PDEVICE_OBJECT Lower = Hello->Lower;
  UNICODE_STRING Link;
  NTSTATUS Status;
  switch (Stack->MinorFunction) {
    case IRP_MN_START_DEVICE:
      Status = IoForwardIrpSynchronously(Lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
      if (NT_SUCCESS(Status)) Status = HelloStart(Hello, Stack->Parameters.StartDevice.AllocatedResourcesTranslated);
      if (!NT_SUCCESS(Status)) HelloStop(Hello);
      return Complete(Irp, Status, 0);
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_STOP_DEVICE: HelloStop(Hello); break;
    case IRP_MN_REMOVE_DEVICE:
      HelloStop(Hello);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      IoSkipCurrentIrpStackLocation(Irp);
      Status = IoCallDriver(Lower, Irp);
      RtlInitUnicodeString(&Link, L"\\DosDevices\\Hello");
      IoDeleteSymbolicLink(&Link);
      IoDetachDevice(Lower);
      IoDeleteDevice(DeviceObject);
      return Status;
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE: break;
    default: IoSkipCurrentIrpStackLocation(Irp); return IoCallDriver(Lower, Irp);
  }
  Irp->IoStatus.Status = STATUS_SUCCESS;
  IoSkipCurrentIrpStackLocation(Irp);
  return IoCallDriver(Lower, Irp);
}

static NTSTATUS HelloCreateClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  UNREFERENCED_PARAMETER(DeviceObject);
  return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS HelloRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHELLO Hello = HelloOf(DeviceObject);
  HELLO_COUNTS Counts = {(ULONG)Hello->Interrupts, (ULONG)Hello->Dpcs};
  if (IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length < sizeof(Counts)) return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
  RtlCopyMemory(Irp->AssociatedIrp.SystemBuffer, &Counts, sizeof(Counts));
  return Complete(Irp, STATUS_SUCCESS, sizeof(Counts));
}

static NTSTATUS HelloControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHELLO Hello = HelloOf(DeviceObject);
  if (IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.IoControlCode != IOCTL_HELLO_TRIGGER)
    return Complete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
  if (Hello->Registers == NULL) return Complete(Irp, STATUS_DEVICE_NOT_READY, 0);
  WRITE_REGISTER_ULONG(&Hello->Registers[RegisterTrigger], 1);
  return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS HelloPower(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PoStartNextPowerIrp(Irp);
  IoSkipCurrentIrpStackLocation(Irp);
  return PoCallDriver(HelloOf(DeviceObject)->Lower, Irp);
}

static NTSTATUS HelloSystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  IoSkipCurrentIrpStackLocation(Irp);
  return IoCallDriver(HelloOf(DeviceObject)->Lower, Irp);
}

static VOID HelloUnload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverExtension->AddDevice = HelloAddDevice;
  DriverObject->DriverUnload = HelloUnload;
  DriverObject->MajorFunction[IRP_MJ_CREATE] = HelloCreateClose;
  DriverObject->MajorFunction[IRP_MJ_CLEANUP] = HelloCreateClose;
  DriverObject->MajorFunction[IRP_MJ_CLOSE] = HelloCreateClose;
  DriverObject->MajorFunction[IRP_MJ_READ] = HelloRead;
  DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = HelloControl;
  DriverObject->MajorFunction[IRP_MJ_PNP] = HelloPnp;
  DriverObject->MajorFunction[IRP_MJ_POWER] = HelloPower;
  DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = HelloSystemControl;
  return STATUS_SUCCESS;
}
