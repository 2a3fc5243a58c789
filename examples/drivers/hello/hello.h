/* What an application needs to know of the driver hello: its device is \\.\Hello. */
#ifndef HELLO_H
#define HELLO_H

/* What a read returns. */
typedef struct _HELLO_COUNTS {
  unsigned int Interrupts; /* the ISR served */
  unsigned int Dpcs;       /* the DPC ran: at most as often, as one run serves all interrupts before it */
} HELLO_COUNTS;

/* The device raises its interrupt once. */
#define IOCTL_HELLO_TRIGGER CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

#endif
