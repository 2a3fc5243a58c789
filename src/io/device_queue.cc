#include "io/device_queue.h"

#include "this_machine.h"
#include "wdk/routine.h"

namespace kdpc::io::device_queue {

namespace {

KDEVICE_QUEUE_ENTRY* entry_of(LIST_ENTRY* link) { return CONTAINING_RECORD(link, KDEVICE_QUEUE_ENTRY, DeviceListEntry); }

// The first entry whose key is above `key` (or not below it), or the head.
LIST_ENTRY* first_above(KDEVICE_QUEUE* queue, ULONG key, bool or_equal) {
  LIST_ENTRY* position = queue->DeviceListHead.Flink;
  while (position != &queue->DeviceListHead && (or_equal ? entry_of(position)->SortKey < key : entry_of(position)->SortKey <= key))
    position = position->Flink;
  return position;
}

void unlink(KDEVICE_QUEUE_ENTRY* entry) {
  LIST_ENTRY* link = &entry->DeviceListEntry;
  link->Blink->Flink = link->Flink;
  link->Flink->Blink = link->Blink;
  entry->Inserted = FALSE;
}

// Taking from a queue that is not busy means that somebody has lost count: the device is idle, and yet its driver asks for the next request.
void check_busy(const KDEVICE_QUEUE* queue) {
  if (queue->Busy == 0)
    bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_ASSERTION_FAILURE), as_parameter(queue), 0, 0},
              "A device queue that is not busy was asked for its next entry; checked builds of NT assert that it is busy.", "IRQL-4");
}

}  // namespace

// Whoever is given an entry, or the idle device, comes after whoever gave it.
bool insert_locked(KDEVICE_QUEUE* queue, KDEVICE_QUEUE_ENTRY* entry, const ULONG* key) {
  entry->Inserted = FALSE;
  if (key != nullptr) entry->SortKey = *key;
  Machine::observe(OrderReleased{queue});
  if (queue->Busy == 0) {
    queue->Busy = TRUE;
    Machine::observe(OrderAcquired{queue});
    return false;
  }
  LIST_ENTRY* position = key != nullptr ? first_above(queue, *key, false) : &queue->DeviceListHead;
  entry->DeviceListEntry.Flink = position;
  entry->DeviceListEntry.Blink = position->Blink;
  position->Blink->Flink = &entry->DeviceListEntry;
  position->Blink = &entry->DeviceListEntry;
  entry->Inserted = TRUE;
  return true;
}

KDEVICE_QUEUE_ENTRY* take_locked(KDEVICE_QUEUE* queue, const ULONG* key) {
  LIST_ENTRY* head = &queue->DeviceListHead;
  Machine::observe(OrderReleased{queue});
  if (head->Flink == head) {
    queue->Busy = FALSE;
    return nullptr;
  }
  LIST_ENTRY* link = key != nullptr ? first_above(queue, *key, true) : head->Flink;
  KDEVICE_QUEUE_ENTRY* entry = entry_of(link != head ? link : head->Flink);
  unlink(entry);
  Machine::observe(OrderAcquired{queue});
  return entry;
}

namespace {

bool insert(KDEVICE_QUEUE* queue, KDEVICE_QUEUE_ENTRY* entry, const ULONG* key) {
  Locked<Irql::Dispatch> locked(lock_of(queue));
  return insert_locked(queue, entry, key);
}

KDEVICE_QUEUE_ENTRY* take(KDEVICE_QUEUE* queue, const ULONG* key) {
  Locked<Irql::Dispatch> locked(lock_of(queue));
  if (sys().options.irql_checks != Options::IrqlChecks::Free) check_busy(queue);
  return take_locked(queue, key);
}

bool remove(KDEVICE_QUEUE* queue, KDEVICE_QUEUE_ENTRY* entry) {
  Locked<Irql::Dispatch> locked(lock_of(queue));
  if (entry->Inserted == 0) return false;
  unlink(entry);
  return true;
}

}  // namespace
}  // namespace kdpc::io::device_queue

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
  return device_queue::insert(DeviceQueue, DeviceQueueEntry, nullptr) ? TRUE : FALSE;
}

BOOLEAN NTAPI KeInsertByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry, ULONG SortKey) {
  KDPC_ROUTINE(KeInsertByKeyDeviceQueue);
  return device_queue::insert(DeviceQueue, DeviceQueueEntry, &SortKey) ? TRUE : FALSE;
}

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveDeviceQueue(PKDEVICE_QUEUE DeviceQueue) {
  KDPC_ROUTINE(KeRemoveDeviceQueue);
  return device_queue::take(DeviceQueue, nullptr);
}

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey) {
  KDPC_ROUTINE(KeRemoveByKeyDeviceQueue);
  return device_queue::take(DeviceQueue, &SortKey);
}

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveByKeyDeviceQueueIfBusy(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey) {
  KDPC_ROUTINE(KeRemoveByKeyDeviceQueueIfBusy);
  Locked<kdpc::Irql::Dispatch> locked(device_queue::lock_of(DeviceQueue));
  return DeviceQueue->Busy != 0 ? device_queue::take_locked(DeviceQueue, &SortKey) : nullptr;
}

BOOLEAN NTAPI KeRemoveEntryDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry) {
  KDPC_ROUTINE(KeRemoveEntryDeviceQueue);
  return device_queue::remove(DeviceQueue, DeviceQueueEntry) ? TRUE : FALSE;
}

}  // extern "C"
