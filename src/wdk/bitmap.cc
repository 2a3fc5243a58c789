// Bitmaps: numbers that are taken or free, in a driver's own memory. Any IRQL that memory allows; nothing locks.
#include <bit>

#include "wdk/cast.h"
#include "wdk/routine.h"

namespace {

constexpr ULONG kNone = 0xFFFFFFFF;
constexpr ULONG kWord = 32;

bool bit(const RTL_BITMAP& map, ULONG index) { return (map.Buffer[index / kWord] >> (index % kWord) & 1) != 0; }

void put(RTL_BITMAP& map, ULONG index, bool set) {
  const ULONG mask = ULONG{1} << (index % kWord);
  if (set) {
    map.Buffer[index / kWord] |= mask;
  } else {
    map.Buffer[index / kWord] &= ~mask;
  }
}

// A copy: the header may lie in the bits.
void put_all(RTL_BITMAP map, ULONG start, ULONG count, bool set) {
  for (ULONG index = start; index < start + count && index < map.SizeOfBitMap; ++index) put(map, index, set);
}

// The first index from `from` on, below `to`, whose bit is `set`; else `to`.
ULONG next(const RTL_BITMAP& map, ULONG from, ULONG to, bool set) {
  const ULONG all = set ? 0 : kNone;  // a word in which there is none
  while (from < to) {
    if (from % kWord == 0 && to - from >= kWord && map.Buffer[from / kWord] == all) {
      from += kWord;
      continue;
    }
    if (bit(map, from) == set) return from;
    ++from;
  }
  return to;
}

// The first run of `count` bits that are `set`, beginning in [from, to).
ULONG find_between(const RTL_BITMAP& map, ULONG from, ULONG to, ULONG count, bool set) {
  while (from < to) {
    const ULONG start = next(map, from, to, set);
    if (start >= to || map.SizeOfBitMap - start < count) return kNone;
    const ULONG end = next(map, start, start + count, !set);
    if (end == start + count) return start;
    from = end;
  }
  return kNone;
}

// From the hint on, and then from the beginning. Nothing is found at the hint, rounded down to a multiple of eight, as NT does it.
ULONG find(const RTL_BITMAP& map, ULONG count, ULONG hint, bool set) {
  if (hint >= map.SizeOfBitMap) hint = 0;
  if (count > map.SizeOfBitMap) return kNone;
  hint &= ~7u;
  if (count == 0) return hint;
  const ULONG found = find_between(map, hint, map.SizeOfBitMap, count, set);
  return found != kNone ? found : find_between(map, 0, hint, count, set);
}

ULONG find_and_turn(RTL_BITMAP& map, ULONG count, ULONG hint, bool set) {
  const ULONG found = find(map, count, hint, set);
  if (found != kNone) put_all(map, found, count, !set);
  return found;
}

// The next run of clear bits. Its length; 0: none.
ULONG next_clear_run(const RTL_BITMAP& map, ULONG from, ULONG& start) {
  start = from < map.SizeOfBitMap ? next(map, from, map.SizeOfBitMap, false) : map.SizeOfBitMap;
  return next(map, start, map.SizeOfBitMap, true) - start;
}

ULONG count_set(const RTL_BITMAP& map) {
  ULONG count = 0;
  for (ULONG index = 0; index < map.SizeOfBitMap; index += kWord) {
    const ULONG left = map.SizeOfBitMap - index;
    const ULONG mask = left >= kWord ? kNone : (ULONG{1} << left) - 1;
    count += static_cast<ULONG>(std::popcount(map.Buffer[index / kWord] & mask));
  }
  return count;
}

bool are(const RTL_BITMAP& map, ULONG start, ULONG length, bool set) {
  if (length == 0 || start >= map.SizeOfBitMap || map.SizeOfBitMap - start < length) return false;
  return next(map, start, start + length, !set) == start + length;
}

}  // namespace

extern "C" {

VOID NTAPI RtlInitializeBitMap(PRTL_BITMAP BitMapHeader, PULONG BitMapBuffer, ULONG SizeOfBitMap) {
  KDPC_ROUTINE(RtlInitializeBitMap);
  *BitMapHeader = {SizeOfBitMap, BitMapBuffer};
}

VOID NTAPI RtlClearAllBits(PRTL_BITMAP BitMapHeader) {
  KDPC_ROUTINE(RtlClearAllBits);
  const RTL_BITMAP map = *BitMapHeader;
  for (ULONG word = 0; word < (map.SizeOfBitMap + kWord - 1) / kWord; ++word) map.Buffer[word] = 0;
}

VOID NTAPI RtlSetAllBits(PRTL_BITMAP BitMapHeader) {
  KDPC_ROUTINE(RtlSetAllBits);
  const RTL_BITMAP map = *BitMapHeader;
  for (ULONG word = 0; word < (map.SizeOfBitMap + kWord - 1) / kWord; ++word) map.Buffer[word] = kNone;
}

VOID NTAPI RtlClearBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber) {
  KDPC_ROUTINE(RtlClearBit);
  put(*BitMapHeader, BitNumber, false);
}

VOID NTAPI RtlSetBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber) {
  KDPC_ROUTINE(RtlSetBit);
  put(*BitMapHeader, BitNumber, true);
}

BOOLEAN NTAPI RtlTestBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber) {
  KDPC_ROUTINE(RtlTestBit);
  return bit(*BitMapHeader, BitNumber) ? TRUE : FALSE;
}

VOID NTAPI RtlClearBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToClear) {
  KDPC_ROUTINE(RtlClearBits);
  put_all(*BitMapHeader, StartingIndex, NumberToClear, false);
}

VOID NTAPI RtlSetBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToSet) {
  KDPC_ROUTINE(RtlSetBits);
  put_all(*BitMapHeader, StartingIndex, NumberToSet, true);
}

ULONG NTAPI RtlFindClearBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex) {
  KDPC_ROUTINE(RtlFindClearBits);
  return find(*BitMapHeader, NumberToFind, HintIndex, false);
}

ULONG NTAPI RtlFindSetBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex) {
  KDPC_ROUTINE(RtlFindSetBits);
  return find(*BitMapHeader, NumberToFind, HintIndex, true);
}

ULONG NTAPI RtlFindClearBitsAndSet(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex) {
  KDPC_ROUTINE(RtlFindClearBitsAndSet);
  return find_and_turn(*BitMapHeader, NumberToFind, HintIndex, false);
}

ULONG NTAPI RtlFindSetBitsAndClear(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex) {
  KDPC_ROUTINE(RtlFindSetBitsAndClear);
  return find_and_turn(*BitMapHeader, NumberToFind, HintIndex, true);
}

ULONG NTAPI RtlFindNextForwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex, PULONG StartingRunIndex) {
  KDPC_ROUTINE(RtlFindNextForwardRunClear);
  return next_clear_run(*BitMapHeader, FromIndex, *StartingRunIndex);
}

ULONG NTAPI RtlFindFirstRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex) {
  KDPC_ROUTINE(RtlFindFirstRunClear);
  return next_clear_run(*BitMapHeader, 0, *StartingIndex);
}

ULONG NTAPI RtlFindLongestRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex) {
  KDPC_ROUTINE(RtlFindLongestRunClear);
  ULONG longest = 0, start = 0;
  *StartingIndex = kNone;
  for (ULONG from = 0; const ULONG length = next_clear_run(*BitMapHeader, from, start); from = start + length) {
    if (length <= longest) continue;
    longest = length;
    *StartingIndex = start;
  }
  return longest;
}

// The longest runs, longest first; or the first ones.
ULONG NTAPI RtlFindClearRuns(PRTL_BITMAP BitMapHeader, PRTL_BITMAP_RUN RunArray, ULONG SizeOfRunArray, BOOLEAN LocateLongestRuns) {
  KDPC_ROUTINE(RtlFindClearRuns);
  ULONG found = 0, start = 0;
  for (ULONG from = 0; const ULONG length = next_clear_run(*BitMapHeader, from, start); from = start + length) {
    if (found == SizeOfRunArray && !LocateLongestRuns) break;
    ULONG place = found;
    if (LocateLongestRuns)
      while (place > 0 && RunArray[place - 1].NumberOfBits < length) --place;
    if (place == SizeOfRunArray) continue;
    for (ULONG move = found < SizeOfRunArray ? found++ : found - 1; move > place; --move) RunArray[move] = RunArray[move - 1];
    RunArray[place] = {start, length};
  }
  return found;
}

ULONG NTAPI RtlNumberOfClearBits(PRTL_BITMAP BitMapHeader) {
  KDPC_ROUTINE(RtlNumberOfClearBits);
  return BitMapHeader->SizeOfBitMap - count_set(*BitMapHeader);
}

ULONG NTAPI RtlNumberOfSetBits(PRTL_BITMAP BitMapHeader) {
  KDPC_ROUTINE(RtlNumberOfSetBits);
  return count_set(*BitMapHeader);
}

BOOLEAN NTAPI RtlAreBitsClear(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length) {
  KDPC_ROUTINE(RtlAreBitsClear);
  return are(*BitMapHeader, StartingIndex, Length, false) ? TRUE : FALSE;
}

BOOLEAN NTAPI RtlAreBitsSet(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length) {
  KDPC_ROUTINE(RtlAreBitsSet);
  return are(*BitMapHeader, StartingIndex, Length, true) ? TRUE : FALSE;
}

}  // extern "C"
