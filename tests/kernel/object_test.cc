// Objects that are reached by handles and names: events of the kernel's own, and threads of I/O objects.
#include <wdm.h>

#include <chrono>
#include <cstring>

#include "kdpc/test.h"
#include "tests/io/host_driver.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

const WCHAR kName[] = u"\\BaseNamedObjects\\Kdpc";
const WCHAR kSameName[] = u"\\basenamedobjects\\KDPC";

UNICODE_STRING string_of(const WCHAR* text) {
  UNICODE_STRING string;
  RtlInitUnicodeString(&string, text);
  return string;
}

NTSTATUS create(HANDLE& handle, const WCHAR* name, ULONG attributes = 0, EVENT_TYPE type = SynchronizationEvent, BOOLEAN state = FALSE) {
  UNICODE_STRING string = string_of(name);
  OBJECT_ATTRIBUTES object;
  InitializeObjectAttributes(&object, &string, attributes | OBJ_KERNEL_HANDLE, nullptr, nullptr);
  return ZwCreateEvent(&handle, EVENT_ALL_ACCESS, name != nullptr ? &object : nullptr, type, state);
}

NTSTATUS open(HANDLE& handle, const WCHAR* name) {
  UNICODE_STRING string = string_of(name);
  OBJECT_ATTRIBUTES object;
  InitializeObjectAttributes(&object, &string, OBJ_KERNEL_HANDLE, nullptr, nullptr);
  return ZwOpenEvent(&handle, EVENT_ALL_ACCESS, &object);
}

NTSTATUS poll_handle(HANDLE handle) {
  LARGE_INTEGER zero = hundreds_of_ns(0);
  return ZwWaitForSingleObject(handle, FALSE, &zero);
}

KDPC_TEST(EventHandle, SetsAndWaits) {
  RULE("WAIT-4");
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle = nullptr;
    KDPC_EXPECT_EQ(create(handle, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(poll_handle(handle), STATUS_TIMEOUT);
    LONG previous = 7;
    KDPC_EXPECT_EQ(ZwSetEvent(handle, &previous), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(previous, 0);
    KDPC_EXPECT_EQ(ZwSetEvent(handle, &previous), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(previous, 1);
    KDPC_EXPECT_EQ(poll_handle(handle), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(poll_handle(handle), STATUS_TIMEOUT);
    KDPC_EXPECT_EQ(ZwClose(handle), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwClose(handle), STATUS_INVALID_HANDLE);
    KDPC_EXPECT_EQ(ZwSetEvent(handle, nullptr), STATUS_INVALID_HANDLE);
    KDPC_EXPECT_EQ(poll_handle(handle), STATUS_INVALID_HANDLE);
  });
}

KDPC_TEST(NamedEvent, IsOneObjectWithManyHandles) {
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE first = nullptr, second = nullptr, third = nullptr;
    KDPC_EXPECT_EQ(open(first, kName), STATUS_OBJECT_NAME_NOT_FOUND);
    KDPC_EXPECT_EQ(create(first, kName), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(create(second, kSameName), STATUS_OBJECT_NAME_COLLISION);
    KDPC_EXPECT_EQ(create(second, kSameName, OBJ_OPENIF), STATUS_OBJECT_NAME_EXISTS);
    KDPC_EXPECT_EQ(open(third, kSameName), STATUS_SUCCESS);
    KDPC_EXPECT(first != second && second != third);
    ZwSetEvent(second, nullptr);
    KDPC_EXPECT_EQ(ZwClose(second), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(poll_handle(third), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwClose(first), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(open(first, kName), STATUS_SUCCESS);
    ZwClose(first);
    ZwClose(third);
    KDPC_EXPECT_EQ(open(first, kName), STATUS_OBJECT_NAME_NOT_FOUND);  // it went with the last handle
  });
}

KDPC_TEST(NamedEvent, OfTheIoManagerBeginsSignalledAndIsSharedByName) {
  m.on(0, PASSIVE_LEVEL, [] {
    UNICODE_STRING name = string_of(kName);
    HANDLE first = nullptr, second = nullptr;
    PKEVENT event = IoCreateSynchronizationEvent(&name, &first);
    KDPC_EXPECT(event != nullptr);
    KDPC_EXPECT_EQ(IoCreateSynchronizationEvent(&name, &second), event);
    KDPC_EXPECT_EQ(poll(event), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(poll(event), STATUS_TIMEOUT);
    ZwClose(first);
    ZwClose(second);
    event = IoCreateNotificationEvent(&name, &first);
    KDPC_EXPECT_EQ(poll(event), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(poll(event), STATUS_SUCCESS);
    ZwClose(first);
  });
}

KDPC_TEST(EventObject, IsReferencedByHandleIfItsTypeFits) {
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle = nullptr;
    create(handle, nullptr, 0, NotificationEvent, TRUE);
    PVOID object = nullptr;
    KDPC_EXPECT_EQ(ObReferenceObjectByHandle(handle, 0, *PsThreadType, KernelMode, &object, nullptr), STATUS_OBJECT_TYPE_MISMATCH);
    KDPC_EXPECT_EQ(ObReferenceObjectByHandle(handle, 0, *ExEventObjectType, KernelMode, &object, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ObReferenceObject(object), 3);
    KDPC_EXPECT_EQ(ObDereferenceObject(object), 2);
    ZwClose(handle);
    KDPC_EXPECT_EQ(KeReadStateEvent(static_cast<PKEVENT>(object)), 1);  // the reference keeps it
    KDPC_EXPECT_EQ(ObDereferenceObject(object), 0);
  });
}

KDPC_TEST(EventObject, DereferencedOnceTooOftenIsAFinding) {
  static PVOID object;
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle = nullptr;
    create(handle, nullptr);
    ObReferenceObjectByHandle(handle, 0, nullptr, KernelMode, &object, nullptr);
    ZwClose(handle);
    ObDereferenceObject(object);
    ObDereferenceObject(object);
  });
  EXPECT_BUGCHECK(0x18, 0, object);
}

VOID NTAPI wait_and_end(PVOID Event) {
  wait_for(Event);
  note('t');
  PsTerminateSystemThread(STATUS_SUCCESS);
}

KDPC_TEST(IoSystemThread, KeepsItsDeviceUntilItHasEnded) {
  static PDEVICE_OBJECT device;
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] {
    device = make_device(make_driver());
    HANDLE handle = nullptr;
    KDPC_EXPECT_EQ(IoCreateSystemThread(device, &handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, wait_and_end, &events[0]), STATUS_SUCCESS);
    ZwClose(handle);
    IoDeleteDevice(device);
  });
  EXPECT_EQ(m.count("pool-freed", {{"block", m.address_of(device)}}), 0u);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 1s));
  m.run_for(1ms);
  EXPECT_EQ(m.count("pool-freed", {{"block", m.address_of(device)}}), 1u);
}

KDPC_TEST(IoSystemThread, NeedsADriverOrADevice) {
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle = nullptr;
    KDPC_EXPECT_EQ(IoCreateSystemThread(&events[0], &handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, wait_and_end, nullptr),
                   STATUS_INVALID_PARAMETER);
  });
}

}  // namespace
