/* Freeing the memory of a lock that is held. */
#include "twin.h"

typedef struct {
  KSPIN_LOCK Lock;
  ULONG Data;
} CONTEXT_BLOCK;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  CONTEXT_BLOCK *Block;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *Block, 'kcoL');
  if (Block == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeSpinLock(&Block->Lock);
  KeAcquireSpinLock(&Block->Lock, &OldIrql);
#ifndef BAD
  KeReleaseSpinLock(&Block->Lock, OldIrql);
#endif
  ExFreePoolWithTag(Block, 'kcoL'); /* culprit */
#ifdef BAD
  KeLowerIrql(OldIrql);
#endif
  return STATUS_SUCCESS;
}
