// Sequenced lists: header and first entry change together, by one exchange of 16 bytes. The sequence number moves with every change, so
// that an exchange fails whose view of the first entry's link is old, even if the same entry is first again.
#include <wdm.h>

#include "kernel/bugcheck.h"
#include "this_machine.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

// In the order of the header's two words: depth and sequence, then the entry and what lies in its low bits.
struct Head {
  ULONGLONG counters;
  ULONGLONG next;
  PSLIST_ENTRY first() const { return reinterpret_cast<PSLIST_ENTRY>(next & ~0xFULL); }
  USHORT depth() const { return static_cast<USHORT>(counters); }
  Head with(const SLIST_ENTRY* entry, USHORT depth) const {
    // Low bits of an entry that is there: the header is of the 16-byte kind.
    return {((counters & ~0xFFFFULL) + 0x10000) | depth, entry != nullptr ? reinterpret_cast<ULONGLONG>(entry) | 1 : 0};
  }
};

// The two halves need not fit together: then the exchange that relies on them fails.
Head read(const SLIST_HEADER* header) {
  const auto* words = &header->Alignment;
  const ULONGLONG counters = __atomic_load_n(&words[0], __ATOMIC_ACQUIRE);
  return {counters, __atomic_load_n(&words[1], __ATOMIC_ACQUIRE)};
}

bool exchange(PSLIST_HEADER header, Head& seen, const Head& wanted) {
  bool done;
  __asm__ volatile("lock cmpxchg16b %1"
                   : "=@ccz"(done), "+m"(*header), "+a"(seen.counters), "+d"(seen.next)
                   : "b"(wanted.counters), "c"(wanted.next)
                   : "memory");
  return done;
}

PSLIST_ENTRY exchanged(const SLIST_HEADER* header, const Head& seen) {
  Machine::observe(KernelAccess{header, sizeof *header, true});
  return seen.first();
}

PSLIST_ENTRY found_empty(const SLIST_HEADER* header) {
  Machine::observe(KernelRead{&header->Region});
  return nullptr;
}

void check_alignment(const void* what) {
  if ((reinterpret_cast<ULONG_PTR>(what) & 15) == 0) return;
  bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_DATATYPE_MISALIGNMENT), as_parameter(what), 0, 0},
            "A sequenced list or one of its entries is not aligned to 16 bytes.", "LCK-5");
}

}  // namespace

extern "C" {

VOID NTAPI InitializeSListHead(PSLIST_HEADER SListHead) {
  KDPC_ROUTINE(InitializeSListHead);
  check_alignment(SListHead);
  SListHead->Alignment = 0;
  SListHead->Region = 0;
  Machine::observe(KernelAccess{SListHead, sizeof *SListHead});
}

PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry) {
  KDPC_ROUTINE(ExpInterlockedPushEntrySList);
  check_alignment(ListHead);
  check_alignment(ListEntry);
  Head seen = read(ListHead);
  do {
    ListEntry->Next = seen.first();
  } while (!exchange(ListHead, seen, seen.with(ListEntry, static_cast<USHORT>(seen.depth() + 1))));
  Machine::observe(KernelAccess{&ListEntry->Next, sizeof ListEntry->Next});
  return exchanged(ListHead, seen);
}

PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead) {
  KDPC_ROUTINE(ExpInterlockedPopEntrySList);
  check_alignment(ListHead);
  Head seen = read(ListHead);
  PSLIST_ENTRY next;
  do {
    if (seen.first() == nullptr) return found_empty(ListHead);
    // Another processor may have taken the entry, and freed it: what is read then is not used.
    next = __atomic_load_n(&seen.first()->Next, __ATOMIC_RELAXED);
  } while (!exchange(ListHead, seen, seen.with(next, static_cast<USHORT>(seen.depth() - 1))));
  return exchanged(ListHead, seen);
}

PSLIST_ENTRY NTAPI ExpInterlockedFlushSList(PSLIST_HEADER ListHead) {
  KDPC_ROUTINE(ExpInterlockedFlushSList);
  check_alignment(ListHead);
  Head seen = read(ListHead);
  do {
    if (seen.first() == nullptr) return found_empty(ListHead);
  } while (!exchange(ListHead, seen, seen.with(nullptr, 0)));
  return exchanged(ListHead, seen);
}

USHORT NTAPI ExQueryDepthSList(PSLIST_HEADER SListHead) {
  KDPC_ROUTINE(ExQueryDepthSList);
  Machine::observe(KernelRead{&SListHead->Alignment});
  return read(SListHead).depth();
}

PSLIST_ENTRY NTAPI FirstEntrySList(const SLIST_HEADER* SListHead) {
  KDPC_ROUTINE(FirstEntrySList);
  Machine::observe(KernelRead{&SListHead->Region});
  return read(SListHead).first();
}

}  // extern "C"
