#include "io/irp.h"

#include <algorithm>

#include "io/mdl.h"
#include "io/requests.h"
#include "this_machine.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io::irp {

namespace {

std::size_t size_of(CCHAR stack_size) { return sizeof(IRP) + static_cast<std::size_t>(stack_size) * sizeof(IO_STACK_LOCATION); }

bool is_strict() { return sys().options.irql_checks == Options::IrqlChecks::Strict; }

void check_sent(const DEVICE_OBJECT* device, const IRP* irp) {
  if (irp->Type != IO_TYPE_IRP)
    bug_check(stop::DriverVerifierIoManagerViolation, {3, as_parameter(irp), 0, 0}, "IoCallDriver was given something that is not an IRP.", "IRP-2");
  if (device == nullptr || device->Type != IO_TYPE_DEVICE)
    bug_check(stop::DriverVerifierIoManagerViolation, {4, as_parameter(device), 0, 0},
              "IoCallDriver was given something that is not a device object.", "IRP-2");
  if (irp->CurrentLocation <= 1)
    bug_check(stop::NoMoreIrpStackLocations, {as_parameter(irp), 0, 0, 0}, "An IRP was sent down although it has no stack location left.", "IRP-2");
  if (irp->Tail.Overlay.CurrentStackLocation[-1].MajorFunction > IRP_MJ_MAXIMUM_FUNCTION)
    bug_check(stop::DriverVerifierIoManagerViolation, {3, as_parameter(irp), 0, 0}, "An IRP was sent down with a major function that does not exist.",
              "IRP-2");
}

void check_completed(const IRP* irp) {
  if (irp->Type != IO_TYPE_IRP || irp->CurrentLocation > irp->StackCount + 1)
    bug_check(stop::MultipleIrpCompleteRequests, {as_parameter(irp), 0, 0, 0}, "An IRP was completed twice.", "IRP-2");
  Machine::observe(KernelRead{&irp->CancelRoutine});
  if (irp->CancelRoutine != nullptr)
    bug_check(stop::CancelStateInCompletedIrp, {as_parameter(irp), 0, 0, 0}, "An IRP was completed while its cancel routine is still set.", "IRP-2");
  if (const NTSTATUS status = irp->IoStatus.Status; is_strict() && (status == STATUS_PENDING || status == -1))
    bug_check(stop::DriverVerifierIoManagerViolation, {6, static_cast<ULONG>(status), as_parameter(irp), 0},
              "An IRP was completed with STATUS_PENDING, which is no result.", "IRP-1");
}

// What a driver above must not find there.
void clear(IO_STACK_LOCATION& location) {
  location.MinorFunction = 0;
  location.Flags = 0;
  location.Control = 0;
  std::memset(&location.Parameters, 0, sizeof location.Parameters);
  location.FileObject = nullptr;
}

// The last of the IRPs that a request was split into completes the request (IoMakeAssociatedIrp).
void finish_part(IRP* irp, CCHAR boost) {
  IRP* const master = irp->AssociatedIrp.MasterIrp;
  const LONG left = __atomic_sub_fetch(&master->AssociatedIrp.IrpCount, 1, __ATOMIC_SEQ_CST);
  mdl::free_chain(irp->MdlAddress);
  free(irp);
  if (left == 0) complete(master, boost);
}

// Nobody but its driver knows what is to become of such an IRP, so NT's final stage finds no thread to finish it for, and faults.
void check_has_thread(const IRP* irp) {
  if (irp->Tail.Overlay.Thread == nullptr && is_strict())
    bug_check(stop::IrqlNotLessOrEqual, {0, as_parameter(Irql::Dispatch), 0, as_parameter(irp)},
              "An IRP from IoAllocateIrp was completed to its end: a completion routine must return STATUS_MORE_PROCESSING_REQUIRED and free it.",
              "IRP-1");
}

// The final stage (IRP-1). An application's thread does the rest itself, when it runs.
void finish(IRP* irp, CCHAR boost) {
  irp->CurrentLocation = static_cast<CHAR>(irp->StackCount + 2);
  if ((irp->Flags & IRP_ASSOCIATED_IRP) != 0) return finish_part(irp, boost);
  check_has_thread(irp);
  IrpState* state = state_of(irp);
  if (state != nullptr && state->request != nullptr) {
    requests::completed(*state->request, boost);
    return;
  }
  KEVENT* const event = irp->UserEvent;
  const bool automatic = state != nullptr && state->automatic;
  if (automatic) take_buffers(irp);
  if (irp->UserIosb != nullptr) {
    *irp->UserIosb = irp->IoStatus;
    Machine::observe(KernelAccess{irp->UserIosb, sizeof(IO_STATUS_BLOCK)});
  }
  if (automatic) free(irp);
  if (event != nullptr) wait::set_event(wdk::as_event(event), boost);
}

}  // namespace

bool is_wanted(UCHAR control, const IRP* irp) {
  if (NT_SUCCESS(irp->IoStatus.Status) && (control & SL_INVOKE_ON_SUCCESS) != 0) return true;
  if (!NT_SUCCESS(irp->IoStatus.Status) && (control & SL_INVOKE_ON_ERROR) != 0) return true;
  return (control & SL_INVOKE_ON_CANCEL) != 0 && is_cancelled(irp);
}

IRP* allocate(CCHAR stack_size, const void* owner) {
  auto* irp = make<IRP>(size_of(stack_size) + sizeof(IrpState), kIrpTag, owner);
  if (irp == nullptr) return nullptr;
  initialize(*irp, size_of(stack_size), stack_size);
  irp->AllocationFlags = kHasState;
  return irp;
}

void initialize(IRP& irp, std::size_t size, CCHAR stack_size) {
  std::memset(&irp, 0, size);
  irp.Type = IO_TYPE_IRP;
  irp.Size = static_cast<USHORT>(size);
  irp.StackCount = static_cast<CHAR>(stack_size);
  irp.CurrentLocation = static_cast<CHAR>(stack_size + 1);
  irp.ThreadListEntry.Flink = irp.ThreadListEntry.Blink = &irp.ThreadListEntry;
  irp.Tail.Overlay.CurrentStackLocation = reinterpret_cast<IO_STACK_LOCATION*>(&irp + 1) + stack_size;
}

void free(IRP* irp) {
  irp->Type = 0;
  discard(irp, kIrpTag);
}

IrpState* state_of(IRP* irp) {
  if ((irp->AllocationFlags & kHasState) == 0) return nullptr;
  return reinterpret_cast<IrpState*>(reinterpret_cast<std::byte*>(irp) + size_of(irp->StackCount));
}

NTSTATUS call(DEVICE_OBJECT* device, IRP* irp) {
  check_sent(device, irp);
  --irp->CurrentLocation;
  IO_STACK_LOCATION* location = --irp->Tail.Overlay.CurrentStackLocation;
  location->DeviceObject = device;
  PDRIVER_DISPATCH routine = device->DriverObject->MajorFunction[location->MajorFunction];
  const Irql before = Machine::irql();
  const auto number = static_cast<std::uint8_t>(irp->CurrentLocation);
  Machine::observe(IrpSent{irp, routine, location->MajorFunction, location->MinorFunction, number});
  const NTSTATUS status = routine(device, irp);
  if (const Irql after = Machine::irql(); after != before && is_strict())
    bug_check(stop::DriverVerifierIoManagerViolation, {5, as_parameter(device), as_parameter(before), as_parameter(after)},
              "A dispatch routine returned at another IRQL than it was called at.", "IRQL-7");
  Machine::observe(IrpReturned{irp, routine, number, status});
  return status;
}

void complete(IRP* irp, CCHAR boost) {
  check_completed(irp);
  Machine::observe(IrpCompleted{irp, irp->IoStatus.Status, irp->IoStatus.Information});
  while (irp->CurrentLocation <= irp->StackCount) {
    IO_STACK_LOCATION& location = *irp->Tail.Overlay.CurrentStackLocation;
    const UCHAR control = location.Control;
    Machine::observe(IrpLocationDone{irp, static_cast<std::uint8_t>(irp->CurrentLocation), (control & SL_PENDING_RETURNED) != 0});
    ++irp->CurrentLocation;
    ++irp->Tail.Overlay.CurrentStackLocation;
    irp->PendingReturned = (control & SL_PENDING_RETURNED) != 0;
    const bool at_top = irp->CurrentLocation > irp->StackCount;
    if (!is_wanted(control, irp)) {
      clear(location);
      if (irp->PendingReturned && !at_top) irp->Tail.Overlay.CurrentStackLocation->Control |= SL_PENDING_RETURNED;
      continue;
    }
    PIO_COMPLETION_ROUTINE const routine = location.CompletionRoutine;
    void* const context = location.Context;
    clear(location);
    const Irql before = Machine::irql();
    const NTSTATUS verdict = routine(at_top ? nullptr : irp->Tail.Overlay.CurrentStackLocation->DeviceObject, irp, context);
    if (const Irql after = Machine::irql(); after != before && is_strict())
      bug_check(stop::DriverVerifierDetectedViolation, {0xFA, as_parameter(routine), as_parameter(before), as_parameter(after)},
                "A completion routine returned at another IRQL than it was called at.", "IRQL-7");
    if (verdict == STATUS_MORE_PROCESSING_REQUIRED) return;  // the IRP is that driver's again, or gone
  }
  finish(irp, boost);
}

NTSTATUS complete(IRP* irp, NTSTATUS status) {
  irp->IoStatus.Status = status;
  complete(irp, static_cast<CCHAR>(IO_NO_INCREMENT));
  return status;
}

}  // namespace kdpc::io::irp

using namespace kdpc;
using namespace kdpc::io;

namespace {

NTSTATUS NTAPI wake_sender(DEVICE_OBJECT*, IRP* irp, void* context) {
  if (irp->PendingReturned) wait::set_event(*static_cast<EventObject*>(context), IO_NO_INCREMENT);
  return STATUS_MORE_PROCESSING_REQUIRED;
}

// IoSetCompletionRoutineEx: the device object stays until the routine has returned.
struct KeptCompletion {
  DEVICE_OBJECT* device;
  PIO_COMPLETION_ROUTINE routine;
  void* context;
  UCHAR wanted;  // SL_INVOKE_ON_…
};

NTSTATUS NTAPI complete_and_let_go(DEVICE_OBJECT* device, IRP* irp, void* context) {
  const KeptCompletion kept = *static_cast<KeptCompletion*>(context);
  discard(context);
  NTSTATUS verdict = STATUS_SUCCESS;
  if (irp::is_wanted(kept.wanted, irp)) {
    verdict = kept.routine(device, irp, kept.context);
  } else if (irp->PendingReturned && device != nullptr) {
    IoMarkIrpPending(irp);
  }
  device::dereference(kept.device);
  return verdict;
}

// What is about to be filled must be the IRP's; as with special pool, which has nothing behind a block and nothing left of a freed one.
void check_memory(const IRP* irp, std::size_t size, const void* caller) {
  if (!sys().pool.contains(irp)) return;
  const std::size_t room = room_in_block(irp);
  if (room == 0)
    bug_check(stop::PageFaultInFreedSpecialPool, {as_parameter(irp), 1, as_parameter(caller), 0}, "An IRP is used again that was freed.", "0xCC");
  if (size > room)
    bug_check(stop::PageFaultBeyondEndOfAllocation, {as_parameter(irp) + room, 1, as_parameter(caller), 0},
              "An IRP is said to be larger than the memory it lies in.", "0xCD");
}

}  // namespace

extern "C" {

PIRP NTAPI IoAllocateIrp(CCHAR StackSize, BOOLEAN) {
  KDPC_ROUTINE(IoAllocateIrp);
  KDPC_MAY_FAIL(IoAllocateIrp, nullptr);
  return StackSize > 0 ? irp::allocate(StackSize, __builtin_return_address(0)) : nullptr;
}

VOID NTAPI IoFreeIrp(PIRP Irp) {
  KDPC_ROUTINE_ON(IoFreeIrp, Irp);
  if (Irp->Type != IO_TYPE_IRP)
    bug_check(stop::DriverVerifierIoManagerViolation, {1, as_parameter(Irp), 0, 0},
              "IoFreeIrp was given something that is not an IRP, or one that is freed already.", "IRP-2");
  if (const IrpState* state = irp::state_of(Irp); state != nullptr && (state->belongs_to_thread || state->request != nullptr))
    bug_check(stop::DriverVerifierIoManagerViolation, {2, as_parameter(Irp), 0, 0},
              "IoFreeIrp was given an IRP that belongs to the thread that requested it; completing it frees it.", "IRP-1");
  irp::free(Irp);
}

VOID NTAPI IoInitializeIrp(PIRP Irp, USHORT PacketSize, CCHAR StackSize) {
  KDPC_ROUTINE_ON(IoInitializeIrp, Irp);
  check_memory(Irp, std::max<std::size_t>(PacketSize, irp::size_of(std::max<CCHAR>(StackSize, 0))), __builtin_return_address(0));
  const UCHAR flags = sys().pool.contains(Irp) && Irp->Type == IO_TYPE_IRP ? Irp->AllocationFlags & irp::kHasState : 0;
  irp::initialize(*Irp, PacketSize, StackSize);
  Irp->AllocationFlags = flags;
}

VOID NTAPI IoReuseIrp(PIRP Irp, NTSTATUS Iostatus) {
  KDPC_ROUTINE_ON(IoReuseIrp, Irp);
  check_memory(Irp, Irp->Size, __builtin_return_address(0));
  const UCHAR flags = Irp->AllocationFlags;
  irp::initialize(*Irp, Irp->Size, Irp->StackCount);
  Irp->AllocationFlags = flags;
  Irp->IoStatus.Status = Iostatus;
}

PIRP NTAPI IoMakeAssociatedIrp(PIRP Irp, CCHAR StackSize) {
  KDPC_ROUTINE_ON(IoMakeAssociatedIrp, Irp);
  KDPC_MAY_FAIL(IoMakeAssociatedIrp, nullptr);
  IRP* part = irp::allocate(StackSize);
  if (part == nullptr) return nullptr;
  part->Flags = IRP_ASSOCIATED_IRP;
  part->AssociatedIrp.MasterIrp = Irp;
  part->Tail.Overlay.Thread = Irp->Tail.Overlay.Thread;
  return part;
}

NTSTATUS NTAPI IoSetCompletionRoutineEx(PDEVICE_OBJECT DeviceObject, PIRP Irp, PIO_COMPLETION_ROUTINE CompletionRoutine, PVOID Context,
                                        BOOLEAN InvokeOnSuccess, BOOLEAN InvokeOnError, BOOLEAN InvokeOnCancel) {
  KDPC_ROUTINE_ON(IoSetCompletionRoutineEx, Irp);
  KDPC_MAY_FAIL(IoSetCompletionRoutineEx, STATUS_INSUFFICIENT_RESOURCES);
  auto* kept = make<KeptCompletion>();
  if (kept == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  IoSetCompletionRoutine(Irp, CompletionRoutine, Context, InvokeOnSuccess, InvokeOnError, InvokeOnCancel);
  *kept = {DeviceObject, CompletionRoutine, Context, IoGetNextIrpStackLocation(Irp)->Control};
  device::reference(DeviceObject);
  IoSetCompletionRoutine(Irp, complete_and_let_go, kept, TRUE, TRUE, TRUE);  // called whatever happens, so that nothing is left behind
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  KDPC_ROUTINE_ON(IofCallDriver, Irp);
  return irp::call(DeviceObject, Irp);
}

VOID NTAPI IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost) {
  KDPC_ROUTINE_ON(IofCompleteRequest, Irp);
  irp::complete(Irp, PriorityBoost);
}

BOOLEAN NTAPI IoForwardIrpSynchronously(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  KDPC_ROUTINE_ON(IoForwardIrpSynchronously, Irp);
  if (Irp->CurrentLocation <= 1) return FALSE;
  EventObject event;
  wait::initialize_event(event, ObjectType::SynchronizationEvent, false);
  IoCopyCurrentIrpStackLocationToNext(Irp);
  IoSetCompletionRoutine(Irp, wake_sender, &event, TRUE, TRUE, TRUE);
  if (irp::call(DeviceObject, Irp) == STATUS_PENDING) wait::for_object(event.header, nullptr);
  return TRUE;
}

}  // extern "C"
