/* The driver's own declarations: registers, codec verbs, the state of one controller, and who may touch it. */
#ifndef HDA_H
#define HDA_H

#include <wdm.h>

#define HDA_TAG 'adHk'

#define FRAME_BYTES 4
#define BYTES_PER_SECOND 192000 /* 48 kHz, 16 bits, stereo */

/* Registers of the controller. */
#define GCAP 0x00     /* 16: bits 8…11: how many input streams there are before the output streams */
#define GCTL 0x08     /* 32 */
#define STATESTS 0x0e /* 16: which codecs have reported themselves */
#define INTCTL 0x20   /* 32: a bit for each stream, and … */
#define INTSTS 0x24   /* 32: the same bits */
#define WALCLK 0x30   /* 32: runs with 24 MHz */
#define ICW 0x60      /* 32: a command for a codec … */
#define IRR 0x64      /* 32: … its answer … */
#define ICS 0x68      /* 16: … and whether it is there */

#define GCTL_OUT_OF_RESET 0x1
#define GLOBAL_INTERRUPT 0x80000000
#define ICS_BUSY 0x1
#define ICS_VALID 0x2
#define WALL_TICKS_PER_BYTE (24000000 / BYTES_PER_SECOND)

/* Registers of a stream, from its own base. */
#define FIRST_STREAM 0x80
#define STREAM_SIZE 0x20
#define SD_CTL 0x00  /* 32, of which the highest byte is SD_STS */
#define SD_STS 0x03  /*  8 */
#define SD_LPIB 0x04 /* 32: where in the ring the controller reads */
#define SD_CBL 0x08  /* 32: length of the ring */
#define SD_LVI 0x0c  /* 16: its last descriptor */
#define SD_FMT 0x12  /* 16 */
#define SD_BDPL 0x18 /* 32: physical address of the descriptors, and … */
#define SD_BDPU 0x1c /* 32: … its upper half */

#define CTL_RESET 0x1
#define CTL_RUN 0x2
#define CTL_INTERRUPT_ON_COMPLETION 0x4
#define CTL_STREAM_NUMBER(Number) ((Number) << 20)
#define STS_COMPLETED 0x4 /* a descriptor is done: write one to clear */
#define FORMAT_48K_16_STEREO 0x0011

/* A codec's nodes and verbs: of QEMU's hda-output, the usual ones. */
#define CODEC 0
#define NODE_CONVERTER 2
#define STREAM 1
#define VERB_SET_FORMAT(Format) (0x20000 | (Format))
#define VERB_SET_STREAM(Stream) (0x70600 | (Stream) << 4)

#define RING_PERIODS 4

typedef struct _HDA_DESCRIPTOR {
  ULONGLONG Address;
  ULONG Length;
  ULONG InterruptWhenDone;
} HDA_DESCRIPTOR, *PHDA_DESCRIPTOR;

/* One controller. The letter says who may touch a field:
 *   P  PnP requests, which come one at a time   L  who holds Lock   I  the ISR, and the rest with KeSynchronizeExecution */
typedef struct _HDA_CONTROLLER {
  PDEVICE_OBJECT Self;  /* P */
  PDEVICE_OBJECT Pdo;   /* P */
  PDEVICE_OBJECT Lower; /* P */
  IO_REMOVE_LOCK RemoveLock;

  PUCHAR Registers;    /* P */
  ULONG RegisterBytes; /* P */
  PUCHAR Stream;       /* P  of the first output stream */
  ULONG StreamBit;     /* P  of it in INTCTL and INTSTS */

  ULONG ConnectVersion; /* P  says which one of … */
  union {
    PIO_INTERRUPT_MESSAGE_INFO Messages;
    PKINTERRUPT Line;
    PVOID Any;
  } Connection;              /* P */
  volatile ULONG Interrupts; /* I */

  PDMA_ADAPTER Adapter;            /* P */
  PUCHAR Common;                   /* P  the ring, then its descriptors */
  PHYSICAL_ADDRESS CommonPhysical; /* P */
  ULONG CommonBytes;               /* P */
  ULONG RingBytes;                 /* P */

  KSPIN_LOCK Lock;
  BOOLEAN Started;   /* L  changed by PnP requests */
  BOOLEAN Running;   /* L */
  ULONGLONG Read;    /* L  bytes the controller has read since it was started */
  ULONGLONG Written; /* L  bytes that are good to be read; Read <= Written <= Read + RingBytes */
  ULONG Wall;        /* L  WALCLK when Read was */
  ULONG Underruns;   /* L */
  PIRP Current;      /* L  that StartIo was given and the ring has not swallowed */
  ULONGLONG HeardAt; /* L  of a flush: where in Read its end is heard; 0: not yet known */
} HDA_CONTROLLER, *PHDA_CONTROLLER;

FORCEINLINE PHDA_CONTROLLER HdaController(PDEVICE_OBJECT DeviceObject) { return (PHDA_CONTROLLER)DeviceObject->DeviceExtension; }

/* driver.c */
extern ULONG HdaPeriodFrames;
NTSTATUS HdaComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information);

/* pnp.c */
DRIVER_ADD_DEVICE HdaAddDevice;
DRIVER_DISPATCH HdaPnp;

/* stream.c: requests, one after the other, and the DPC that feeds the ring */
DRIVER_DISPATCH HdaQueue;
DRIVER_DISPATCH HdaCleanup;
DRIVER_STARTIO HdaStartIo;
IO_DPC_ROUTINE HdaDpcForIsr;
VOID HdaAbandon(PHDA_CONTROLLER Controller);

/* card.c: everything that touches a register */
KMESSAGE_SERVICE_ROUTINE HdaMessageIsr;
KSERVICE_ROUTINE HdaLineIsr;
NTSTATUS HdaReset(PHDA_CONTROLLER Controller);
VOID HdaRun(PHDA_CONTROLLER Controller);
VOID HdaStop(PHDA_CONTROLLER Controller);
VOID HdaProgress(PHDA_CONTROLLER Controller);

#endif
