#include "kernel/system.h"
#include "kernel/timer.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

constexpr LONGLONG kPerformanceFrequency = 10'000'000;  // as on current Windows: one count is 100 ns
constexpr std::uint64_t kNanosecondsPerMicrosecond = 1000;

ULONGLONG precise() { return Machine::now() / kNanosecondsPer100; }

}  // namespace

extern "C" {

VOID NTAPI KeStallExecutionProcessor(ULONG MicroSeconds) {
  KDPC_ROUTINE(KeStallExecutionProcessor);
  Machine::stall(MicroSeconds * kNanosecondsPerMicrosecond);
}

ULONGLONG NTAPI KeQueryInterruptTime() {
  KDPC_ROUTINE(KeQueryInterruptTime);
  return timer::interrupt_time();
}

ULONGLONG NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp) {
  KDPC_ROUTINE(KeQueryInterruptTimePrecise);
  *QpcTimeStamp = precise();
  return precise();
}

ULONGLONG NTAPI KeQueryUnbiasedInterruptTime() {
  KDPC_ROUTINE(KeQueryUnbiasedInterruptTime);
  return timer::interrupt_time();
}

VOID NTAPI KeQuerySystemTime(PLARGE_INTEGER CurrentTime) {
  KDPC_ROUTINE(KeQuerySystemTime);
  CurrentTime->QuadPart = static_cast<LONGLONG>(timer::system_time());
}

VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime) {
  KDPC_ROUTINE(KeQuerySystemTimePrecise);
  CurrentTime->QuadPart = static_cast<LONGLONG>(precise()) + sys().system_time_offset;
}

VOID NTAPI KeQueryTickCount(PLARGE_INTEGER CurrentCount) {
  KDPC_ROUTINE(KeQueryTickCount);
  CurrentCount->QuadPart = static_cast<LONGLONG>(sys().tick_count);
}

ULONG NTAPI KeQueryTimeIncrement() {
  KDPC_ROUTINE(KeQueryTimeIncrement);
  return static_cast<ULONG>(kClockIncrement);
}

LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency) {
  KDPC_ROUTINE(KeQueryPerformanceCounter);
  if (PerformanceFrequency != nullptr) PerformanceFrequency->QuadPart = kPerformanceFrequency;
  LARGE_INTEGER count;
  count.QuadPart = static_cast<LONGLONG>(precise());
  return count;
}

}  // extern "C"
