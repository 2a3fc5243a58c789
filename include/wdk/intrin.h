/* The compiler's intrinsics under Microsoft's names, as far as drivers use them. What would touch the real processor goes through the system: time
 * stamps are the simulated machine's. */
#ifndef _WDK_INTRIN_H
#define _WDK_INTRIN_H

#include "ntdef.h"
#include "nt/interlocked.h"

#ifdef __cplusplus
extern "C" {
#endif

NTSYSAPI VOID NTAPI DbgBreakPoint(VOID);
DECLSPEC_NORETURN NTKERNELAPI VOID NTAPI RtlFailFast(_In_ ULONG Code);

#undef __debugbreak
#undef __fastfail
#undef __int2c
#define __debugbreak() DbgBreakPoint()
#define __fastfail(Code) RtlFailFast(Code)
#define __int2c() DbgBreakPoint()
#define __noop(...) ((void)0)
#ifndef __assume
#define __assume(condition) __builtin_assume(condition)
#endif

#define _ReadWriteBarrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define _ReadBarrier() __atomic_signal_fence(__ATOMIC_ACQUIRE)
#define _WriteBarrier() __atomic_signal_fence(__ATOMIC_RELEASE)
#define MemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define _mm_mfence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define _mm_lfence() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define _mm_sfence() __atomic_thread_fence(__ATOMIC_RELEASE)
#define _mm_pause() __builtin_ia32_pause()

/* FALSE: no bit is set, and *Index is undefined. */
WDK_INLINE UCHAR wdk_bit_scan_forward(ULONG *Index, ULONG Mask) {
  if (Mask == 0) return 0;
  *Index = (ULONG)__builtin_ctz(Mask);
  return 1;
}
WDK_INLINE UCHAR wdk_bit_scan_reverse(ULONG *Index, ULONG Mask) {
  if (Mask == 0) return 0;
  *Index = 31 - (ULONG)__builtin_clz(Mask);
  return 1;
}
WDK_INLINE UCHAR wdk_bit_scan_forward64(ULONG *Index, ULONG64 Mask) {
  if (Mask == 0) return 0;
  *Index = (ULONG)__builtin_ctzll(Mask);
  return 1;
}
WDK_INLINE UCHAR wdk_bit_scan_reverse64(ULONG *Index, ULONG64 Mask) {
  if (Mask == 0) return 0;
  *Index = 63 - (ULONG)__builtin_clzll(Mask);
  return 1;
}
#undef _BitScanForward
#undef _BitScanReverse
#undef _BitScanForward64
#undef _BitScanReverse64
#define _BitScanForward wdk_bit_scan_forward
#define _BitScanReverse wdk_bit_scan_reverse
#define _BitScanForward64 wdk_bit_scan_forward64
#define _BitScanReverse64 wdk_bit_scan_reverse64
#define BitScanForward wdk_bit_scan_forward
#define BitScanReverse wdk_bit_scan_reverse
#define BitScanForward64 wdk_bit_scan_forward64
#define BitScanReverse64 wdk_bit_scan_reverse64

#undef _InterlockedIncrement
#define _InterlockedIncrement InterlockedIncrement
#undef _InterlockedDecrement
#define _InterlockedDecrement InterlockedDecrement
#undef _InterlockedExchange
#define _InterlockedExchange InterlockedExchange
#undef _InterlockedExchangeAdd
#define _InterlockedExchangeAdd InterlockedExchangeAdd
#undef _InterlockedCompareExchange
#define _InterlockedCompareExchange InterlockedCompareExchange
#undef _InterlockedAnd
#define _InterlockedAnd InterlockedAnd
#undef _InterlockedOr
#define _InterlockedOr InterlockedOr
#undef _InterlockedXor
#define _InterlockedXor InterlockedXor
#undef _InterlockedIncrement64
#define _InterlockedIncrement64 InterlockedIncrement64
#undef _InterlockedDecrement64
#define _InterlockedDecrement64 InterlockedDecrement64
#undef _InterlockedExchange64
#define _InterlockedExchange64 InterlockedExchange64
#undef _InterlockedCompareExchange64
#define _InterlockedCompareExchange64 InterlockedCompareExchange64
#undef _InterlockedExchangePointer
#define _InterlockedExchangePointer InterlockedExchangePointer
#undef _InterlockedCompareExchangePointer
#define _InterlockedCompareExchangePointer InterlockedCompareExchangePointer

#define _byteswap_ushort(Value) __builtin_bswap16(Value)
#define _byteswap_ulong(Value) __builtin_bswap32(Value)
#define _byteswap_uint64(Value) __builtin_bswap64(Value)
#define __popcnt(Value) ((ULONG)__builtin_popcount(Value))
#define __popcnt64(Value) ((ULONG64)__builtin_popcountll(Value))
#undef _rotl
#undef _rotr
#define _rotl(Value, Shift) __builtin_rotateleft32(Value, Shift)
#define _rotr(Value, Shift) __builtin_rotateright32(Value, Shift)
#define _ReturnAddress() __builtin_return_address(0)
#define _AddressOfReturnAddress() ((PVOID)((PULONG_PTR)__builtin_frame_address(0) + 1))

#undef __movsb
#undef __stosb
#undef __stosd
WDK_INLINE VOID wdk_movsb(UCHAR *Destination, const UCHAR *Source, SIZE_T Count) {
  while (Count-- != 0) *Destination++ = *Source++;
}
WDK_INLINE VOID wdk_stosd(ULONG *Destination, ULONG Value, SIZE_T Count) {
  while (Count-- != 0) *Destination++ = Value;
}
WDK_INLINE VOID wdk_stosb(UCHAR *Destination, UCHAR Value, SIZE_T Count) {
  while (Count-- != 0) *Destination++ = Value;
}
#define __movsb wdk_movsb
#define __stosb wdk_stosb
#define __stosd wdk_stosd

/* The machine's own counter: the processor's would be the host's, and another one in every run. */
NTKERNELAPI LARGE_INTEGER NTAPI KeQueryPerformanceCounter(_Out_opt_ PLARGE_INTEGER PerformanceFrequency);
#undef __rdtsc
#define __rdtsc() ((ULONG64)KeQueryPerformanceCounter(NULL).QuadPart)
#define ReadTimeStampCounter() __rdtsc()

#ifdef __cplusplus
}
#endif

#endif
