// Transfers of packets by DMA: channels, map registers, scatter/gather lists, and who waits for them (SEMANTICS CTX-4).
#include <gmock/gmock.h>
#include <wdm.h>

#include <cstring>
#include <string>

#include "tests/io/host_driver.h"
#include "tests/io/pulse_board.h"
#include "tests/io/told.h"

namespace kdpc {
namespace {

using test::forget_told;
using test::make_device;
using test::make_driver;
using test::PulseBoard;
using test::tell;
using test::told;

constexpr ULONG kTag = pool_tag("Test");
constexpr std::uint64_t kBase = 0x10'0000;

alignas(4096) std::byte memory[4 * 4096];  // of the board
PDEVICE_OBJECT physical = nullptr, device = nullptr, other = nullptr;
PDMA_ADAPTER adapter = nullptr, second_adapter = nullptr;
PMDL mdl = nullptr;
char* bytes = nullptr;
PVOID base = nullptr;
PSCATTER_GATHER_LIST list = nullptr;
IO_ALLOCATION_ACTION answer = DeallocateObjectKeepRegisters;
IRP current_irp;

NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT its_physical) {
  physical = its_physical;
  device = make_device(*reinterpret_cast<io::Driver*>(driver), u"\\Device\\One");
  other = make_device(*reinterpret_cast<io::Driver*>(driver), u"\\Device\\Two");
  IoAttachDeviceToDeviceStack(device, its_physical);
  return STATUS_SUCCESS;
}
NTSTATUS NTAPI pass_down(PDEVICE_OBJECT, PIRP irp) {
  IoSkipCurrentIrpStackLocation(irp);
  return IoCallDriver(physical, irp);
}

DMA_OPERATIONS& operations() { return *adapter->DmaOperations; }

PDMA_ADAPTER get_adapter() {
  DEVICE_DESCRIPTION description = {};
  description.Version = DEVICE_DESCRIPTION_VERSION2;
  description.Master = TRUE;
  description.ScatterGather = TRUE;
  description.MaximumLength = 4 * 4096;
  ULONG registers = 0;
  PDMA_ADAPTER got = IoGetDmaAdapter(physical, &description, &registers);
  KDPC_EXPECT_EQ(registers, 5u);
  return got;
}

// A device whose board has memory of its own, or none; and 6000 bytes of pool to transfer.
struct Ready {
  Ready(lab::Machine& machine, bool own_memory) : m(machine), board({{"pulse"}}) {
    forget_told();
    base = nullptr;
    list = nullptr;
    answer = DeallocateObjectKeepRegisters;
    std::memset(memory, 0, sizeof memory);
    if (own_memory) board.use_memory({memory, kBase, sizeof memory});
    m.attach(board);
    m.on(0, PASSIVE_LEVEL, [] {
      io::Driver& driver = make_driver();
      driver.extension.AddDevice = add_device;
      driver.object.MajorFunction[IRP_MJ_PNP] = pass_down;
    });
    EXPECT_TRUE(m.start_device("pulse", "tested", why)) << why;
    m.on(0, PASSIVE_LEVEL, [] {
      adapter = get_adapter();
      second_adapter = get_adapter();
      device->CurrentIrp = &current_irp;
      bytes = static_cast<char*>(ExAllocatePoolWithTag(NonPagedPool, 8192, kTag)) + 100;
      for (int i = 0; i < 6000; ++i) bytes[i] = static_cast<char>(i % 100);
      mdl = IoAllocateMdl(bytes, 6000, FALSE, FALSE, nullptr);
      MmBuildMdlForNonPagedPool(mdl);
    });
  }
  lab::Machine& m;
  PulseBoard board;
  std::string why;
};

IO_ALLOCATION_ACTION NTAPI control(PDEVICE_OBJECT its_device, PIRP irp, PVOID its_base, PVOID context) {
  KDPC_EXPECT_EQ(static_cast<int>(KeGetCurrentIrql()), DISPATCH_LEVEL);
  KDPC_EXPECT(its_device != device || irp == &current_irp);
  base = its_base;
  tell(static_cast<const char*>(context));
  return answer;
}
VOID NTAPI list_control(PDEVICE_OBJECT, PIRP, PSCATTER_GATHER_LIST its_list, PVOID context) {
  KDPC_EXPECT_EQ(static_cast<int>(KeGetCurrentIrql()), DISPATCH_LEVEL);
  list = its_list;
  tell(static_cast<const char*>(context));
}
NTSTATUS allocate(PDMA_ADAPTER from, PDEVICE_OBJECT for_device, ULONG registers, const char* name) {
  return operations().AllocateAdapterChannel(from, for_device, registers, control, const_cast<char*>(name));
}
NTSTATUS get_list(PDMA_ADAPTER from, const char* name, bool to_device) {
  return operations().GetScatterGatherList(from, device, mdl, bytes, 6000, list_control, const_cast<char*>(name), to_device ? TRUE : FALSE);
}

KDPC_TEST(Dma, APacketIsCopiedThroughTheMemoryTheDeviceReaches) {
  RULE("CTX-4");
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(allocate(adapter, device, 2, "now"), STATUS_SUCCESS);
    ULONG length = 6000;
    const PHYSICAL_ADDRESS out = operations().MapTransfer(adapter, mdl, base, bytes, &length, TRUE);
    KDPC_EXPECT_EQ(length, 6000u);
    KDPC_EXPECT_EQ(static_cast<std::uint64_t>(out.QuadPart), kBase + BYTE_OFFSET(bytes));
    KDPC_EXPECT_EQ(std::memcmp(memory + BYTE_OFFSET(bytes), bytes, 6000), 0);
    KDPC_EXPECT_EQ(operations().FlushAdapterBuffers(adapter, mdl, base, bytes, 6000, TRUE), TRUE);
    // And in: what the device writes there is the driver's after the flush, not before.
    length = 6000;
    operations().MapTransfer(adapter, mdl, base, bytes, &length, FALSE);
    std::memset(memory + BYTE_OFFSET(bytes), 'd', 6000);
    KDPC_EXPECT_EQ(bytes[5999], static_cast<char>(99));
    operations().FlushAdapterBuffers(adapter, mdl, base, bytes, 6000, FALSE);
    KDPC_EXPECT_EQ(bytes[5999], 'd');
    operations().FreeMapRegisters(adapter, base, 2);
  });
  EXPECT_EQ(told, "now ");
}

KDPC_TEST(Dma, ADeviceThatReachesEverythingSeesThePagesThemselves) {
  RULE("CTX-4");
  Ready ready(m, false);
  m.on(0, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(get_list(adapter, "list", true), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(list->NumberOfElements, 1u);
    KDPC_EXPECT_EQ(list->Elements[0].Address.QuadPart, MmGetPhysicalAddress(bytes).QuadPart);
    KDPC_EXPECT_EQ(list->Elements[0].Length, 6000u);
    operations().PutScatterGatherList(adapter, list, TRUE);
  });
}

KDPC_TEST(Dma, AListCoversAChainOfMdls) {
  RULE("CTX-4");
  Ready ready(m, false);
  m.on(0, DISPATCH_LEVEL, [] {
    auto* far = static_cast<char*>(ExAllocatePoolWithTag(NonPagedPool, 4096, kTag));
    mdl->Next = IoAllocateMdl(far + 10, 500, FALSE, FALSE, nullptr);
    MmBuildMdlForNonPagedPool(mdl->Next);
    ULONG size = 0, registers = 0;
    KDPC_EXPECT_EQ(operations().CalculateScatterGatherList(adapter, mdl, bytes, 6400, &size, &registers), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(registers, 3u);
    auto* buffer = static_cast<PSCATTER_GATHER_LIST>(ExAllocatePoolWithTag(NonPagedPool, size, kTag));
    char name[] = "built";
    KDPC_EXPECT_EQ(operations().BuildScatterGatherList(adapter, device, mdl, bytes, 6400, list_control, name, FALSE, buffer, size - 1),
                   STATUS_BUFFER_TOO_SMALL);
    KDPC_EXPECT_EQ(operations().BuildScatterGatherList(adapter, device, mdl, bytes, 6400, list_control, name, FALSE, buffer, size), STATUS_SUCCESS);
    KDPC_EXPECT(list == buffer);
    KDPC_EXPECT_EQ(list->NumberOfElements, 2u);
    KDPC_EXPECT_EQ(list->Elements[1].Address.QuadPart, MmGetPhysicalAddress(far + 10).QuadPart);
    KDPC_EXPECT_EQ(list->Elements[1].Length, 400u);
    PMDL same = nullptr;
    KDPC_EXPECT_EQ(operations().BuildMdlFromScatterGatherList(adapter, list, mdl, &same), STATUS_SUCCESS);
    KDPC_EXPECT(same == mdl);
    operations().PutScatterGatherList(adapter, list, FALSE);
  });
  EXPECT_EQ(told, "built ");
}

KDPC_TEST(Dma, AListThroughCopiesIsOneElementAndComesBackWhenPut) {
  RULE("CTX-4");
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(get_list(adapter, "list", false), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(list->NumberOfElements, 1u);
    KDPC_EXPECT_EQ(static_cast<std::uint64_t>(list->Elements[0].Address.QuadPart), kBase + BYTE_OFFSET(bytes));
    std::memset(memory, 'r', 8192);
    operations().PutScatterGatherList(adapter, list, FALSE);
    KDPC_EXPECT_EQ(bytes[0], 'r');
    KDPC_EXPECT_EQ(bytes[5999], 'r');
  });
}

KDPC_TEST(Dma, WhoFindsNoMapRegistersIsServedFromAnothersFree) {
  RULE("CTX-4");
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(allocate(adapter, device, 3, "first"), STATUS_SUCCESS);
    PVOID first = base;
    KDPC_EXPECT_EQ(get_list(second_adapter, "list", true), STATUS_SUCCESS);  // needs two; one page is left
    KDPC_EXPECT_EQ(allocate(adapter, other, 1, "behind"), STATUS_SUCCESS);   // would fit, but came later
    tell("waiting");
    operations().FreeMapRegisters(adapter, first, 3);
    tell("freed");
    operations().PutScatterGatherList(second_adapter, list, TRUE);
    operations().FreeMapRegisters(adapter, base, 1);
  });
  EXPECT_EQ(told, "first waiting list behind freed ");
}

KDPC_TEST(Dma, AKeptChannelMakesTheNextWait) {
  RULE("CTX-4");
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    answer = KeepObject;
    KDPC_EXPECT_EQ(allocate(adapter, device, 1, "kept"), STATUS_SUCCESS);
    answer = DeallocateObject;
    KDPC_EXPECT_EQ(allocate(adapter, other, 1, "next"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(allocate(second_adapter, device, 1, "elsewhere"), STATUS_SUCCESS);  // another adapter's channel is free
    tell("waiting");
    operations().FreeAdapterChannel(adapter);
    KDPC_EXPECT_EQ(allocate(adapter, device, 6, "never"), STATUS_INSUFFICIENT_RESOURCES);
  });
  m.on(0, PASSIVE_LEVEL, [] {
    operations().PutDmaAdapter(second_adapter);
    operations().PutDmaAdapter(adapter);  // nothing is outstanding
  });
  EXPECT_EQ(told, "kept elsewhere waiting next ");
}

KDPC_TEST(DmaMisuse, AChannelBelowDispatchIsABugCheck) {
  Ready ready(m, true);
  m.on(0, PASSIVE_LEVEL, [] { allocate(adapter, device, 1, "x"); });
  EXPECT_BUGCHECK(0xE6, 0x13, 1, DISPATCH_LEVEL, PASSIVE_LEVEL);
}

KDPC_TEST(DmaMisuse, ACommonBufferAtDispatchIsABugCheck) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    PHYSICAL_ADDRESS logical;
    operations().AllocateCommonBuffer(adapter, 100, &logical, TRUE);
  });
  EXPECT_BUGCHECK(0xE6, 0x13, 1, PASSIVE_LEVEL, DISPATCH_LEVEL);
}

KDPC_TEST(DmaMisuse, ATransferBehindItsMdlIsABugCheck) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    allocate(adapter, device, 2, "x");
    ULONG length = 10;
    operations().MapTransfer(adapter, mdl, base, bytes + 6000, &length, TRUE);
  });
  EXPECT_BUGCHECK(0xE6, 0x1F, 2, bytes + 6000, mdl);
}

KDPC_TEST(DmaMisuse, AnUnlockedMdlIsABugCheck) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    mdl = IoAllocateMdl(bytes, 6000, FALSE, FALSE, nullptr);
    get_list(adapter, "x", true);
  });
  EXPECT_BUGCHECK(0xE6, 0x0E, mdl);
}

KDPC_TEST(DmaMisuse, FlushingWhatWasNotMappedIsABugCheck) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    allocate(adapter, device, 2, "x");
    operations().FlushAdapterBuffers(adapter, mdl, base, bytes, 10, TRUE);
  });
  EXPECT_BUGCHECK(0xE6, 0x20, base, bytes, mdl);
}

KDPC_TEST(DmaMisuse, FreeingWhatIsStillMappedIsABugCheck) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    allocate(adapter, device, 2, "x");
    ULONG length = 6000;
    operations().MapTransfer(adapter, mdl, base, bytes, &length, TRUE);
    operations().FreeMapRegisters(adapter, base, 2);
  });
  EXPECT_BUGCHECK(0xE6, 0x10, 2);
}

KDPC_TEST(DmaMisuse, FreeingMapRegistersTwiceIsABugCheck) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    allocate(adapter, device, 2, "x");
    operations().FreeMapRegisters(adapter, base, 2);
    operations().FreeMapRegisters(adapter, base, 2);
  });
  EXPECT_BUGCHECK(0xE6, 5);
}

KDPC_TEST(DmaMisuse, PuttingAListTwiceIsABugCheck) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    get_list(adapter, "x", true);
    PSCATTER_GATHER_LIST once = list;
    operations().PutScatterGatherList(adapter, once, TRUE);
    operations().PutScatterGatherList(adapter, once, TRUE);
  });
  EXPECT_BUGCHECK(0xE6, 6, 0, 1);
}

KDPC_TEST(DmaMisuse, AnAdapterWithListsOutIsNotGivenBack) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    get_list(adapter, "x", true);
    operations().PutDmaAdapter(adapter);
  });
  EXPECT_BUGCHECK(0xE6, 0xA, adapter, 1);
}

KDPC_TEST(DmaMisuse, ASecondRequestOfADeviceThatWaitsIsABugCheck) {
  Ready ready(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    answer = KeepObject;
    allocate(adapter, other, 1, "kept");
    allocate(adapter, device, 1, "waits");
    allocate(adapter, device, 1, "too many");
  });
  EXPECT_BUGCHECK(0xE6, 0x0B);
}

}  // namespace
}  // namespace kdpc
