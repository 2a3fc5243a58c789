// Device queues, and the StartIo model built on the one in every device object: one IRP at a time is the current one, the others wait.
#include "io/irp.h"
#include "wdk/routine.h"

namespace kdpc::io {

namespace {

SpinLock& lock_of(KDEVICE_QUEUE* queue) { return wdk::as_lock(&queue->Lock); }

void link_before(LIST_ENTRY* entry, LIST_ENTRY* position) {
  entry->Flink = position;
  entry->Blink = position->Blink;
  position->Blink->Flink = entry;
  position->Blink = entry;
}

void unlink(LIST_ENTRY* entry) {
  entry->Blink->Flink = entry->Flink;
  entry->Flink->Blink = entry->Blink;
}

KDEVICE_QUEUE_ENTRY* entry_of(LIST_ENTRY* link) { return CONTAINING_RECORD(link, KDEVICE_QUEUE_ENTRY, DeviceListEntry); }
IRP* irp_of(KDEVICE_QUEUE_ENTRY* entry) { return CONTAINING_RECORD(entry, IRP, Tail.Overlay.DeviceQueueEntry); }

// False: the queue was idle and is busy now; the entry is not in it. With a key: in ascending order, after equals.
bool insert(KDEVICE_QUEUE* queue, KDEVICE_QUEUE_ENTRY* entry, const ULONG* key) {
  Locked<Irql::Dispatch> locked(lock_of(queue));
  entry->Inserted = FALSE;
  if (queue->Busy == 0) {
    queue->Busy = TRUE;
    return false;
  }
  LIST_ENTRY* position = &queue->DeviceListHead;
  if (key != nullptr) {
    entry->SortKey = *key;
    position = queue->DeviceListHead.Flink;
    while (position != &queue->DeviceListHead && entry_of(position)->SortKey <= *key) position = position->Flink;
  }
  link_before(&entry->DeviceListEntry, position);
  entry->Inserted = TRUE;
  return true;
}

// Null: the queue is empty and idle now.
KDEVICE_QUEUE_ENTRY* take(KDEVICE_QUEUE* queue) {
  Locked<Irql::Dispatch> locked(lock_of(queue));
  LIST_ENTRY* first = queue->DeviceListHead.Flink;
  if (first == &queue->DeviceListHead) {
    queue->Busy = FALSE;
    return nullptr;
  }
  unlink(first);
  entry_of(first)->Inserted = FALSE;
  return entry_of(first);
}

bool remove(KDEVICE_QUEUE* queue, KDEVICE_QUEUE_ENTRY* entry) {
  Locked<Irql::Dispatch> locked(lock_of(queue));
  if (entry->Inserted == 0) return false;
  unlink(&entry->DeviceListEntry);
  entry->Inserted = FALSE;
  return true;
}

// Holds the cancel lock, if asked to, while an IRP is current or not yet.
class CancelLock {
 public:
  explicit CancelLock(bool wanted) NO_PERMISSION_CHECK : wanted_(wanted) {
    if (wanted_) manager().cancel_lock.acquire_here(LockKind::Cancel);
  }
  ~CancelLock() { release(); }
  void release() NO_PERMISSION_CHECK {
    if (wanted_) manager().cancel_lock.release_here(LockKind::Cancel);
    wanted_ = false;
  }
  // Somebody else will release it.
  void hand_over() { wanted_ = false; }
  CancelLock(const CancelLock&) = delete;
  CancelLock& operator=(const CancelLock&) = delete;

 private:
  bool wanted_;
};

}  // namespace
}  // namespace kdpc::io

using namespace kdpc;
using namespace kdpc::io;

extern "C" {

VOID NTAPI KeInitializeDeviceQueue(PKDEVICE_QUEUE DeviceQueue) {
  KDPC_ROUTINE(KeInitializeDeviceQueue);
  *DeviceQueue = {};
  DeviceQueue->Type = 20;  // KOBJECTS DeviceQueueObject
  DeviceQueue->Size = sizeof(KDEVICE_QUEUE);
  DeviceQueue->DeviceListHead.Flink = DeviceQueue->DeviceListHead.Blink = &DeviceQueue->DeviceListHead;
}

BOOLEAN NTAPI KeInsertDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry) {
  KDPC_ROUTINE(KeInsertDeviceQueue);
  return io::insert(DeviceQueue, DeviceQueueEntry, nullptr) ? TRUE : FALSE;
}

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveDeviceQueue(PKDEVICE_QUEUE DeviceQueue) {
  KDPC_ROUTINE(KeRemoveDeviceQueue);
  return io::take(DeviceQueue);
}

BOOLEAN NTAPI KeRemoveEntryDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry) {
  KDPC_ROUTINE(KeRemoveEntryDeviceQueue);
  return io::remove(DeviceQueue, DeviceQueueEntry) ? TRUE : FALSE;
}

VOID NTAPI IoStartPacket(PDEVICE_OBJECT DeviceObject, PIRP Irp, PULONG Key, PDRIVER_CANCEL CancelFunction) {
  KDPC_ROUTINE_ON(IoStartPacket, DeviceObject);
  RaiseTo<Irql::Dispatch> raised;
  CancelLock cancel(CancelFunction != nullptr);
  if (CancelFunction != nullptr) IoSetCancelRoutine(Irp, CancelFunction);
  if (!io::insert(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry, Key)) {
    DeviceObject->CurrentIrp = Irp;
    cancel.release();
    DeviceObject->DriverObject->DriverStartIo(DeviceObject, Irp);
    return;
  }
  // It waits. A cancellation that came before the routine was set would otherwise be lost.
  if (CancelFunction == nullptr || !Irp->Cancel || IoSetCancelRoutine(Irp, nullptr) == nullptr) return;
  Irp->CancelIrql = DISPATCH_LEVEL;  // this routine lowers further by itself
  cancel.hand_over();
  CancelFunction(DeviceObject, Irp);
}

VOID NTAPI IoStartNextPacket(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable) {
  KDPC_ROUTINE_ON(IoStartNextPacket, DeviceObject);
  IRP* next = nullptr;
  {
    CancelLock cancel(Cancelable != 0);
    DeviceObject->CurrentIrp = nullptr;
    KDEVICE_QUEUE_ENTRY* entry = io::take(&DeviceObject->DeviceQueue);
    next = entry != nullptr ? io::irp_of(entry) : nullptr;
    DeviceObject->CurrentIrp = next;
  }
  if (next != nullptr) DeviceObject->DriverObject->DriverStartIo(DeviceObject, next);
}

}  // extern "C"
