// Counted references to device and file objects, and who the requestor of an IRP is. Driver objects live as long as their driver is loaded.
#include "io/registry.h"
#include "io/requests.h"
#include "kernel/workitem.h"
#include "wdk/io_object.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::io;

namespace kdpc::io {

// The one process there is: all threads are the system's. Drivers only pass its address around.
struct SystemProcess {
  DISPATCHER_HEADER header;
  std::byte unused[0x400];
};

namespace {

constexpr std::uint32_t kProcessTag = pool_tag("Proc");
constexpr ULONG_PTR kSystemProcessId = 4;
constexpr UCHAR kProcessObject = 3;  // KOBJECTS ProcessObject

SystemProcess* system_process() {
  if (manager().system_process != nullptr) return manager().system_process;
  auto* created = make<SystemProcess>(sizeof(SystemProcess), kProcessTag);
  if (created == nullptr) return nullptr;
  created->header.Type = kProcessObject;
  SystemProcess* expected = nullptr;
  if (!__atomic_compare_exchange_n(&manager().system_process, &expected, created, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    discard(created, kProcessTag);
  return manager().system_process;
}

CSHORT type_of(const void* object) { return *static_cast<const CSHORT*>(object); }

[[noreturn]] void fail_dereferencing_too_often(const void* object) {
  bug_check(stop::ReferenceByPointer, {0, as_parameter(object), 1, 0}, "An object was dereferenced more often than it was referenced.", "0x18");
}

}  // namespace
}  // namespace kdpc::io

namespace kdpc::wdk::io_object {

bool is_one(const void* object) {
  const CSHORT type = type_of(object);
  return (type == IO_TYPE_DEVICE && object != manager().system_process) || type == IO_TYPE_DRIVER || type == IO_TYPE_FILE;
}

std::int64_t reference(void* object) {
  if (type_of(object) == IO_TYPE_DEVICE) return device::reference(static_cast<DEVICE_OBJECT*>(object));
  if (type_of(object) == IO_TYPE_FILE) return requests::reference(*static_cast<File*>(object));
  return 1;
}

std::int64_t dereference(void* object) {
  if (type_of(object) == IO_TYPE_DEVICE) {
    if (state_of(static_cast<DEVICE_OBJECT*>(object)).references == 0) fail_dereferencing_too_often(object);
    return device::dereference(static_cast<DEVICE_OBJECT*>(object));
  }
  if (type_of(object) == IO_TYPE_FILE) {
    auto& file = *static_cast<File*>(object);
    if (file.requests == 0) fail_dereferencing_too_often(object);
    return requests::dereference(file);
  }
  return 1;
}

bool close(std::uintptr_t handle) { return registry::close(handle); }

}  // namespace kdpc::wdk::io_object

extern "C" {

NTSTATUS NTAPI IoGetDeviceObjectPointer(PUNICODE_STRING ObjectName, ACCESS_MASK, PFILE_OBJECT* FileObject, PDEVICE_OBJECT* DeviceObject) {
  KDPC_ROUTINE(IoGetDeviceObjectPointer);
  *FileObject = nullptr;
  *DeviceObject = nullptr;
  File* file = nullptr;
  if (const NTSTATUS status = requests::open(view(*ObjectName), file); !NT_SUCCESS(status)) return status;
  requests::reference(*file);
  *FileObject = &file->object;
  *DeviceObject = device::top_of(file->object.DeviceObject);
  requests::close(file);  // the handle; the caller's reference keeps the file from IRP_MJ_CLOSE
  return STATUS_SUCCESS;
}

PDEVICE_OBJECT NTAPI IoGetRelatedDeviceObject(PFILE_OBJECT FileObject) {
  KDPC_ROUTINE(IoGetRelatedDeviceObject);
  Guard guard;
  return device::top_of(FileObject->DeviceObject);
}

PEPROCESS NTAPI IoGetCurrentProcess() {
  KDPC_ROUTINE(IoGetCurrentProcess);
  return reinterpret_cast<PEPROCESS>(system_process());
}

HANDLE NTAPI PsGetCurrentProcessId() {
  KDPC_ROUTINE(PsGetCurrentProcessId);
  return reinterpret_cast<HANDLE>(kSystemProcessId);
}

HANDLE NTAPI PsGetProcessId(PEPROCESS) {
  KDPC_ROUTINE(PsGetProcessId);
  return reinterpret_cast<HANDLE>(kSystemProcessId);
}

// An IRP that no thread asked for has no requestor.
PEPROCESS NTAPI IoGetRequestorProcess(PIRP Irp) {
  KDPC_ROUTINE_ON(IoGetRequestorProcess, Irp);
  return Irp->Tail.Overlay.Thread != nullptr ? reinterpret_cast<PEPROCESS>(system_process()) : nullptr;
}

ULONG NTAPI IoGetRequestorProcessId(PIRP Irp) {
  KDPC_ROUTINE_ON(IoGetRequestorProcessId, Irp);
  return Irp->Tail.Overlay.Thread != nullptr ? static_cast<ULONG>(kSystemProcessId) : 0;
}

BOOLEAN NTAPI IoIs32bitProcess(PIRP) {
  KDPC_ROUTINE(IoIs32bitProcess);
  return FALSE;
}

POBJECT_TYPE* NTAPI WdkIoFileObjectType() {
  static POBJECT_TYPE type = nullptr;
  return &type;
}

}  // extern "C"
