#include "kernel/thread.h"

#include "kernel/bugcheck.h"
#include "kernel/object.h"
#include "kernel/system.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/io_object.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::wdk {

Thread& as_thread(void* thread) {
  auto& its = *static_cast<Thread*>(thread);
  if (its.header.type != static_cast<UCHAR>(ObjectType::Thread) || its.processor >= sys().processor_count || its.priority > kHighPriority)
    bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_OBJECT_TYPE_MISMATCH), as_parameter(thread), its.header.type, 0},
              "A routine that works on a thread was given a pointer to something else.", "WAIT-4");
  return its;
}

}  // namespace kdpc::wdk

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// Checked builds of NT assert it.
void check_priority(const void* thread, KPRIORITY priority) {
  if (priority < 1 || priority > kHighPriority)
    bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_INVALID_PARAMETER), as_parameter(thread), static_cast<ULONG>(priority), 0},
              "KeSetPriorityThread was asked for a priority that does not exist; priorities are 1 to 31.", "IRQL-4");
}

void dereference_io_object(void* object) { io_object::dereference(object); }

NTSTATUS create(PHANDLE handle, PCLIENT_ID id, PKSTART_ROUTINE routine, PVOID context, PVOID io_object) {
  Thread* created = thread::create("system thread", reinterpret_cast<ThreadRoutine*>(routine), context, kNormalPriority, active_processors());
  if (created == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  const std::uintptr_t value = object::open(created->header);
  if (value == 0) {
    thread::abandon(*created);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  *handle = reinterpret_cast<HANDLE>(value);
  if (id != nullptr) *id = CLIENT_ID{nullptr, reinterpret_cast<HANDLE>(ULONG_PTR{created->id})};
  if (io_object != nullptr) {
    io_object::reference(io_object);
    created->at_end = dereference_io_object;
    created->at_end_context = io_object;
  }
  thread::start(*created);
  return STATUS_SUCCESS;
}

}  // namespace

extern "C" {

NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG, POBJECT_ATTRIBUTES, HANDLE, PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext) {
  KDPC_ROUTINE(PsCreateSystemThread);
  KDPC_MAY_FAIL(PsCreateSystemThread, STATUS_INSUFFICIENT_RESOURCES);
  return create(ThreadHandle, ClientId, StartRoutine, StartContext, nullptr);
}

// The driver or device object is kept until the thread has ended.
NTSTATUS NTAPI IoCreateSystemThread(PVOID IoObject, PHANDLE ThreadHandle, ULONG, POBJECT_ATTRIBUTES, HANDLE, PCLIENT_ID ClientId,
                                    PKSTART_ROUTINE StartRoutine, PVOID StartContext) {
  KDPC_ROUTINE(IoCreateSystemThread);
  KDPC_MAY_FAIL(IoCreateSystemThread, STATUS_INSUFFICIENT_RESOURCES);
  if (!io_object::is_one(IoObject)) return STATUS_INVALID_PARAMETER;
  return create(ThreadHandle, ClientId, StartRoutine, StartContext, IoObject);
}

NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS) {
  KDPC_ROUTINE(PsTerminateSystemThread);
  thread::end_current();
}

HANDLE NTAPI PsGetCurrentThreadId() {
  KDPC_ROUTINE(PsGetCurrentThreadId);
  return reinterpret_cast<HANDLE>(ULONG_PTR{thread::current().id});
}

PKTHREAD NTAPI KeGetCurrentThread() {
  KDPC_ROUTINE(KeGetCurrentThread);
  return as_kthread(thread::current());
}

KPRIORITY NTAPI KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority) {
  KDPC_ROUTINE(KeSetPriorityThread);
  check_priority(Thread, Priority);
  return thread::set_priority(as_thread(Thread), static_cast<std::uint8_t>(Priority));
}

LONG NTAPI KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment) {
  KDPC_ROUTINE(KeSetBasePriorityThread);
  return thread::set_base_priority(as_thread(Thread), Increment);
}

UCHAR NTAPI KeSetIdealProcessorThread(PKTHREAD Thread, UCHAR Processor) {
  KDPC_ROUTINE(KeSetIdealProcessorThread);
  return static_cast<UCHAR>(thread::set_ideal_processor(as_thread(Thread), Processor));
}

ULONG NTAPI KeQueryRuntimeThread(PKTHREAD Thread, PULONG UserTime) {
  KDPC_ROUTINE(KeQueryRuntimeThread);
  *UserTime = 0;
  return static_cast<ULONG>(as_thread(Thread).ticks);
}

NTSTATUS NTAPI ZwYieldExecution() {
  KDPC_ROUTINE(ZwYieldExecution);
  return thread::yield() ? STATUS_SUCCESS : STATUS_NO_YIELD_PERFORMED;
}

NTSTATUS NTAPI NtYieldExecution() { return ZwYieldExecution(); }

NTSTATUS NTAPI KeExpandKernelStackAndCallout(PEXPAND_STACK_CALLOUT Callout, PVOID Parameter, SIZE_T Size) {
  KDPC_ROUTINE(KeExpandKernelStackAndCallout);
  KDPC_MAY_FAIL(KeExpandKernelStackAndCallout, STATUS_NO_MEMORY);
  if (Size > MAXIMUM_EXPANSION_SIZE) return STATUS_INVALID_PARAMETER_3;
  // A kernel stack here is larger than NT's from the start; what it does not hold, nothing does.
  const std::uintptr_t left = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) - Machine::stack_limits().low;
  constexpr SIZE_T kReserve = 8192;  // for what the kernel itself needs above the callout
  if (Size + kReserve > left) return STATUS_NO_MEMORY;
  const Irql before = current_irql();
  Callout(Parameter);
  if (const Irql after = current_irql(); after != before)
    bug_check(stop::IrqlUnexpectedValue,
              {as_parameter(after) << 16 | as_parameter(before) << 8 | 2, as_parameter(Callout), as_parameter(Parameter), 0},
              "The routine given to KeExpandKernelStackAndCallout returned at another IRQL than it was called at.", "IRQL-7");
  return STATUS_SUCCESS;
}

HANDLE NTAPI PsGetThreadId(PETHREAD Thread) {
  KDPC_ROUTINE(PsGetThreadId);
  return reinterpret_cast<HANDLE>(ULONG_PTR{as_thread(Thread).id});
}

KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread) {
  KDPC_ROUTINE(KeQueryPriorityThread);
  return as_thread(Thread).priority;
}

}  // extern "C"
