/* Interlocked operations: atomic and sequentially consistent, at any IRQL, on ordinary memory. */
#ifndef _WDK_INTERLOCKED_H
#define _WDK_INTERLOCKED_H

#include "../ntdef.h"

#define WDK_INTERLOCKED(type, suffix)                                                                                   \
  WDK_INLINE type InterlockedIncrement##suffix(volatile type *Addend) {                                                 \
    return __atomic_add_fetch(Addend, 1, __ATOMIC_SEQ_CST);                                                             \
  }                                                                                                                     \
  WDK_INLINE type InterlockedDecrement##suffix(volatile type *Addend) {                                                 \
    return __atomic_sub_fetch(Addend, 1, __ATOMIC_SEQ_CST);                                                             \
  }                                                                                                                     \
  WDK_INLINE type InterlockedExchange##suffix(volatile type *Target, type Value) {                                      \
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);                                                        \
  }                                                                                                                     \
  WDK_INLINE type InterlockedExchangeAdd##suffix(volatile type *Addend, type Value) {                                   \
    return __atomic_fetch_add(Addend, Value, __ATOMIC_SEQ_CST);                                                         \
  }                                                                                                                     \
  WDK_INLINE type InterlockedAdd##suffix(volatile type *Addend, type Value) {                                           \
    return __atomic_add_fetch(Addend, Value, __ATOMIC_SEQ_CST);                                                         \
  }                                                                                                                     \
  WDK_INLINE type InterlockedAnd##suffix(volatile type *Destination, type Value) {                                      \
    return __atomic_fetch_and(Destination, Value, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                                     \
  WDK_INLINE type InterlockedOr##suffix(volatile type *Destination, type Value) {                                       \
    return __atomic_fetch_or(Destination, Value, __ATOMIC_SEQ_CST);                                                     \
  }                                                                                                                     \
  WDK_INLINE type InterlockedXor##suffix(volatile type *Destination, type Value) {                                      \
    return __atomic_fetch_xor(Destination, Value, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                                     \
  WDK_INLINE type InterlockedCompareExchange##suffix(volatile type *Destination, type Exchange, type Comperand) {       \
    __atomic_compare_exchange_n(Destination, &Comperand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
    return Comperand; /* what was there before, either way */                                                           \
  }

WDK_INTERLOCKED(LONG, )
WDK_INTERLOCKED(LONG64, 64)
WDK_INTERLOCKED(SHORT, 16)
#undef WDK_INTERLOCKED

#define InterlockedCompareExchangeAcquire InterlockedCompareExchange
#define InterlockedCompareExchangeRelease InterlockedCompareExchange
#define InterlockedIncrementAcquire InterlockedIncrement
#define InterlockedDecrementRelease InterlockedDecrement
#define InterlockedExchangeAddSizeT(Target, Value) ((SIZE_T)InterlockedExchangeAdd64((volatile LONG64 *)(Target), (LONG64)(Value)))
#define InterlockedIncrementSizeT(Target) ((SIZE_T)InterlockedIncrement64((volatile LONG64 *)(Target)))
#define InterlockedDecrementSizeT(Target) ((SIZE_T)InterlockedDecrement64((volatile LONG64 *)(Target)))

WDK_INLINE PVOID InterlockedExchangePointer(PVOID volatile *Target, PVOID Value) {
  return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}
WDK_INLINE PVOID InterlockedCompareExchangePointer(PVOID volatile *Destination, PVOID Exchange, PVOID Comperand) {
  __atomic_compare_exchange_n(Destination, &Comperand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return Comperand;
}
/* Bit operations return the bit's previous value; Bit is an index from the lowest bit of *Base. */
WDK_INLINE BOOLEAN InterlockedBitTestAndSet(volatile LONG *Base, LONG Bit) {
  const ULONG mask = (ULONG)1 << (Bit & 31);
  return (__atomic_fetch_or((volatile ULONG *)Base + (Bit >> 5), mask, __ATOMIC_SEQ_CST) & mask) != 0;
}
WDK_INLINE BOOLEAN InterlockedBitTestAndReset(volatile LONG *Base, LONG Bit) {
  const ULONG mask = (ULONG)1 << (Bit & 31);
  return (__atomic_fetch_and((volatile ULONG *)Base + (Bit >> 5), ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}
#define InterlockedSetBit(Base, Bit) InterlockedBitTestAndSet(Base, Bit)
#define InterlockedClearBit(Base, Bit) InterlockedBitTestAndReset(Base, Bit)

WDK_INLINE LONG ReadAcquire(const volatile LONG *Source) { return __atomic_load_n(Source, __ATOMIC_ACQUIRE); }
WDK_INLINE LONG ReadNoFence(const volatile LONG *Source) { return __atomic_load_n(Source, __ATOMIC_RELAXED); }
WDK_INLINE VOID WriteRelease(volatile LONG *Destination, LONG Value) { __atomic_store_n(Destination, Value, __ATOMIC_RELEASE); }
WDK_INLINE VOID WriteNoFence(volatile LONG *Destination, LONG Value) { __atomic_store_n(Destination, Value, __ATOMIC_RELAXED); }
WDK_INLINE LONG64 ReadAcquire64(const volatile LONG64 *Source) { return __atomic_load_n(Source, __ATOMIC_ACQUIRE); }
WDK_INLINE LONG64 ReadNoFence64(const volatile LONG64 *Source) { return __atomic_load_n(Source, __ATOMIC_RELAXED); }
WDK_INLINE VOID WriteRelease64(volatile LONG64 *Destination, LONG64 Value) { __atomic_store_n(Destination, Value, __ATOMIC_RELEASE); }
WDK_INLINE PVOID ReadPointerAcquire(PVOID const volatile *Source) { return __atomic_load_n(Source, __ATOMIC_ACQUIRE); }
WDK_INLINE VOID WritePointerRelease(PVOID volatile *Destination, PVOID Value) { __atomic_store_n(Destination, Value, __ATOMIC_RELEASE); }

#endif
