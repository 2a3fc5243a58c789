#include "kernel/timer.h"

#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

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
  return timer::set(as_timer(Timer), DueTime.QuadPart, static_cast<ULONG>(Period), as_dpc(Dpc));
}

BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc) {
  KDPC_ROUTINE(KeSetTimer);
  return timer::set(as_timer(Timer), DueTime.QuadPart, 0, as_dpc(Dpc));
}

BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer) {
  KDPC_ROUTINE(KeCancelTimer);
  return timer::cancel(as_timer(Timer));
}

BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer) {
  KDPC_ROUTINE(KeReadStateTimer);
  return as_timer(Timer).header.signal_state != 0;
}

}  // extern "C"
