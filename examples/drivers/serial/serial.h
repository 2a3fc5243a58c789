#ifndef SERIAL_H
#define SERIAL_H

#include <ntddser.h>
#include <wdm.h>

#include "uart.h"

#define SERIAL_TAG 'lreS'

/* What is done with a port and the interrupt lock held is done by routines that take one of these. */
typedef struct _SERIAL_TRANSFER {
  struct _SERIAL_PORT* Port;
  PUCHAR Buffer;
  ULONG Length;
  ULONG Done;
} SERIAL_TRANSFER, *PSERIAL_TRANSFER;

/* Requests of one kind that wait, the first of them being worked on. */
typedef struct _SERIAL_QUEUE {
  IO_CSQ Csq;
  struct _SERIAL_PORT* Port;
  KSPIN_LOCK Lock;
  LIST_ENTRY Irps;
} SERIAL_QUEUE, *PSERIAL_QUEUE;

/* One port. The letter says who may touch a field:
 *   P  PnP and power requests, which come one at a time   R, W, M  who holds the lock of Reads, Writes, Waits
 *   I  the ISR, and the rest with KeSynchronizeExecution   A  anybody, it does not change while the port is open */
typedef struct _SERIAL_PORT {
  PDEVICE_OBJECT Self;  /* P */
  PDEVICE_OBJECT Pdo;   /* P */
  PDEVICE_OBJECT Lower; /* P */
  IO_REMOVE_LOCK RemoveLock;
  ULONG Number;                 /* P  of COM<Number> */
  UNICODE_STRING InterfaceName; /* P */
  DEVICE_POWER_STATE Power;     /* P */

  PUCHAR Registers;      /* A */
  ULONG RegisterBytes;   /* P */
  BOOLEAN InMemory;      /* A  or else they are ports */
  PKINTERRUPT Interrupt; /* P  and everybody, while Started */
  volatile LONG Opened;  /* one at a time */

  SERIAL_QUEUE Reads;
  SERIAL_QUEUE Writes; /* IRP_MJ_FLUSH_BUFFERS too */
  SERIAL_QUEUE Waits;  /* IOCTL_SERIAL_WAIT_ON_MASK: one */
  BOOLEAN Started;     /* changed with all three locks held: whoever holds one may touch the chip */
  BOOLEAN Gone;        /* the same: it will not come back */

  SERIAL_TIMEOUTS Timeouts; /* set with all three locks, so any one will do to look */
  KTIMER ReadTotalTimer;    /* R */
  KTIMER ReadIntervalTimer; /* R */
  KDPC ReadTotalDpc;
  KDPC ReadIntervalDpc;
  ULONGLONG ReadTotalDue;    /* R  interrupt time; 0: never */
  ULONGLONG ReadIntervalDue; /* R */
  ULONGLONG ReadInterval;    /* R  of the current read, 100 ns; 0: none */
  BOOLEAN ReadTakesAny;      /* R  it ends with the first bytes */
  BOOLEAN ReadNeverWaits;    /* R  it ends with what is there */
  KTIMER WriteTimer;         /* W */
  KDPC WriteDpc;
  ULONGLONG WriteDue; /* W */

  BOOLEAN Listens;             /* I  the service routine may look at the chip, and at what follows */
  PUCHAR Ring;                 /* I  what has come and was not read */
  ULONG RingBytes;             /* I */
  ULONG RingFirst;             /* I */
  ULONG RingCount;             /* I */
  PUCHAR SendNext;             /* I  what is to be sent of the current write */
  ULONG SendLeft;              /* I */
  ULONG TxFifo;                /* A  how many bytes the chip takes at once */
  UCHAR FifoControl;           /* I */
  UCHAR LineControl;           /* I */
  UCHAR ModemControl;          /* I */
  UCHAR ModemStatus;           /* I */
  UCHAR InterruptEnable;       /* I */
  USHORT Divisor;              /* I */
  ULONG Clock;                 /* A  Hz */
  SERIAL_HANDFLOW HandFlow;    /* I */
  SERIAL_CHARS Chars;          /* I */
  BOOLEAN RtsHeld;             /* I  by us, because the ring is nearly full */
  BOOLEAN BreakOn;             /* I */
  ULONG HoldReasons;           /* I */
  ULONG Errors;                /* I  since IOCTL_SERIAL_GET_COMMSTATUS asked last */
  ULONG WaitMask;              /* I  and M to change it: either will do to look */
  ULONG Events;                /* I  that have happened, of those in WaitMask */
  SERIALPERF_STATS Statistics; /* I */
} SERIAL_PORT, *PSERIAL_PORT;

FORCEINLINE PSERIAL_PORT SerialPort(PDEVICE_OBJECT DeviceObject) { return (PSERIAL_PORT)DeviceObject->DeviceExtension; }

/* driver.c */
extern ULONG SerialRxTrigger, SerialTxFifo, SerialRingBytes, SerialClock;
NTSTATUS SerialComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information);
NTSTATUS SerialFinish(PSERIAL_PORT Port, PIRP Irp, NTSTATUS Status, ULONG_PTR Information);

/* pnp.c, power.c */
DRIVER_ADD_DEVICE SerialAddDevice;
DRIVER_DISPATCH SerialPnp;
DRIVER_DISPATCH SerialPower;
VOID SerialLog(PSERIAL_PORT Port, NTSTATUS Code, NTSTATUS Status);

/* queue.c: cancel-safe queues */
typedef VOID SERIAL_LEAVES(PSERIAL_PORT Port, PIRP Irp);
NTSTATUS SerialInitializeQueue(PSERIAL_QUEUE Queue, PSERIAL_PORT Port);
NTSTATUS SerialEnqueue(PSERIAL_QUEUE Queue, PIRP Irp);
PIRP SerialFirst(PSERIAL_QUEUE Queue);
VOID SerialMarkDone(PIRP Irp, NTSTATUS Status);
BOOLEAN SerialIsDone(PIRP Irp);
BOOLEAN SerialBegins(PIRP Irp);
BOOLEAN SerialHasBegun(PIRP Irp);
BOOLEAN SerialFinishDone(PSERIAL_QUEUE Queue);
VOID SerialAbort(PSERIAL_QUEUE Queue, PFILE_OBJECT File, NTSTATUS Status);
VOID SerialServe(PSERIAL_QUEUE Queue);
VOID SerialLockAll(PSERIAL_PORT Port, PKIRQL OldIrql);
VOID SerialUnlockAll(PSERIAL_PORT Port, KIRQL OldIrql);

/* read.c, write.c, wait.c. Feed: with the queue's lock, the first request and a chip that may be touched; TRUE: it is done. */
DRIVER_DISPATCH SerialRead;
DRIVER_DISPATCH SerialWrite;
DRIVER_DISPATCH SerialFlush;
KDEFERRED_ROUTINE SerialReadTotalTimeout;
KDEFERRED_ROUTINE SerialReadIntervalTimeout;
KDEFERRED_ROUTINE SerialWriteTimeout;
BOOLEAN SerialFeedRead(PSERIAL_PORT Port, PIRP Irp);
BOOLEAN SerialFeedWrite(PSERIAL_PORT Port, PIRP Irp);
BOOLEAN SerialFeedWait(PSERIAL_PORT Port, PIRP Irp);
NTSTATUS SerialChangeWaitMask(PSERIAL_PORT Port, ULONG Mask);
SERIAL_LEAVES SerialReadLeaves;
SERIAL_LEAVES SerialWriteLeaves;
ULONGLONG SerialArm(PKTIMER Timer, PKDPC Dpc, ULONGLONG Milliseconds);

/* settings.c */
typedef struct _SERIAL_SETTING {
  PSERIAL_PORT Port;
  PVOID Buffer; /* the request's */
  NTSTATUS Status;
  ULONG Value;
} SERIAL_SETTING, *PSERIAL_SETTING;
/* The routine gets the setting as its context, to change it or to look at it, and at the chip if it can be touched: with the interrupt lock held as long as
 * there is an interrupt, and that of Reads, or of another queue. */
VOID SerialChange(PSERIAL_PORT Port, PKSYNCHRONIZE_ROUTINE Routine, PSERIAL_SETTING Setting);
VOID SerialChangeWith(PSERIAL_QUEUE Queue, PKSYNCHRONIZE_ROUTINE Routine, PSERIAL_SETTING Setting);
NTSTATUS SerialControlSetting(PSERIAL_PORT Port, ULONG Code, PVOID Buffer);

/* ioctl.c */
DRIVER_DISPATCH SerialDeviceControl;
DRIVER_DISPATCH SerialOpen;
DRIVER_DISPATCH SerialCleanup;
DRIVER_DISPATCH SerialClose;

/* isr.c: everything that touches the chip, always with the interrupt lock. Context of the routines: the port, or a transfer. */
KSERVICE_ROUTINE SerialIsr;
IO_DPC_ROUTINE SerialDpcForIsr;
KSYNCHRONIZE_ROUTINE SerialTakeBytes;   /* transfer */
KSYNCHRONIZE_ROUTINE SerialBeginSend;   /* transfer */
KSYNCHRONIZE_ROUTINE SerialEndSend;     /* transfer: Done gets what was not sent */
KSYNCHRONIZE_ROUTINE SerialSendIsOver;  /* port */
KSYNCHRONIZE_ROUTINE SerialProgramChip; /* port */
KSYNCHRONIZE_ROUTINE SerialQuietChip;   /* port */
KSYNCHRONIZE_ROUTINE SerialIgnoreChip;  /* port */
KSYNCHRONIZE_ROUTINE SerialApplyLine;   /* port: divisor, line control, modem control */
KSYNCHRONIZE_ROUTINE SerialForgetInput; /* port */
BOOLEAN SerialIsThere(PSERIAL_PORT Port);

#endif
