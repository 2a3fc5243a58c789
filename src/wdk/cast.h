// The only place where a driver's objects become the kernel's and back. They are the same bytes: every equality is asserted here.
#pragma once
#include <wdm.h>

#include <cstddef>

#include "kernel/apc.h"
#include "kernel/dpc.h"
#include "kernel/fast_mutex.h"
#include "kernel/interrupt.h"
#include "kernel/ipi.h"
#include "kernel/mutex.h"
#include "kernel/push_lock.h"
#include "kernel/queued_lock.h"
#include "kernel/reader_writer_lock.h"
#include "kernel/resource.h"
#include "kernel/rundown.h"
#include "kernel/thread.h"
#include "kernel/timer.h"
#include "kernel/wait.h"
#include "kernel/workitem.h"

namespace kdpc::wdk {

static_assert(sizeof(KDPC) == sizeof(Dpc) && offsetof(KDPC, DeferredRoutine) == offsetof(Dpc, routine) &&
              offsetof(KDPC, DeferredContext) == offsetof(Dpc, context) && offsetof(KDPC, SystemArgument1) == offsetof(Dpc, argument1) &&
              offsetof(KDPC, SystemArgument2) == offsetof(Dpc, argument2) && offsetof(KDPC, DpcData) == offsetof(Dpc, queue) &&
              offsetof(KDPC, Number) == offsetof(Dpc, number) && offsetof(KDPC, Importance) == offsetof(Dpc, importance));
static_assert(sizeof(KTIMER) == sizeof(Timer) && offsetof(KTIMER, DueTime) == offsetof(Timer, due_time) &&
              offsetof(KTIMER, TimerListEntry) == offsetof(Timer, link) && offsetof(KTIMER, Dpc) == offsetof(Timer, dpc) &&
              offsetof(KTIMER, Processor) == offsetof(Timer, processor) && offsetof(KTIMER, Period) == offsetof(Timer, period));
static_assert(sizeof(DISPATCHER_HEADER) == sizeof(DispatcherHeader) &&
              offsetof(DISPATCHER_HEADER, SignalState) == offsetof(DispatcherHeader, signal_state) &&
              offsetof(DISPATCHER_HEADER, WaitListHead) == offsetof(DispatcherHeader, waiters));
static_assert(sizeof(KEVENT) == sizeof(EventObject));
static_assert(sizeof(KSEMAPHORE) == sizeof(Semaphore) && offsetof(KSEMAPHORE, Limit) == offsetof(Semaphore, limit));
static_assert(sizeof(KMUTANT) == sizeof(Mutant) && offsetof(KMUTANT, OwnerThread) == offsetof(Mutant, owner) &&
              offsetof(KMUTANT, Abandoned) == offsetof(Mutant, abandoned) && offsetof(KMUTANT, ApcDisable) == offsetof(Mutant, apc_disable));
static_assert(sizeof(KWAIT_BLOCK) == sizeof(WaitBlock) && offsetof(KWAIT_BLOCK, WaitKey) == offsetof(WaitBlock, key) &&
              offsetof(KWAIT_BLOCK, Thread) == offsetof(WaitBlock, thread) && offsetof(KWAIT_BLOCK, Object) == offsetof(WaitBlock, object));
static_assert(WaitAll == static_cast<int>(WaitKind::All) && WaitAny == static_cast<int>(WaitKind::Any));
static_assert(MAXIMUM_WAIT_OBJECTS == kMaximumWaitObjects && THREAD_WAIT_OBJECTS == kThreadWaitObjects);
static_assert(sizeof(KAPC) == sizeof(Apc) && offsetof(KAPC, Thread) == offsetof(Apc, thread) &&
              offsetof(KAPC, NormalContext) == offsetof(Apc, context) && offsetof(KAPC, SystemArgument2) == offsetof(Apc, argument2) &&
              offsetof(KAPC, ApcMode) == offsetof(Apc, mode) && offsetof(KAPC, Inserted) == offsetof(Apc, inserted));
static_assert(sizeof(FAST_MUTEX) == sizeof(FastMutex) && offsetof(FAST_MUTEX, Owner) == offsetof(FastMutex, owner) &&
              offsetof(FAST_MUTEX, Event) == offsetof(FastMutex, event) && offsetof(FAST_MUTEX, OldIrql) == offsetof(FastMutex, old_irql));
static_assert(sizeof(ERESOURCE) == sizeof(Resource) && offsetof(ERESOURCE, ActiveCount) == offsetof(Resource, active) &&
              offsetof(ERESOURCE, OwnerEntry) == offsetof(Resource, owner) &&
              offsetof(ERESOURCE, NumberOfExclusiveWaiters) == offsetof(Resource, exclusive_waiter_count) &&
              offsetof(ERESOURCE, SpinLock) == offsetof(Resource, lock));
static_assert(sizeof(KSPIN_LOCK) == sizeof(SpinLock));
static_assert(sizeof(EX_SPIN_LOCK) == sizeof(ReaderWriterLock) && sizeof(EX_PUSH_LOCK) == sizeof(PushLock) &&
              sizeof(EX_RUNDOWN_REF) == sizeof(RundownReference));
static_assert(sizeof(KLOCK_QUEUE_HANDLE) == sizeof(LockHandle) && offsetof(KLOCK_QUEUE_HANDLE, OldIrql) == offsetof(LockHandle, old_irql) &&
              offsetof(KSPIN_LOCK_QUEUE, Lock) == offsetof(LockPlace, lock));
static_assert(sizeof(WORK_QUEUE_ITEM) == sizeof(WorkItem) && offsetof(WORK_QUEUE_ITEM, WorkerRoutine) == offsetof(WorkItem, routine) &&
              offsetof(WORK_QUEUE_ITEM, Parameter) == offsetof(WorkItem, parameter));
static_assert(LowImportance == static_cast<int>(Importance::Low) && MediumImportance == static_cast<int>(Importance::Medium) &&
              HighImportance == static_cast<int>(Importance::High) && MediumHighImportance == static_cast<int>(Importance::MediumHigh));

inline Dpc* as_dpc(KDPC* dpc) { return reinterpret_cast<Dpc*>(dpc); }
inline Timer& as_timer(KTIMER* timer) { return *reinterpret_cast<Timer*>(timer); }
inline EventObject& as_event(KEVENT* event) { return *reinterpret_cast<EventObject*>(event); }
inline Semaphore& as_semaphore(KSEMAPHORE* semaphore) { return *reinterpret_cast<Semaphore*>(semaphore); }
inline Mutant& as_mutant(KMUTANT* mutant) { return *reinterpret_cast<Mutant*>(mutant); }
inline WaitBlock* as_wait_blocks(KWAIT_BLOCK* blocks) { return reinterpret_cast<WaitBlock*>(blocks); }
inline Apc& as_apc(KAPC* apc) { return *reinterpret_cast<Apc*>(apc); }
inline FastMutex& as_fast_mutex(FAST_MUTEX* mutex) { return *reinterpret_cast<FastMutex*>(mutex); }
inline Resource& as_resource(ERESOURCE* resource) { return *reinterpret_cast<Resource*>(resource); }
inline SpinLock& as_lock(KSPIN_LOCK* lock) { return *reinterpret_cast<SpinLock*>(const_cast<ULONG_PTR*>(lock)); }
inline ReaderWriterLock& as_reader_writer_lock(EX_SPIN_LOCK* lock) { return *reinterpret_cast<ReaderWriterLock*>(const_cast<LONG*>(lock)); }
inline PushLock& as_push_lock(EX_PUSH_LOCK* lock) { return *reinterpret_cast<PushLock*>(lock); }
inline RundownReference& as_rundown(EX_RUNDOWN_REF* reference) { return *reinterpret_cast<RundownReference*>(reference); }
inline LockHandle& as_handle(KLOCK_QUEUE_HANDLE* handle) { return *reinterpret_cast<LockHandle*>(handle); }
inline DispatcherHeader& as_object(void* object) { return *static_cast<DispatcherHeader*>(object); }
// A thread says where it is and what it waits for: what only looks like one leads anywhere, so this one is checked. Else bug check 0x1E.
Thread& as_thread(void* thread);
inline PKTHREAD as_kthread(Thread& thread) { return reinterpret_cast<PKTHREAD>(&thread); }
inline Interrupt& as_interrupt(PKINTERRUPT interrupt) { return *reinterpret_cast<Interrupt*>(interrupt); }
inline PKINTERRUPT as_kinterrupt(Interrupt* interrupt) { return reinterpret_cast<PKINTERRUPT>(interrupt); }
inline WorkItem& as_work_item(WORK_QUEUE_ITEM* item) { return *reinterpret_cast<WorkItem*>(item); }

// Routines of drivers have the same calling convention and, but for the names of the objects, the same types.
inline DpcRoutine* as_routine(PKDEFERRED_ROUTINE routine) { return reinterpret_cast<DpcRoutine*>(routine); }
inline BroadcastRoutine* as_routine(PKIPI_BROADCAST_WORKER routine) { return reinterpret_cast<BroadcastRoutine*>(routine); }
inline ServiceRoutine* as_routine(PKSERVICE_ROUTINE routine) { return reinterpret_cast<ServiceRoutine*>(routine); }

}  // namespace kdpc::wdk
