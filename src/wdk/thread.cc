#include "kernel/thread.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/io_object.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

std::uintptr_t value_of(HANDLE handle) { return reinterpret_cast<std::uintptr_t>(handle); }

// Checked builds of NT assert it.
void check_priority(const void* thread, KPRIORITY priority) {
  if (priority < 1 || priority > kHighPriority)
    bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_INVALID_PARAMETER), as_parameter(thread), static_cast<ULONG>(priority), 0},
              "KeSetPriorityThread was asked for a priority that does not exist; priorities are 1 to 31.", "IRQL-4");
}

// Everything that is not the I/O manager's must be a thread.
Thread& checked_thread(void* object) {
  if (as_object(object).type != static_cast<std::uint8_t>(ObjectType::Thread))
    bug_check(stop::ReferenceByPointer, {0, as_parameter(object), 0, 0}, "Something was referenced or dereferenced that is no object.", "0x18");
  return as_thread(object);
}

}  // namespace

extern "C" {

NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG, POBJECT_ATTRIBUTES, HANDLE, PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext) {
  KDPC_ROUTINE(PsCreateSystemThread);
  Thread* created =
      thread::create("system thread", reinterpret_cast<ThreadRoutine*>(StartRoutine), StartContext, kNormalPriority, active_processors());
  if (created == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  *ThreadHandle = reinterpret_cast<HANDLE>(thread::open_handle(*created));
  if (ClientId != nullptr) *ClientId = CLIENT_ID{nullptr, reinterpret_cast<HANDLE>(ULONG_PTR{created->id})};
  thread::start(*created);
  return STATUS_SUCCESS;
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

KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread) {
  KDPC_ROUTINE(KeQueryPriorityThread);
  return as_thread(Thread).priority;
}

NTSTATUS NTAPI ZwClose(HANDLE Handle) {
  KDPC_ROUTINE(ZwClose);
  return io_object::close(value_of(Handle)) || thread::close_handle(value_of(Handle)) ? STATUS_SUCCESS : STATUS_INVALID_HANDLE;
}

NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK, POBJECT_TYPE, KPROCESSOR_MODE, PVOID* Object, POBJECT_HANDLE_INFORMATION) {
  KDPC_ROUTINE(ObReferenceObjectByHandle);
  Thread* thread = thread::reference_by_handle(value_of(Handle));
  if (thread == nullptr) return STATUS_INVALID_HANDLE;
  *Object = thread;
  return STATUS_SUCCESS;
}

LONG_PTR NTAPI ObfReferenceObject(PVOID Object) {
  KDPC_ROUTINE(ObfReferenceObject);
  if (io_object::is_one(Object)) return io_object::reference(Object);
  thread::reference(checked_thread(Object));
  return static_cast<LONG_PTR>(as_thread(Object).references);
}

LONG_PTR NTAPI ObfDereferenceObject(PVOID Object) {
  KDPC_ROUTINE(ObfDereferenceObject);
  if (io_object::is_one(Object)) return io_object::dereference(Object);
  const LONG_PTR left = static_cast<LONG_PTR>(checked_thread(Object).references) - 1;
  thread::release(as_thread(Object));
  return left;
}

POBJECT_TYPE* NTAPI WdkPsThreadType() {
  static POBJECT_TYPE type = nullptr;
  return &type;
}

POBJECT_TYPE* NTAPI WdkExEventObjectType() {
  static POBJECT_TYPE type = nullptr;
  return &type;
}

}  // extern "C"
