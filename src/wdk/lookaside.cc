// Lookaside lists keep nothing: a block goes back to pool, where use after free is seen (include/wdk/nt/lookaside.h).
#include <wdm.h>

#include <cstring>

#include "kernel/bugcheck.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

constexpr USHORT kMaximumDepth = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE;

// What stays in a list that was deleted: the next use ends in a message, not in a jump to nowhere.
[[noreturn]] void refuse_deleted(const void* lookaside) {
  bug_check(stop::DriverVerifierDetectedViolation, {0x1002, as_parameter(lookaside), 0, 0}, "A lookaside list was used after it had been deleted.",
            "LCK-5");
}
PVOID NTAPI allocate_from_deleted(POOL_TYPE, SIZE_T, ULONG, PLOOKASIDE_LIST_EX lookaside) { refuse_deleted(lookaside); }
VOID NTAPI free_to_deleted(PVOID, PLOOKASIDE_LIST_EX lookaside) { refuse_deleted(lookaside); }
// The plain lists' routines are not told which list it is.
PVOID NTAPI allocate_from_deleted_plain(POOL_TYPE, SIZE_T, ULONG) { refuse_deleted(nullptr); }
VOID NTAPI free_to_deleted_plain(PVOID) { refuse_deleted(nullptr); }

template <class List>
void initialize(List& list, POOL_TYPE type, SIZE_T size, ULONG tag) {
  std::memset(static_cast<void*>(&list), 0, sizeof list);
  InitializeSListHead(&list.ListHead);
  InitializeListHead(&list.ListEntry);
  list.MaximumDepth = kMaximumDepth;
  list.Type = type;
  list.Size = static_cast<ULONG>(size);
  list.Tag = tag;
}

void mark_deleted(GENERAL_LOOKASIDE& list) {
  list.Allocate = allocate_from_deleted_plain;
  list.Free = free_to_deleted_plain;
}

template <class List>
void initialize_plain(List& list, PALLOCATE_FUNCTION allocate, PFREE_FUNCTION free, POOL_TYPE type, SIZE_T size, ULONG tag) {
  initialize(list, type, size, tag);
  list.Allocate = allocate != nullptr ? allocate : ExAllocatePoolWithTag;
  list.Free = free != nullptr ? free : ExFreePool;
}

bool is_pool_type(POOL_TYPE type) {
  return type == NonPagedPool || type == PagedPool || type == NonPagedPoolCacheAligned || type == PagedPoolCacheAligned || type == NonPagedPoolNx ||
         type == NonPagedPoolNxCacheAligned;
}

}  // namespace

extern "C" {

VOID NTAPI ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free, ULONG Flags,
                                           SIZE_T Size, ULONG Tag, USHORT) {
  KDPC_ROUTINE(ExInitializeNPagedLookasideList);
  constexpr ULONG kNoExecute = NonPagedPoolNx;
  initialize_plain(Lookaside->L, Allocate, Free, static_cast<POOL_TYPE>(NonPagedPool | (Flags & kNoExecute)), Size, Tag);
}

VOID NTAPI ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside) {
  KDPC_ROUTINE(ExDeleteNPagedLookasideList);
  mark_deleted(Lookaside->L);
}

VOID NTAPI ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free, ULONG, SIZE_T Size,
                                          ULONG Tag, USHORT) {
  KDPC_ROUTINE(ExInitializePagedLookasideList);
  initialize_plain(Lookaside->L, Allocate, Free, PagedPool, Size, Tag);
}

VOID NTAPI ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside) {
  KDPC_ROUTINE(ExDeletePagedLookasideList);
  mark_deleted(Lookaside->L);
}

NTSTATUS NTAPI ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PALLOCATE_FUNCTION_EX Allocate, PFREE_FUNCTION_EX Free, POOL_TYPE PoolType,
                                           ULONG Flags, SIZE_T Size, ULONG Tag, USHORT) {
  KDPC_ROUTINE(ExInitializeLookasideListEx);
  if (!is_pool_type(PoolType)) return STATUS_INVALID_PARAMETER_4;
  ULONG type = PoolType;
  switch (Flags) {
    case 0: break;
    case EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL: type |= POOL_RAISE_IF_ALLOCATION_FAILURE; break;
    case EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE: type |= POOL_QUOTA_FAIL_INSTEAD_OF_RAISE; break;
    default: return STATUS_INVALID_PARAMETER_5;
  }
  initialize(Lookaside->L, static_cast<POOL_TYPE>(type), Size, Tag);
  // The pool's own routines take one parameter less, which Win64 calls do not mind. Whether a failure raises an exception is told to them with the type.
  if (Allocate != nullptr) {
    Lookaside->L.AllocateEx = Allocate;
  } else {
    Lookaside->L.Allocate = ExAllocatePoolWithTag;
  }
  if (Free != nullptr) {
    Lookaside->L.FreeEx = Free;
  } else {
    Lookaside->L.Free = ExFreePool;
  }
  return STATUS_SUCCESS;
}

VOID NTAPI ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside) {
  KDPC_ROUTINE(ExDeleteLookasideListEx);
  Lookaside->L.AllocateEx = allocate_from_deleted;
  Lookaside->L.FreeEx = free_to_deleted;
}

VOID NTAPI ExFlushLookasideListEx(PLOOKASIDE_LIST_EX) { KDPC_ROUTINE(ExFlushLookasideListEx); }

}  // extern "C"
