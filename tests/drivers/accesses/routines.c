/* Routines that access memory in one way each, for the test that hears of it. */
#include "accesses.h"

#include <string.h>

extern LONG Constructed;

static ACCESS_DATA Data;
static UCHAR Pages[3 * PAGE_SIZE];
static ACCESS_TABLE Table;

#define CHECK(condition) \
  if (!(condition) && Table.Wrong == 0) Table.Wrong = __LINE__

static VOID NTAPI Plain(VOID) {
  Data.Byte = 1;
  Data.Short = Data.Byte;
  Data.Long += 2;
  Data.Wide = Data.Long;
}

static VOID NTAPI Volatile(VOID) {
  Data.Flag = 1;
  Data.Flag++;
  while (Data.Flag == 0) {
  }
}

static VOID NTAPI Unaligned(VOID) { Data.Packed.Second = 5; }

static VOID NTAPI Interlocked(VOID) {
  LONG before;
  PVOID pointer;
  Data.Count = 5;
  before = InterlockedIncrement(&Data.Count);
  CHECK(before == 6);
  before = InterlockedCompareExchange(&Data.Count, 10, 5);
  CHECK(before == 6);
  before = InterlockedCompareExchange(&Data.Count, 10, 6);
  CHECK(before == 6);
  before = InterlockedOr(&Data.Count, 5);
  CHECK(before == 10);
  before = InterlockedAnd(&Data.Count, 7);
  CHECK(before == 15);
  before = InterlockedXor(&Data.Count, 6);
  CHECK(before == 7);
  before = InterlockedExchangeAdd(&Data.Count, -2);
  CHECK(before == 1);
  before = InterlockedExchange(&Data.Count, 3);
  CHECK(before == -1);
  before = ReadAcquire(&Data.Count);
  CHECK(before == 3);
  WriteRelease(&Data.Count, 4);
  InterlockedExchange64(&Data.Count64, 0x123456789abcdef);
  InterlockedIncrement16(&Data.Count16);
  pointer = InterlockedExchangePointer(&Data.Pointer, &Data);
  pointer = InterlockedCompareExchangePointer(&Data.Pointer, NULL, &Data);
  CHECK(pointer == &Data);
}

#define PAIR ((__int128*)Data.Pair)
#define NUMBER(high, low) ((__int128)(high) << 64 | (ULONG64)(low))
__attribute__((target("cx16"))) static VOID NTAPI Wide(VOID) {
  __int128 before;
  before = __sync_lock_test_and_set(PAIR, NUMBER(3, ~0ull));
  CHECK(before == 0);
  before = __sync_fetch_and_add(PAIR, 2);
  CHECK(before == NUMBER(3, ~0ull));
  before = __sync_val_compare_and_swap(PAIR, before, 0);
  CHECK(before == NUMBER(4, 1));
  before = __sync_val_compare_and_swap(PAIR, before, NUMBER(8, 9));
  CHECK(before == NUMBER(4, 1));
  before = __sync_fetch_and_sub(PAIR, 10);
  CHECK(before == NUMBER(8, 9));
  before = __sync_fetch_and_xor(PAIR, NUMBER(1, 1));
  CHECK(before == NUMBER(7, ~0ull));
  before = __sync_lock_test_and_set(PAIR, 0);
  CHECK(before == NUMBER(6, ~1ull));
}

static VOID NTAPI Copies(VOID) {
  ULONG index;
  RtlFillMemory(Data.From, sizeof Data.From, 0x5a);
  RtlCopyMemory(Data.To, Data.From, 13);
  Data.Packed = *(PACKED_PAIR*)Data.From;
  RtlMoveMemory(Data.From + 1, Data.From, 31);
  index = RtlEqualMemory(Data.From, Data.To, 13);
  CHECK(index != 0);
}

static VOID NTAPI Strings(VOID) {
  strcpy((char*)Data.To, "ab");
  strncat((char*)Data.To, "cdef", 2);
  CHECK(strcmp((char*)Data.To, "abcd") == 0);
}

static VOID NTAPI LargeFill(VOID) { RtlZeroMemory(Pages + 100, sizeof Pages - 200); }

static VOID NTAPI Locked(VOID) {
  KIRQL irql;
  Data.Byte = 1;
  KeAcquireSpinLock(&Data.Lock, &irql);
  Data.Short = 2;
  KeReleaseSpinLock(&Data.Lock, irql);
  Data.Long = 3;
}

static VOID NTAPI Locals(VOID) {
  LONG sum = 0, index;
  LONG squares[8];
  for (index = 0; index < 8; ++index) squares[index] = index * index;
  for (index = 0; index < 8; ++index) sum += squares[index];
  CHECK(sum == 140);
}

static DECLSPEC_NOINLINE VOID Set(LONG* place) { *place = 7; }
static VOID NTAPI Escaping(VOID) {
  LONG local = 0;
  Set(&local);
}

/* A bit of everything, in loops of odd lengths: every kind of hook is at some time the one for which no room is left. */
static VOID NTAPI Work(VOID) {
  ULONG turn;
  KIRQL irql;
  for (turn = 0; turn < 400; ++turn) {
    ULONG index;
    Plain();
    Interlocked();
    for (index = 0; index < turn % 7; ++index) Data.Wide ^= index;
    if (turn % 3 == 0) Copies();
    KeAcquireSpinLock(&Data.Lock, &irql);
    Data.Short = (USHORT)turn;
    KeReleaseSpinLock(&Data.Lock, irql);
  }
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeInitializeSpinLock(&Data.Lock);
  Table.Data = &Data;
  Table.Pages = Pages;
  Table.Constructed = &Constructed;
  Table.Plain = Plain;
  Table.Volatile = Volatile;
  Table.Unaligned = Unaligned;
  Table.Interlocked = Interlocked;
  Table.Wide = Wide;
  Table.Copies = Copies;
  Table.Strings = Strings;
  Table.LargeFill = LargeFill;
  Table.Locked = Locked;
  Table.Locals = Locals;
  Table.Escaping = Escaping;
  Table.Work = Work;
  TestAccessTable(&Table);
  return STATUS_SUCCESS;
}
