/* What an application waits for: the events of its mask. */
#include "serial.h"

static BOOLEAN SerialSetWaitMask(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  Setting->Port->WaitMask = Setting->Value;
  Setting->Port->Events = 0;
  return TRUE;
}

/* A mask ends a wait for the one before, without events. */
NTSTATUS SerialChangeWaitMask(PSERIAL_PORT Port, ULONG Mask) {
  SERIAL_SETTING Setting = {Port};
  PIRP Irp;
  if ((Mask & ~(SERIAL_EV_RXCHAR | SERIAL_EV_RXFLAG | SERIAL_EV_TXEMPTY | SERIAL_EV_CTS | SERIAL_EV_DSR | SERIAL_EV_RLSD | SERIAL_EV_BREAK |
                SERIAL_EV_ERR | SERIAL_EV_RING | SERIAL_EV_RX80FULL)) != 0)
    return STATUS_INVALID_PARAMETER;
  Setting.Value = Mask;
  SerialChangeWith(&Port->Waits, SerialSetWaitMask, &Setting); /* first: who begins to wait after it does so for the new mask */
  Irp = IoCsqRemoveNextIrp(&Port->Waits.Csq, NULL);
  if (Irp != NULL) {
    *(PULONG)Irp->AssociatedIrp.SystemBuffer = 0;
    SerialFinish(Port, Irp, STATUS_SUCCESS, sizeof(ULONG));
  }
  return STATUS_SUCCESS;
}

static BOOLEAN SerialTakeEvents(PVOID Context) {
  PSERIAL_TRANSFER Transfer = Context;
  Transfer->Done = Transfer->Port->Events;
  Transfer->Port->Events = 0;
  return TRUE;
}

/* Of a wait: with its queue's lock. */
BOOLEAN SerialFeedWait(PSERIAL_PORT Port, PIRP Irp) {
  SERIAL_TRANSFER Transfer = {Port};
  KeSynchronizeExecution(Port->Interrupt, SerialTakeEvents, &Transfer);
  if (Transfer.Done == 0) return FALSE;
  *(PULONG)Irp->AssociatedIrp.SystemBuffer = Transfer.Done;
  Irp->IoStatus.Information = sizeof(ULONG);
  SerialMarkDone(Irp, STATUS_SUCCESS);
  return TRUE;
}
