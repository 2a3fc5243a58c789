// A World with something of everything in it, on three processors that stand still, of either machine:
//
//   0  at DISPATCH_LEVEL, owns a queued spin lock, has queued DPCs on itself and on processor 1, and one on processor 2
//   1  at DISPATCH_LEVEL, waits for that lock
//   2  at HIGH_LEVEL: the IPI that asks it to drain its DPCs is pending
//
// Two ISRs share a vector; timers with and without a DPC are set.
#pragma once
#include <wdm.h>

#include "kdpc/test.h"

namespace kdpc::test {

inline KDPC low_dpc, medium_dpc, high_dpc, medium_high_dpc, threaded_dpc, remote_dpc, timer_dpc, periodic_dpc;
inline KSPIN_LOCK staged_lock;
inline KLOCK_QUEUE_HANDLE staged_handles[2];
inline KTIMER one_shot, periodic;
inline PKINTERRUPT first_interrupt, second_interrupt;
inline unsigned staged_line;
inline volatile bool staged[3], staged_interrupt, staged_queues;

extern "C" {
VOID NTAPI StagedDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2);
VOID NTAPI StagedThreadedDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2);
VOID NTAPI StagedWait(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2);  // which a DPC must not do
BOOLEAN NTAPI StagedFirstIsr(PKINTERRUPT Interrupt, PVOID Context);
BOOLEAN NTAPI StagedSecondIsr(PKINTERRUPT Interrupt, PVOID Context);
void StageDpc(PKDPC dpc, KDPC_IMPORTANCE importance, int target);  // who queues all of them
void StageQueues();
}

void stage(lab::Machine& m);

// The machine stands still: a debugger has a breakpoint at StandStill(). What it must show is written to the file that KDPC_VIEWS_EXPECTED names, all
// views of `views`, each behind a line "<view>"; without the variable nothing happens.
extern "C" void StandStill();
void wait_for_debugger(std::initializer_list<const char*> views);
void show_the_debugger_all();  // of what stage() has made

}  // namespace kdpc::test
