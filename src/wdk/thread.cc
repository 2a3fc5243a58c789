#include "kernel/thread.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// Handles of system threads are their object's address with a mark, so that a stale or foreign handle is told apart from garbage.
constexpr ULONG_PTR kHandleMark = 1;

HANDLE handle_of(Thread& thread) { return reinterpret_cast<HANDLE>(reinterpret_cast<ULONG_PTR>(&thread) | kHandleMark); }

Thread* thread_of(HANDLE handle) {
  const auto value = reinterpret_cast<ULONG_PTR>(handle);
  if ((value & kHandleMark) == 0) return nullptr;
  auto* wanted = reinterpret_cast<Thread*>(value & ~kHandleMark);
  for (Link* link = sys().threads.first(); link != nullptr; link = sys().threads.after(link))
    if (owner_of<&Thread::all_link>(link) == wanted) return wanted;
  return nullptr;
}

}  // namespace

extern "C" {

NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG, POBJECT_ATTRIBUTES, HANDLE, PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext) {
  KDPC_ROUTINE(PsCreateSystemThread);
  Thread* created = thread::create("system thread", reinterpret_cast<ThreadRoutine*>(StartRoutine), StartContext, kNormalPriority, active_processors());
  if (created == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  *ThreadHandle = handle_of(*created);
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
  return thread::set_priority(as_thread(Thread), static_cast<std::uint8_t>(Priority));
}

KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread) {
  KDPC_ROUTINE(KeQueryPriorityThread);
  return as_thread(Thread).priority;
}

VOID NTAPI KeEnterCriticalRegion() {
  KDPC_ROUTINE(KeEnterCriticalRegion);
  kdpc::Thread& self = thread::current();
  self.kernel_apc_disable = static_cast<std::int16_t>(self.kernel_apc_disable - 1);
}

VOID NTAPI KeLeaveCriticalRegion() {
  KDPC_ROUTINE(KeLeaveCriticalRegion);
  kdpc::Thread& self = thread::current();
  self.kernel_apc_disable = static_cast<std::int16_t>(self.kernel_apc_disable + 1);
}

BOOLEAN NTAPI KeAreApcsDisabled() {
  KDPC_ROUTINE(KeAreApcsDisabled);
  const kdpc::Thread& self = thread::current();
  return self.kernel_apc_disable != 0 || self.special_apc_disable != 0;
}

BOOLEAN NTAPI KeAreAllApcsDisabled() {
  KDPC_ROUTINE(KeAreAllApcsDisabled);
  return current_irql() >= Irql::Apc || thread::current().special_apc_disable != 0;
}

NTSTATUS NTAPI ZwClose(HANDLE Handle) {
  KDPC_ROUTINE(ZwClose);
  Thread* thread = thread_of(Handle);
  if (thread == nullptr) return STATUS_INVALID_HANDLE;
  thread::release(*thread);
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK, POBJECT_TYPE, KPROCESSOR_MODE, PVOID* Object, POBJECT_HANDLE_INFORMATION) {
  KDPC_ROUTINE(ObReferenceObjectByHandle);
  Thread* thread = thread_of(Handle);
  if (thread == nullptr) return STATUS_INVALID_HANDLE;
  thread::reference(*thread);
  *Object = thread;
  return STATUS_SUCCESS;
}

LONG_PTR NTAPI ObfReferenceObject(PVOID Object) {
  KDPC_ROUTINE(ObfReferenceObject);
  thread::reference(as_thread(Object));
  return static_cast<LONG_PTR>(as_thread(Object).references);
}

LONG_PTR NTAPI ObfDereferenceObject(PVOID Object) {
  KDPC_ROUTINE(ObfDereferenceObject);
  const LONG_PTR left = static_cast<LONG_PTR>(as_thread(Object).references) - 1;
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
