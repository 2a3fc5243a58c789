// IoWorkItems: a system work item with a device object that stays for as long as the routine may run (WI-1).
#include "io/work_item.h"

#include "io/objects.h"
#include "kernel/workitem.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

struct _IO_WORKITEM {
  WORK_QUEUE_ITEM item;          // first: bug checks name it by the same address
  PVOID object;                  // I  a device or driver object
  PIO_WORKITEM_ROUTINE routine;  //    one of the two, from queueing until it runs
  PIO_WORKITEM_ROUTINE_EX routine_with_item;
  PVOID context;
  volatile bool claimed;  // X  from queueing until the worker has read the rest
};

using namespace kdpc;
using namespace kdpc::io;

namespace {

constexpr std::uint32_t kItemTag = pool_tag("IoWi");

struct Wanted {
  PIO_WORKITEM_ROUTINE routine;  // one of the two
  PIO_WORKITEM_ROUTINE_EX routine_with_item;
  void* context;
};

void keep(void* object) {
  if (static_cast<DEVICE_OBJECT*>(object)->Type == IO_TYPE_DEVICE) device::reference(static_cast<DEVICE_OBJECT*>(object));
}
void let_go(void* object) {
  if (static_cast<DEVICE_OBJECT*>(object)->Type == IO_TYPE_DEVICE) device::dereference(static_cast<DEVICE_OBJECT*>(object));
}

// In a worker. The item is off its queue; from the call on it may be gone or queued again (WI-2).
void KDPC_NTAPI run(void* parameter) {
  auto* item = static_cast<PIO_WORKITEM>(parameter);
  void* const object = item->object;
  const Wanted wanted = {item->routine, item->routine_with_item, item->context};
  __atomic_store_n(&item->claimed, false, __ATOMIC_RELEASE);
  if (wanted.routine != nullptr) {
    wanted.routine(static_cast<DEVICE_OBJECT*>(object), wanted.context);
  } else {
    wanted.routine_with_item(object, wanted.context, item);
  }
  let_go(object);
}

std::uint64_t routine_of(PIO_WORKITEM item) { return item->routine != nullptr ? as_parameter(item->routine) : as_parameter(item->routine_with_item); }

void initialize(PIO_WORKITEM item, void* object) {
  if (const CSHORT type = object != nullptr ? static_cast<DEVICE_OBJECT*>(object)->Type : CSHORT{0}; type != IO_TYPE_DEVICE && type != IO_TYPE_DRIVER)
    bug_check(stop::WorkerInvalid, {3, as_parameter(item), as_parameter(object), 0},
              "A work item was initialised for something that is neither a device nor a driver object.", "WI-2");
  work::initialize(wdk::as_work_item(&item->item), run, item);
  item->object = object;
}

void check_routine(PIO_WORKITEM item, const Wanted& wanted, WORK_QUEUE_TYPE type) {
  if (wanted.routine == nullptr && wanted.routine_with_item == nullptr)
    bug_check(stop::WorkerInvalid, {7, as_parameter(item), static_cast<std::uint64_t>(type), 0}, "A work item without a routine was queued.", "WI-2");
}

void prepare(PIO_WORKITEM item, const Wanted& wanted) {
  item->routine = wanted.routine;
  item->routine_with_item = wanted.routine_with_item;
  item->context = wanted.context;
  keep(item->object);
}

void queue(PIO_WORKITEM item, const Wanted& wanted, WORK_QUEUE_TYPE type) {
  WorkItem& system_item = wdk::as_work_item(&item->item);
  check_routine(item, wanted, type);
  if (!work::is_queued(system_item)) {
    __atomic_store_n(&item->claimed, true, __ATOMIC_RELAXED);
    prepare(item, wanted);
  }
  work::queue(system_item, static_cast<std::uint32_t>(type));
}

// False: it is queued already, and nothing is changed.
bool try_queue(PIO_WORKITEM item, const Wanted& wanted, WORK_QUEUE_TYPE type) {
  check_routine(item, wanted, type);
  if (__atomic_exchange_n(&item->claimed, true, __ATOMIC_ACQ_REL)) return false;
  prepare(item, wanted);
  work::queue(wdk::as_work_item(&item->item), static_cast<std::uint32_t>(type));
  return true;
}

}  // namespace

const void* kdpc::io::work_item::routine_of(const WorkItem& item) {
  if (item.routine != run) return reinterpret_cast<const void*>(item.routine);
  const auto* its = static_cast<const _IO_WORKITEM*>(item.parameter);
  return its->routine != nullptr ? reinterpret_cast<const void*>(its->routine) : reinterpret_cast<const void*>(its->routine_with_item);
}

extern "C" {

PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject) {
  KDPC_ROUTINE(IoAllocateWorkItem);
  KDPC_MAY_FAIL(IoAllocateWorkItem, nullptr);
  auto* item = make<_IO_WORKITEM>(sizeof(_IO_WORKITEM), kItemTag, __builtin_return_address(0));
  if (item != nullptr) initialize(item, DeviceObject);
  return item;
}

VOID NTAPI IoFreeWorkItem(PIO_WORKITEM IoWorkItem) {
  KDPC_ROUTINE(IoFreeWorkItem);
  if (work::is_queued(wdk::as_work_item(&IoWorkItem->item)))
    bug_check(stop::WorkerInvalid, {2, as_parameter(IoWorkItem), routine_of(IoWorkItem), 0}, "A work item was freed while it is queued.", "WI-2");
  discard(IoWorkItem, kItemTag);
}

VOID NTAPI IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine, WORK_QUEUE_TYPE QueueType, PVOID Context) {
  KDPC_ROUTINE(IoQueueWorkItem);
  queue(IoWorkItem, {WorkerRoutine, nullptr, Context}, QueueType);
}

VOID NTAPI IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine, WORK_QUEUE_TYPE QueueType, PVOID Context) {
  KDPC_ROUTINE(IoQueueWorkItemEx);
  queue(IoWorkItem, {nullptr, WorkerRoutine, Context}, QueueType);
}

BOOLEAN NTAPI IoTryQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine, WORK_QUEUE_TYPE QueueType, PVOID Context) {
  KDPC_ROUTINE(IoTryQueueWorkItem);
  return try_queue(IoWorkItem, {nullptr, WorkerRoutine, Context}, QueueType) ? TRUE : FALSE;
}

ULONG NTAPI IoSizeofWorkItem() {
  KDPC_ROUTINE(IoSizeofWorkItem);
  return sizeof(_IO_WORKITEM);
}

VOID NTAPI IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem) {
  KDPC_ROUTINE(IoInitializeWorkItem);
  *IoWorkItem = {};
  initialize(IoWorkItem, IoObject);
}

VOID NTAPI IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem) {
  KDPC_ROUTINE(IoUninitializeWorkItem);
  if (work::is_queued(wdk::as_work_item(&IoWorkItem->item)))
    bug_check(stop::WorkerInvalid, {2, as_parameter(IoWorkItem), routine_of(IoWorkItem), 0}, "A work item was uninitialised while it is queued.",
              "WI-2");
}

}  // extern "C"
