// Pageable memory: it is there below DISPATCH_LEVEL only. SEMANTICS IRQL-2, 1.3, 12.1.
#include <gmock/gmock.h>
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "kernel/thread.h"
#include "machine/host.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

volatile char* paged;
volatile char* nonpaged;
constexpr ULONG kTag = 'gaPK';

void allocate() {
  paged = static_cast<char*>(ExAllocatePoolWithTag(PagedPool, 100, kTag));
  nonpaged = static_cast<char*>(ExAllocatePoolWithTag(NonPagedPoolNx, 100, kTag));
  paged[5] = 'x';
}

KDPC_TEST(Pageable, BelowDispatchPagedPoolIsOrdinaryMemory) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    for (int turn = 0; turn < 10; ++turn) {
      paged[5] = static_cast<char>('a' + turn);
      KIRQL old;
      KeRaiseIrql(APC_LEVEL, &old);
      KDPC_EXPECT_EQ(paged[5], 'a' + turn);
      KeLowerIrql(old);
      KeRaiseIrql(DISPATCH_LEVEL, &old);
      KeLowerIrql(old);
      KDPC_EXPECT_EQ(paged[5], 'a' + turn);
    }
    ExFreePoolWithTag(const_cast<char*>(paged), kTag);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Pageable, AtDispatchReadingPagedPoolIsABugCheck) {
  RULE("IRQL-2");
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KDPC_EXPECT(nonpaged != nullptr && nonpaged[5] != 0);
    KDPC_EXPECT_EQ(paged[5], 'x');
  });
  EXPECT_BUGCHECK(0xD1, const_cast<char*>(paged) + 5, DISPATCH_LEVEL, 0);
  EXPECT_THAT(m.outcome().report(), ::testing::HasSubstr("A driver touched pageable memory at DISPATCH_LEVEL or above."));
}

KDPC_TEST(Pageable, AWriteIsToldFromARead) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    KIRQL old;
    KeRaiseIrql(7, &old);
    paged[9] = 1;
  });
  EXPECT_BUGCHECK(0xD1, const_cast<char*>(paged) + 9, 7, 1);
}

VOID NTAPI read_paged(PKDPC, PVOID, PVOID, PVOID) { KDPC_EXPECT(paged[0] != 0); }

// The thread below has just touched it: whether it is there at that moment depends on nothing.
KDPC_TEST(Pageable, ADpcThatInterruptsAThreadWhichUsesItIsFound) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] {
    static KDPC dpc;
    allocate();
    KeInitializeDpc(&dpc, read_paged, nullptr);
    paged[0] = 1;
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xD1, const_cast<char*>(paged), DISPATCH_LEVEL, 0);
}

// One processor works with it below DISPATCH_LEVEL while another stands above: each finds what its own level allows.
KDPC_TEST(Pageable, ItIsTheLevelOfTheProcessorThatTouches, .processors = 2) {
  RULE("IRQL-2");
  static volatile bool touched;
  touched = false;
  m.on(0, PASSIVE_LEVEL, allocate);
  auto above = m.start(1, DISPATCH_LEVEL, [] {
    while (!touched) KeStallExecutionProcessor(1);
    KDPC_EXPECT_EQ(nonpaged[5] != 0, true);
    paged[1] = 2;
  });
  m.start(0, PASSIVE_LEVEL, [] {
    for (int turn = 0; turn < 100; ++turn) {
      paged[0] = static_cast<char>(turn);
      KeStallExecutionProcessor(1);
      touched = turn > 50;
    }
  });
  m.run_until([&] { return above.done(); }, 1s);
  EXPECT_BUGCHECK(0xD1, const_cast<char*>(paged) + 1, DISPATCH_LEVEL, 1);
  EXPECT_EQ(m.outcome().bugcheck->processor, 1u);
}

KDPC_TEST(Pageable, AKernelRoutineThatMustTouchItAboveDispatchIsABugCheckOfTheKernels) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, reinterpret_cast<PCWSTR>(const_cast<char*>(paged)));
  });
  EXPECT_BUGCHECK(0x0A, const_cast<char*>(paged), DISPATCH_LEVEL, 0);
}

// The caller was allowed to; that a lock inside raises the level is nobody's mistake.
KDPC_TEST(Pageable, WhatACallerBelowDispatchGivesMayBePageable) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] {
    auto* lock = static_cast<PEX_PUSH_LOCK>(ExAllocatePoolWithTag(PagedPool, sizeof(EX_PUSH_LOCK), kTag));
    ExInitializePushLock(lock);
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusive(lock);
    ExReleasePushLockExclusive(lock);
    KeLeaveCriticalRegion();
    auto* reference = static_cast<PEX_RUNDOWN_REF>(ExAllocatePoolWithTag(PagedPool, sizeof(EX_RUNDOWN_REF), kTag));
    ExInitializeRundownProtection(reference);
    KDPC_EXPECT(ExAcquireRundownProtection(reference));
    ExReleaseRundownProtection(reference);
    ExWaitForRundownProtectionRelease(reference);
    ExFreePoolWithTag(reference, kTag);
    ExFreePoolWithTag(lock, kTag);

    static const WCHAR kName[] = {'\\', 'D', 'e', 'v', 'i', 'c', 'e', '\\', 'P', 0};
    auto* text = static_cast<PWCHAR>(ExAllocatePoolWithTag(PagedPool, sizeof kName, kTag));
    std::memcpy(text, kName, sizeof kName);
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, text);
    HANDLE handle = nullptr, second = nullptr;
    const PKEVENT event = IoCreateSynchronizationEvent(&name, &handle);
    KDPC_EXPECT(event != nullptr);
    KDPC_EXPECT(IoCreateSynchronizationEvent(&name, &second) == event);  // its name is compared with that of the first
    ZwClose(second);
    ZwClose(handle);
    ExFreePoolWithTag(text, kTag);
  });
  EXPECT_NO_FINDINGS();
}

// The permission is the thread's: not of what interrupts it, or runs before it goes on.
VOID NTAPI give_paged(PKDPC, PVOID, PVOID, PVOID) {
  if (kdpc::thread::current().may_touch_pageable == 0) return;
  UNICODE_STRING name;
  RtlInitUnicodeString(&name, reinterpret_cast<PCWSTR>(const_cast<char*>(paged)));
}
BOOLEAN NTAPI queue_dpc(PKINTERRUPT, PVOID dpc) {
  KeInsertQueueDpc(static_cast<PKDPC>(dpc), nullptr, nullptr);
  return TRUE;
}

KDPC_TEST(Pageable, ADpcMayNotTouchWhatTheKernelRoutineUnderItMay) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] {
    static KDPC dpc;
    static PKINTERRUPT interrupt;
    allocate();
    KeInitializeDpc(&dpc, give_paged, nullptr);
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, queue_dpc, &dpc, nullptr, 0x51, 5, 5, Latched, FALSE, 1, FALSE), STATUS_SUCCESS);
  });
  m.start(0, PASSIVE_LEVEL, [] {
    auto* lock = static_cast<PEX_PUSH_LOCK>(ExAllocatePoolWithTag(PagedPool, sizeof(EX_PUSH_LOCK), kTag));
    ExInitializePushLock(lock);
    KeEnterCriticalRegion();
    for (;;) {
      ExAcquirePushLockExclusive(lock);
      ExReleasePushLockExclusive(lock);
    }
  });
  for (int turn = 0; turn < 1000 && !m.outcome().over(); ++turn) {
    m.send_message(0x51);
    m.run_for(3001);
  }
  EXPECT_BUGCHECK(0x0A, const_cast<char*>(paged), DISPATCH_LEVEL, 0);
}

// The level is raised only after the time has been read.
KDPC_TEST(Pageable, ATimeoutMayBePageable) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    auto* const timeout = reinterpret_cast<PLARGE_INTEGER>(const_cast<char*>(paged));
    static KEVENT events[2];
    PVOID objects[] = {&events[0], &events[1]};
    for (KEVENT& event : events) KeInitializeEvent(&event, NotificationEvent, FALSE);
    timeout->QuadPart = -10'000;
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, timeout), STATUS_TIMEOUT);
    KDPC_EXPECT_EQ(KeWaitForMultipleObjects(2, objects, WaitAny, Executive, KernelMode, FALSE, timeout, nullptr), STATUS_TIMEOUT);
    KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, FALSE, timeout), STATUS_SUCCESS);
    ExFreePoolWithTag(const_cast<char*>(paged), kTag);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Pageable, AtDispatchItsPagesCannotBeLocked) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    const PMDL mdl = IoAllocateMdl(const_cast<char*>(paged), 100, FALSE, FALSE, nullptr);
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
  });
  EXPECT_BUGCHECK(0x0A, const_cast<char*>(paged), DISPATCH_LEVEL, 0);
}

// A locked page stays, whoever touches it, until it is unlocked as often.
KDPC_TEST(Pageable, LockedPagesStay) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    const PMDL first = IoAllocateMdl(const_cast<char*>(paged), 100, FALSE, FALSE, nullptr);
    const PMDL second = IoAllocateMdl(const_cast<char*>(paged), 100, FALSE, FALSE, nullptr);
    MmProbeAndLockPages(first, KernelMode, IoModifyAccess);
    MmProbeAndLockPages(second, KernelMode, IoModifyAccess);
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    paged[3] = 3;
    static_cast<volatile char*>(MmGetSystemAddressForMdlSafe(first, NormalPagePriority))[4] = 4;
    KeLowerIrql(old);
    MmUnlockPages(first);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KDPC_EXPECT_EQ(paged[3], 3);
    MmUnlockPages(second);
    KDPC_EXPECT_EQ(paged[4], 4);
  });
  EXPECT_BUGCHECK(0xD1, const_cast<char*>(paged) + 4, DISPATCH_LEVEL, 0);
}

KDPC_TEST(Pageable, WithTheOptionOffItIsAlwaysThere, .options = {{"page_trim", "off"}}) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KDPC_EXPECT_EQ(paged[5], 'x');
    KeLowerIrql(old);
    ExFreePoolWithTag(const_cast<char*>(paged), kTag);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Pageable, TheHostSeesItAlways) {
  m.on(0, PASSIVE_LEVEL, allocate);
  m.on(0, DISPATCH_LEVEL, [] {});
  EXPECT_EQ(paged[5], 'x');
  paged[6] = 'y';
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(paged[6], 'y'); });
  m.on(0, DISPATCH_LEVEL, [] { paged[6] = 'z'; });
  EXPECT_BUGCHECK(0xD1, const_cast<char*>(paged) + 6, DISPATCH_LEVEL, 1);
}

KDPC_TEST(Pageable, GoesBackToACheckpoint) {
  m.on(0, PASSIVE_LEVEL, allocate);
  auto before = kdpc::host::checkpoint();
  ASSERT_TRUE(before) << before.error().what;
  volatile char* const first = paged;
  m.on(0, PASSIVE_LEVEL, [] {
    paged[5] = 'y';
    paged = static_cast<char*>(ExAllocatePoolWithTag(PagedPool, 5000, kTag));
    paged[4999] = 1;
  });
  volatile char* const second = paged;
  kdpc::host::restore(**before);
  EXPECT_EQ(first[5], 'x');
  EXPECT_EQ(second[4999], 0) << "what was never handed out is zero";
  paged = first;
  m.on(0, DISPATCH_LEVEL, [] { paged[5] = 'z'; });
  EXPECT_BUGCHECK(0xD1, const_cast<char*>(first) + 5, DISPATCH_LEVEL, 1);
  kdpc::host::discard(*before);
}

KDPC_TEST(Pageable, ItsOverrunsAndDoubleFreesAreFoundAsThoseOfNonpagedPool) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    const_cast<char*>(paged)[100] = 1;
    ExFreePoolWithTag(const_cast<char*>(paged), kTag);
  });
  EXPECT_BUGCHECK(0x19, 0x20, const_cast<char*>(paged), const_cast<char*>(paged) + 100, 100);
}

}  // namespace
