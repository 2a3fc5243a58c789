/* Opening, closing, and control requests. One application at a time. */
#include "ac97.h"

/* At this moment; with no lock held it may change at once. */
static BOOLEAN Ac97IsStarted(PAC97_CARD Card) {
  BOOLEAN Started;
  KIRQL OldIrql;
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  Started = Card->State == Ac97Started;
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  return Started;
}

NTSTATUS Ac97Create(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return Ac97Complete(Irp, Status, 0);
  if (!Ac97IsStarted(Card)) {
    Status = STATUS_DEVICE_NOT_READY;
  } else if (InterlockedIncrement(&Card->Opens) != 1) {
    InterlockedDecrement(&Card->Opens);
    Status = STATUS_SHARING_VIOLATION;
  }
  Ac97Complete(Irp, Status, 0);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}

/* The last handle is closed; requests may still be queued. What is in the ring plays to its end. Comes for removed cards, too. */
NTSTATUS Ac97Cleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  Ac97CancelQueued(Ac97Card(DeviceObject), IoGetCurrentIrpStackLocation(Irp)->FileObject, STATUS_CANCELLED);
  return Ac97Complete(Irp, STATUS_SUCCESS, 0);
}

NTSTATUS Ac97Close(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  InterlockedDecrement(&Ac97Card(DeviceObject)->Opens);
  return Ac97Complete(Irp, STATUS_SUCCESS, 0);
}

NTSTATUS Ac97DeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  ULONG_PTR Information = 0;
  NTSTATUS Status;
  if (Stack->Parameters.DeviceIoControl.IoControlCode == IOCTL_AC97_DRAIN) return Ac97Drain(DeviceObject, Irp);

  Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return Ac97Complete(Irp, Status, 0);
  if (!Ac97IsStarted(Card)) {
    Status = STATUS_DEVICE_NOT_READY;
  } else {
    switch (Stack->Parameters.DeviceIoControl.IoControlCode) {
      case IOCTL_AC97_SET_VOLUME:
        if (Stack->Parameters.DeviceIoControl.InputBufferLength < sizeof(AC97_VOLUME)) {
          Status = STATUS_BUFFER_TOO_SMALL;
          break;
        }
        Ac97SetVolume(Card, Irp->AssociatedIrp.SystemBuffer);
        break;
      case IOCTL_AC97_GET_POSITION:
        if (Stack->Parameters.DeviceIoControl.OutputBufferLength < sizeof(AC97_POSITION)) {
          Status = STATUS_BUFFER_TOO_SMALL;
          break;
        }
        Ac97GetPosition(Card, Irp->AssociatedIrp.SystemBuffer);
        Information = sizeof(AC97_POSITION);
        break;
      default:
        Status = STATUS_INVALID_DEVICE_REQUEST;
    }
  }
  Ac97Complete(Irp, Status, Information);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}
