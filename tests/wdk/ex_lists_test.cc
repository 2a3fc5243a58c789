// Sequenced lists, lookaside lists and locked numbers: what one processor can tell about them. The same program runs on every machine.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"

using namespace kdpc::test;

namespace {

// -- sequenced lists --------------------------------------------------------------------------------------------------------------------------

SLIST_HEADER slist;
SLIST_ENTRY entries[3];

KDPC_TEST(SList, IsAStackAtEveryLevel) {
  RULE("LCK-5");
  for (unsigned level = PASSIVE_LEVEL; level <= HIGH_LEVEL; ++level)
    m.on(0, level, [] {
      ExInitializeSListHead(&slist);
      KDPC_EXPECT_EQ(ExInterlockedPopEntrySList(&slist, nullptr), nullptr);
      KDPC_EXPECT_EQ(ExQueryDepthSList(&slist), 0);
      KDPC_EXPECT_EQ(ExInterlockedPushEntrySList(&slist, &entries[0], nullptr), nullptr);
      KDPC_EXPECT_EQ(InterlockedPushEntrySList(&slist, &entries[1]), &entries[0]);
      KDPC_EXPECT_EQ(InterlockedPushEntrySList(&slist, &entries[2]), &entries[1]);
      KDPC_EXPECT_EQ(QueryDepthSList(&slist), 3);
      KDPC_EXPECT_EQ(FirstEntrySList(&slist), &entries[2]);
      KDPC_EXPECT_EQ(InterlockedPopEntrySList(&slist), &entries[2]);
      KDPC_EXPECT_EQ(QueryDepthSList(&slist), 2);
      KDPC_EXPECT_EQ(ExInterlockedFlushSList(&slist), &entries[1]);
      KDPC_EXPECT_EQ(entries[1].Next, &entries[0]);
      KDPC_EXPECT_EQ(entries[0].Next, nullptr);
      KDPC_EXPECT_EQ(QueryDepthSList(&slist), 0);
      KDPC_EXPECT_EQ(InterlockedFlushSList(&slist), nullptr);
      KDPC_EXPECT_EQ(FirstEntrySList(&slist), nullptr);
    });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(SList, TheHeaderSaysWhatWindowsSaysInIt) {
  m.on(0, PASSIVE_LEVEL, [] {
    InitializeSListHead(&slist);
    InterlockedPushEntrySList(&slist, &entries[0]);
    InterlockedPushEntrySList(&slist, &entries[1]);
    KDPC_EXPECT_EQ(slist.HeaderX64.Depth, 2u);
    KDPC_EXPECT_EQ(slist.HeaderX64.NextEntry << 4, reinterpret_cast<ULONG_PTR>(&entries[1]));
    const ULONGLONG sequence = slist.HeaderX64.Sequence;
    InterlockedPopEntrySList(&slist);
    InterlockedPushEntrySList(&slist, &entries[1]);  // the same entry is first again, and yet the header is another
    KDPC_EXPECT(slist.HeaderX64.Sequence != sequence);
  });
}

KDPC_TEST(SListMisuse, AMisalignedHeaderIsABugCheck) {
  alignas(16) static char bytes[48];
  m.on(0, PASSIVE_LEVEL, [] { InitializeSListHead(reinterpret_cast<PSLIST_HEADER>(bytes + 8)); });
  EXPECT_BUGCHECK(0x1E, 0x80000002, bytes + 8);
}
KDPC_TEST(SListMisuse, AMisalignedEntryIsABugCheck) {
  alignas(16) static char bytes[48];
  m.on(0, PASSIVE_LEVEL, [] {
    InitializeSListHead(&slist);
    InterlockedPushEntrySList(&slist, reinterpret_cast<PSLIST_ENTRY>(bytes + 8));
  });
  EXPECT_BUGCHECK(0x1E, 0x80000002, bytes + 8);
}

// -- numbers with a lock ----------------------------------------------------------------------------------------------------------------------

KDPC_TEST(InterlockedNumber, ReturnsTheFormerValueAtEveryLevel) {
  RULE("LCK-5");
  static KSPIN_LOCK lock;
  for (unsigned level = PASSIVE_LEVEL; level <= HIGH_LEVEL; ++level)
    m.on(0, level, [level] {
      KeInitializeSpinLock(&lock);
      ULONG number = 0xFFFFFFFF;
      KDPC_EXPECT_EQ(ExInterlockedAddUlong(&number, 3, &lock), 0xFFFFFFFFu);
      KDPC_EXPECT_EQ(number, 2u);
      LARGE_INTEGER large, step;
      large.QuadPart = 5;
      step.QuadPart = -7;
      KDPC_EXPECT_EQ(ExInterlockedAddLargeInteger(&large, step, &lock).QuadPart, 5);
      KDPC_EXPECT_EQ(large.QuadPart, -2);
      ExInterlockedAddLargeStatistic(&large, 10);
      KDPC_EXPECT_EQ(large.QuadPart, 8);
      LONGLONG wanted = 9, compared = 8;
      KDPC_EXPECT_EQ(ExInterlockedCompareExchange64(&large.QuadPart, &wanted, &compared, &lock), 8);
      KDPC_EXPECT_EQ(large.QuadPart, 9);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KDPC_EXPECT_EQ(KeTestSpinLock(&lock), TRUE);
    });
}

// -- lookaside lists --------------------------------------------------------------------------------------------------------------------------

NPAGED_LOOKASIDE_LIST nonpaged;
PAGED_LOOKASIDE_LIST paged;
LOOKASIDE_LIST_EX extended;
int allocations, frees;

PVOID NTAPI allocate_counted(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, PLOOKASIDE_LIST_EX Lookaside) {
  KDPC_EXPECT_EQ(Lookaside, &extended);
  ++allocations;
  return ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag);
}
VOID NTAPI free_counted(PVOID Buffer, PLOOKASIDE_LIST_EX Lookaside) {
  KDPC_EXPECT_EQ(Lookaside, &extended);
  ++frees;
  ExFreePool(Buffer);
}

KDPC_TEST(Lookaside, BlocksComeAndGo) {
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeNPagedLookasideList(&nonpaged, nullptr, nullptr, 0, 100, 0x6b6f6f4c, 0);
    ExInitializePagedLookasideList(&paged, nullptr, nullptr, 0, 50, 0x6b6f6f4c, 0);
    PVOID one = ExAllocateFromNPagedLookasideList(&nonpaged);
    PVOID two = ExAllocateFromPagedLookasideList(&paged);
    std::memset(one, 1, 100);
    std::memset(two, 2, 50);
    ExFreeToNPagedLookasideList(&nonpaged, one);
    ExFreeToPagedLookasideList(&paged, two);
    KDPC_EXPECT_EQ(nonpaged.L.TotalAllocates, 1u);
    KDPC_EXPECT_EQ(nonpaged.L.AllocateMisses, 1u);
    KDPC_EXPECT_EQ(nonpaged.L.TotalFrees, 1u);
    KDPC_EXPECT_EQ(nonpaged.L.Type, NonPagedPool);
    KDPC_EXPECT_EQ(paged.L.Type, PagedPool);
    ExDeleteNPagedLookasideList(&nonpaged);
    ExDeletePagedLookasideList(&paged);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Lookaside, TheExtendedFormTellsItsRoutinesWhichListItIs) {
  allocations = frees = 0;
  m.on(0, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(ExInitializeLookasideListEx(&extended, allocate_counted, free_counted, NonPagedPool, 0, 64, 0x6b6f6f4c, 0), STATUS_SUCCESS);
    PVOID block = ExAllocateFromLookasideListEx(&extended);
    ExFreeToLookasideListEx(&extended, block);
    ExFlushLookasideListEx(&extended);
    ExDeleteLookasideListEx(&extended);
    KDPC_EXPECT_EQ(ExInitializeLookasideListEx(&extended, nullptr, nullptr, NonPagedPoolNx, 0, 64, 0x6b6f6f4c, 0), STATUS_SUCCESS);
    block = ExAllocateFromLookasideListEx(&extended);
    std::memset(block, 3, 64);
    ExFreeToLookasideListEx(&extended, block);
    ExDeleteLookasideListEx(&extended);
  });
  EXPECT_EQ(allocations, 1);
  EXPECT_EQ(frees, 1);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Lookaside, TheExtendedFormLooksAtItsParameters) {
  m.on(0, PASSIVE_LEVEL, [] {
    const auto initialize = [](int type, ULONG flags) {
      return ExInitializeLookasideListEx(&extended, nullptr, nullptr, static_cast<POOL_TYPE>(type), flags, 64, 0x6b6f6f4c, 0);
    };
    KDPC_EXPECT_EQ(initialize(DontUseThisType, 0), STATUS_INVALID_PARAMETER_4);
    KDPC_EXPECT_EQ(initialize(77, 0), STATUS_INVALID_PARAMETER_4);
    KDPC_EXPECT_EQ(initialize(PagedPool, 3), STATUS_INVALID_PARAMETER_5);
    KDPC_EXPECT_EQ(initialize(PagedPool, 4), STATUS_INVALID_PARAMETER_5);
    KDPC_EXPECT_EQ(initialize(PagedPool, EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(extended.L.Type, PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE);
    ExDeleteLookasideListEx(&extended);
  });
}

KDPC_TEST(Lookaside, AFailureIsRaisedWhereThatWasAskedFor) {
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeLookasideListEx(&extended, nullptr, nullptr, NonPagedPool, EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL, 0x7FFFFFFF, 0x6b6f6f4c, 0);
    ExAllocateFromLookasideListEx(&extended);
  });
  EXPECT_BUGCHECK(0x1E, static_cast<ULONG>(STATUS_INSUFFICIENT_RESOURCES));
}

KDPC_TEST(LookasideMisuse, UseAfterItsDeletionIsABugCheck) {
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeLookasideListEx(&extended, nullptr, nullptr, NonPagedPool, 0, 64, 0x6b6f6f4c, 0);
    ExDeleteLookasideListEx(&extended);
    ExAllocateFromLookasideListEx(&extended);
  });
  EXPECT_BUGCHECK(0xC4, 0x1002, &extended, 0, 0);
}
KDPC_TEST(LookasideMisuse, ABlockUsedAfterItsReturnIsPoolUsedAfterItsFree) {
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeNPagedLookasideList(&nonpaged, nullptr, nullptr, 0, 100, 0x6b6f6f4c, 0);
    PVOID block = ExAllocateFromNPagedLookasideList(&nonpaged);
    ExFreeToNPagedLookasideList(&nonpaged, block);
    ExFreeToNPagedLookasideList(&nonpaged, block);
  });
  EXPECT_BUGCHECK(0xC2, 7);
}

}  // namespace
