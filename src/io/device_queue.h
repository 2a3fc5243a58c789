// Device queues: requests that wait until a device is free. Busy is the queue's own state: the first request makes it so and is not queued.
//
//    idle --insert(): false--> busy --insert(): true--> busy, one more waits
//      ^------- take(): null ----'
#pragma once
#include "io/irp.h"

namespace kdpc::io::device_queue {

inline SpinLock& lock_of(KDEVICE_QUEUE* queue) { return wdk::as_lock(&queue->Lock); }
inline IRP* irp_of(KDEVICE_QUEUE_ENTRY* entry) { return CONTAINING_RECORD(entry, IRP, Tail.Overlay.DeviceQueueEntry); }

// With the queue's lock. False: the queue was idle and is busy now; the entry is not in it. With a key: in ascending order, after equals.
bool insert_locked(KDEVICE_QUEUE* queue, KDEVICE_QUEUE_ENTRY* entry, const ULONG* key);
// With the queue's lock. The first entry whose key is not below `key`, or if there is none, the first. Null: it is empty, and idle now.
KDEVICE_QUEUE_ENTRY* take_locked(KDEVICE_QUEUE* queue, const ULONG* key);

}  // namespace kdpc::io::device_queue
