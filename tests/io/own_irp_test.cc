// IRPs that drivers make themselves: parts of a request, asynchronous ones, and what must not happen to them. References to devices and files.
#include <gmock/gmock.h>
#include <wdm.h>

#include <cstring>

#include "tests/io/host_driver.h"
#include "tests/io/told.h"

namespace kdpc {
namespace {

using test::accept_files;
using test::finish;
using test::forget_told;
using test::make_device;
using test::make_driver;
using test::tell;
using test::told;

PDEVICE_OBJECT lower = nullptr;
PIRP kept[3];

void begin() {
  forget_told();
  lower = nullptr;
}

NTSTATUS NTAPI fill(PDEVICE_OBJECT, PIRP irp) {
  const ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Length;
  std::memset(irp->AssociatedIrp.SystemBuffer, 'x', length);
  return finish(irp, STATUS_SUCCESS, length);
}

// The highest driver splits a read into two, for the device below.
NTSTATUS NTAPI split(PDEVICE_OBJECT, PIRP irp) {
  IoMarkIrpPending(irp);
  irp->AssociatedIrp.IrpCount = 2;
  for (int part = 0; part < 2; ++part) {
    kept[part] = IoMakeAssociatedIrp(irp, lower->StackSize);
    KDPC_EXPECT((kept[part]->Flags & IRP_ASSOCIATED_IRP) != 0 && kept[part]->AssociatedIrp.MasterIrp == irp);
    IoGetNextIrpStackLocation(kept[part])->MajorFunction = IRP_MJ_FLUSH_BUFFERS;
  }
  for (int part = 0; part < 2; ++part) IoCallDriver(lower, kept[part]);
  return STATUS_PENDING;
}
NTSTATUS NTAPI hold(PDEVICE_OBJECT, PIRP irp) {
  IoMarkIrpPending(irp);
  tell("part");
  return STATUS_PENDING;
}

KDPC_TEST(OwnIrp, TheLastPartCompletesTheRequest) {
  RULE("IRP-1");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& below = make_driver(u"below");
    io::Driver& above = make_driver(u"above");
    accept_files(above);
    lower = make_device(below, u"\\Device\\Lower");
    make_device(above);
    below.object.MajorFunction[IRP_MJ_FLUSH_BUFFERS] = hold;
    above.object.MajorFunction[IRP_MJ_READ] = split;
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    const std::uint64_t before = sys().pool.live_blocks();
    lab::PendingIo pending = file.begin_read(nullptr, 0);
    finish(kept[0], STATUS_SUCCESS);
    const lab::Duration soon = std::chrono::microseconds(1);
    KDPC_EXPECT(!pending.wait(soon));
    finish(kept[1], STATUS_SUCCESS);
    KDPC_EXPECT(pending.finish().ok());
    KDPC_EXPECT_EQ(sys().pool.live_blocks(), before);
    file.close();
  });
  EXPECT_EQ(told, "part part ");
}

NTSTATUS NTAPI free_async(PDEVICE_OBJECT, PIRP irp, PVOID context) {
  std::memcpy(context, irp->AssociatedIrp.SystemBuffer, 4);
  if ((irp->Flags & IRP_DEALLOCATE_BUFFER) != 0) ExFreePool(irp->AssociatedIrp.SystemBuffer);
  IoFreeIrp(irp);
  tell("freed");
  return STATUS_MORE_PROCESSING_REQUIRED;
}

KDPC_TEST(OwnIrp, AnAsynchronousRequestIsFreedByItsCompletionRoutine) {
  RULE("IRP-1");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    driver.object.MajorFunction[IRP_MJ_READ] = fill;
    lower = make_device(driver);
    static char buffer[8], copy[8];
    const std::uint64_t before = sys().pool.live_blocks();
    LARGE_INTEGER offset = {};
    PIRP irp = IoBuildAsynchronousFsdRequest(IRP_MJ_READ, lower, buffer, 4, &offset, nullptr);
    IoSetCompletionRoutine(irp, free_async, copy, TRUE, TRUE, TRUE);
    KDPC_EXPECT_EQ(IoCallDriver(lower, irp), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(copy[3], 'x');
    KDPC_EXPECT_EQ(sys().pool.live_blocks(), before);
    // Without one, the final stage copies out and frees, as for the other forms.
    irp = IoBuildAsynchronousFsdRequest(IRP_MJ_READ, lower, buffer, 4, &offset, nullptr);
    KDPC_EXPECT_EQ(IoCallDriver(lower, irp), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(buffer[3], 'x');
    KDPC_EXPECT_EQ(sys().pool.live_blocks(), before);
  });
  EXPECT_EQ(told, "freed ");
}

KDPC_TEST(OwnIrp, OneFromIoAllocateIrpMustBeStoppedByItsSender) {
  RULE("IRP-1");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    driver.object.MajorFunction[IRP_MJ_FLUSH_BUFFERS] = test::succeed;
    lower = make_device(driver);
    kept[0] = IoAllocateIrp(lower->StackSize, FALSE);
    IoGetNextIrpStackLocation(kept[0])->MajorFunction = IRP_MJ_FLUSH_BUFFERS;
    IoCallDriver(lower, kept[0]);
  });
  EXPECT_BUGCHECK(IRQL_NOT_LESS_OR_EQUAL, 0, DISPATCH_LEVEL, 0, kept[0]);
  if (lab::is_simulated()) EXPECT_NE(m.outcome().finding->id, "stop-null-pointer");  // the thread that it has not is nobody's pointer
}

KDPC_TEST(OwnIrp, OneThatBelongsToAThreadMustNotBeFreedByTheDriver) {
  RULE("IRP-1");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    lower = make_device(make_driver());
    KEVENT event;
    IO_STATUS_BLOCK status;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    kept[0] = IoBuildSynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, lower, nullptr, 0, nullptr, &event, &status);
    IoFreeIrp(kept[0]);
  });
  EXPECT_BUGCHECK(DRIVER_VERIFIER_IOMANAGER_VIOLATION, 2, kept[0]);
}

NTSTATUS NTAPI note_completion(PDEVICE_OBJECT, PIRP, PVOID context) {
  tell(static_cast<const char*>(context));
  return STATUS_MORE_PROCESSING_REQUIRED;
}
NTSTATUS NTAPI fail_it(PDEVICE_OBJECT, PIRP irp) { return finish(irp, STATUS_UNSUCCESSFUL); }

KDPC_TEST(OwnIrp, ACompletionRoutineExKeepsItsDevice) {
  RULE("IRP-1");
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    driver.object.MajorFunction[IRP_MJ_FLUSH_BUFFERS] = fail_it;
    lower = make_device(driver, u"\\Device\\Lower");
    PDEVICE_OBJECT mine = make_device(driver);
    PIRP irp = IoAllocateIrp(static_cast<CCHAR>(lower->StackSize + 1), FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_FLUSH_BUFFERS;
    IoSetCompletionRoutine(irp, note_completion, const_cast<char*>("sender"), TRUE, TRUE, TRUE);
    IoSetNextIrpStackLocation(irp);
    IoCopyCurrentIrpStackLocationToNext(irp);
    KDPC_EXPECT_EQ(IoSetCompletionRoutineEx(mine, irp, note_completion, const_cast<char*>("only on success"), TRUE, FALSE, FALSE), STATUS_SUCCESS);
    IoDeleteDevice(mine);
    KDPC_EXPECT_EQ(static_cast<int>(mine->Type), IO_TYPE_DEVICE);  // referenced
    IoCallDriver(lower, irp);
    KDPC_EXPECT(sys().pool.find(mine) == nullptr);
    IoFreeIrp(irp);
  });
  EXPECT_EQ(told, "sender ");
}

NTSTATUS NTAPI tell_major(PDEVICE_OBJECT, PIRP irp) {
  const UCHAR major = IoGetCurrentIrpStackLocation(irp)->MajorFunction;
  tell(major == IRP_MJ_CREATE ? "create" : major == IRP_MJ_CLEANUP ? "cleanup" : "close");
  return finish(irp, STATUS_SUCCESS);
}

KDPC_TEST(References, AFileFoundByNameIsClosedWithItsLastReference) {
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    for (const int major : {IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE}) driver.object.MajorFunction[major] = tell_major;
    PDEVICE_OBJECT device = make_device(driver), top = make_device(driver, {});
    KDPC_EXPECT(IoAttachDeviceToDeviceStack(top, device) == device);
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, u"\\Device\\Tested");
    PFILE_OBJECT file = nullptr;
    PDEVICE_OBJECT found = nullptr;
    KDPC_EXPECT_EQ(IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &found), STATUS_SUCCESS);
    KDPC_EXPECT(found == top && IoGetRelatedDeviceObject(file) == top && file->DeviceObject == device);
    ObReferenceObject(file);
    ObDereferenceObject(file);
    tell("mine");
    ObDereferenceObject(file);
    RtlInitUnicodeString(&name, u"\\Device\\Nobody");
    KDPC_EXPECT_EQ(IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &found), STATUS_OBJECT_NAME_NOT_FOUND);
    KDPC_EXPECT(file == nullptr && found == nullptr);
  });
  EXPECT_EQ(told, "create cleanup mine close ");
}

PFILE_OBJECT last_file = nullptr;
KDPC_TEST(References, AFileReleasedAtDispatchIsClosedInAWorker) {
  begin();
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    for (const int major : {IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE}) driver.object.MajorFunction[major] = tell_major;
    make_device(driver);
    UNICODE_STRING name;
    PDEVICE_OBJECT found = nullptr;
    RtlInitUnicodeString(&name, u"\\Device\\Tested");
    KDPC_EXPECT_EQ(IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &last_file, &found), STATUS_SUCCESS);
  });
  m.on(0, DISPATCH_LEVEL, [] {
    ObDereferenceObject(last_file);
    tell("later");
  });
  m.run_for(std::chrono::milliseconds(1));
  EXPECT_EQ(told, "create cleanup later close ");
}

KDPC_TEST(References, OneTooManyIsABugCheck) {
  m.on(0, PASSIVE_LEVEL, [] {
    lower = make_device(make_driver());
    ObReferenceObject(lower);
    KDPC_EXPECT(IoGetAttachedDeviceReference(lower) == lower);
    ObDereferenceObject(lower);
    ObDereferenceObject(lower);
    ObDereferenceObject(lower);
  });
  EXPECT_BUGCHECK(0x18, 0, lower);
}

KDPC_TEST(References, TheRequestorOfAnIrpIsItsThreadsProcess) {
  m.on(0, PASSIVE_LEVEL, [] {
    PDEVICE_OBJECT device = make_device(make_driver());
    PIRP irp = IoAllocateIrp(1, FALSE);
    KDPC_EXPECT(IoGetRequestorProcess(irp) == nullptr);
    KDPC_EXPECT_EQ(IoGetRequestorProcessId(irp), 0u);
    IoFreeIrp(irp);
    irp = IoBuildAsynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, device, nullptr, 0, nullptr, nullptr);
    KDPC_EXPECT(IoGetRequestorProcess(irp) == PsGetCurrentProcess());
    KDPC_EXPECT_EQ(IoGetRequestorProcessId(irp), 4u);
    IoFreeIrp(irp);
    ObReferenceObject(device);
    ObDereferenceObject(device);
  });
}

KDPC_TEST(ErrorLog, WhatADriverWritesIsShown) {
  m.on(0, PASSIVE_LEVEL, [] {
    PDEVICE_OBJECT device = make_device(make_driver());
    auto* packet = static_cast<PIO_ERROR_LOG_PACKET>(IoAllocateErrorLogEntry(device, sizeof(IO_ERROR_LOG_PACKET)));
    packet->ErrorCode = static_cast<NTSTATUS>(0xC0040001);
    packet->FinalStatus = STATUS_DEVICE_NOT_READY;
    packet->UniqueErrorValue = 7;
    IoWriteErrorLogEntry(packet);
    IoFreeErrorLogEntry(IoAllocateErrorLogEntry(device, sizeof(IO_ERROR_LOG_PACKET) + 8));
    KDPC_EXPECT(IoAllocateErrorLogEntry(device, 255) == nullptr);
    KDPC_EXPECT(IoAllocateErrorLogEntry(device, 8) == nullptr);
  });
  ASSERT_EQ(m.debug_lines().size(), 1u);
  EXPECT_EQ(m.debug_lines()[0].text, "kdpc: tested writes to the error log: code 0xC0040001, final status 0xC00000A3, unique value 0x7");
}

}  // namespace
}  // namespace kdpc
