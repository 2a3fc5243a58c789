// Device queues, and the StartIo model on the one in every device object.
#include <gmock/gmock.h>
#include <wdm.h>

#include "tests/io/host_driver.h"
#include "tests/io/told.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::accept_files;
using test::finish;
using test::forget_told;
using test::make_device;
using test::make_driver;
using test::tell;
using test::told;

PDEVICE_OBJECT device = nullptr;

void begin() {
  forget_told();
  device = nullptr;
}

// -- the queue itself -------------------------------------------------------------------------------------------------------------------------

KDEVICE_QUEUE queue;
KDEVICE_QUEUE_ENTRY entries[5];

KDPC_TEST(DeviceQueue, TheFirstEntryMakesItBusyAndIsNotQueued) {
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDeviceQueue(&queue);
    KDPC_EXPECT_EQ(KeInsertDeviceQueue(&queue, &entries[0]), FALSE);
    KDPC_EXPECT_EQ(queue.Busy, TRUE);
    KDPC_EXPECT_EQ(entries[0].Inserted, FALSE);
    KDPC_EXPECT_EQ(KeInsertDeviceQueue(&queue, &entries[1]), TRUE);
    KDPC_EXPECT_EQ(KeInsertDeviceQueue(&queue, &entries[2]), TRUE);
    KDPC_EXPECT_EQ(KeRemoveEntryDeviceQueue(&queue, &entries[1]), TRUE);
    KDPC_EXPECT_EQ(KeRemoveEntryDeviceQueue(&queue, &entries[1]), FALSE);
    KDPC_EXPECT(KeRemoveDeviceQueue(&queue) == &entries[2]);
    KDPC_EXPECT_EQ(queue.Busy, TRUE);
    KDPC_EXPECT(KeRemoveDeviceQueue(&queue) == nullptr);
    KDPC_EXPECT_EQ(queue.Busy, FALSE);
  });
}

KDPC_TEST(DeviceQueue, KeysAscendAndTheNextIsTheFirstNotBelowTheKey) {
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDeviceQueue(&queue);
    KeInsertByKeyDeviceQueue(&queue, &entries[0], 7);
    const ULONG keys[] = {0, 30, 10, 20, 10};
    for (int i = 1; i < 5; ++i) KDPC_EXPECT_EQ(KeInsertByKeyDeviceQueue(&queue, &entries[i], keys[i]), TRUE);
    KDPC_EXPECT(KeRemoveByKeyDeviceQueue(&queue, 15) == &entries[3]);  // 20
    KDPC_EXPECT(KeRemoveByKeyDeviceQueue(&queue, 31) == &entries[2]);  // nothing so high: the first, the older of the two tens
    KDPC_EXPECT(KeRemoveByKeyDeviceQueueIfBusy(&queue, 10) == &entries[4]);
    KDPC_EXPECT(KeRemoveByKeyDeviceQueueIfBusy(&queue, 0) == &entries[1]);
    KDPC_EXPECT(KeRemoveByKeyDeviceQueueIfBusy(&queue, 0) == nullptr);
    KDPC_EXPECT_EQ(queue.Busy, FALSE);
    KDPC_EXPECT(KeRemoveByKeyDeviceQueueIfBusy(&queue, 0) == nullptr);  // idle: only this form may ask
  });
}

KDPC_TEST(DeviceQueue, TakingFromAnIdleQueueIsFound) {
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDeviceQueue(&queue);
    KeRemoveDeviceQueue(&queue);
  });
  EXPECT_BUGCHECK(KMODE_EXCEPTION_NOT_HANDLED, static_cast<ULONG>(STATUS_ASSERTION_FAILURE), &queue);
}

KDPC_TEST(DeviceQueue, InsertingBelowDispatchIsFound) {
  RULE("IRQL-4");
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDeviceQueue(&queue);
    KeInsertDeviceQueue(&queue, &entries[0]);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, PASSIVE_LEVEL);
}

// -- StartIo ----------------------------------------------------------------------------------------------------------------------------------

PIRP held = nullptr;
PDRIVER_CANCEL cancel_routine = nullptr;
int inside = 0;

VOID NTAPI start_io(PDEVICE_OBJECT, PIRP irp) {
  KDPC_EXPECT_EQ(static_cast<int>(KeGetCurrentIrql()), DISPATCH_LEVEL);
  tell("starts");
  held = irp;
}
NTSTATUS NTAPI start_packet(PDEVICE_OBJECT its_device, PIRP irp) {
  IoMarkIrpPending(irp);
  ULONG key = static_cast<ULONG>(IoGetCurrentIrpStackLocation(irp)->Parameters.Read.ByteOffset.QuadPart);
  IoStartPacket(its_device, irp, key != 0 ? &key : nullptr, cancel_routine);
  return STATUS_PENDING;
}

void use(PDRIVER_STARTIO routine) {
  io::Driver& driver = make_driver();
  accept_files(driver);
  driver.object.MajorFunction[IRP_MJ_READ] = start_packet;
  driver.object.DriverStartIo = routine;
  device = make_device(driver);
}

char buffer[8];

KDPC_TEST(StartIo, GetsOneAtATime) {
  begin();
  cancel_routine = nullptr;
  m.on(0, PASSIVE_LEVEL, [] {
    use(start_io);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    lab::PendingIo one = file.begin_read(buffer, sizeof buffer), two = file.begin_read(buffer, sizeof buffer);
    tell("both");
    for (lab::PendingIo* pending : {&one, &two}) {
      PIRP current = device->CurrentIrp;
      KDPC_EXPECT(current == held);
      const KIRQL old = KeRaiseIrqlToDpcLevel();
      IoStartNextPacket(device, FALSE);
      finish(current, STATUS_SUCCESS);
      KeLowerIrql(old);
      KDPC_EXPECT(pending->finish().ok());
    }
    KDPC_EXPECT(device->CurrentIrp == nullptr);
    file.close();
  });
  EXPECT_EQ(told, "starts both starts ");
}

KDPC_TEST(StartIo, NextByKeyTakesTheFirstNotBelowIt) {
  begin();
  cancel_routine = nullptr;
  static LONGLONG order[4];
  m.on(0, PASSIVE_LEVEL, [] {
    use(start_io);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    lab::PendingIo pending[4];
    const std::uint64_t keys[] = {1, 30, 10, 20};
    for (int i = 0; i < 4; ++i) pending[i] = file.begin_read(buffer, sizeof buffer, keys[i]);
    const ULONG wanted[] = {15, 0, 40, 0};
    for (int i = 0; i < 4; ++i) {
      PIRP current = device->CurrentIrp;
      order[i] = IoGetCurrentIrpStackLocation(current)->Parameters.Read.ByteOffset.QuadPart;
      IoStartNextPacketByKey(device, FALSE, wanted[i]);
      finish(current, STATUS_SUCCESS);
    }
    for (lab::PendingIo& one : pending) KDPC_EXPECT(one.finish().ok());
    file.close();
  });
  EXPECT_THAT(order, testing::ElementsAre(1, 20, 10, 30));
}

// Completes at once and asks for the next IRP from inside.
VOID NTAPI start_and_go_on(PDEVICE_OBJECT its_device, PIRP irp) {
  tell(inside++ == 0 ? "in" : "nested");
  its_device->CurrentIrp = nullptr;
  finish(irp, STATUS_SUCCESS);
  IoStartNextPacket(its_device, FALSE);
  --inside;
  tell("out");
}

void read_three(bool deferred) {
  use(start_io);
  IoSetStartIoAttributes(device, deferred ? TRUE : FALSE, FALSE);
  lab::DeviceFile file;
  KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
  lab::PendingIo pending[3];
  for (lab::PendingIo& one : pending) one = file.begin_read(buffer, sizeof buffer);  // the first is held
  device->DriverObject->DriverStartIo = start_and_go_on;
  told.clear();
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  PIRP current = device->CurrentIrp;
  IoStartNextPacket(device, FALSE);
  finish(current, STATUS_SUCCESS);
  KeLowerIrql(old);
  for (lab::PendingIo& one : pending) KDPC_EXPECT(one.finish().ok());
  KDPC_EXPECT_EQ(device->DeviceQueue.Busy, FALSE);
  file.close();
}

KDPC_TEST(StartIo, AskedForFromInsideItNests) {
  begin();
  inside = 0;
  cancel_routine = nullptr;
  m.on(0, PASSIVE_LEVEL, [] { read_three(false); });
  EXPECT_EQ(told, "in nested out out ");
}

KDPC_TEST(StartIo, DeferredItComesWhenTheFirstHasReturned) {
  begin();
  inside = 0;
  cancel_routine = nullptr;
  m.on(0, PASSIVE_LEVEL, [] { read_three(true); });
  EXPECT_EQ(told, "in out in out ");
}

VOID NTAPI cancel_waiting(PDEVICE_OBJECT its_device, PIRP irp) {
  KeRemoveEntryDeviceQueue(&its_device->DeviceQueue, &irp->Tail.Overlay.DeviceQueueEntry);
  IoReleaseCancelSpinLock(irp->CancelIrql);
  tell("cancelled");
  finish(irp, STATUS_CANCELLED);
}

KDPC_TEST(StartIo, WhatWaitsCanBeCancelledAndTheCurrentOneAfterDequeuingNot) {
  RULE("IRP-3");
  begin();
  cancel_routine = cancel_waiting;
  m.on(0, PASSIVE_LEVEL, [] {
    use(start_io);
    IoSetStartIoAttributes(device, FALSE, TRUE);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    lab::PendingIo first = file.begin_read(buffer, sizeof buffer), second = file.begin_read(buffer, sizeof buffer),
                   third = file.begin_read(buffer, sizeof buffer);
    KDPC_EXPECT(!first.cancel());  // NonCancelable: it is current
    KDPC_EXPECT(second.cancel());
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    finish(held, STATUS_SUCCESS);
    IoStartNextPacket(device, TRUE);
    KeLowerIrql(old);
    KDPC_EXPECT(!third.cancel());
    finish(held, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(first.finish().status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(second.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(third.finish().status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_EQ(told, "starts cancelled starts ");
}

KDPC_TEST(StartIo, ThatReturnsAtAnotherLevelIsABugCheck) {
  RULE("IRQL-7");
  m.on(0, DISPATCH_LEVEL, [] {
    io::Driver& driver = make_driver();
    driver.object.DriverStartIo = [](PDEVICE_OBJECT, PIRP) NTAPI { KfRaiseIrql(5); };
    IoStartPacket(make_device(driver), IoAllocateIrp(1, FALSE), nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC8, 5 << 16 | DISPATCH_LEVEL << 8 | 2);
  EXPECT_EQ(m.outcome().bugcheck->sentence, "StartIo returned at another IRQL than it was called at.");
}

}  // namespace
}  // namespace kdpc
