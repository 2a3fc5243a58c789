/* The museum: small drivers for the card that interrupts by itself (include/kdpc/cards.h, model "pulse"). Each file is one driver with one mistake of
 * the interrupt path; with FIXED it is its twin, which does the same properly.
 *
 * What all have in common is here and, the boring half of it, in museum.c. A file has
 *   struct _DEVICE {CARD Card; …}   its device extension
 *   Start   the card is mapped and quiet: prepare, connect, enable, start threads
 *   Stop    at removal: everything back, and what must hold is looked at with INVARIANT; StopAll if there is nothing else to do
 * and Parts at its end, which names them. Parameters that a routine has no use for are left alone. */
#pragma once
#include <wdm.h>

#define MUSEUM_TAG 'suMk'

/* Registers of the card, 32 bits each. */
#define CARD_CONTROL 0 /* bit 0: enabled; bit 1: interrupts masked */
#define CARD_STATUS 1  /* bit 0: there was a pulse, write one to clear */
#define CARD_COUNT 2
#define CARD_DATA 3
#define CARD_DOORBELL 4 /* write n: a pulse after n microseconds */
#define CARD_RING 5     /* write where it writes records */

#define CARD_ENABLED 1
#define CARD_MASKED 2
#define CARD_PULSE 1
#define CARD_GONE MAXULONG /* what a card that is not there any more reads as */

#define MOST_THREADS 3

/* What a card with a ring writes by itself for each pulse. */
#define RECORDS 8
typedef struct _RECORD {
  volatile ULONG Done; /* 0: the card's; else ours, and the number of its pulse, from 1 */
  ULONG Length;        /* of the data in bytes */
  ULONG Data[6];       /* DATA_OF(Done) and up */
} RECORD, *PRECORD;
#define DATA_OF(Pulse) (37 * (Pulse))

typedef struct _DEVICE DEVICE, *PDEVICE;
typedef VOID THREAD_ROUTINE(PDEVICE Device);

typedef struct _THREAD {
  PDEVICE Device;
  THREAD_ROUTINE* Routine;
  ULONG Processor;
  PKTHREAD Object; /* NULL: none */
} THREAD, *PTHREAD;

/* The first member of every device extension. But for Dpc and Stopped it is written before the interrupt is connected, or by one who has it disconnected. */
typedef struct _CARD {
  PDEVICE_OBJECT Self, Pdo, Lower;
  PULONG Registers;
  ULONG RegisterBytes;
  BOOLEAN Started;
  BOOLEAN Stopped; /* with the interrupt's lock: UnmaskCard is to leave it quiet */
  ULONG Connected; /* CONNECT_LINE_BASED or CONNECT_MESSAGE_BASED; 0: not */
  union {
    PVOID Generic;
    PKINTERRUPT Interrupt;
    PIO_INTERRUPT_MESSAGE_INFO Messages;
  } Connection;
  KDPC Dpc; /* that QueueDpcForPulse queues; the entry initialises it */
  PDMA_ADAPTER Adapter;
  PHYSICAL_ADDRESS RingAddress;
  PRECORD Ring; /* RECORDS of them; NULL: none */
  THREAD Threads[MOST_THREADS];
} CARD, *PCARD;

typedef struct _PARTS {
  ULONG DeviceBytes;
  NTSTATUS (*Start)(PDEVICE Device);
  VOID (*Stop)(PDEVICE Device);
  NTSTATUS (*Control)(PDEVICE Device, PIRP Irp); /* IRP_MJ_INTERNAL_DEVICE_CONTROL, which a driver here sends to itself; NULL: none */
  VOID (*Power)(PDEVICE Device, BOOLEAN Down);   /* of a started device: the system goes to sleep, or wakes; NULL: nothing is done then */
} PARTS;
extern const PARTS Parts;

/* What only the mistake of the driver can violate. */
#define INVARIANT(Condition, Seen, Wanted) \
  if (!(Condition)) KeBugCheckEx(MANUALLY_INITIATED_CRASH, __LINE__, (ULONG_PTR)(Seen), (ULONG_PTR)(Wanted), 0)

/* The line's, whose service routine gets the device as its context. */
NTSTATUS ConnectLine(PDEVICE Device, PKSERVICE_ROUTINE Routine);
/* All messages' that were granted. Lock NULL: each message has one of its own. */
NTSTATUS ConnectMessages(PDEVICE Device, PKMESSAGE_SERVICE_ROUTINE Routine, PKSPIN_LOCK Lock);
/* No service routine runs when it returns. */
VOID Disconnect(PDEVICE Device);
/* Of the line, or of message 0. */
PKINTERRUPT Interrupt(PDEVICE Device);

/* With a processor for its target: its routine is never on two at once, wherever interrupts go. */
VOID InitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE Routine, PDEVICE Device, CCHAR Processor);

VOID EnableCard(PDEVICE Device);
/* No more pulses; a service routine finds none from then on, and if one was running it has queued its DPC when this returns. */
VOID QuietCard(PDEVICE Device);
VOID RingDoorbell(PDEVICE Device, ULONG Microseconds);
/* For service routines: no more interrupts until UnmaskCard, a DPC routine whose context is the device. */
VOID MaskCard(PDEVICE Device);
KDEFERRED_ROUTINE UnmaskCard;
/* QuietCard, and UnmaskCard leaves it so. That DPC may still be queued when it returns, and uses the interrupt object. */
VOID QuietForGood(PDEVICE Device);
/* For service routines: TRUE if there was a pulse, which is cleared, and its value. */
BOOLEAN TakePulse(PDEVICE Device, PULONG Value);
/* A service routine that does just that: takes the pulse and queues the card's DPC. */
BOOLEAN QueueDpcForPulse(PKINTERRUPT InterruptObject, PVOID Context);

/* Another than the first, where PnP requests are handled and lines interrupt; if there is one. */
CCHAR OtherProcessor(VOID);
/* A system thread on that processor, or if there is none of that number, on one there is. */
NTSTATUS StartThread(PDEVICE Device, THREAD_ROUTINE* Routine, ULONG Processor);
VOID JoinThreads(PDEVICE Device);        /* they have ended when it returns */
LARGE_INTEGER After(ULONG Milliseconds); /* from now, as a timer and a wait want it */
VOID Sleep(ULONG Milliseconds);
BOOLEAN WaitFor(PVOID Object, ULONG Milliseconds); /* FALSE: so long it was not signalled */

/* The usual start: the line is connected, then the card may interrupt, then the thread begins, on processor 1. NULL: there is none. */
NTSTATUS ConnectAndEnable(PDEVICE Device, PKSERVICE_ROUTINE Routine, THREAD_ROUTINE* Thread);
/* The usual end: threads, card, interrupt, and the DPCs that it has left. Nothing of the driver's runs when it returns. */
VOID StopAll(PDEVICE Device);

/* The usual start and end of a driver whose card has a ring, and whose DPC, on processor 0 only, takes its records. */
NTSTATUS StartRecords(PDEVICE Device, PKDEFERRED_ROUTINE Routine);
VOID StopRecords(PDEVICE Device);
/* The record is the card's again: how many of so many words were not as that pulse, from 1, leaves them. */
ULONG TakeRecord(PRECORD Record, ULONG Words, ULONG Pulse);

/* A work item whose end can be waited for. The entry queues it, and counts that, and frees it. */
typedef struct _WORK {
  PIO_WORKITEM Item;  /* NULL: none */
  KSEMAPHORE Ended;   /* its routine releases it once, at the end of each run */
  volatile LONG Runs; /* so often it was queued */
} WORK, *PWORK;
NTSTATUS AllocateWork(PDEVICE Device, PWORK Work);
VOID WaitForWork(PWORK Work); /* for all runs that it was queued for; once */

/* Sends the IRP of an internal device control to the driver itself. It is not to be used when its routine has been called. */
PIRP NewRequest(PDEVICE Device, PIO_COMPLETION_ROUTINE Done, PVOID Context);
/* Ends a request; its status again. */
NTSTATUS Complete(PIRP Irp, NTSTATUS Status);
