// Pool: what a driver gets, and what happens to one that gives it back wrongly (SEMANTICS IRQL-7, PNP-3, WI-2).
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr ULONG kTag = 0x31676154;  // "Tag1"
constexpr ULONG kOtherTag = 0x32676154;

PVOID block;

PVOID nonpaged(SIZE_T size) { return ExAllocatePool2(POOL_FLAG_NON_PAGED, size, kTag); }

bool is_filled(const void* memory, SIZE_T size, unsigned char byte) {
  const auto* bytes = static_cast<const unsigned char*>(memory);
  for (SIZE_T index = 0; index < size; ++index)
    if (bytes[index] != byte) return false;
  return true;
}

KDPC_TEST(PoolAllocation, Of2IsZeroedUnlessAskedOtherwise) {
  m.on(0, DISPATCH_LEVEL, [] {
    for (int turn = 0; turn < 3; ++turn) {  // later ones reuse what the first has left behind
      PVOID memory = nonpaged(1000);
      KDPC_EXPECT(memory != nullptr && is_filled(memory, 1000, 0));
      std::memset(memory, 0x77, 1000);
      ExFreePoolWithTag(memory, kTag);
    }
    PVOID raw = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, 1000, kTag);
    KDPC_EXPECT(raw != nullptr && !is_filled(raw, 1000, 0));
    ExFreePool(raw);
    raw = ExAllocatePoolWithTag(NonPagedPoolNx, 1000, kTag);
    KDPC_EXPECT(raw != nullptr && !is_filled(raw, 1000, 0));
    ExFreePool(raw);
  });
}

KDPC_TEST(PoolAllocation, IsAlignedTo16BytesAndFromAPageUpToPages) {
  m.on(0, PASSIVE_LEVEL, [] {
    for (const SIZE_T size : {1, 15, 16, 17, 100, 1000, 4000, 4096, 5000, 70'000}) {
      PVOID memory = nonpaged(size);
      const ULONG_PTR alignment = size >= 4096 ? 4096 : 16;
      KDPC_EXPECT_EQ(reinterpret_cast<ULONG_PTR>(memory) % alignment, 0u);
      std::memset(memory, 0xff, size);  // all of it is ours
    }
    KDPC_EXPECT_EQ(nonpaged(SIZE_T{1} << 40), nullptr);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(PoolAllocation, StatesItsSizeAndTag) {
  m.on(0, PASSIVE_LEVEL, [] {
    block = ExAllocatePoolWithTag(NonPagedPool, 123, kTag);
    ExFreePoolWithTag(block, kTag);
  });
  EXPECT_EQ(m.count("pool-allocated", {{"block", m.address_of(block)}, {"size", 123}, {"tag", kTag}}), 1u);
  EXPECT_EQ(m.count("pool-freed", {{"block", m.address_of(block)}, {"size", 123}, {"tag", kTag}}), 1u);
}

// -- levels ---------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(PoolLevel, PagedUpToApcNonpagedUpToDispatch) {
  RULE("IRQL-2");
  m.on(0, APC_LEVEL, [] { ExFreePool(ExAllocatePool2(POOL_FLAG_PAGED, 10, kTag)); });
  m.on(0, DISPATCH_LEVEL, [] { ExFreePool(nonpaged(10)); });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(PoolLevel, AllocatingPagedAboveApcIsABugCheck) {
  RULE("IRQL-2");
  m.on(0, DISPATCH_LEVEL, [] { ExAllocatePool2(POOL_FLAG_PAGED, 10, kTag); });
  EXPECT_BUGCHECK(0xC4, 1, DISPATCH_LEVEL, PagedPool, 10);
}

KDPC_TEST(PoolLevel, AllocatingPagedAboveApcIsForACheckedBuildThePoolsOwnStopCode, .options = {{"irql_checks", "checked"}}) {
  RULE("IRQL-7");
  m.on(0, DISPATCH_LEVEL, [] { ExAllocatePool2(POOL_FLAG_PAGED, 10, kTag); });
  EXPECT_BUGCHECK(0xC2, 8, DISPATCH_LEVEL, PagedPool, 10);
}

KDPC_TEST(PoolLevel, AllocatingNonpagedAboveDispatchIsForAFreeBuildThePoolsOwnStopCode, .options = {{"irql_checks", "free"}}) {
  RULE("IRQL-7");
  m.on(0, DISPATCH_LEVEL + 1, [] { ExAllocatePoolWithTag(NonPagedPoolNx, 10, kTag); });
  EXPECT_BUGCHECK(0xC2, 8, DISPATCH_LEVEL + 1, NonPagedPool, 10);
}

KDPC_TEST(PoolLevel, FreeingPagedAboveApcIsABugCheck) {
  RULE("IRQL-2");
  m.on(0, PASSIVE_LEVEL, [] { block = ExAllocatePool2(POOL_FLAG_PAGED, 10, kTag); });
  m.on(0, DISPATCH_LEVEL, [] { ExFreePool(block); });
  EXPECT_BUGCHECK(0xC2, 9, DISPATCH_LEVEL, PagedPool, block);
}

KDPC_TEST(PoolLevel, AllocatingNonpagedAboveDispatchIsABugCheck) {
  RULE("IRQL-7");
  m.on(0, DISPATCH_LEVEL + 1, [] { ExAllocatePoolWithTag(NonPagedPoolNx, 10, kTag); });
  EXPECT_BUGCHECK(0xC4, 2, DISPATCH_LEVEL + 1, NonPagedPool, 10);
}

KDPC_TEST(PoolLevel, FreeingNonpagedAboveDispatchIsABugCheck) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] { block = nonpaged(10); });
  m.on(0, DISPATCH_LEVEL + 1, [] { ExFreePool(block); });
  EXPECT_BUGCHECK(0xC2, 9, DISPATCH_LEVEL + 1, NonPagedPool, block);
}

// -- wrong frees ----------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(PoolFree, TwiceIsABugCheck) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    block = nonpaged(10);
    ExFreePool(block);
    ExFreePool(block);
  });
  EXPECT_BUGCHECK(0xC2, 7, any, any, block);
}

KDPC_TEST(PoolFree, WithAnotherTagIsABugCheck) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    block = nonpaged(10);
    ExFreePoolWithTag(block, kOtherTag);
  });
  EXPECT_BUGCHECK(0xC2, 0xA, block, kTag, kOtherTag);
}

KDPC_TEST(PoolFree, OfAnObjectOfTheKernelsIsABugCheck) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    block = KeGetCurrentThread();
    ExFreePool(block);
  });
  EXPECT_BUGCHECK(0xC2, 0xA, block, any, 0);
}

KDPC_TEST(PoolFree, WithoutATagFitsEveryTag) {
  m.on(0, PASSIVE_LEVEL, [] {
    ExFreePool(nonpaged(10));
    ExFreePoolWithTag(nonpaged(10), 0);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(PoolFree, OfTheMiddleOfABlockIsABugCheck) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    block = static_cast<char*>(nonpaged(256)) + 64;
    ExFreePool(block);
  });
  EXPECT_BUGCHECK(0xC2, 0x46, block);
}

KDPC_TEST(PoolFree, OfMemoryThatIsNotPoolIsABugCheck) {
  RULE("IRQL-7");
  static char not_pool[64];
  m.on(0, PASSIVE_LEVEL, [] { ExFreePool(not_pool); });
  EXPECT_BUGCHECK(0xC2, 0x46, &not_pool[0]);
}

KDPC_TEST(PoolFree, FindsASingleByteWrittenBehindTheEnd) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    block = nonpaged(13);
    static_cast<char*>(block)[13] = 1;
    ExFreePool(block);
  });
  EXPECT_BUGCHECK(0x19, 0x20, block);
}

// What lies before a block is the driver's mistake too, when it is overwritten.
KDPC_TEST(PoolFree, FindsAHeaderThatWasOverwritten) {
  RULE("IRQL-7");
  static PVOID header;
  m.on(0, PASSIVE_LEVEL, [] {
    block = nonpaged(256);
    header = static_cast<char*>(block) - 48;
    static_cast<ULONG64*>(block)[-3] = 48;  // a class of sizes that there is not
    ExFreePool(block);
  });
  EXPECT_BUGCHECK(0x19, 0x20, header);
}

KDPC_TEST(PoolFree, LeavesAPatternSoThatAStalePointerIsSeen) {
  m.on(0, PASSIVE_LEVEL, [] {
    block = nonpaged(100);
    std::memset(block, 1, 100);
    ExFreePool(block);
    KDPC_EXPECT(is_filled(block, 100, 0xDD));
  });
}

// -- freeing what the kernel still needs ----------------------------------------------------------------------------------------------------

struct Extension {
  char other_data[40];
  KDPC dpc;
  KTIMER timer;
  WORK_QUEUE_ITEM item;
};
Extension* extension;

VOID NTAPI nothing(PKDPC, PVOID, PVOID, PVOID) {}
VOID NTAPI no_work(PVOID) {}

void allocate_extension() {
  extension = static_cast<Extension*>(nonpaged(sizeof(Extension)));
  KeInitializeDpc(&extension->dpc, nothing, nullptr);
  KeInitializeTimer(&extension->timer);
  ExInitializeWorkItem(&extension->item, no_work, nullptr);
}

KDPC_TEST(PoolAudit, AQueuedDpcInTheBlockIsABugCheck) {
  RULE("PNP-3");
  m.on(0, DISPATCH_LEVEL, [] {  // so that the DPC stays in its queue
    allocate_extension();
    KeInsertQueueDpc(&extension->dpc, nullptr, nullptr);
    ExFreePoolWithTag(extension, kTag);
  });
  EXPECT_BUGCHECK(0xC7, 1, &extension->dpc, extension, extension + 1);
}

KDPC_TEST(PoolAudit, AnActiveTimerInTheBlockIsABugCheck, .processors = 2) {
  RULE("PNP-3");
  m.on(1, PASSIVE_LEVEL, [] {
    allocate_extension();
    KeSetTimer(&extension->timer, in_ms(100), nullptr);
  });
  m.on(0, PASSIVE_LEVEL, [] { ExFreePoolWithTag(extension, kTag); });  // whichever table it is in
  EXPECT_BUGCHECK(0xC4, 0x15, &extension->timer, 0, extension);
}

// Without Driver Verifier it is NT's own stop code for timers where none may be.
void free_with_an_active_timer() {
  allocate_extension();
  KeSetTimer(&extension->timer, in_ms(100), nullptr);
  ExFreePoolWithTag(extension, kTag);
}

KDPC_TEST(PoolAudit, AnActiveTimerInTheBlockIsForACheckedBuildAnInvalidTimer, .options = {{"irql_checks", "checked"}}) {
  RULE("PNP-3");
  m.on(0, PASSIVE_LEVEL, free_with_an_active_timer);
  EXPECT_BUGCHECK(0xC7, 0, &extension->timer, extension, extension + 1);
}

KDPC_TEST(PoolAudit, AnActiveTimerInTheBlockIsForAFreeBuildToo, .options = {{"irql_checks", "free"}}) {
  RULE("PNP-3");
  m.on(0, PASSIVE_LEVEL, free_with_an_active_timer);
  EXPECT_BUGCHECK(0xC7, 0, &extension->timer, extension, extension + 1);
}

KDPC_TEST(PoolAudit, TheDpcOfAnActiveTimerInTheBlockIsABugCheck) {
  RULE("PNP-3");
  static KTIMER timer;
  m.on(0, PASSIVE_LEVEL, [] {
    allocate_extension();
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, in_ms(100), &extension->dpc);
    ExFreePoolWithTag(extension, kTag);
  });
  EXPECT_BUGCHECK(0xC7, 1, &extension->dpc, extension, extension + 1);
}

KDPC_TEST(PoolAudit, AQueuedWorkItemInTheBlockIsABugCheck) {
  RULE("WI-2");
  m.on(0, DISPATCH_LEVEL, [] {
    allocate_extension();
    ExQueueWorkItem(&extension->item, CriticalWorkQueue);
    ExFreePoolWithTag(extension, kTag);
  });
  EXPECT_BUGCHECK(0xE4, 0, &extension->item, extension, extension + 1);
}

KDPC_TEST(PoolAudit, ABlockWhoseObjectsAreAtRestMayGo) {
  RULE("PNP-3");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate_extension();
    KeInsertQueueDpc(&extension->dpc, nullptr, nullptr);
    KeSetTimer(&extension->timer, in_ms(100), nullptr);
    KeCancelTimer(&extension->timer);
    ExQueueWorkItem(&extension->item, CriticalWorkQueue);  // a worker has taken it before this thread goes on
    ExFreePoolWithTag(extension, kTag);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Pool, ABlockOfAPageIsPageAlignedEvenWhereASmallerOneWas) {
  m.on(0, PASSIVE_LEVEL, [] {
    PVOID blocks[4];
    for (PVOID& one : blocks) one = ExAllocatePoolWithTag(NonPagedPool, 4090, 1);
    for (PVOID one : blocks) ExFreePoolWithTag(one, 1);
    for (PVOID& one : blocks) {
      one = ExAllocatePoolWithTag(NonPagedPool, 4096, 1);
      KDPC_EXPECT_EQ(reinterpret_cast<ULONG_PTR>(one) % 4096, 0u);
    }
  });
}

}  // namespace
