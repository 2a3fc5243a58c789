// What can happen: the one vocabulary in which the kernel states facts. Plain structs of numbers and addresses, without kernel types.
//
// A fact has a name and says its fields to a visitor, so that a text trace, JSON, a hash and a report need no code per fact. An Address is
// told apart from a number because only its meaning (image + offset, World offset) is the same in every run.
#pragma once
#include <cstdint>
#include <type_traits>
#include <variant>

namespace kdpc {

struct Address {
  std::uintptr_t value = 0;
  Address() = default;
  Address(const volatile void* pointer) : value(reinterpret_cast<std::uintptr_t>(pointer)) {}  // NOLINT(google-explicit-constructor)
  template <class Function>
  requires std::is_function_v<Function> Address(Function* function)
      : value(reinterpret_cast<std::uintptr_t>(function)) {}  // NOLINT(google-explicit-constructor)
  static Address at(std::uintptr_t value) {
    Address address;
    address.value = value;
    return address;
  }
};

enum class ActivityKind : std::uint8_t {
  Isr,
  Dpc,
  TimerDpc,
  SynchronizedRoutine,
  ClockInterrupt,
  IpiInterrupt,
  WorkItem,
  DriverRoutine,
  ThreadedDpc,
  BroadcastRoutine
};
enum class ObjectKind : std::uint8_t { Dpc, Timer, Event, Semaphore, WorkItem };
// System: the kernel's own, for which drivers are not to blame.
enum class LockKind : std::uint8_t { Spin, Interrupt, Cancel, System, Queued, ReaderWriter, Push };
// By which routines a lock was taken or given back: forms must not be mixed for one lock (LCK-1, LCK-2, LCK-5).
enum class LockForm : std::uint8_t { Kernel, RaiseToDpc, RaiseToSynch, AtDpcLevel, ForDpc, Try, List, Convert };
// The others belong to a thread and may be held while it waits.
constexpr bool belongs_to_processor(LockKind kind) { return kind != LockKind::Push; }
enum class WaitReason : std::uint8_t { Executive, Delay, QuantumEnd, Preempted, Ended, Worker, Yield };

// A table, one fact a row:
// clang-format off
// K.EVENT-1  Every ActivityBegan is closed by one ActivityEnded of the same processor, innermost first.
struct ActivityBegan  { static constexpr const char* name = "activity-began";  ActivityKind kind; std::uint8_t level; Address routine; Address object;
                        template <class V> void fields(V&& v) const { v("kind", kind); v("level", level); v("routine", routine); v("object", object); } };
struct ActivityEnded  { static constexpr const char* name = "activity-ended";  ActivityKind kind; bool claimed; Address routine; Address object;
                        template <class V> void fields(V&& v) const { v("kind", kind); v("claimed", claimed); v("routine", routine); v("object", object); } };
// `object` is what the routine was called for, where it says so. `apart`: the routine touches nothing that anybody else touches too; as its name says, so that
// no trace has to.
struct RoutineEntered { static constexpr const char* name = "routine-entered"; std::uint16_t routine; Address caller; Address object; bool apart = false;
                        template <class V> void fields(V&& v) const { v("routine", routine); v("caller", caller); v("object", object); } };
struct IrqlChanged    { static constexpr const char* name = "irql-changed";    std::uint8_t from; std::uint8_t to;
                        template <class V> void fields(V&& v) const { v("from", from); v("to", to); } };

struct DpcQueued      { static constexpr const char* name = "dpc-queued";      Address dpc; Address routine; std::uint16_t target; std::uint8_t importance; std::uint32_t depth; bool drain_requested; bool threaded;
                        Address argument1; Address argument2;
                        template <class V> void fields(V&& v) const { v("dpc", dpc); v("routine", routine); v("target", target); v("importance", importance); v("depth", depth);
                                                                v("drain_requested", drain_requested); v("threaded", threaded); v("argument1", argument1); v("argument2", argument2); } };
// The arguments are those that are lost with it (INS-1).
struct DpcRefused     { static constexpr const char* name = "dpc-refused";     Address dpc; Address routine; Address argument1; Address argument2;
                        template <class V> void fields(V&& v) const { v("dpc", dpc); v("routine", routine); v("argument1", argument1); v("argument2", argument2); } };
struct DpcRemoved     { static constexpr const char* name = "dpc-removed";     Address dpc; std::uint16_t target;
                        template <class V> void fields(V&& v) const { v("dpc", dpc); v("target", target); } };
struct DpcTargeted    { static constexpr const char* name = "dpc-targeted";    Address dpc; std::uint16_t processor;
                        template <class V> void fields(V&& v) const { v("dpc", dpc); v("processor", processor); } };
struct DrainRequested { static constexpr const char* name = "drain-requested"; std::uint16_t target;
                        template <class V> void fields(V&& v) const { v("target", target); } };
struct DrainBegan     { static constexpr const char* name = "drain-began";     std::uint32_t depth;
                        template <class V> void fields(V&& v) const { v("depth", depth); } };
struct DrainEnded     { static constexpr const char* name = "drain-ended";     std::uint32_t ran;
                        template <class V> void fields(V&& v) const { v("ran", ran); } };

// One routine on all processors: as a DPC on each (KeGenericCallDpc), or at IPI_LEVEL (KeIpiGenericCall).
struct GenericCallBegan { static constexpr const char* name = "generic-call-began"; Address routine; Address context; std::uint32_t processors; bool at_ipi_level;
                          template <class V> void fields(V&& v) const { v("routine", routine); v("context", context); v("processors", processors); v("at_ipi_level", at_ipi_level); } };
struct GenericCallEnded { static constexpr const char* name = "generic-call-ended"; Address routine;
                          template <class V> void fields(V&& v) const { v("routine", routine); } };
struct WatchdogReloaded { static constexpr const char* name = "watchdog-reloaded"; std::uint32_t period; std::uint32_t left;
                          template <class V> void fields(V&& v) const { v("period", period); v("left", left); } };
struct YieldAdvised   { static constexpr const char* name = "yield-advised";   std::uint8_t reason; std::uint32_t watchdog_left; std::uint32_t time_left;
                        template <class V> void fields(V&& v) const { v("reason", reason); v("watchdog_left", watchdog_left); v("time_left", time_left); } };

// A spinning lock belongs to the processor that states this, a push lock to its thread. `handle`: of a queued lock, where its place in the queue is.
// A shared lock that is converted to exclusive is released first.
struct LockAcquired   { static constexpr const char* name = "lock-acquired";   Address lock; LockKind kind; bool waited; LockForm form = LockForm::Kernel; bool shared = false; Address handle = {};
                        template <class V> void fields(V&& v) const { v("lock", lock); v("kind", kind); v("waited", waited); v("form", form); v("shared", shared); v("handle", handle); } };
struct LockReleased   { static constexpr const char* name = "lock-released";   Address lock; LockKind kind; LockForm form = LockForm::Kernel; bool shared = false; Address handle = {};
                        template <class V> void fields(V&& v) const { v("lock", lock); v("kind", kind); v("form", form); v("shared", shared); v("handle", handle); } };
// The next acquisition of it is the first of a new lock.
struct LockInitialized { static constexpr const char* name = "lock-initialized"; Address lock; LockKind kind;
                        template <class V> void fields(V&& v) const { v("lock", lock); v("kind", kind); } };

struct ObjectInitialized { static constexpr const char* name = "object-initialized"; Address object; ObjectKind kind;
                           template <class V> void fields(V&& v) const { v("object", object); v("kind", kind); } };
// Everything before OrderReleased{object} happens before everything after the OrderAcquired{object} that follows it.
struct OrderReleased  { static constexpr const char* name = "order-released";  Address object;
                        template <class V> void fields(V&& v) const { v("object", object); } };
struct OrderAcquired  { static constexpr const char* name = "order-acquired";  Address object;
                        template <class V> void fields(V&& v) const { v("object", object); } };
// The kernel wrote into memory that belongs to a driver. `interlocked`: by an operation that orders, as a driver's own would.
struct KernelAccess   { static constexpr const char* name = "kernel-access";   Address at; std::uint32_t size; bool interlocked = false;
                        template <class V> void fields(V&& v) const { v("at", at); v("size", size); v("interlocked", interlocked); } };
// What the kernel has done depended on what lies there, and no other fact says so.
struct KernelRead     { static constexpr const char* name = "kernel-read";     Address at;
                        template <class V> void fields(V&& v) const { v("at", at); } };

struct InterruptRequested  { static constexpr const char* name = "interrupt-requested";  std::uint8_t vector; std::uint16_t processor;
                             template <class V> void fields(V&& v) const { v("vector", vector); v("processor", processor); } };
struct LineChanged         { static constexpr const char* name = "line-changed";         std::uint16_t line; bool asserted; std::uint8_t vector = 0; bool level = true;
                             template <class V> void fields(V&& v) const { v("line", line); v("asserted", asserted); v("vector", vector); v("level", level); } };
struct UnexpectedInterrupt { static constexpr const char* name = "unexpected-interrupt"; std::uint8_t vector;
                             template <class V> void fields(V&& v) const { v("vector", vector); } };
struct IpiSent             { static constexpr const char* name = "ipi-sent";             std::uint64_t targets;
                             template <class V> void fields(V&& v) const { v("targets", targets); } };
struct InterruptConnected  { static constexpr const char* name = "interrupt-connected";  Address interrupt; Address routine; std::uint8_t vector; bool connected; bool latched = false;
                             template <class V> void fields(V&& v) const { v("interrupt", interrupt); v("routine", routine); v("vector", vector); v("connected", connected); v("latched", latched); } };
// After each service routine: is the line still asserted? `chained`: there are others on the vector.
struct IsrAnswered         { static constexpr const char* name = "isr-answered";         Address interrupt; Address routine; std::uint8_t vector; bool chained; bool claimed; bool asserted;
                             template <class V> void fields(V&& v) const { v("interrupt", interrupt); v("routine", routine); v("vector", vector); v("chained", chained);
                                                                     v("claimed", claimed); v("asserted", asserted); } };
struct InterruptActivated  { static constexpr const char* name = "interrupt-activated";  Address interrupt; std::uint8_t vector; bool active;
                             template <class V> void fields(V&& v) const { v("interrupt", interrupt); v("vector", vector); v("active", active); } };
// `alone`: nobody else is connected to the vector, so it must be this set's device.
struct DisconnectedWhileAsserting { static constexpr const char* name = "disconnected-asserting"; Address interrupt; Address routine; std::uint8_t vector; bool alone;
                             template <class V> void fields(V&& v) const { v("interrupt", interrupt); v("routine", routine); v("vector", vector); v("alone", alone); } };

struct ClockTicked    { static constexpr const char* name = "clock-ticked";    std::uint64_t interrupt_time; bool full;
                        template <class V> void fields(V&& v) const { v("interrupt_time", interrupt_time); v("full", full); } };
struct ClockIntervalChanged { static constexpr const char* name = "clock-interval-changed"; std::uint32_t interval;
                        template <class V> void fields(V&& v) const { v("interval", interval); } };
struct DpcThresholdChanged { static constexpr const char* name = "dpc-threshold-changed"; std::uint32_t maximum_depth; std::uint32_t rate;
                        template <class V> void fields(V&& v) const { v("maximum_depth", maximum_depth); v("rate", rate); } };
struct TimerSet       { static constexpr const char* name = "timer-set";       Address timer; Address dpc; std::uint64_t due_time; std::uint32_t period; std::uint16_t processor;
                        template <class V> void fields(V&& v) const { v("timer", timer); v("dpc", dpc); v("due_time", due_time); v("period", period); v("processor", processor); } };
struct TimerCancelled { static constexpr const char* name = "timer-cancelled"; Address timer; bool was_set;
                        template <class V> void fields(V&& v) const { v("timer", timer); v("was_set", was_set); } };
struct TimerExpired   { static constexpr const char* name = "timer-expired";   Address timer; std::uint64_t due_time;
                        template <class V> void fields(V&& v) const { v("timer", timer); v("due_time", due_time); } };

struct ObjectSignalled { static constexpr const char* name = "object-signalled"; Address object; std::uint8_t type; std::int32_t state;
                         template <class V> void fields(V&& v) const { v("object", object); v("type", type); v("state", state); } };
// A thread sleeps, and is woken: one of each for each object that it waits for.
struct WaitBegan      { static constexpr const char* name = "wait-began";      std::uint32_t thread; Address object;
                        template <class V> void fields(V&& v) const { v("thread", thread); v("object", object); } };
struct WaitEnded      { static constexpr const char* name = "wait-ended";      std::uint32_t thread; Address object; std::int32_t status;
                        template <class V> void fields(V&& v) const { v("thread", thread); v("object", object); v("status", status); } };
struct ThreadCreated  { static constexpr const char* name = "thread-created";  std::uint32_t thread; Address routine; std::uint8_t priority;
                        template <class V> void fields(V&& v) const { v("thread", thread); v("routine", routine); v("priority", priority); } };
// `asked`: it runs there because of these processors, as bits, some were idle and some were not.
struct ThreadReadied  { static constexpr const char* name = "thread-readied";  std::uint32_t thread; std::uint16_t processor; std::uint8_t priority; std::uint64_t asked = 0;
                        template <class V> void fields(V&& v) const { v("thread", thread); v("processor", processor); v("priority", priority); v("asked", asked); } };
struct ThreadSwitched { static constexpr const char* name = "thread-switched"; std::uint32_t from; std::uint32_t to; WaitReason why; bool to_idle = false;
                        template <class V> void fields(V&& v) const { v("from", from); v("to", to); v("why", why); v("to_idle", to_idle); } };
struct ThreadEnded    { static constexpr const char* name = "thread-ended";    std::uint32_t thread;
                        template <class V> void fields(V&& v) const { v("thread", thread); } };
// Where the running thread may run from now on.
struct AffinityChanged { static constexpr const char* name = "affinity-changed"; std::uint32_t thread; std::uint64_t processors;
                         template <class V> void fields(V&& v) const { v("thread", thread); v("processors", processors); } };
struct WorkQueued     { static constexpr const char* name = "work-queued";     Address item; Address routine; std::uint8_t queue;
                        template <class V> void fields(V&& v) const { v("item", item); v("routine", routine); v("queue", queue); } };

struct PoolAllocated  { static constexpr const char* name = "pool-allocated";  Address block; std::uint64_t size; std::uint32_t tag; bool paged = false;
                        template <class V> void fields(V&& v) const { v("block", block); v("size", size); v("tag", tag); v("paged", paged); } };
struct PoolFreed      { static constexpr const char* name = "pool-freed";      Address block; std::uint64_t size; std::uint32_t tag;
                        template <class V> void fields(V&& v) const { v("block", block); v("size", size); v("tag", tag); } };
// A driver's image is about to go; nothing of it may be left behind.
struct ImageUnloading { static constexpr const char* name = "image-unloading"; Address base; std::uint64_t size;
                        template <class V> void fields(V&& v) const { v("base", base); v("size", size); } };
struct Stalled        { static constexpr const char* name = "stalled";         std::uint64_t nanoseconds;
                        template <class V> void fields(V&& v) const { v("nanoseconds", nanoseconds); } };
struct RegisterAccessed { static constexpr const char* name = "register";      std::uint64_t at; std::uint64_t datum; std::uint8_t width; bool write;
                        template <class V> void fields(V&& v) const { v("at", at); v("value", datum); v("width", width); v("write", write); } };
// A device reads or writes memory by itself.
struct DmaAccessed    { static constexpr const char* name = "dma";             Address at; std::uint32_t size; bool write;
                        template <class V> void fields(V&& v) const { v("at", at); v("size", size); v("write", write); } };
struct IrpSent        { static constexpr const char* name = "irp-sent";        Address irp; Address driver; std::uint8_t major; std::uint8_t minor; std::uint8_t location = 0;
                        template <class V> void fields(V&& v) const { v("irp", irp); v("driver", driver); v("major", major); v("minor", minor); v("location", location); } };
// The dispatch routine of the innermost IrpSent of this thread, or DPC, has returned. The IRP may be gone.
struct IrpReturned    { static constexpr const char* name = "irp-returned";    Address irp; Address driver; std::uint8_t location; std::int32_t status;
                        template <class V> void fields(V&& v) const { v("irp", irp); v("driver", driver); v("location", location); v("status", status); } };
// Completion goes past this stack location, which was, or was not, marked pending.
struct IrpLocationDone { static constexpr const char* name = "irp-location-done"; Address irp; std::uint8_t location; bool pending;
                         template <class V> void fields(V&& v) const { v("irp", irp); v("location", location); v("pending", pending); } };
struct IrpCompleted   { static constexpr const char* name = "irp-completed";   Address irp; std::int32_t status; std::uint64_t information;
                        template <class V> void fields(V&& v) const { v("irp", irp); v("status", status); v("information", information); } };
struct IrpCancelled   { static constexpr const char* name = "irp-cancelled";   Address irp; bool routine_called;
                        template <class V> void fields(V&& v) const { v("irp", irp); v("routine_called", routine_called); } };
// `text` is valid during the call only.
struct DebugPrinted   { static constexpr const char* name = "debug-printed";   const char* text; std::uint32_t length;
                        template <class V> void fields(V&& v) const { v("text", text); v("length", length); } };
// `pageable`: the address, p1, is that of pageable memory.
struct Bugchecked     { static constexpr const char* name = "bugchecked";      std::uint32_t code; std::uint64_t p1; std::uint64_t p2; std::uint64_t p3; std::uint64_t p4; bool pageable = false;
                        template <class V> void fields(V&& v) const { v("code", code); v("p1", Address::at(p1)); v("p2", Address::at(p2)); v("p3", Address::at(p3)); v("p4", Address::at(p4)); v("pageable", pageable); } };

// clang-format on

using Event =
    std::variant<ActivityBegan, ActivityEnded, RoutineEntered, IrqlChanged, DpcQueued, DpcRefused, DpcRemoved, DpcTargeted, DrainRequested,
                 DrainBegan, DrainEnded, LockAcquired, LockReleased, LockInitialized, ObjectInitialized, OrderReleased, OrderAcquired, KernelAccess,
                 KernelRead, InterruptRequested, LineChanged, UnexpectedInterrupt, IpiSent, InterruptConnected, IsrAnswered, InterruptActivated,
                 DisconnectedWhileAsserting, ClockTicked, ClockIntervalChanged, DpcThresholdChanged, GenericCallBegan, GenericCallEnded,
                 WatchdogReloaded, YieldAdvised, TimerSet, TimerCancelled, TimerExpired, ObjectSignalled, WaitBegan, WaitEnded, ThreadCreated,
                 ThreadReadied, ThreadSwitched, ThreadEnded, AffinityChanged, WorkQueued, PoolAllocated, PoolFreed, Stalled, RegisterAccessed,
                 ImageUnloading, IrpSent, IrpReturned, IrpLocationDone, IrpCompleted, IrpCancelled, DebugPrinted, Bugchecked, DmaAccessed>;

}  // namespace kdpc
