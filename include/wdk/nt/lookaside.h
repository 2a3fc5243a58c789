/* Lookaside lists: blocks of one size. Here every block comes from pool and returns to it at once, so that use after free is seen.
 *
 * Nonpaged: <= DISPATCH_LEVEL. Paged: <= APC_LEVEL. The sizes are NT's; the counters of its caching are not kept. */
#ifndef _WDK_LOOKASIDE_H
#define _WDK_LOOKASIDE_H

#include "ex.h"

#ifdef __cplusplus
extern "C" {
#endif

_Function_class_(ALLOCATE_FUNCTION)
typedef PVOID NTAPI ALLOCATE_FUNCTION(_In_ POOL_TYPE PoolType, _In_ SIZE_T NumberOfBytes, _In_ ULONG Tag);
typedef ALLOCATE_FUNCTION *PALLOCATE_FUNCTION;
_Function_class_(FREE_FUNCTION)
typedef VOID NTAPI FREE_FUNCTION(_In_ PVOID Buffer);
typedef FREE_FUNCTION *PFREE_FUNCTION;

typedef struct DECLSPEC_CACHEALIGN _GENERAL_LOOKASIDE {
  PVOID Reserved1[2]; /* NT: the list of cached blocks */
  USHORT Depth;
  USHORT MaximumDepth;
  ULONG TotalAllocates;
  ULONG AllocateMisses;
  ULONG TotalFrees;
  ULONG FreeMisses;
  POOL_TYPE Type;
  ULONG Tag;
  ULONG Size;
  PALLOCATE_FUNCTION Allocate;
  PFREE_FUNCTION Free;
  LIST_ENTRY ListEntry;
  ULONG LastTotalAllocates;
  ULONG LastAllocateMisses;
  ULONG Future[2];
} GENERAL_LOOKASIDE, *PGENERAL_LOOKASIDE;

typedef struct _NPAGED_LOOKASIDE_LIST {
  GENERAL_LOOKASIDE L;
} NPAGED_LOOKASIDE_LIST, *PNPAGED_LOOKASIDE_LIST;

typedef struct _PAGED_LOOKASIDE_LIST {
  GENERAL_LOOKASIDE L;
} PAGED_LOOKASIDE_LIST, *PPAGED_LOOKASIDE_LIST;

#define WDK_LOOKASIDE(Kind, KIND, PoolType)                                                                                              \
  WDK_INLINE VOID ExInitialize##Kind##LookasideList(P##KIND##_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free, \
                                                    ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth) {                                 \
    UNREFERENCED_PARAMETER(Flags);                                                                                                       \
    __builtin_memset(Lookaside, 0, sizeof(*Lookaside));                                                                                  \
    Lookaside->L.Depth = Depth;                                                                                                          \
    Lookaside->L.Type = PoolType;                                                                                                        \
    Lookaside->L.Tag = Tag;                                                                                                              \
    Lookaside->L.Size = (ULONG)Size;                                                                                                     \
    Lookaside->L.Allocate = Allocate != NULL ? Allocate : ExAllocatePoolWithTag;                                                         \
    Lookaside->L.Free = Free != NULL ? Free : ExFreePool;                                                                                \
  }                                                                                                                                      \
  WDK_INLINE VOID ExDelete##Kind##LookasideList(P##KIND##_LOOKASIDE_LIST Lookaside) { Lookaside->L.Allocate = NULL; }                    \
  WDK_INLINE PVOID ExAllocateFrom##Kind##LookasideList(P##KIND##_LOOKASIDE_LIST Lookaside) {                                             \
    Lookaside->L.TotalAllocates++;                                                                                                       \
    return Lookaside->L.Allocate(Lookaside->L.Type, Lookaside->L.Size, Lookaside->L.Tag);                                                \
  }                                                                                                                                      \
  WDK_INLINE VOID ExFreeTo##Kind##LookasideList(P##KIND##_LOOKASIDE_LIST Lookaside, PVOID Entry) {                                       \
    Lookaside->L.TotalFrees++;                                                                                                           \
    Lookaside->L.Free(Entry);                                                                                                            \
  }

WDK_LOOKASIDE(NPaged, NPAGED, NonPagedPool)
WDK_LOOKASIDE(Paged, PAGED, PagedPool)
#undef WDK_LOOKASIDE

#ifdef __cplusplus
}
#endif

#endif
