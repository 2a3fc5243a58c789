// Registers, MDLs, common buffers, names of devices, remove locks, device timers.
#include <gmock/gmock.h>
#include <wdm.h>

#include <cstring>

#include "tests/io/host_driver.h"
#include "tests/io/pulse_board.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::make_device;
using test::make_driver;
using test::PulseBoard;

constexpr ULONG kTag = pool_tag("Test");

LARGE_INTEGER physical(std::uint64_t address) {
  LARGE_INTEGER result;
  result.QuadPart = static_cast<LONGLONG>(address);
  return result;
}

KDPC_TEST(Registers, AreReachedThroughTheirMappingAndTakeTime) {
  RULE("TIME-5");
  PulseBoard board({{"pulse"}});
  m.attach(board);
  m.on(0, PASSIVE_LEVEL, [] {
    auto* registers = static_cast<PULONG>(MmMapIoSpace(physical(PulseBoard::kFirstBase), 16, MmNonCached));
    KDPC_EXPECT(registers != nullptr);
    KDPC_EXPECT_EQ(MmGetPhysicalAddress(registers).QuadPart, static_cast<LONGLONG>(PulseBoard::kFirstBase));
    WRITE_REGISTER_ULONG(registers + 2, 1);
    ULONG values[4] = {};
    READ_REGISTER_BUFFER_ULONG(registers, values, 4);
    KDPC_EXPECT_EQ(values[0], 1u);
    KDPC_EXPECT_EQ(values[3], 1u);
    MmUnmapIoSpace(registers, 16);
  });
  const auto accesses = m.events("register");
  ASSERT_EQ(accesses.size(), 5u);
  EXPECT_EQ(accesses[0]["at"], PulseBoard::kFirstBase + 8);
  EXPECT_EQ(accesses[0]["write"], 1u);
  EXPECT_GT(accesses[1].time, accesses[0].time);
}

KDPC_TEST(Registers, WhereNothingAnswersReadsAllOnesAndIsSaid) {
  m.on(0, PASSIVE_LEVEL, [] {
    auto* nothing = static_cast<PUCHAR>(MmMapIoSpace(physical(0x1234'0000), 4096, MmNonCached));
    KDPC_EXPECT_EQ(static_cast<unsigned>(READ_REGISTER_UCHAR(nothing)), 0xFFu);
    KDPC_EXPECT_EQ(READ_PORT_ULONG(reinterpret_cast<PULONG>(0x60)), 0xFFFFFFFFu);
    WRITE_PORT_UCHAR(reinterpret_cast<PUCHAR>(0x60), 1);
    for (int again = 0; again < 100; ++again) READ_REGISTER_UCHAR(nothing);
  });
  const auto lines = m.debug_lines();
  ASSERT_GE(lines.size(), 3u);
  EXPECT_LE(lines.size(), 20u);
  EXPECT_EQ(lines[0].text, "kdpc: read of 1 bytes from bus address 0x12340000: no device has a register there");
  EXPECT_EQ(lines[2].text, "kdpc: write of 1 bytes to port 0x60: no device has a register there");
}

// As a driver is compiled: without a sanitizer, which would fault in its own bookkeeping.
__attribute__((no_sanitize("address", "undefined", "thread"))) void write_plainly(volatile ULONG* address) { *address = 1; }

KDPC_TEST(Registers, TouchedLikeMemoryTheyAreNamed) {
  static PULONG registers;
  m.on(0, DISPATCH_LEVEL, [] {
    registers = static_cast<PULONG>(MmMapIoSpace(physical(PulseBoard::kFirstBase), 16, MmNonCached));
    write_plainly(registers);
  });
  EXPECT_BUGCHECK(DRIVER_IRQL_NOT_LESS_OR_EQUAL, registers, DISPATCH_LEVEL, 1);
  EXPECT_THAT(m.outcome().report(), testing::HasSubstr("WRITE_REGISTER_"));
}

KDPC_TEST(Mdl, DescribesMemoryOfTheRun) {
  m.on(0, PASSIVE_LEVEL, [] {
    auto* block = static_cast<char*>(ExAllocatePoolWithTag(NonPagedPool, 10000, kTag));
    PMDL mdl = IoAllocateMdl(block + 100, 9000, FALSE, FALSE, nullptr);
    MmBuildMdlForNonPagedPool(mdl);
    KDPC_EXPECT(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) == block + 100);
    KDPC_EXPECT_EQ(MmGetMdlPfnArray(mdl)[1] << PAGE_SHIFT,
                   static_cast<PFN_NUMBER>(MmGetPhysicalAddress(static_cast<char*>(PAGE_ALIGN(block + 100)) + PAGE_SIZE).QuadPart));
    PMDL part = IoAllocateMdl(block + 5000, 500, FALSE, FALSE, nullptr);
    IoBuildPartialMdl(mdl, part, block + 5000, 500);
    KDPC_EXPECT(MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == block + 5000);
    KDPC_EXPECT_EQ(part->ByteCount, 500u);
    IoFreeMdl(part);
    IoFreeMdl(mdl);
    ExFreePool(block);
  });
}

DEVICE_DESCRIPTION bus_master() {
  DEVICE_DESCRIPTION description = {};
  description.Version = DEVICE_DESCRIPTION_VERSION;
  description.Master = TRUE;
  description.Dma32BitAddresses = TRUE;
  description.MaximumLength = 65536;
  return description;
}

PDEVICE_OBJECT given = nullptr, attached = nullptr;
NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT its_physical) {
  given = its_physical;
  attached = make_device(*reinterpret_cast<io::Driver*>(driver), {});
  IoAttachDeviceToDeviceStack(attached, its_physical);
  return STATUS_SUCCESS;
}
NTSTATUS NTAPI pass_down(PDEVICE_OBJECT, PIRP irp) {
  IoSkipCurrentIrpStackLocation(irp);
  return IoCallDriver(given, irp);
}

KDPC_TEST(Dma, CommonBuffersComeFromTheMemoryOfTheBoard) {
  static std::byte memory[4 * 4096];
  PulseBoard board({{"pulse"}});
  board.use_memory({memory, 0x10'0000, sizeof memory});
  m.attach(board);
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    driver.extension.AddDevice = add_device;
    driver.object.MajorFunction[IRP_MJ_PNP] = pass_down;
  });
  std::string why;
  ASSERT_TRUE(m.start_device("pulse", "tested", why)) << why;
  m.on(0, PASSIVE_LEVEL, [] {
    DEVICE_DESCRIPTION description = bus_master();
    ULONG registers = 0;
    PDMA_ADAPTER adapter = IoGetDmaAdapter(given, &description, &registers);
    KDPC_EXPECT(adapter != nullptr && registers != 0);
    DMA_OPERATIONS& operations = *adapter->DmaOperations;
    PHYSICAL_ADDRESS first = {}, second = {}, third = {};
    void* one = operations.AllocateCommonBuffer(adapter, 5000, &first, TRUE);
    void* two = operations.AllocateCommonBuffer(adapter, 4096, &second, TRUE);
    KDPC_EXPECT(one == memory && two == memory + 8192);
    KDPC_EXPECT_EQ(first.QuadPart, 0x10'0000);
    KDPC_EXPECT_EQ(second.QuadPart, 0x10'2000);
    KDPC_EXPECT_EQ(MmGetPhysicalAddress(static_cast<char*>(two) + 5).QuadPart, 0x10'2005);
    KDPC_EXPECT(operations.AllocateCommonBuffer(adapter, 8192, &third, TRUE) == nullptr);
    operations.FreeCommonBuffer(adapter, 5000, first, one, TRUE);
    KDPC_EXPECT(operations.AllocateCommonBuffer(adapter, 8192, &third, TRUE) == one);
    operations.FreeCommonBuffer(adapter, 8192, third, one, TRUE);
    operations.FreeCommonBuffer(adapter, 4096, second, two, TRUE);
    operations.PutDmaAdapter(adapter);
  });
  EXPECT_EQ(m.count("pool-allocated", {{"tag", 0x4D616D44}}), 3u) << "by which the race detector knows the memory of devices";
}

KDPC_TEST(Names, LinksAndDosDevicesLeadToTheDevice) {
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    test::accept_files(driver);
    PDEVICE_OBJECT device = make_device(driver);
    PDEVICE_OBJECT twin = device;
    UNICODE_STRING name, link;
    RtlInitUnicodeString(&name, u"\\Device\\TESTED");
    RtlInitUnicodeString(&link, u"\\DosDevices\\Short");
    KDPC_EXPECT_EQ(IoCreateDevice(&driver.object, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &twin), STATUS_OBJECT_NAME_COLLISION);
    KDPC_EXPECT(twin == nullptr);
    KDPC_EXPECT_EQ(IoCreateSymbolicLink(&link, &name), STATUS_SUCCESS);
    lab::DeviceFile file;
    for (const char* path : {"\\\\.\\Short", "\\??\\short", "\\DosDevices\\Short\\below", "\\Device\\Tested"}) {
      KDPC_EXPECT_EQ(file.open(path), STATUS_SUCCESS);
      file.close();
    }
    device->Flags |= DO_DEVICE_INITIALIZING;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_NO_SUCH_DEVICE);
    KDPC_EXPECT_EQ(IoDeleteSymbolicLink(&link), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(file.open("\\\\.\\Short"), STATUS_OBJECT_NAME_NOT_FOUND);
  });
}

KDPC_TEST(Names, AnOpenFileKeepsTheDeletedDevice) {
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    test::accept_files(driver);
    PDEVICE_OBJECT device = make_device(driver);
    lab::DeviceFile file, second;
    KDPC_EXPECT_EQ(file.open("\\Device\\Tested"), STATUS_SUCCESS);
    IoDeleteDevice(device);
    KDPC_EXPECT_EQ(static_cast<int>(device->Type), IO_TYPE_DEVICE);
    KDPC_EXPECT_EQ(second.open("\\Device\\Tested"), STATUS_OBJECT_NAME_NOT_FOUND);
    file.close();
    KDPC_EXPECT(sys().pool.find(device) == nullptr);
  });
}

KDPC_TEST(RemoveLock, WaitsForTheLastUser) {
  static IO_REMOVE_LOCK lock;
  static bool removed = false;
  removed = false;
  m.on(0, PASSIVE_LEVEL, [] {
    IoInitializeRemoveLock(&lock, kTag, 0, 0);
    KDPC_EXPECT_EQ(IoAcquireRemoveLock(&lock, nullptr), STATUS_SUCCESS);  // a request …
    KDPC_EXPECT_EQ(IoAcquireRemoveLock(&lock, nullptr), STATUS_SUCCESS);  // … and the remover's own
  });
  const lab::Task remover = m.start(0, PASSIVE_LEVEL, [] {
    IoReleaseRemoveLockAndWait(&lock, nullptr);
    removed = true;
  });
  m.run_for(1ms);
  EXPECT_FALSE(removed);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(IoAcquireRemoveLock(&lock, nullptr), STATUS_DELETE_PENDING);
    IoReleaseRemoveLock(&lock, nullptr);
  });
  EXPECT_TRUE(m.run_until([] { return removed; }, 1ms));
}

int ticks = 0;
KDPC_TEST(DeviceTimer, CallsItsRoutineOnceASecond) {
  ticks = 0;
  static PDEVICE_OBJECT device;
  m.on(0, PASSIVE_LEVEL, [] {
    device = make_device(make_driver());
    KDPC_EXPECT_EQ(IoInitializeTimer(
                       device, [](PDEVICE_OBJECT, PVOID) NTAPI { ++ticks; }, nullptr),
                   STATUS_SUCCESS);
    IoStartTimer(device);
  });
  m.run_for(3500ms);
  EXPECT_EQ(ticks, 3);
  m.on(0, PASSIVE_LEVEL, [] { IoStopTimer(device); });
  m.run_for(3s);
  EXPECT_EQ(ticks, 3);
}

}  // namespace
}  // namespace kdpc
