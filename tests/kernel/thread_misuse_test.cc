// What drivers do wrong with threads, their handles and their references: each mistake is a finding.
#include <wdm.h>

#include <chrono>

#include "kdpc/test.h"

using namespace std::chrono_literals;

namespace {

KEVENT event;
HANDLE handle;

VOID NTAPI wait_for_event(PVOID) { KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr); }

VOID NTAPI return_too_high(PVOID) {
  KIRQL old;
  KeRaiseIrql(HIGH_LEVEL, &old);
}

NTSTATUS create(PKSTART_ROUTINE routine) { return PsCreateSystemThread(&handle, 0, nullptr, nullptr, nullptr, routine, nullptr); }

KDPC_TEST(ThreadMisuse, AHandleIsClosedOnce) {
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KDPC_EXPECT_EQ(create(wait_for_event), STATUS_SUCCESS);
    PVOID object = nullptr;
    KDPC_EXPECT_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, nullptr, KernelMode, &object, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwClose(handle), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwClose(handle), STATUS_INVALID_HANDLE);
    KDPC_EXPECT_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, nullptr, KernelMode, &object, nullptr), STATUS_INVALID_HANDLE);
    KeSetEvent(&event, 0, FALSE);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(object, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
    ObDereferenceObject(object);
  });
}

KDPC_TEST(ThreadMisuse, WhatAThreadDidIsOrderedBeforeWhoWaitedForItsEnd) {
  static PVOID object;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeEvent(&event, NotificationEvent, TRUE);
    create(wait_for_event);
    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, nullptr, KernelMode, &object, nullptr);
    KeWaitForSingleObject(object, Executive, KernelMode, FALSE, nullptr);
    ObDereferenceObject(object);
    ZwClose(handle);
  });
  EXPECT_EQ(m.count("order-released", {{"object", m.address_of(object)}}), 2u);  // created, ended
  EXPECT_EQ(m.count("order-acquired", {{"object", m.address_of(object)}}), 2u);  // began, waited for
}

KDPC_TEST(ThreadMisuse, OneDereferenceTooManyIsAFinding) {
  m.on(0, PASSIVE_LEVEL, [] {
    PKTHREAD self = KeGetCurrentThread();
    ObDereferenceObject(self);
    ObDereferenceObject(self);
  });
  EXPECT_BUGCHECK(0x18);
}

KDPC_TEST(ThreadMisuse, DereferencingWhatIsNoObjectIsAFinding) {
  static KEVENT no_object;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeEvent(&no_object, NotificationEvent, FALSE);
    ObReferenceObject(&no_object);
  });
  EXPECT_BUGCHECK(0x18, 0, &no_object);
}

KDPC_TEST(ThreadMisuse, APriorityThatDoesNotExistIsAFinding) {
  m.on(0, PASSIVE_LEVEL, [] { KeSetPriorityThread(KeGetCurrentThread(), 200); });
  EXPECT_BUGCHECK(0x1E, 0xC000000D, kdpc::test::any, 200);
}

KDPC_TEST(ThreadMisuse, ItsRoutineMustReturnAtPassive) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] { create(return_too_high); });
  m.run_for(1ms);
  EXPECT_BUGCHECK(0xC8, HIGH_LEVEL << 16 | 2, return_too_high);
}

}  // namespace
