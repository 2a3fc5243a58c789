#include "kernel/ex_timer.h"

#include <limits>

#include "kernel/bugcheck.h"
#include "kernel/clock.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

ExTimer& as_ex_timer(PEX_TIMER timer) {
  auto* object = reinterpret_cast<ExTimer*>(timer);
  ex_timer::check(object);
  return *object;
}

// The documentation says of these that the routine bug checks, without a code: an exception that nobody handles.
void demand(bool holds, const void* timer, std::uint64_t value, const char* sentence) {
  if (!holds)
    bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_INVALID_PARAMETER), as_parameter(timer), value, 0}, sentence, "TIM-19");
}

}  // namespace

extern "C" {

PEX_TIMER NTAPI ExAllocateTimer(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes) {
  KDPC_ROUTINE(ExAllocateTimer);
  KDPC_MAY_FAIL(ExAllocateTimer, nullptr);
  constexpr ULONG kExclusive = EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE;
  demand((Attributes & ~(kExclusive | EX_TIMER_NOTIFICATION)) == 0, nullptr, Attributes, "ExAllocateTimer was given attributes that do not exist.");
  demand((Attributes & kExclusive) != kExclusive, nullptr, Attributes,
         "ExAllocateTimer was asked for a timer of high resolution that does not wake: the one excludes the other.");
  const auto kind = (Attributes & EX_TIMER_NOTIFICATION) != 0 ? timer::Kind::Notification : timer::Kind::Synchronization;
  // EX_TIMER_NO_WAKE changes nothing: a processor here is never in a state from which a clock interrupt would not wake it.
  return reinterpret_cast<PEX_TIMER>(
      ex_timer::allocate(reinterpret_cast<ExTimerCallback*>(Callback), CallbackContext, kind, (Attributes & EX_TIMER_HIGH_RESOLUTION) != 0));
}

BOOLEAN NTAPI ExSetTimer(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period, PEXT_SET_PARAMETERS) {
  KDPC_ROUTINE_ON(ExSetTimer, Timer);
  ExTimer& timer = as_ex_timer(Timer);
  demand((timer.kind & kdpc::Timer::kHighResolution) == 0 || DueTime < 0, Timer, static_cast<ULONGLONG>(DueTime),
         "ExSetTimer was given an absolute time for a high-resolution timer: its due time must be negative.");
  demand(Period >= 0 && Period <= std::numeric_limits<LONG>::max(), Timer, static_cast<ULONGLONG>(Period),
         "ExSetTimer was given a period that is negative or greater than MAXLONG.");
  return ex_timer::set(timer, DueTime, static_cast<ULONG>(Period));
}

BOOLEAN NTAPI ExCancelTimer(PEX_TIMER Timer, PEXT_CANCEL_PARAMETERS) {
  KDPC_ROUTINE_ON(ExCancelTimer, Timer);
  return ex_timer::cancel(as_ex_timer(Timer));
}

BOOLEAN NTAPI ExDeleteTimer(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait, PEXT_DELETE_PARAMETERS Parameters) {
  KDPC_ROUTINE_ON(ExDeleteTimer, Timer);
  ExTimer& timer = as_ex_timer(Timer);
  demand(Cancel || !Wait, Timer, 0, "ExDeleteTimer was asked to wait for a timer without cancelling it.");
  if (const Irql level = current_irql(); Wait && level > Irql::Apc && sys().options.irql_checks != Options::IrqlChecks::Free)
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(level), as_parameter(Timer), 0},
              "ExDeleteTimer was asked to wait above APC_LEVEL, perhaps by the timer's own callback, for which it would wait.", "TIM-19");
  ex_timer::Deletion deletion{.cancel = Cancel != FALSE, .wait = Wait != FALSE};
  if (Parameters != nullptr) {
    deletion.callback = reinterpret_cast<ExTimerDeleteCallback*>(Parameters->DeleteCallback);
    deletion.context = Parameters->DeleteContext;
  }
  return ex_timer::remove(timer, deletion);
}

ULONG NTAPI ExSetTimerResolution(ULONG DesiredTime, BOOLEAN SetResolution) {
  KDPC_ROUTINE(ExSetTimerResolution);
  return clock::set_resolution(DesiredTime, SetResolution != FALSE);
}

VOID NTAPI ExQueryTimerResolution(PULONG MaximumTime, PULONG MinimumTime, PULONG CurrentTime) {
  KDPC_ROUTINE(ExQueryTimerResolution);
  *MaximumTime = kClockIncrement;
  *MinimumTime = kShortestClockInterval;
  *CurrentTime = sys().clock_interval;
}

}  // extern "C"
