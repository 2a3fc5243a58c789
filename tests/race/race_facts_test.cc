// Facts that only the race detector asks for: where code may run, and what primitives without a lock hand from one to another.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/io/host_driver.h"

namespace kdpc {
namespace {

using Filter = lab::Machine::Filter;

KDPC_TEST(RaceFacts, TheTargetOfADpcIsStatedOnlyIfItIsOne, .processors = 2) {
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(
        &dpc, [](PKDPC, PVOID, PVOID, PVOID) NTAPI {}, nullptr);
    KeSetTargetProcessorDpc(&dpc, 1);
    KeSetTargetProcessorDpc(&dpc, 2);
    PROCESSOR_NUMBER number = {0, 0, 0};
    KDPC_EXPECT(KeSetTargetProcessorDpcEx(&dpc, &number) == STATUS_SUCCESS);
  });
  EXPECT_EQ(m.count("dpc-targeted", {{"dpc", m.address_of(&dpc)}, {"processor", 1}}), 1u);
  EXPECT_EQ(m.count("dpc-targeted", {{"dpc", m.address_of(&dpc)}, {"processor", 0}}), 1u);
  EXPECT_EQ(m.count("dpc-targeted", {{"dpc", m.address_of(&dpc)}}), 2u);
}

KDPC_TEST(RaceFacts, AThreadSaysWhereItMayRunFromNowOn, .processors = 2) {
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetSystemAffinityThread(2);
    KeRevertToUserAffinityThread();
  });
  EXPECT_EQ(m.count("affinity-changed", {{"processors", 2}}), 1u);
  EXPECT_EQ(m.count("affinity-changed"), 2u);
}

// A released use is an order that the remover takes over.
KDPC_TEST(RaceFacts, WhoeverHasWaitedForARemoveLockComesAfterItsUsers) {
  static IO_REMOVE_LOCK lock;
  m.on(0, PASSIVE_LEVEL, [] {
    IoInitializeRemoveLock(&lock, 0, 0, 0);
    KDPC_EXPECT(IoAcquireRemoveLock(&lock, nullptr) == STATUS_SUCCESS);
    IoReleaseRemoveLock(&lock, nullptr);
    KDPC_EXPECT(IoAcquireRemoveLock(&lock, nullptr) == STATUS_SUCCESS);
    IoReleaseRemoveLockAndWait(&lock, nullptr);
  });
  EXPECT_EQ(m.count("order-released", {{"object", m.address_of(&lock)}}), 2u);
  EXPECT_EQ(m.count("order-acquired", {{"object", m.address_of(&lock)}}), 1u);
}

KDPC_TEST(RaceFacts, ADeviceQueueHandsOverWhatIsTakenFromItAndTheIdleDevice) {
  static KDEVICE_QUEUE queue;
  static KDEVICE_QUEUE_ENTRY first, second;
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDeviceQueue(&queue);
    KDPC_EXPECT(!KeInsertDeviceQueue(&queue, &first));  // the device was idle
    KDPC_EXPECT(KeInsertDeviceQueue(&queue, &second));
    KDPC_EXPECT(KeRemoveDeviceQueue(&queue) == &second);
    KDPC_EXPECT(KeRemoveDeviceQueue(&queue) == nullptr);
  });
  EXPECT_EQ(m.count("order-released", {{"object", m.address_of(&queue)}}), 4u);
  EXPECT_EQ(m.count("order-acquired", {{"object", m.address_of(&queue)}}), 2u) << "for the idle device, and for the second entry";
}

// Where a driver may look by itself.
KDPC_TEST(RaceFacts, WhatTheKernelWritesIntoADriversListsAndNumbersItSays) {
  static LIST_ENTRY list, one, two;
  static SINGLE_LIST_ENTRY stack, three;
  static LARGE_INTEGER large;
  static ULONG number;
  static KSPIN_LOCK lock;
  alignas(16) static SLIST_HEADER sequenced;
  alignas(16) static SLIST_ENTRY four;
  const auto written = [&m](const volatile void* at, bool interlocked) {
    return m.count("kernel-access", {{"at", m.address_of(at)}, {"interlocked", interlocked}});
  };
  InitializeListHead(&list);
  m.on(0, PASSIVE_LEVEL, [] {
    ExInterlockedInsertHeadList(&list, &one, &lock);
    ExInterlockedInsertTailList(&list, &two, &lock);
    ExInterlockedRemoveHeadList(&list, &lock);
    ExInterlockedPushEntryList(&stack, &three, &lock);
    ExInterlockedPopEntryList(&stack, &lock);
    ExInterlockedAddLargeInteger(&large, large, &lock);
    ExInterlockedAddUlong(&number, 1, &lock);
    InitializeSListHead(&sequenced);
    InterlockedPushEntrySList(&sequenced, &four);
    InterlockedPopEntrySList(&sequenced);
    InterlockedPushEntrySList(&sequenced, &four);
    InterlockedFlushSList(&sequenced);
  });
  EXPECT_EQ(written(&list, true), 3u);
  EXPECT_EQ(written(&list.Blink, false), 1u) << "behind which the first entry comes";
  EXPECT_EQ(written(&one, false), 2u) << "inserted, and the next one behind it";
  EXPECT_EQ(written(&two, false), 1u);
  EXPECT_EQ(written(&two.Blink, false), 1u) << "it has become the first";
  EXPECT_EQ(written(&stack, true), 2u);
  EXPECT_EQ(written(&three, false), 1u);
  EXPECT_EQ(written(&large, true), 1u);
  EXPECT_EQ(written(&number, true), 1u);
  EXPECT_EQ(written(&sequenced, false), 1u);
  EXPECT_EQ(written(&sequenced, true), 4u);
  EXPECT_EQ(written(&four, false), 2u);
}

// IoQueueWorkItem keeps the device: its routine is over for whoever deletes that.
KDPC_TEST(RaceFacts, WhoeverFreesADeviceComesAfterAllWhoHaveKeptIt) {
  static DEVICE_OBJECT* device;
  m.on(0, PASSIVE_LEVEL, [] {
    device = test::make_device(test::make_driver());
    ObReferenceObject(device);
    IoDeleteDevice(device);
    ObDereferenceObject(device);
  });
  std::uint64_t kept = 0;
  for (const lab::EventRecord& fact : m.events("order-acquired"))
    if (fact["object"] - m.address_of(device) < sizeof(DEVICE_OBJECT) + 4096) kept = fact["object"];
  ASSERT_NE(kept, 0u);
  EXPECT_EQ(m.count("order-released", {{"object", kept}}), 2u) << "by who has deleted it, and by who has kept it";
  EXPECT_EQ(m.count("order-acquired", {{"object", kept}}), 1u);
}

}  // namespace
}  // namespace kdpc
