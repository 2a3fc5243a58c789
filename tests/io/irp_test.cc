// IRPs: completion routines and the final stage, pending, cancelling, and what completing wrongly ends in (SEMANTICS 15.2).
#include <gmock/gmock.h>
#include <wdm.h>

#include <cstring>

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

PDEVICE_OBJECT lower = nullptr;
PIRP held = nullptr;
int cancelled = 0;

void begin() {
  forget_told();
  lower = nullptr;
  held = nullptr;
  cancelled = 0;
}

NTSTATUS NTAPI completed_above(PDEVICE_OBJECT device, PIRP irp, PVOID context) {
  tell(static_cast<const char*>(context));
  if (irp->PendingReturned && device != nullptr) IoMarkIrpPending(irp);
  return STATUS_SUCCESS;  // continue
}

NTSTATUS NTAPI completed_at_the_sender(PDEVICE_OBJECT, PIRP, PVOID context) {
  tell(static_cast<const char*>(context));
  return STATUS_MORE_PROCESSING_REQUIRED;  // it is the sender's again
}

NTSTATUS pass_down(PIRP irp, const char* name) {
  IoCopyCurrentIrpStackLocationToNext(irp);
  IoSetCompletionRoutine(irp, completed_above, const_cast<char*>(name), TRUE, TRUE, TRUE);
  return IoCallDriver(lower, irp);
}

NTSTATUS NTAPI pass_down_from_the_top(PDEVICE_OBJECT, PIRP irp) { return pass_down(irp, "top"); }
NTSTATUS NTAPI complete_at_once(PDEVICE_OBJECT, PIRP irp) {
  tell("completes");
  const NTSTATUS status = finish(irp, STATUS_SUCCESS, 3);
  tell("completed");
  return status;
}
NTSTATUS NTAPI hold(PDEVICE_OBJECT, PIRP irp) {
  IoMarkIrpPending(irp);
  held = irp;
  return STATUS_PENDING;
}

KDPC_TEST(Irp, CompletionRoutinesRunInTheCallersContextLowestFirst) {
  RULE("IRP-1");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    accept_files(driver);
    lower = make_device(driver, u"\\Device\\Lower");
    PDEVICE_OBJECT middle = make_device(driver, u"\\Device\\Middle"), top = make_device(driver, u"\\Device\\Top");
    KDPC_EXPECT(IoAttachDeviceToDeviceStack(middle, lower) == lower);
    KDPC_EXPECT(IoAttachDeviceToDeviceStack(top, lower) == middle);
    KDPC_EXPECT_EQ(static_cast<int>(top->StackSize), 3);
    driver.object.MajorFunction[IRP_MJ_DEVICE_CONTROL] = complete_at_once;

    PIRP irp = IoAllocateIrp(4, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    for (const char* name : {"first", "second", "third"}) {  // three drivers above, as each would have set it
      const bool sender = std::strcmp(name, "first") == 0;
      IoSetCompletionRoutine(irp, sender ? completed_at_the_sender : completed_above, const_cast<char*>(name), TRUE, TRUE, TRUE);
      IoSetNextIrpStackLocation(irp);
      IoCopyCurrentIrpStackLocationToNext(irp);
    }
    IoSkipCurrentIrpStackLocation(irp);
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    KDPC_EXPECT_EQ(IoCallDriver(lower, irp), STATUS_SUCCESS);
    KeLowerIrql(old);
    IoFreeIrp(irp);
  });
  EXPECT_EQ(told, "completes third second first completed ");
}

NTSTATUS NTAPI keep_it(PDEVICE_OBJECT, PIRP, PVOID) {
  tell("kept");
  return STATUS_MORE_PROCESSING_REQUIRED;
}
NTSTATUS NTAPI pass_down_and_keep(PDEVICE_OBJECT, PIRP irp) {
  IoCopyCurrentIrpStackLocationToNext(irp);
  IoSetCompletionRoutine(irp, keep_it, nullptr, TRUE, TRUE, TRUE);
  KDPC_EXPECT_EQ(IoCallDriver(lower, irp), STATUS_SUCCESS);
  tell("again");
  return finish(irp, STATUS_SUCCESS, 5);  // legal: the first completion has stopped at this driver
}

KDPC_TEST(Irp, MoreProcessingRequiredStopsTheCompletion) {
  RULE("IRP-1");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& below = make_driver(u"below");
    io::Driver& above = make_driver(u"above");
    accept_files(below);
    accept_files(above);
    lower = make_device(below, u"\\Device\\Lower");
    PDEVICE_OBJECT top = make_device(above, {});
    IoAttachDeviceToDeviceStack(top, lower);
    below.object.MajorFunction[IRP_MJ_READ] = complete_at_once;
    above.object.MajorFunction[IRP_MJ_READ] = pass_down_and_keep;
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Lower"), STATUS_SUCCESS);
    char buffer[8];
    const lab::IoResult result = file.read(buffer, sizeof buffer);
    KDPC_EXPECT_EQ(result.information, 5u);
    file.close();
  });
  EXPECT_EQ(told, "completes kept completed again ");
}

// The DPC of a device that finishes what was held.
KDPC dpc;
VOID NTAPI finish_in_a_dpc(PKDPC, PVOID, PVOID, PVOID) {
  tell("dpc");
  std::memcpy(held->AssociatedIrp.SystemBuffer, "abc", 3);
  finish(held, STATUS_SUCCESS, 3, IO_SOUND_INCREMENT);
  tell("finished");
}

KDPC_TEST(Irp, TheResultIsSeenWhenTheRequestingThreadRuns) {
  RULE("IRP-1");
  begin();
  static char buffer[8];
  std::memset(buffer, 0, sizeof buffer);
  static bool untouched_in_dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    accept_files(driver);
    driver.object.MajorFunction[IRP_MJ_READ] = hold;
    make_device(driver);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    lab::PendingIo pending = file.begin_read(buffer, sizeof buffer);
    KDPC_EXPECT(!pending.wait(1us));
    KeInitializeDpc(&dpc, finish_in_a_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    untouched_in_dpc = buffer[0] == 0;
    tell("thread");
    const lab::IoResult result = pending.finish();
    KDPC_EXPECT_EQ(result.information, 3u);
    KDPC_EXPECT_EQ(result.status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_EQ(told, "dpc finished thread ");
  EXPECT_TRUE(untouched_in_dpc);
  EXPECT_STREQ(buffer, "abc");
}

KDPC_TEST(Irp, APendingRequestWaitsAcrossAStack) {
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& below = make_driver(u"below");
    io::Driver& above = make_driver(u"above");
    accept_files(below);
    accept_files(above);
    lower = make_device(below, u"\\Device\\Lower");
    PDEVICE_OBJECT top = make_device(above, {});
    IoAttachDeviceToDeviceStack(top, lower);
    below.object.MajorFunction[IRP_MJ_WRITE] = hold;
    above.object.MajorFunction[IRP_MJ_WRITE] = pass_down_from_the_top;
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Lower"), STATUS_SUCCESS);
    lab::PendingIo pending = file.begin_write("xyz", 3);
    KDPC_EXPECT_EQ(std::memcmp(held->AssociatedIrp.SystemBuffer, "xyz", 3), 0);
    finish(held, STATUS_SUCCESS, 3);
    KDPC_EXPECT_EQ(pending.finish().information, 3u);
    file.close();
  });
  EXPECT_EQ(told, "top ");
}

NTSTATUS NTAPI complete_twice(PDEVICE_OBJECT, PIRP irp) {
  held = irp;
  finish(irp, STATUS_SUCCESS);
  finish(irp, STATUS_SUCCESS);
  return STATUS_SUCCESS;
}
NTSTATUS NTAPI complete_while_cancellable(PDEVICE_OBJECT, PIRP irp) {
  held = irp;
  IoSetCancelRoutine(irp, [](PDEVICE_OBJECT, PIRP) NTAPI {});
  return finish(irp, STATUS_SUCCESS);
}
NTSTATUS NTAPI call_below_without_a_location(PDEVICE_OBJECT device, PIRP irp) {
  held = irp;
  return IoCallDriver(device, irp);
}
NTSTATUS NTAPI return_pending_unmarked(PDEVICE_OBJECT, PIRP irp) {
  finish(irp, STATUS_SUCCESS);
  return STATUS_PENDING;
}

void read_once(PDRIVER_DISPATCH routine, lab::Machine& m) {
  begin();
  m.on(0, PASSIVE_LEVEL, [routine] {
    io::Driver& driver = make_driver();
    accept_files(driver);
    driver.object.MajorFunction[IRP_MJ_READ] = routine;
    make_device(driver);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    char buffer[8];
    file.read(buffer, sizeof buffer);
  });
}

KDPC_TEST(Irp, CompletedTwiceIsABugCheck) {
  RULE("IRP-2");
  read_once(complete_twice, m);
  EXPECT_BUGCHECK(MULTIPLE_IRP_COMPLETE_REQUESTS, held);
}

KDPC_TEST(Irp, CompletedWithACancelRoutineIsABugCheck) {
  RULE("IRP-2");
  read_once(complete_while_cancellable, m);
  EXPECT_BUGCHECK(CANCEL_STATE_IN_COMPLETED_IRP, held);
}

KDPC_TEST(Irp, NoStackLocationLeftIsABugCheck) {
  RULE("IRP-2");
  read_once(call_below_without_a_location, m);
  EXPECT_BUGCHECK(NO_MORE_IRP_STACK_LOCATIONS, held);
}

KDPC_TEST(Irp, PendingReturnedButNotMarkedIsFound) {
  read_once(return_pending_unmarked, m);
  EXPECT_BUGCHECK(DRIVER_VERIFIER_IOMANAGER_VIOLATION);
}

VOID NTAPI cancel_it(PDEVICE_OBJECT, PIRP irp) {
  ++cancelled;
  KDPC_EXPECT_EQ(static_cast<int>(KeGetCurrentIrql()), DISPATCH_LEVEL);
  IoReleaseCancelSpinLock(irp->CancelIrql);
  KDPC_EXPECT_EQ(static_cast<int>(KeGetCurrentIrql()), PASSIVE_LEVEL);
  finish(irp, STATUS_CANCELLED);
}
NTSTATUS NTAPI hold_cancellable(PDEVICE_OBJECT, PIRP irp) {
  IoMarkIrpPending(irp);
  held = irp;
  IoSetCancelRoutine(irp, cancel_it);
  return STATUS_PENDING;
}

KDPC_TEST(Irp, TheCancelRoutineOwnsWhatItTook) {
  RULE("IRP-3");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    accept_files(driver);
    driver.object.MajorFunction[IRP_MJ_READ] = hold_cancellable;
    make_device(driver);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    char buffer[8];
    lab::PendingIo pending = file.begin_read(buffer, sizeof buffer);
    KDPC_EXPECT(pending.cancel());
    KDPC_EXPECT(IoSetCancelRoutine(held, nullptr) == nullptr);  // what a DPC that comes too late finds
    KDPC_EXPECT(!pending.cancel());
    KDPC_EXPECT_EQ(pending.finish().status, STATUS_CANCELLED);

    // The other order: the driver takes it back first, and IoCancelIrp calls nothing.
    pending = file.begin_read(buffer, sizeof buffer);
    KDPC_EXPECT(IoSetCancelRoutine(held, nullptr) == cancel_it);
    KDPC_EXPECT_EQ(IoCancelIrp(held), FALSE);
    KDPC_EXPECT_EQ(held->Cancel, TRUE);
    finish(held, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(pending.finish().status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(m.count("irp-cancelled", {{"routine_called", 1}}), 1u);
}

VOID NTAPI forget_the_lock(PDEVICE_OBJECT, PIRP) {}
KDPC_TEST(Irp, ACancelRoutineThatKeepsTheLockIsFound) {
  RULE("IRP-3");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    PIRP irp = IoAllocateIrp(1, FALSE);
    PDEVICE_OBJECT device = make_device(make_driver());
    IoSetNextIrpStackLocation(irp);
    IoGetCurrentIrpStackLocation(irp)->DeviceObject = device;
    IoSetCancelRoutine(irp, forget_the_lock);
    IoCancelIrp(irp);
  });
  EXPECT_BUGCHECK(IRQL_UNEXPECTED_VALUE, test::any, forget_the_lock);
}

NTSTATUS NTAPI echo(PDEVICE_OBJECT, PIRP irp) {
  const auto& parameters = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl;
  switch (METHOD_FROM_CTL_CODE(parameters.IoControlCode)) {
    case METHOD_BUFFERED:
      KDPC_EXPECT_EQ(std::memcmp(irp->AssociatedIrp.SystemBuffer, "in!", 3), 0);
      std::memcpy(irp->AssociatedIrp.SystemBuffer, "buffered", 9);
      return finish(irp, STATUS_SUCCESS, 9);
    case METHOD_OUT_DIRECT:
      KDPC_EXPECT_EQ(std::memcmp(irp->AssociatedIrp.SystemBuffer, "in!", 3), 0);
      KDPC_EXPECT_EQ(MmGetMdlByteCount(irp->MdlAddress), 16u);
      std::memcpy(MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority), "direct", 7);
      return finish(irp, STATUS_SUCCESS, 7);
    default:
      KDPC_EXPECT_EQ(std::memcmp(parameters.Type3InputBuffer, "in!", 3), 0);
      std::memcpy(irp->UserBuffer, "neither", 8);
      return finish(irp, STATUS_SUCCESS, 8);
  }
}

KDPC_TEST(Irp, ControlCodesSayHowBuffersAreGiven) {
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    accept_files(driver);
    driver.object.MajorFunction[IRP_MJ_DEVICE_CONTROL] = echo;
    make_device(driver);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    for (const auto& [method, expected] : {std::pair{METHOD_BUFFERED, "buffered"}, {METHOD_OUT_DIRECT, "direct"}, {METHOD_NEITHER, "neither"}}) {
      char output[16] = {};
      KDPC_EXPECT(file.control(CTL_CODE(FILE_DEVICE_UNKNOWN, 1, static_cast<unsigned>(method), 0), "in!", 3, output, sizeof output).ok());
      KDPC_EXPECT_EQ(std::strcmp(output, expected), 0);
    }
    file.close();
    KDPC_EXPECT_EQ(sys().pool.live_blocks() > 0, true);
  });
}

KDPC_TEST(Irp, ADriverSendsItsOwnControlRequest) {
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    driver.object.MajorFunction[IRP_MJ_DEVICE_CONTROL] = echo;
    PDEVICE_OBJECT device = make_device(driver);
    const std::uint64_t before = sys().pool.live_blocks();
    KEVENT event;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IO_STATUS_BLOCK status = {};
    char input[] = "in!", output[16] = {};
    PIRP irp = IoBuildDeviceIoControlRequest(CTL_CODE(FILE_DEVICE_UNKNOWN, 1, METHOD_BUFFERED, 0), device, input, 3, output, sizeof output, FALSE,
                                             &event, &status);
    KDPC_EXPECT_EQ(IoCallDriver(device, irp), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(status.Information, 9u);
    KDPC_EXPECT_EQ(std::strcmp(output, "buffered"), 0);
    KDPC_EXPECT_EQ(sys().pool.live_blocks(), before);  // the I/O manager freed its IRP and buffers
  });
}

KDPC_TEST(Irp, WhatADriverDoesNotKnowIsRefusedForIt) {
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    accept_files(driver);
    make_device(driver);
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(file.write("a", 1).status, STATUS_INVALID_DEVICE_REQUEST);
    file.close();
    KDPC_EXPECT_EQ(file.open("\\Device\\Nothing"), STATUS_OBJECT_NAME_NOT_FOUND);
  });
}

}  // namespace
}  // namespace kdpc
