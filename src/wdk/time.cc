#include "kernel/system.h"
#include "kernel/timer.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

constexpr LONGLONG kPerformanceFrequency = 10'000'000;  // as on current Windows: one count is 100 ns
constexpr std::uint64_t kNanosecondsPerMicrosecond = 1000;

ULONGLONG performance_count() { return Machine::now() / kNanosecondsPer100; }

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
  const ULONGLONG time = timer::precise_interrupt_time();
  *QpcTimeStamp = performance_count();
  return time;
}

ULONGLONG NTAPI KeQueryUnbiasedInterruptTime() {
  KDPC_ROUTINE(KeQueryUnbiasedInterruptTime);
  return timer::interrupt_time();  // the machine never sleeps, so there is no bias
}

ULONGLONG NTAPI KeQueryUnbiasedInterruptTimePrecise(PULONG64 QpcTimeStamp) {
  KDPC_ROUTINE(KeQueryUnbiasedInterruptTimePrecise);
  const ULONGLONG time = timer::precise_interrupt_time();
  *QpcTimeStamp = performance_count();
  return time;
}

VOID NTAPI KeQuerySystemTime(PLARGE_INTEGER CurrentTime) {
  KDPC_ROUTINE(KeQuerySystemTime);
  CurrentTime->QuadPart = static_cast<LONGLONG>(timer::system_time());
}

VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime) {
  KDPC_ROUTINE(KeQuerySystemTimePrecise);
  CurrentTime->QuadPart = static_cast<LONGLONG>(timer::precise_interrupt_time()) + sys().system_time_offset;
}

VOID NTAPI KeQueryTickCount(PLARGE_INTEGER CurrentCount) {
  KDPC_ROUTINE(KeQueryTickCount);
  CurrentCount->QuadPart = static_cast<LONGLONG>(sys().tick_count);
}

ULONG NTAPI KeQueryTimeIncrement() {
  KDPC_ROUTINE(KeQueryTimeIncrement);
  return kClockIncrement;  // whatever the resolution is (TIM-18)
}

LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency) {
  KDPC_ROUTINE(KeQueryPerformanceCounter);
  if (PerformanceFrequency != nullptr) PerformanceFrequency->QuadPart = kPerformanceFrequency;
  LARGE_INTEGER count;
  count.QuadPart = static_cast<LONGLONG>(performance_count());
  return count;
}

}  // extern "C"
