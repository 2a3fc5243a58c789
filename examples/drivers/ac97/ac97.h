/* The driver's own declarations: registers, the state of one card, and who may touch it. */
#ifndef AC97_H
#define AC97_H

#include <wdm.h>

#include "ac97io.h"

#define AC97_TAG '79cA'

/* Registers of the mixer (first port range): 16 bits each. */
#define NAM_RESET 0x00
#define NAM_MASTER_VOLUME 0x02
#define NAM_PCM_VOLUME 0x18
#define NAM_MUTE 0x8000

/* Registers of the bus master (second port range), PCM out. */
#define PO_BDBAR 0x10 /* 32: physical address of the descriptor list */
#define PO_CIV 0x14   /*  8: descriptor the card is in. Read as 32 bits: CIV, LVI and SR of one moment */
#define PO_LVI 0x15   /*  8: last valid descriptor */
#define PO_SR 0x16    /* 16 */
#define PO_PICB 0x18  /* 16: samples left in the current descriptor */
#define PO_CR 0x1b    /*  8 */
#define GLOB_CNT 0x2c /* 32 */
#define GLOB_STA 0x30 /* 32 */

#define SR_HALTED 0x01   /* the card went past LVI and stands still: state, not a request */
#define SR_REQUESTS 0x1c /* last valid buffer done, buffer done, FIFO error: write one to clear */
#define CR_RUN 0x01
#define CR_RESET 0x02
#define CR_INTERRUPT_ON_COMPLETION 0x10
#define GLOB_CNT_OUT_OF_RESET 0x02
#define GLOB_STA_PCM_OUT_REQUEST 0x40
#define GLOB_STA_CODEC_READY 0x100
#define NOBODY_HOME 0xffffffff /* what is read from a card that is no longer there */

#define AC97_NAME_LENGTH 24 /* of \DosDevices\Ac97_0, with room */
#define RING_SIZE 32 /* descriptors, fixed by the card */
#define DESCRIPTOR_INTERRUPT 0x80000000

typedef struct _AC97_DESCRIPTOR {
  ULONG Address; /* physical */
  ULONG Samples; /* of both channels together, and DESCRIPTOR_INTERRUPT */
} AC97_DESCRIPTOR, *PAC97_DESCRIPTOR;

typedef enum _AC97_STATE {
  Ac97NotStarted, /* no resources: not yet, or no longer */
  Ac97Started,
  Ac97Gone /* unplugged; only removal can follow */
} AC97_STATE;

/* One card. The letter says who may touch a field:
 *   P  PnP requests, which come one at a time   L  who holds Lock   I  the ISR, and the rest with KeSynchronizeExecution */
typedef struct _AC97_CARD {
  PDEVICE_OBJECT Self;        /* P */
  PDEVICE_OBJECT Pdo;         /* P */
  PDEVICE_OBJECT Lower;       /* P */
  UNICODE_STRING Link;        /* P */
  WCHAR LinkName[AC97_NAME_LENGTH]; /* P */
  IO_REMOVE_LOCK RemoveLock;

  PUCHAR Mixer;               /* P  first port */
  PUCHAR BusMaster;           /* P  first port */
  PKINTERRUPT Interrupt;      /* P */
  ULONG ConnectVersion;       /* P */
  volatile ULONG Interrupts;  /* I */

  PDMA_ADAPTER Adapter;       /* P */
  PUCHAR Common;              /* P  descriptor list, then one buffer per descriptor */
  PHYSICAL_ADDRESS CommonPhysical; /* P */
  ULONG CommonBytes;          /* P */
  ULONG PeriodBytes;          /* P */
  ULONG Ahead;                /* P  how many periods the card may have before it */

  KSPIN_LOCK Lock;
  AC97_STATE State;           /* L  changed by PnP requests */
  LIST_ENTRY Writes;          /* L  queued requests, the first one perhaps partly taken */
  PIRP Drain;                 /* L  one at a time */
  PUCHAR Audio;               /* L */
  PAC97_DESCRIPTOR Ring;      /* L */
  ULONG Filled;               /* L  periods that are full, counted since the card was started; period n lies in descriptor n modulo 32 */
  ULONG Pushed;               /* L  of these, the ones the card knows of */
  ULONG Done;                 /* L  of these, the ones it has read; Done <= Pushed <= Filled <= Done + Ahead */
  ULONG Partial;              /* L  bytes in period number Filled */
  ULONGLONG PeriodsBefore;    /* L  read before the card was last started */
  ULONGLONG BytesTaken;       /* L */
  ULONG Underruns;            /* L */
  BOOLEAN Flushing;           /* L  play what there is, even if it is little: a drain waits, or the application has left */
  BOOLEAN Running;            /* L */
  BOOLEAN Halted;             /* L  the card has read all it knows of */
  BOOLEAN Starved;            /* L  … and nobody had said that this is the end */
  KTIMER SilenceTimer;        /* L */
  KDPC SilenceDpc;

  volatile LONG Opens;
} AC97_CARD, *PAC97_CARD;

FORCEINLINE PAC97_CARD Ac97Card(PDEVICE_OBJECT DeviceObject) { return (PAC97_CARD)DeviceObject->DeviceExtension; }

/* driver.c */
NTSTATUS Ac97Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information);
NTSTATUS Ac97PassDown(PAC97_CARD Card, PIRP Irp);
extern ULONG Ac97PeriodFrames;
extern ULONG Ac97PeriodsAhead;

/* pnp.c */
DRIVER_ADD_DEVICE Ac97AddDevice;
DRIVER_DISPATCH Ac97Pnp;

/* control.c */
DRIVER_DISPATCH Ac97Create;
DRIVER_DISPATCH Ac97Close;
DRIVER_DISPATCH Ac97Cleanup;
DRIVER_DISPATCH Ac97DeviceControl;

/* stream.c: requests on their way into the ring */
DRIVER_DISPATCH Ac97Write;
DRIVER_DISPATCH Ac97Drain;
VOID Ac97Serve(PAC97_CARD Card, PLIST_ENTRY Finished);
VOID Ac97CompleteFinished(PAC97_CARD Card, PLIST_ENTRY Finished);
VOID Ac97CancelQueued(PAC97_CARD Card, PFILE_OBJECT FileObject, NTSTATUS Status);

/* card.c: everything that touches a register */
KSERVICE_ROUTINE Ac97Isr;
IO_DPC_ROUTINE Ac97DpcForIsr;
KDEFERRED_ROUTINE Ac97SilenceDpc;
KSYNCHRONIZE_ROUTINE Ac97Quiet;
NTSTATUS Ac97Reset(PAC97_CARD Card);
VOID Ac97Push(PAC97_CARD Card);
VOID Ac97SetVolume(PAC97_CARD Card, const AC97_VOLUME *Volume);
VOID Ac97GetPosition(PAC97_CARD Card, PAC97_POSITION Position);

#endif
