// A Dpc is work an ISR postpones: it runs later, once, on one processor, at DISPATCH_LEVEL; or, if it is threaded, in that processor's DPC thread
// (threaded_dpc.h).
//
//   K.DPC-1  A Dpc is on at most one queue (dpc_queue.h): `queue` is claimed by an exchange from null, and only then is the Dpc queued.
//   K.DPC-2  It leaves the queue, and is forgotten, before its routine is called; so it may requeue itself, or be freed (INS-5, INS-6).
//   K.DPC-3  Only its processor takes from a queue; every processor may insert and remove.
//   K.DPC-4  Only ordinary DPCs count for the thresholds and the drain: the threaded queue asks for its thread and nothing else (TAB-6, ADP-4).
//
//    idle --insert()--> queued --retire_here()--> running --(returns)--> idle
//                         '-----remove()-----> idle
#pragma once
#include <cstdint>

#include "kernel/dpc_queue.h"

namespace kdpc {

struct Processor;

enum class DpcType : std::uint8_t { Ordinary = 0x13, Threaded = 0x1A };  // KOBJECTS DpcObject, ThreadedDpcObject since 6.3

namespace dpc {

// Any level. Writes what INI-1 says and nothing else. Initialising a queued Dpc is a bug check (INI-4).
void initialize(Dpc& dpc, DpcRoutine* routine, void* context, DpcType type = DpcType::Ordinary);
// Initialised as threaded, and threaded DPCs are enabled: with the option off they are ordinary ones (THR-1).
bool is_threaded(const Dpc& dpc);
// Any level. False: it was already queued and nothing has changed (INS-1).
bool insert(Dpc* dpc, void* argument1, void* argument2);
// Any level. True: it was queued and its routine will not start for that insertion (REM-1).
bool remove(Dpc& dpc);
// The same; and if it was not queued, returns when its routine runs nowhere. Bug check when that would be never: from the routine itself, or
// above it (REM-4).
bool remove_or_wait(Dpc& dpc);
void set_importance(Dpc& dpc, Importance importance);
// False: there is no such processor; nothing has changed (TGT-2).
bool set_target(Dpc& dpc, unsigned processor);

// Entered and left at High, on the DPC or idle stack: runs at Dispatch what is due, until nothing is left (RET-1…9).
void retire_here();
// Does this processor have anything for retire_here()? (processor.h)
bool has_work(const Processor& processor);
// Once a full tick, at Clock: the adaptive thresholds (SEMANTICS 3.4).
void adapt_here(Processor& self);

// The processor this Dpc would go to when inserted on `here`.
unsigned target_of(const Dpc& dpc, unsigned here);

// Calls the routine as the retire loop and the timer expiry do: at Dispatch, with the watchdog's count.
void call_routine(const DueDpc& due, ActivityKind kind);
// What every call of a DPC routine has: events, and the checks when it returns (IRQL-10, IRQL-11). At `level`, on the processor's or the DPC
// thread's own stack.
void call_checked(const DueDpc& due, ActivityKind kind, Irql level);

}  // namespace dpc
}  // namespace kdpc
