#include "kernel/object.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/io_object.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

std::uintptr_t value_of(HANDLE handle) { return reinterpret_cast<std::uintptr_t>(handle); }
HANDLE handle_of(std::uintptr_t value) { return reinterpret_cast<HANDLE>(value); }
std::u16string_view view(const UNICODE_STRING* name) {
  return name == nullptr ? std::u16string_view{} : std::u16string_view{name->Buffer, name->Length / sizeof(WCHAR)};
}

// Drivers compare and pass on these addresses; nothing is behind them.
char thread_type, event_type;
POBJECT_TYPE the_thread_type = reinterpret_cast<POBJECT_TYPE>(&thread_type);
POBJECT_TYPE the_event_type = reinterpret_cast<POBJECT_TYPE>(&event_type);

POBJECT_TYPE type_of(const DispatcherHeader& object) {
  return object.type == static_cast<std::uint8_t>(ObjectType::Thread) ? the_thread_type : the_event_type;
}

// What a handle names, if it is of the wanted type; with a reference.
NTSTATUS find(HANDLE handle, POBJECT_TYPE wanted, DispatcherHeader*& object) {
  object = object::reference_by_handle(value_of(handle));
  if (object == nullptr) return STATUS_INVALID_HANDLE;
  if (wanted == nullptr || wanted == type_of(*object)) return STATUS_SUCCESS;
  object::release(*object);
  return STATUS_OBJECT_TYPE_MISMATCH;
}

// A handle for the event's reference, which is given back when there is none to be had.
NTSTATUS give_handle(OwnEvent& event, HANDLE* handle, NTSTATUS status) {
  const std::uintptr_t value = object::open(event.event.header);
  if (value == 0) {
    object::release(event.event.header);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  *handle = handle_of(value);
  return status;
}

PKEVENT open_or_create(PUNICODE_STRING name, HANDLE* handle, ObjectType type) {
  OwnEvent* event = object::find_event(view(name));
  if (event == nullptr) event = object::create_event(view(name), type, true);
  if (event == nullptr || !NT_SUCCESS(give_handle(*event, handle, STATUS_SUCCESS))) return nullptr;
  return reinterpret_cast<PKEVENT>(&event->event);
}

}  // namespace

extern "C" {

PKEVENT NTAPI IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle) {
  KDPC_ROUTINE(IoCreateNotificationEvent);
  KDPC_MAY_FAIL(IoCreateNotificationEvent, nullptr);
  return open_or_create(EventName, EventHandle, ObjectType::NotificationEvent);
}

PKEVENT NTAPI IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle) {
  KDPC_ROUTINE(IoCreateSynchronizationEvent);
  KDPC_MAY_FAIL(IoCreateSynchronizationEvent, nullptr);
  return open_or_create(EventName, EventHandle, ObjectType::SynchronizationEvent);
}

NTSTATUS NTAPI ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK, POBJECT_ATTRIBUTES ObjectAttributes, EVENT_TYPE EventType, BOOLEAN InitialState) {
  KDPC_ROUTINE(ZwCreateEvent);
  KDPC_MAY_FAIL(ZwCreateEvent, STATUS_INSUFFICIENT_RESOURCES);
  if (EventType != NotificationEvent && EventType != SynchronizationEvent) return STATUS_INVALID_PARAMETER;
  if (ObjectAttributes != nullptr && ObjectAttributes->RootDirectory != nullptr) return STATUS_NOT_SUPPORTED;
  const std::u16string_view name = ObjectAttributes != nullptr ? view(ObjectAttributes->ObjectName) : std::u16string_view{};
  if (OwnEvent* event = object::find_event(name); event != nullptr) {
    if ((ObjectAttributes->Attributes & OBJ_OPENIF) != 0) return give_handle(*event, EventHandle, STATUS_OBJECT_NAME_EXISTS);
    object::release(event->event.header);
    return STATUS_OBJECT_NAME_COLLISION;
  }
  const ObjectType type = EventType == NotificationEvent ? ObjectType::NotificationEvent : ObjectType::SynchronizationEvent;
  OwnEvent* event = object::create_event(name, type, InitialState != FALSE);
  return event != nullptr ? give_handle(*event, EventHandle, STATUS_SUCCESS) : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS NTAPI ZwOpenEvent(PHANDLE EventHandle, ACCESS_MASK, POBJECT_ATTRIBUTES ObjectAttributes) {
  KDPC_ROUTINE(ZwOpenEvent);
  if (ObjectAttributes->RootDirectory != nullptr) return STATUS_NOT_SUPPORTED;
  OwnEvent* event = object::find_event(view(ObjectAttributes->ObjectName));
  return event != nullptr ? give_handle(*event, EventHandle, STATUS_SUCCESS) : STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS NTAPI ZwSetEvent(HANDLE EventHandle, PLONG PreviousState) {
  KDPC_ROUTINE(ZwSetEvent);
  DispatcherHeader* object = nullptr;
  const NTSTATUS status = find(EventHandle, the_event_type, object);
  if (!NT_SUCCESS(status)) return status;
  constexpr std::int32_t kEventIncrement = 1;
  const std::int32_t previous = wait::set_event(reinterpret_cast<EventObject&>(*object), kEventIncrement);
  if (PreviousState != nullptr) *PreviousState = previous;
  object::release(*object);
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout) {
  KDPC_ROUTINE(ZwWaitForSingleObject);
  DispatcherHeader* object = nullptr;
  const NTSTATUS found = find(Handle, nullptr, object);
  if (!NT_SUCCESS(found)) return found;
  const std::int64_t limit = Timeout != nullptr ? Timeout->QuadPart : 0;
  const NTSTATUS status = wait::for_object(*object, Timeout != nullptr ? &limit : nullptr, {.alertable = Alertable != FALSE});
  object::release(*object);
  return status;
}

NTSTATUS NTAPI ZwClose(HANDLE Handle) {
  KDPC_ROUTINE(ZwClose);
  return io_object::close(value_of(Handle)) || object::close(value_of(Handle)) ? STATUS_SUCCESS : STATUS_INVALID_HANDLE;
}

NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK, POBJECT_TYPE ObjectType, KPROCESSOR_MODE, PVOID* Object,
                                         POBJECT_HANDLE_INFORMATION) {
  KDPC_ROUTINE(ObReferenceObjectByHandle);
  DispatcherHeader* object = nullptr;
  const NTSTATUS status = find(Handle, ObjectType, object);
  if (NT_SUCCESS(status)) *Object = object;
  return status;
}

LONG_PTR NTAPI ObfReferenceObject(PVOID Object) {
  KDPC_ROUTINE(ObfReferenceObject);
  return io_object::is_one(Object) ? io_object::reference(Object) : object::reference(as_object(Object));
}

LONG_PTR NTAPI ObfDereferenceObject(PVOID Object) {
  KDPC_ROUTINE(ObfDereferenceObject);
  return io_object::is_one(Object) ? io_object::dereference(Object) : object::release(as_object(Object));
}

POBJECT_TYPE* NTAPI WdkPsThreadType() {
  KDPC_ROUTINE(WdkPsThreadType);
  return &the_thread_type;
}

POBJECT_TYPE* NTAPI WdkExEventObjectType() {
  KDPC_ROUTINE(WdkExEventObjectType);
  return &the_event_type;
}

}  // extern "C"
