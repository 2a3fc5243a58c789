// StartIo: on the device queue of every device object, one IRP at a time is the current one and the others wait.
//
// With IoSetStartIoAttributes(DeferredStartIo) a StartIo that asks for the next IRP, or whose DPC does on another processor, gets it when it has
// returned: `inside` says that it runs, `next_wanted` that the next IRP has been asked for meanwhile. Both change with the queue's lock, together
// with the queue, so an idle queue has nobody inside.
#include "io/device_queue.h"
#include "wdk/routine.h"

namespace kdpc::io {

namespace {

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

// The next IRP becomes the current one. Null: there is none, or the StartIo that is inside will get it when it has returned.
IRP* next_irp(DEVICE_OBJECT* device, const StartIoWish& wish, bool from_inside) {
  StartIoState& state = state_of(device).start_io;
  CancelLock cancel(wish.cancelable);
  IRP* next = nullptr;
  {
    Locked<Irql::Dispatch> locked(device_queue::lock_of(&device->DeviceQueue));
    if (state.deferred && state.inside && !from_inside) {
      state.next_wanted = true;
      state.wish = wish;
      return nullptr;
    }
    device->CurrentIrp = nullptr;
    KDEVICE_QUEUE_ENTRY* entry = device_queue::take_locked(&device->DeviceQueue, wish.by_key ? &wish.key : nullptr);
    next = entry != nullptr ? device_queue::irp_of(entry) : nullptr;
    state.inside = next != nullptr;
    device->CurrentIrp = next;
  }
  if (next != nullptr && wish.cancelable && state.non_cancelable) irp::exchange_cancel_routine(next, nullptr);
  return next;
}

// Leaves StartIo. False: nothing more to do here.
bool take_wish(DEVICE_OBJECT* device, StartIoWish& wish) {
  StartIoState& state = state_of(device).start_io;
  Locked<Irql::Dispatch> locked(device_queue::lock_of(&device->DeviceQueue));
  if (!state.deferred || !state.next_wanted) {
    state.inside = false;
    return false;
  }
  state.next_wanted = false;
  wish = state.wish;
  return true;
}

void start(DEVICE_OBJECT* device, IRP* irp) {
  StartIoWish wish{};
  while (irp != nullptr) {
    const Irql level = current_irql();
    PDRIVER_STARTIO const routine = device->DriverObject->DriverStartIo;
    routine(device, irp);
    if (const Irql now = current_irql(); now != level)
      bug_check(stop::IrqlUnexpectedValue, {as_parameter(now) << 16 | as_parameter(level) << 8 | 2, as_parameter(routine), as_parameter(irp), 0},
                "StartIo returned at another IRQL than it was called at.", "IRQL-7");
    irp = take_wish(device, wish) ? next_irp(device, wish, true) : nullptr;
  }
}

void start_next(DEVICE_OBJECT* device, const StartIoWish& wish) {
  RaiseTo<Irql::Dispatch> raised;
  start(device, next_irp(device, wish, false));
}

}  // namespace
}  // namespace kdpc::io

using namespace kdpc;
using namespace kdpc::io;

extern "C" {

VOID NTAPI IoStartPacket(PDEVICE_OBJECT DeviceObject, PIRP Irp, PULONG Key, PDRIVER_CANCEL CancelFunction) {
  KDPC_ROUTINE_ON(IoStartPacket, DeviceObject);
  RaiseTo<kdpc::Irql::Dispatch> raised;
  StartIoState& state = state_of(DeviceObject).start_io;
  CancelLock cancel(CancelFunction != nullptr);
  if (CancelFunction != nullptr) irp::exchange_cancel_routine(Irp, CancelFunction);
  bool waits = false;
  {
    Locked<kdpc::Irql::Dispatch> locked(device_queue::lock_of(&DeviceObject->DeviceQueue));
    waits = device_queue::insert_locked(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry, Key);
    if (!waits) {
      state.inside = true;
      DeviceObject->CurrentIrp = Irp;
    }
  }
  if (!waits) {
    if (CancelFunction != nullptr && state.non_cancelable) irp::exchange_cancel_routine(Irp, nullptr);
    cancel.release();
    io::start(DeviceObject, Irp);
    return;
  }
  // It waits. A cancellation that came before the routine was set would otherwise be lost.
  if (CancelFunction == nullptr || !irp::is_cancelled(Irp) || irp::exchange_cancel_routine(Irp, nullptr) == nullptr) return;
  Irp->CancelIrql = DISPATCH_LEVEL;  // this routine lowers further by itself
  cancel.hand_over();
  CancelFunction(DeviceObject, Irp);
}

VOID NTAPI IoStartNextPacket(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable) {
  KDPC_ROUTINE_ON(IoStartNextPacket, DeviceObject);
  io::start_next(DeviceObject, {Cancelable != 0, false, 0});
}

VOID NTAPI IoStartNextPacketByKey(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable, ULONG Key) {
  KDPC_ROUTINE_ON(IoStartNextPacketByKey, DeviceObject);
  io::start_next(DeviceObject, {Cancelable != 0, true, Key});
}

VOID NTAPI IoSetStartIoAttributes(PDEVICE_OBJECT DeviceObject, BOOLEAN DeferredStartIo, BOOLEAN NonCancelable) {
  KDPC_ROUTINE_ON(IoSetStartIoAttributes, DeviceObject);
  state_of(DeviceObject).start_io.deferred = DeferredStartIo != 0;
  state_of(DeviceObject).start_io.non_cancelable = NonCancelable != 0;
}

}  // extern "C"
