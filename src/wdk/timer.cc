#include "kernel/timer.h"

#include <limits>

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// A free build takes a negative number of milliseconds for a large one: 49 days.
void check_milliseconds(const void* timer, ULONG milliseconds, const char* sentence, const char* rule) {
  if (milliseconds <= static_cast<ULONG>(std::numeric_limits<LONG>::max()) || sys().options.irql_checks == Options::IrqlChecks::Free) return;
  bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_INVALID_PARAMETER), as_parameter(timer), milliseconds, 0}, sentence, rule);
}

}  // namespace

extern "C" {

VOID NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type) {
  KDPC_ROUTINE(KeInitializeTimerEx);
  timer::initialize(as_timer(Timer), Type == NotificationTimer ? timer::Kind::Notification : timer::Kind::Synchronization);
}

VOID NTAPI KeInitializeTimer(PKTIMER Timer) {
  KDPC_ROUTINE(KeInitializeTimer);
  timer::initialize(as_timer(Timer), timer::Kind::Notification);
}

BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc) {
  KDPC_ROUTINE(KeSetTimerEx);
  check_milliseconds(Timer, static_cast<ULONG>(Period), "KeSetTimerEx was given a negative period.", "TIM-2");
  return timer::set(as_timer(Timer), {.due = DueTime.QuadPart, .period = static_cast<ULONG>(Period), .dpc = as_dpc(Dpc)});
}

BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, ULONG TolerableDelay, PKDPC Dpc) {
  KDPC_ROUTINE(KeSetCoalescableTimer);
  check_milliseconds(Timer, Period, "KeSetCoalescableTimer was given a period greater than MAXLONG.", "TIM-5");
  check_milliseconds(Timer, TolerableDelay, "KeSetCoalescableTimer was given a negative tolerable delay.", "TIM-5");
  return timer::set(as_timer(Timer), {.due = DueTime.QuadPart, .period = Period, .dpc = as_dpc(Dpc), .tolerable_ms = TolerableDelay});
}

BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc) {
  KDPC_ROUTINE(KeSetTimer);
  return timer::set(as_timer(Timer), {.due = DueTime.QuadPart, .dpc = as_dpc(Dpc)});
}

BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer) {
  KDPC_ROUTINE(KeCancelTimer);
  return timer::cancel(as_timer(Timer));
}

BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer) {
  KDPC_ROUTINE(KeReadStateTimer);
  Machine::observe(KernelRead{Timer});
  return as_timer(Timer).header.signal_state != 0;
}

}  // extern "C"
