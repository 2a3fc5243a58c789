#include "tests/fuzz/callbacks.h"

#include "tests/fuzz/case.h"

namespace kdpc::fuzz {

namespace {

using Word = std::uint64_t;
using Routine = Word NTAPI(Word a, Word b, Word c, Word d);

template <class T>
T* as(Word word) {
  return reinterpret_cast<T*>(word);
}

KSPIN_LOCK kept_lock;

Word NTAPI quiet(Word, Word, Word, Word) { return 0; }
Word NTAPI claims(Word, Word, Word, Word) { return 1; }
Word NTAPI answers_anything(Word, Word, Word, Word) { return stock().integer(4); }
Word NTAPI calls_others(Word, Word, Word, Word) {
  make_calls(1 + static_cast<unsigned>(stock().random.below(4)));
  return 0;
}
Word NTAPI calls_later(Word, Word, Word, Word) {
  LARGE_INTEGER time;
  time.QuadPart = -50'000;
  KeDelayExecutionThread(KernelMode, FALSE, &time);
  make_calls(1 + static_cast<unsigned>(stock().random.below(8)));
  return 0;
}
Word NTAPI takes_time(Word, Word, Word, Word) {
  KeStallExecutionProcessor(static_cast<ULONG>(stock().random.below(2'000)));
  return 1;
}
// What follows no driver may do.
Word NTAPI returns_raised(Word, Word, Word, Word) {
  if (const KIRQL level = KeGetCurrentIrql(); level < HIGH_LEVEL) KfRaiseIrql(static_cast<KIRQL>(level + 1));
  return 0;
}
Word NTAPI returns_lowered(Word, Word, Word, Word) {
  if (const KIRQL level = KeGetCurrentIrql(); level > PASSIVE_LEVEL) KeLowerIrql(static_cast<KIRQL>(stock().random.below(level)));
  return 0;
}
Word NTAPI keeps_a_lock(Word, Word, Word, Word) {
  if (KeGetCurrentIrql() <= DISPATCH_LEVEL) KeAcquireSpinLockRaiseToDpc(&kept_lock);
  return 0;
}
Word NTAPI keeps_a_region(Word, Word, Word, Word) {
  KeEnterCriticalRegion();
  return 0;
}
Word NTAPI frees_its_object(Word a, Word, Word, Word) {
  ExFreePool(as<void>(a));
  return 0;
}
// For ever, where no watchdog is on. It works a little each time, or a second of it would be millions of DPCs.
Word NTAPI queues_itself(Word a, Word, Word, Word) {
  KeStallExecutionProcessor(20);
  KeInsertQueueDpc(as<KDPC>(a), nullptr, nullptr);
  return 0;
}
Word NTAPI completes_its_irp(Word, Word b, Word, Word) {
  IofCompleteRequest(as<IRP>(b), IO_NO_INCREMENT);
  return 0;
}
Word NTAPI says_pending(Word, Word, Word, Word) { return static_cast<ULONG>(STATUS_PENDING); }
Word NTAPI wants_more_processing(Word, Word, Word, Word) { return static_cast<ULONG>(STATUS_MORE_PROCESSING_REQUIRED); }
Word NTAPI ends_its_thread(Word, Word, Word, Word) {
  PsTerminateSystemThread(STATUS_SUCCESS);
  return 0;
}
Word NTAPI touches_nothing(Word, Word, Word, Word) {
  *static_cast<volatile int*>(stock().bad_address());
  return 0;
}
Word NTAPI sleeps(Word, Word, Word, Word) {
  LARGE_INTEGER time;
  time.QuadPart = -static_cast<LONGLONG>(stock().random.below(100'000));
  KeDelayExecutionThread(KernelMode, FALSE, &time);
  return 0;
}

Routine* const kGood[] = {quiet, claims, calls_others, calls_others, takes_time};
Routine* const kBad[] = {
    answers_anything, returns_raised,        returns_lowered, keeps_a_lock,    keeps_a_region, frees_its_object, queues_itself, completes_its_irp,
    says_pending,     wants_more_processing, ends_its_thread, touches_nothing, sleeps};

}  // namespace

void* draw_callback(Stock& stock) {
  const std::uint64_t how = stock.random.below(100);
  const bool wild = stock.random.chance(stock.wildness);
  if (wild && how < 4) return nullptr;
  if (wild && how < 8) return stock.bad_address();
  return reinterpret_cast<void*>(!wild || how < 40 ? stock.random.one_of(kGood) : stock.random.one_of(kBad));
}

void* quiet_callback() { return reinterpret_cast<void*>(&quiet); }
void* late_callback() { return reinterpret_cast<void*>(&calls_later); }

}  // namespace kdpc::fuzz
