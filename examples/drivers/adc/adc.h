#ifndef ADC_H
#define ADC_H

#include <wdm.h>

#define ADC_TAG 'cdAk'

/* The control code that chooses what reads measure: one byte, the channel. */
#define IOCTL_ADC_SET_CHANNEL CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_WRITE_ACCESS)
#define ADC_CHANNELS 8

/* Registers of the card, 32 bits each. */
#define ADC_CONTROL 0 /* bit 0: interrupt when done */
#define ADC_COMMAND 1 /* write a channel: convert it */
#define ADC_STATUS 2  /* bit 0: done, write one to clear; bit 1: busy */
#define ADC_DATA 3

#define ADC_INTERRUPT 0x1
#define ADC_DONE 0x1

#define ADC_SECONDS 2 /* so long a conversion is waited for, at most one second longer */

/* One card. The letter says who may touch a field:
 *   P  PnP requests, which come one at a time   L  who holds Lock   I  the ISR, and the rest with KeSynchronizeExecution */
typedef struct _ADC_CARD {
  PDEVICE_OBJECT Self;  /* P */
  PDEVICE_OBJECT Pdo;   /* P */
  PDEVICE_OBJECT Lower; /* P */
  IO_REMOVE_LOCK RemoveLock;
  ULONG Number;          /* P  of Adc<Number> */
  PULONG Registers;      /* P */
  ULONG RegisterBytes;   /* P */
  PKINTERRUPT Interrupt; /* P */

  KSPIN_LOCK Lock;
  BOOLEAN Started;   /* L  changed by PnP requests */
  PIRP Current;      /* L  that StartIo was given and nobody has taken away */
  ULONG SecondsLeft; /* L  for its conversion */
  UCHAR Channel;     /* L */

  BOOLEAN Done;  /* I  Sample is new */
  USHORT Sample; /* I */
} ADC_CARD, *PADC_CARD;

FORCEINLINE PADC_CARD AdcCard(PDEVICE_OBJECT DeviceObject) { return (PADC_CARD)DeviceObject->DeviceExtension; }

/* adc.c: requests, one after the other, the service routine and its DPC */
NTSTATUS AdcComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information);
NTSTATUS AdcFinish(PADC_CARD Card, PIRP Irp, NTSTATUS Status, ULONG_PTR Information);
DRIVER_DISPATCH AdcRead;
DRIVER_DISPATCH AdcControl;
DRIVER_DISPATCH AdcCleanup;
DRIVER_STARTIO AdcStartIo;
KSERVICE_ROUTINE AdcIsr;
IO_DPC_ROUTINE AdcDpcForIsr;
IO_TIMER_ROUTINE AdcTimer;
VOID AdcAbandon(PADC_CARD Card, NTSTATUS Status);

/* pnp.c */
DRIVER_ADD_DEVICE AdcAddDevice;
DRIVER_DISPATCH AdcPnp;

#endif
