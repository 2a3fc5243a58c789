/* Removal takes the DPC out of its queue and frees what it uses. When KeRemoveQueueDpc says FALSE the DPC may be running on another processor, and
 * nobody has waited for its end. Idea: https://github.com/MicrosoftDocs/windows-driver-docs-ddi/issues/788 */
#include "museum.h"

typedef struct _STATISTICS {
  ULONG Pulses, Bytes;
} STATISTICS, *PSTATISTICS;

struct _DEVICE {
  CARD Card;
  PSTATISTICS Statistics;
};

static VOID Count(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  ++Device->Statistics->Pulses;
  Device->Statistics->Bytes += 512;
}

static NTSTATUS Start(PDEVICE Device) {
  Device->Statistics = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Device->Statistics), MUSEUM_TAG);
  if (Device->Statistics == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  InitializeDpc(&Device->Card.Dpc, Count, Device, OtherProcessor());
  return ConnectAndEnable(Device, QueueDpcForPulse, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
#ifdef FIXED
  KeFlushQueuedDpcs();
#else
  KeRemoveQueueDpc(&Device->Card.Dpc);
#endif
  if (Device->Statistics != NULL) ExFreePoolWithTag(Device->Statistics, MUSEUM_TAG);
  Device->Statistics = NULL;
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
