// What applications have asked for is cancelled all at once, as when one of them gives up: kdpc explore has it come at any time.
#include <wdm.h>

#include "io/requests.h"
#include "tests/io/host_driver.h"
#include "tests/io/told.h"

namespace kdpc {
namespace {

using test::finish;
using test::forget_told;
using test::tell;
using test::told;

PIRP newest = nullptr;

// Each request has a length of its own.
VOID NTAPI cancel_and_tell(PDEVICE_OBJECT, PIRP irp) {
  IoReleaseCancelSpinLock(irp->CancelIrql);
  tell(std::to_string(IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Length));
  finish(irp, STATUS_CANCELLED);
}
NTSTATUS NTAPI hold(PDEVICE_OBJECT, PIRP irp) {
  IoMarkIrpPending(irp);
  newest = irp;
  IoSetCancelRoutine(irp, cancel_and_tell);
  return STATUS_PENDING;
}

KDPC_TEST(CancelAll, TheOldestFirstOfEveryFile) {
  RULE("IRP-3");
  forget_told();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = test::make_driver();
    test::accept_files(driver);
    driver.object.MajorFunction[IRP_MJ_READ] = hold;
    test::make_device(driver);
    KDPC_EXPECT(!io::requests::any_pending());
    lab::DeviceFile one, other;
    KDPC_EXPECT_EQ(one.open("\\Device\\Tested"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(other.open("\\Device\\Tested"), STATUS_SUCCESS);
    char buffer[8];
    lab::PendingIo first = one.begin_read(buffer, 1), second = one.begin_read(buffer, 2);
    KDPC_EXPECT(first.cancel());
    KDPC_EXPECT_EQ(first.finish().status, STATUS_CANCELLED);
    const PIRP older = newest;
    lab::PendingIo third = other.begin_read(buffer, 3);
    KDPC_EXPECT(newest < older);  // where the first one lay
    KDPC_EXPECT(io::requests::any_pending());
    io::requests::cancel_all();
    KDPC_EXPECT(!io::requests::any_pending());
    KDPC_EXPECT_EQ(second.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(third.finish().status, STATUS_CANCELLED);
    one.close();
    other.close();
  });
  EXPECT_EQ(told, "1 2 3 ");
}

KDPC_TEST(CancelAll, WhatTheSystemAsksForIsLeftAlone) {
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = test::make_driver();
    driver.object.MajorFunction[IRP_MJ_READ] = hold;
    io::Request* const request = io::requests::create(test::make_device(driver), nullptr, IRP_MJ_READ, 0);
    io::requests::dispatch(*request);
    KDPC_EXPECT(!io::requests::any_pending());
    io::requests::cancel_all();
    KDPC_EXPECT_EQ(newest->Cancel, FALSE);
    IoSetCancelRoutine(newest, nullptr);
    finish(newest, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(io::requests::finish(request).status, STATUS_SUCCESS);
  });
}

KDPC_TEST(CancelAll, AnIrpInMemoryOfADriversIsLeftAloneWhateverItsTag) {
  m.on(0, PASSIVE_LEVEL, [] {
    constexpr ULONG kTagOfIrps = 0x20707249;
    auto* const irp = static_cast<PIRP>(ExAllocatePoolWithTag(NonPagedPool, IoSizeOfIrp(1), kTagOfIrps));
    IoInitializeIrp(irp, IoSizeOfIrp(1), 1);
    IoSetNextIrpStackLocation(irp);
    io::requests::cancel_all();
    KDPC_EXPECT_EQ(irp->Cancel, FALSE);
    ExFreePoolWithTag(irp, kTagOfIrps);
  });
}

// It lies with the driver, which looks at Irp->Cancel when it likes, or completes it.
KDPC_TEST(CancelAll, WhatHasNoCancelRoutineIsToldAndEndsAsItsDriverLikes) {
  RULE("K.IRP-2");
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = test::make_driver();
    test::accept_files(driver);
    driver.object.MajorFunction[IRP_MJ_READ] = hold;
    test::make_device(driver);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    char buffer[8];
    lab::PendingIo read = file.begin_read(buffer, sizeof buffer);
    IoSetCancelRoutine(newest, nullptr);
    io::requests::cancel_all();
    KDPC_EXPECT_EQ(newest->Cancel, TRUE);
    KDPC_EXPECT(!read.wait(0));
    finish(newest, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(read.finish().status, STATUS_SUCCESS);
    file.close();
  });
}

}  // namespace
}  // namespace kdpc
