/* Lookaside lists: blocks of one size. Here every block comes from pool and returns to it at once, so that use after free is seen: to the counters
 * each allocation and each free is a miss, and Depth is 0.
 *
 * Nonpaged: <= DISPATCH_LEVEL. Paged: <= APC_LEVEL. */
#ifndef _WDK_LOOKASIDE_H
#define _WDK_LOOKASIDE_H

#include "ex.h"
#include "slist.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _LOOKASIDE_LIST_EX LOOKASIDE_LIST_EX, *PLOOKASIDE_LIST_EX;

_Function_class_(ALLOCATE_FUNCTION)
typedef PVOID NTAPI ALLOCATE_FUNCTION(_In_ POOL_TYPE PoolType, _In_ SIZE_T NumberOfBytes, _In_ ULONG Tag);
typedef ALLOCATE_FUNCTION *PALLOCATE_FUNCTION;
_Function_class_(ALLOCATE_FUNCTION_EX)
typedef PVOID NTAPI ALLOCATE_FUNCTION_EX(_In_ POOL_TYPE PoolType, _In_ SIZE_T NumberOfBytes, _In_ ULONG Tag, _Inout_ PLOOKASIDE_LIST_EX Lookaside);
typedef ALLOCATE_FUNCTION_EX *PALLOCATE_FUNCTION_EX;
_Function_class_(FREE_FUNCTION)
typedef VOID NTAPI FREE_FUNCTION(_In_ PVOID Buffer);
typedef FREE_FUNCTION *PFREE_FUNCTION;
_Function_class_(FREE_FUNCTION_EX)
typedef VOID NTAPI FREE_FUNCTION_EX(_In_ PVOID Buffer, _Inout_ PLOOKASIDE_LIST_EX Lookaside);
typedef FREE_FUNCTION_EX *PFREE_FUNCTION_EX;

#define EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL 0x00000001UL
#define EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE 0x00000002UL
#define EX_MAXIMUM_LOOKASIDE_DEPTH_BASE 256
#define EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT 1024

#define WDK_LOOKASIDE_FIELDS          \
  union {                             \
    SLIST_HEADER ListHead;            \
    SINGLE_LIST_ENTRY SingleListHead; \
  };                                  \
  USHORT Depth;                       \
  USHORT MaximumDepth;                \
  ULONG TotalAllocates;               \
  union {                             \
    ULONG AllocateMisses;             \
    ULONG AllocateHits;               \
  };                                  \
  ULONG TotalFrees;                   \
  union {                             \
    ULONG FreeMisses;                 \
    ULONG FreeHits;                   \
  };                                  \
  POOL_TYPE Type;                     \
  ULONG Tag;                          \
  ULONG Size;                         \
  union {                             \
    PALLOCATE_FUNCTION_EX AllocateEx; \
    PALLOCATE_FUNCTION Allocate;      \
  };                                  \
  union {                             \
    PFREE_FUNCTION_EX FreeEx;         \
    PFREE_FUNCTION Free;              \
  };                                  \
  LIST_ENTRY ListEntry;               \
  ULONG LastTotalAllocates;           \
  union {                             \
    ULONG LastAllocateMisses;         \
    ULONG LastAllocateHits;           \
  };                                  \
  ULONG Future[2];

typedef struct DECLSPEC_CACHEALIGN _GENERAL_LOOKASIDE {
  WDK_LOOKASIDE_FIELDS
} GENERAL_LOOKASIDE, *PGENERAL_LOOKASIDE;

typedef struct _GENERAL_LOOKASIDE_POOL {
  WDK_LOOKASIDE_FIELDS
} GENERAL_LOOKASIDE_POOL, *PGENERAL_LOOKASIDE_POOL;
#undef WDK_LOOKASIDE_FIELDS

typedef struct _NPAGED_LOOKASIDE_LIST {
  GENERAL_LOOKASIDE L;
} NPAGED_LOOKASIDE_LIST, *PNPAGED_LOOKASIDE_LIST;

typedef struct _PAGED_LOOKASIDE_LIST {
  GENERAL_LOOKASIDE L;
} PAGED_LOOKASIDE_LIST, *PPAGED_LOOKASIDE_LIST;

struct _LOOKASIDE_LIST_EX {
  GENERAL_LOOKASIDE_POOL L;
};

_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI VOID NTAPI ExInitializeNPagedLookasideList(_Out_ PNPAGED_LOOKASIDE_LIST Lookaside, _In_opt_ PALLOCATE_FUNCTION Allocate,
                                                       _In_opt_ PFREE_FUNCTION Free, _In_ ULONG Flags, _In_ SIZE_T Size, _In_ ULONG Tag,
                                                       _In_ USHORT Depth);
_IRQL_requires_max_(DISPATCH_LEVEL) NTKERNELAPI VOID NTAPI ExDeleteNPagedLookasideList(_Inout_ PNPAGED_LOOKASIDE_LIST Lookaside);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI VOID NTAPI ExInitializePagedLookasideList(_Out_ PPAGED_LOOKASIDE_LIST Lookaside, _In_opt_ PALLOCATE_FUNCTION Allocate,
                                                      _In_opt_ PFREE_FUNCTION Free, _In_ ULONG Flags, _In_ SIZE_T Size, _In_ ULONG Tag,
                                                      _In_ USHORT Depth);
_IRQL_requires_max_(APC_LEVEL) NTKERNELAPI VOID NTAPI ExDeletePagedLookasideList(_Inout_ PPAGED_LOOKASIDE_LIST Lookaside);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI ExInitializeLookasideListEx(_Out_ PLOOKASIDE_LIST_EX Lookaside, _In_opt_ PALLOCATE_FUNCTION_EX Allocate,
                                                       _In_opt_ PFREE_FUNCTION_EX Free, _In_ POOL_TYPE PoolType, _In_ ULONG Flags, _In_ SIZE_T Size,
                                                       _In_ ULONG Tag, _In_ USHORT Depth);
_IRQL_requires_max_(DISPATCH_LEVEL) NTKERNELAPI VOID NTAPI ExDeleteLookasideListEx(_Inout_ PLOOKASIDE_LIST_EX Lookaside);
_IRQL_requires_max_(DISPATCH_LEVEL) NTKERNELAPI VOID NTAPI ExFlushLookasideListEx(_Inout_ PLOOKASIDE_LIST_EX Lookaside);

/* Inline, so that pool knows the block as the driver's. */
#define WDK_LOOKASIDE_USE(Kind, List, Allocator, Releaser, AllocateMore, FreeMore)                      \
  WDK_INLINE PVOID ExAllocateFrom##Kind(List Lookaside) {                                               \
    Lookaside->L.TotalAllocates++;                                                                      \
    Lookaside->L.AllocateMisses++;                                                                      \
    return Lookaside->L.Allocator(Lookaside->L.Type, Lookaside->L.Size, Lookaside->L.Tag AllocateMore); \
  }                                                                                                     \
  WDK_INLINE VOID ExFreeTo##Kind(List Lookaside, PVOID Entry) {                                         \
    Lookaside->L.TotalFrees++;                                                                          \
    Lookaside->L.FreeMisses++;                                                                          \
    Lookaside->L.Releaser(Entry FreeMore);                                                              \
  }
#define WDK_NOTHING
#define WDK_LOOKASIDE_ITSELF , Lookaside
WDK_LOOKASIDE_USE(NPagedLookasideList, PNPAGED_LOOKASIDE_LIST, Allocate, Free, WDK_NOTHING, WDK_NOTHING)
WDK_LOOKASIDE_USE(PagedLookasideList, PPAGED_LOOKASIDE_LIST, Allocate, Free, WDK_NOTHING, WDK_NOTHING)
WDK_LOOKASIDE_USE(LookasideListEx, PLOOKASIDE_LIST_EX, AllocateEx, FreeEx, WDK_LOOKASIDE_ITSELF, WDK_LOOKASIDE_ITSELF)
#undef WDK_LOOKASIDE_USE
#undef WDK_LOOKASIDE_ITSELF
#undef WDK_NOTHING

#ifdef __cplusplus
}
#endif

#endif
