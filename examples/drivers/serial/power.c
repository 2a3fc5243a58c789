/* Power. This driver owns the policy: when the system sleeps it asks for D3, when the system works, for D0. In D3 requests wait.
 *
 *   SET_POWER system --down--> done below --> PoRequestPowerIrp --> SET_POWER device --> … --> the system's request goes on upwards */
#include "serial.h"

static REQUEST_POWER_COMPLETE SerialDevicePowerDone;
static IO_COMPLETION_ROUTINE SerialSystemPowerDone;
static IO_COMPLETION_ROUTINE SerialPoweredUp;

/* At any level up to DISPATCH_LEVEL. */
static VOID SerialChangePower(PSERIAL_PORT Port, DEVICE_POWER_STATE State) {
  KIRQL OldIrql;
  SerialLockAll(Port, &OldIrql);
  if (Port->Interrupt != NULL && !Port->Gone) {
    KeSynchronizeExecution(Port->Interrupt, State == PowerDeviceD0 ? SerialProgramChip : SerialQuietChip, Port);
    Port->Started = State == PowerDeviceD0;
  }
  Port->Power = State;
  SerialUnlockAll(Port, OldIrql);
  SerialServe(&Port->Reads);
  SerialServe(&Port->Writes);
  SerialServe(&Port->Waits);
}

static NTSTATUS SerialPassPower(PSERIAL_PORT Port, PIRP Irp) {
  NTSTATUS Status;
  PoStartNextPowerIrp(Irp);
  IoSkipCurrentIrpStackLocation(Irp);
  Status = PoCallDriver(Port->Lower, Irp);
  IoReleaseRemoveLock(&Port->RemoveLock, Irp);
  return Status;
}

/* The system's request has waited for this one. */
static VOID SerialDevicePowerDone(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, POWER_STATE PowerState, PVOID Context,
                                  PIO_STATUS_BLOCK IoStatus) {
  PIRP SystemIrp = Context;
  PSERIAL_PORT Port = IoGetCurrentIrpStackLocation(SystemIrp)->DeviceObject->DeviceExtension;
  UNREFERENCED_PARAMETER(DeviceObject);
  UNREFERENCED_PARAMETER(MinorFunction);
  UNREFERENCED_PARAMETER(PowerState);
  PoStartNextPowerIrp(SystemIrp);
  SerialFinish(Port, SystemIrp, IoStatus->Status, 0);
}

static NTSTATUS SerialSystemPowerDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  PSERIAL_PORT Port = Context;
  POWER_STATE State;
  NTSTATUS Status;
  UNREFERENCED_PARAMETER(DeviceObject);
  if (!NT_SUCCESS(Irp->IoStatus.Status)) {
    if (Irp->PendingReturned) IoMarkIrpPending(Irp);
    PoStartNextPowerIrp(Irp);
    IoReleaseRemoveLock(&Port->RemoveLock, Irp);
    return STATUS_CONTINUE_COMPLETION;
  }
  State.DeviceState = IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State.SystemState == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
  Status = PoRequestPowerIrp(Port->Pdo, IRP_MN_SET_POWER, State, SerialDevicePowerDone, Irp, NULL);
  if (Status != STATUS_PENDING) {
    PoStartNextPowerIrp(Irp);
    SerialFinish(Port, Irp, Status, 0);
  }
  return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS SerialPoweredUp(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  PSERIAL_PORT Port = Context;
  UNREFERENCED_PARAMETER(DeviceObject);
  if (Irp->PendingReturned) IoMarkIrpPending(Irp);
  if (NT_SUCCESS(Irp->IoStatus.Status)) SerialChangePower(Port, PowerDeviceD0);
  PoStartNextPowerIrp(Irp);
  IoReleaseRemoveLock(&Port->RemoveLock, Irp);
  return STATUS_CONTINUE_COMPLETION;
}

NTSTATUS SerialPower(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  PIO_COMPLETION_ROUTINE Done;
  NTSTATUS Status = IoAcquireRemoveLock(&Port->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) {
    PoStartNextPowerIrp(Irp);
    return SerialComplete(Irp, Status, 0);
  }
  if (Stack->MinorFunction != IRP_MN_SET_POWER) return SerialPassPower(Port, Irp);
  if (Stack->Parameters.Power.Type == DevicePowerState) {
    POWER_STATE State = Stack->Parameters.Power.State;
    PoSetPowerState(DeviceObject, DevicePowerState, State);
    if (State.DeviceState != PowerDeviceD0) { /* before the bus takes the power away */
      SerialChangePower(Port, State.DeviceState);
      return SerialPassPower(Port, Irp);
    }
    Done = SerialPoweredUp;
  } else {
    Done = SerialSystemPowerDone;
  }
  IoMarkIrpPending(Irp);
  IoCopyCurrentIrpStackLocationToNext(Irp);
  IoSetCompletionRoutine(Irp, Done, Port, TRUE, TRUE, TRUE);
  PoCallDriver(Port->Lower, Irp);
  return STATUS_PENDING;
}
