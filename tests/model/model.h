// The reference model: NT's DPC, timer, wait and scheduling rules (SEMANTICS 1 to 8) once more, written to be obviously right. Plain lists, plain
// loops, one host thread, nothing shared with the kernel but the table of options.
//
// Time. Every operation costs nothing; only stalls, waits, and IPIs, which travel for kIpiLatency, let time pass. So a run is a sequence of
// instants. At an instant, first the devices, the clocks and the IPIs that are due interrupt; then each processor that has something to do, the
// lowest number first, does all of it, until it stalls or halts. Nobody can interfere with it within the instant, because an IPI arrives later.
//
// Control. A processor has a stack of frames: what its current thread does lies beneath; a drain (SEMANTICS 6.2), the DPC routine that it
// calls, a service routine that interrupted that, lie above. The topmost one goes on by one action at a time, and between two actions the processor
// takes every interrupt that its IRQL lets through: hardware by level, then the DISPATCH interrupt.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <set>
#include <vector>

#include "tests/model/operations.h"
#include "tests/model/steps.h"

namespace kdpc::model {

class Model {
 public:
  Model(const Program& program, const Beginning& beginning);
  // Until `limit` steps have been taken, or nothing has been performed for kPatience.
  void run(std::size_t limit);
  std::vector<Step> steps;
  template <class Observer>
  void observe(Observer& observer) const;

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  static constexpr unsigned kDispatch = 2, kClockLevel = 13, kIpiLevel = 14;

  struct Processor;
  struct Thread;

  // -- objects ----------------------------------------------------------------------------------------------------------------------------

  enum class Type : std::uint8_t { Ordinary = 0x13, Threaded = 0x1A };
  enum Importance : std::uint8_t { Low, Medium, High, MediumHigh };
  struct Dpc {
    Type type = Type::Ordinary;
    std::uint8_t importance = Medium;
    int target = -1;  // -1: untargeted
    std::uint64_t context = 0, argument1 = 0, argument2 = 0;
    bool queued = false;
    int script = -1;  // of the driver's; -1: a flush's own
  };
  // Whoever waits for an object, and what the wait returns if this object ends it.
  struct Waiter {
    Thread* thread;
    int key;
    bool with_others = false;  // only if all others it waits for are signalled too
  };
  struct Object {
    enum class Gives : std::uint8_t { All, One, Count } gives = Gives::All;  // notification, synchronization, semaphore
    int signal = 0;
    std::deque<Waiter> waiters;  // oldest first
  };
  struct Timer : Object {
    bool inserted = false;
    std::uint64_t due = 0;  // interrupt time
    bool absolute = false;  // follows the system time (TIM-2)
    std::uint32_t period = 0;
    Dpc* dpc = nullptr;
    unsigned table = 0;
    std::uint64_t name = 0;  // as observed
  };

  // -- control ----------------------------------------------------------------------------------------------------------------------------

  struct Source {
    SourcePlan plan;
    std::uint64_t due = kNever;
    bool asserted = false, active = true;
    std::uint64_t calls = 0, claims = 0;
  };

  // Somebody who performs a script. `then` says what is left to do of the operation under way.
  enum class Then : std::uint8_t { Next, Stalling, Waited, FlushSend, FlushDone, BothResults, Record, Leave };
  struct Actor {
    int script = -1;
    Where where = Where::Thread;
    unsigned entry = 0;  // the IRQL it was called at, and returns at
    Then then = Then::Next;
    Then after_wait = Then::Record;
    std::uint32_t index = 0;
    std::int64_t result = 0, first_result = 0;
    std::uint64_t until = 0;  // of a stall
    unsigned sent = 0;        // of a flush
  };
  // The routine of a DPC on its way to its call: copies, because the object is its owner's again (INS-6, TIM-21).
  struct Call {
    Dpc* dpc = nullptr;
    int script = -1;
    std::uint64_t context = 0, argument1 = 0, argument2 = 0;
  };
  struct Frame {
    enum class What : std::uint8_t { Drain, Routine, Service } what;
    unsigned interrupted = 0;  // the IRQL to go back to
    // Drain:
    enum class At : std::uint8_t { Top, Expire, Batch, Queue, End } at = At::Top;
    bool from_idle = false;
    bool charges = false;  // the thread again when it is over
    std::uint64_t stamp = 0;
    std::deque<Call> batch;
    bool more = false;  // than this batch
    // Routine, Service:
    Actor actor;
    // Service:
    unsigned vector = 0;
    std::vector<Source*> chain;
    std::size_t place = 0;  // whose turn it is
    bool again = false;     // a latched chain is to be walked once more (INT-15)
    enum class Turn : std::uint8_t { Call, Runs, Over, Skipped } turn = Turn::Call;
    bool mine = false;  // its device had interrupted
  };

  enum class ThreadState : std::uint8_t { Initialized, Ready, Standby, Running, Waiting, Terminated };
  struct Thread {
    std::uint64_t name = 0;  // as observed
    bool idle = false;
    Processor* serves = nullptr;  // of a DPC thread: whose queue
    bool serving = false;         // its routine runs
    ThreadState state = ThreadState::Initialized;
    int priority = 0, base = 0, quantum = 0;
    int saturation = 0;          // the base is as high (1) or low (-1) as it goes
    std::int64_t uncharged = 0;  // ns that have not been taken from the quantum
    bool preempted = false;
    unsigned processor = 0, ideal = 0;
    std::uint64_t affinity = 0, user_affinity = 0;
    unsigned irql = 0;  // while it does not run
    Actor actor;
    // Its wait:
    std::vector<Object*> waits_for;
    Timer limit;
    std::int64_t wait_result = 0;
    bool leaves_dispatcher = false;  // when it runs again
  };

  struct Processor {
    unsigned number = 0;
    unsigned irql = kDispatch;
    std::vector<Frame> frames;
    std::uint64_t wakes = kNever;  // when the stall of whoever runs here is over

    // Interrupts: what is due when, what is pending.
    std::uint64_t clock_at = kNever, ipi_at = kNever;
    std::uint64_t next_clock = 0, next_tick = 0, last_clock = 0;  // when the next interrupt, the next full tick is due; when the last one was
    bool clock_pending = false, ipi_pending = false;
    bool ipi_asks = false, ipi_rearms = false;
    std::set<unsigned> pending_vectors;
    bool dispatch_requested = false;

    // DPCs (SEMANTICS 3.2, 3.3).
    std::deque<Dpc*> queue, threaded_queue;
    std::uint32_t inserted = 0;
    bool active = false, requested = false;
    int maximum_depth = 0;
    std::uint32_t rate = 0, last_count = 0, countdown = 0;
    bool thread_requested = false, thread_active = false, thread_signal = false;
    Dpc* active_dpc = nullptr;  // RET-7
    Dpc* active_threaded_dpc = nullptr;
    Object dpc_event;
    Thread* dpc_thread = nullptr;

    // Timers.
    std::deque<Timer*> timers;  // by due time; of equal ones the first inserted first
    bool timer_request = false;

    // Threads.
    Thread* current = nullptr;
    Thread* next = nullptr;
    Thread* idle_thread = nullptr;
    std::array<std::deque<Thread*>, 32> ready;
    bool idle = true, halted = true, quantum_end = false;
    bool woken = false;                    // from the halt
    std::uint64_t charges_since = kNever;  // its thread's run time
  };

  // -- the machine ------------------------------------------------------------------------------------------------------------------------

  bool advance();  // to the next instant; false: there is none, or it is too far away
  void run_processor(Processor& p);
  bool take_interrupt(Processor& p);
  void take_clock(Processor& p);
  void take_quantum(Processor& p);
  void arm_clock(Processor& p);
  std::uint64_t next_clock(const Processor& p) const;
  void rearm_clock(Processor& p);
  void request_clock(Processor& here, Processor& target);
  void put_off_ticks(Processor& p);
  void resume_ticks(Processor& p);
  std::int64_t set_resolution(Processor& here, std::uint32_t desired, bool set);
  bool may_put_off_ticks(const Processor& p) const { return options_.idle_ticks != Options::IdleTicks::All && p.number != 0; }
  void begin_charging(Processor& p);
  void stop_charging(Processor& p);
  void charge_again(Processor& p);
  bool go_on(Processor& p);  // one action of the topmost frame; false: nothing more at this instant
  bool go_on_idle(Processor& p);
  bool go_on_thread(Processor& p, Thread& thread);
  bool go_on_dpc_thread(Processor& p, Thread& thread);
  void go_on_drain(Processor& p);
  void leave_dispatch_interrupt(Processor& p);
  bool go_on_service(Processor& p);
  void end_of_interrupt(Processor& p, unsigned vector);
  Processor& target_of(unsigned vector);
  void interrupt_from(Source& source);
  bool is_routed(unsigned vector) const;
  void set_active(Source& source, bool active);
  bool go_on_actor(Processor& p, Actor& actor, bool& finished);
  void perform(Processor& p, Actor& actor, const Operation& operation);
  void record(const Processor& p, const Actor& actor, std::uint32_t index, std::int64_t result);
  void begin_routine(Processor& p, const Call& call);
  void begin(Processor& p, Actor& actor, const Call& call, Where where);

  // -- the rules --------------------------------------------------------------------------------------------------------------------------

  bool is_threaded(const Dpc& dpc) const;
  unsigned target_of(const Dpc& dpc, const Processor& here) const;
  bool insert(Processor& here, Dpc& dpc, std::uint64_t argument1, std::uint64_t argument2);
  bool is_deep(const Processor& p) const;
  bool wants_drain(const Dpc& dpc, const Processor& here, const Processor& target) const;
  bool remove(Dpc& dpc);
  void request_dispatch(Processor& here, Processor& target);
  bool has_work(const Processor& p) const { return !p.queue.empty() || p.timer_request; }
  void adapt(Processor& p);

  std::deque<Timer*>& table_for(Processor& p);
  unsigned table_of(const Timer& timer, const Processor& here) const;
  void insert_timer(Processor& here, Timer& timer, std::uint64_t due);
  void remove_timer(Timer& timer);
  bool set_timer(Processor& here, Timer& timer, std::int64_t due, std::uint32_t period, Dpc* dpc);
  bool cancel_timer(Timer& timer);
  void set_system_time(Processor& here, std::int64_t by);
  void announce(Processor& here, Processor& where);
  void expire(Processor& here, Timer& timer);
  void expire_batch(Processor& p, Frame& drain);
  std::uint64_t system_time() const { return interrupt_time_ + system_time_offset_; }

  std::int64_t set_event(Processor& here, Object& event, int increment);
  void signal(Processor& here, Object& object, int increment);
  static bool try_to_take(const std::vector<Object*>& objects, bool all, std::int64_t& result);
  // False: the thread blocks, and finds its result in wait_result.
  bool wait(Processor& p, const std::vector<Object*>& objects, bool all, std::int64_t limit, std::uint64_t base, std::int64_t& result);
  void wait_then(Processor& p, Actor& actor, Then next, const std::vector<Object*>& objects, bool all, std::int64_t limit, std::uint64_t base);
  void end_wait(Processor& here, Thread& thread, int increment, std::int64_t result);
  void boost(Thread& thread, int increment);
  void ready(Processor& here, Thread& thread);
  Processor& choose_processor(const Thread& thread);
  void stand_by(Thread& thread, Processor& target);
  static Thread* take_ready(Processor& p, int at_least);
  Thread& take_next(Processor& p);
  void switch_to(Processor& p, Thread& next);
  void give_way(Processor& p, Thread& next);
  void dispatcher_exit(Processor& p);
  void end_quantum(Processor& p);
  static void decay(Thread& thread);
  static void take(Object& object);
  void yield(Processor& p);
  std::int64_t set_base_priority(Processor& here, Thread& thread, int increment);
  void set_affinity(Processor& p, std::uint64_t affinity);
  void set_priority(Processor& here, Thread& thread, int priority);
  void reconsider_standby(Processor& here, Thread& thread);
  void set_idle(Processor& p, bool idle);

  Object& waitable(unsigned number);

  const Program& program_;
  const Options& options_;
  std::size_t limit_ = 0;
  std::uint64_t now_ = 0, last_step_ = 0;
  std::uint64_t clock_epoch_ = 0, interrupt_time_ = 0, tick_count_ = 0, system_time_offset_ = 0, start_of_time_ = 0;
  std::uint64_t interval_ = 156'250, interval_asked_ = 156'250;  // 100 ns: of the clock (TIM-18)
  unsigned interval_requests_ = 0;
  std::vector<Processor> processors_;
  std::vector<bool> idle_processors_;
  std::vector<Dpc> dpcs_;
  std::vector<Timer> timers_;
  Timer start_;
  std::vector<Object> events_, semaphores_;
  std::vector<Thread> threads_, idle_threads_, dpc_threads_;
  std::vector<Source> sources_;
  std::array<bool, 256> in_service_{};  // by vector
  std::vector<std::size_t> cursors_;    // by script: what is performed next
  // KeFlushQueuedDpcs.
  Object flush_turn_, flush_done_;
  unsigned flush_remaining_ = 0;
  std::vector<std::array<Dpc, 2>> flush_dpcs_;
};

// -- what can be observed: the same list as kernel_run.cc makes of the kernel ------------------------------------------------------------------

template <class Observer>
void Model::observe(Observer& o) const {
  const auto name = [](const Thread* thread) { return thread == nullptr ? kNobody : thread->name; };
  o.add("interrupt time", 0, interrupt_time_);
  o.add("tick count", 0, tick_count_);
  o.add("system time", 0, system_time());
  o.add("clock interval", 0, interval_);
  for (const Processor& p : processors_) {
    const std::size_t n = p.number;
    o.add("irql", n, p.irql);
    o.add("dispatch requested", n, p.dispatch_requested);
    for (const Source& source : sources_) o.add("vector pending", n, p.pending_vectors.count(source.plan.vector));
    o.add("current thread", n, name(p.current));
    o.add("next thread", n, name(p.next));
    o.add("idle", n, p.idle);
    o.add("in the set of idle processors", n, idle_processors_[n]);
    o.add("halted", n, p.halted);
    o.add("quantum end", n, p.quantum_end);
    o.add("timer request", n, p.timer_request);
    o.add("drain active", n, p.active);
    o.add("drain requested", n, p.requested);
    o.add("maximum depth", n, static_cast<std::uint64_t>(p.maximum_depth));
    o.add("DPC rate", n, p.rate);
    o.add("adjust countdown", n, p.countdown);
    o.add("DPCs ever inserted", n, p.inserted);
    o.add("DPC depth", n, p.queue.size());
    const auto dpc_name = [&](const Dpc* dpc) { return dpc->script < 0 ? kStranger : static_cast<std::uint64_t>(dpc - dpcs_.data()); };
    for (const Dpc* dpc : p.queue) o.add("queued DPC", n, dpc_name(dpc));
    o.add("threaded DPC depth", n, p.threaded_queue.size());
    for (const Dpc* dpc : p.threaded_queue) o.add("queued threaded DPC", n, dpc_name(dpc));
    o.add("active DPC", n, p.active_dpc == nullptr ? kNobody : dpc_name(p.active_dpc));
    o.add("active threaded DPC", n, p.active_threaded_dpc == nullptr ? kNobody : dpc_name(p.active_threaded_dpc));
    o.add("DPC thread requested", n, p.thread_requested);
    o.add("DPC thread active", n, p.thread_active);
    o.add("DPC thread to be woken", n, p.thread_signal);
    for (std::size_t priority = 32; priority-- > 0;)
      for (const Thread* thread : p.ready[priority]) o.add("ready thread", n, priority << 32 | thread->name);
    for (const Timer* timer : p.timers) {
      o.add("timer in table", n, timer->name);
      o.add("its due time", n, timer->due);
    }
  }
  for (std::size_t i = 0; i < dpcs_.size(); ++i) {
    const Dpc& dpc = dpcs_[i];
    o.add("KDPC type", i, static_cast<std::uint64_t>(dpc.type));
    o.add("KDPC importance", i, dpc.importance);
    o.add("KDPC target", i, static_cast<std::uint64_t>(dpc.target));
    o.add("KDPC context", i, dpc.context);
    o.add("KDPC argument 1", i, dpc.argument1);
    o.add("KDPC argument 2", i, dpc.argument2);
    o.add("KDPC queued", i, dpc.queued);
  }
  for (std::size_t i = 0; i < timers_.size(); ++i) {
    const Timer& timer = timers_[i];
    o.add("KTIMER resets", i, timer.gives == Object::Gives::One);
    o.add("KTIMER inserted", i, timer.inserted);
    o.add("KTIMER signal", i, static_cast<std::uint64_t>(timer.signal));
    o.add("KTIMER due time", i, timer.due);
    o.add("KTIMER period", i, timer.period);
    for (const Waiter& waiter : timer.waiters) o.add("waits for timer", i, waiter.thread->name);
  }
  for (std::size_t i = 0; i < events_.size(); ++i) {
    o.add("KEVENT signal", i, static_cast<std::uint64_t>(events_[i].signal));
    for (const Waiter& waiter : events_[i].waiters) o.add("waits for event", i, waiter.thread->name);
  }
  for (std::size_t i = 0; i < semaphores_.size(); ++i) {
    o.add("KSEMAPHORE signal", i, static_cast<std::uint64_t>(semaphores_[i].signal));
    for (const Waiter& waiter : semaphores_[i].waiters) o.add("waits for semaphore", i, waiter.thread->name);
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    o.add("line asserted", i, sources_[i].asserted);
    o.add("KINTERRUPT calls", i, sources_[i].calls);
    o.add("KINTERRUPT claims", i, sources_[i].claims);
  }
  const auto observe_thread = [&](const Thread& thread) {
    o.add("thread state", thread.name, static_cast<std::uint64_t>(thread.state));
    o.add("thread priority", thread.name, static_cast<std::uint64_t>(thread.priority));
    o.add("thread base priority", thread.name, static_cast<std::uint64_t>(thread.base));
    o.add("thread time not charged", thread.name, static_cast<std::uint64_t>(thread.uncharged));
    o.add("thread ideal processor", thread.name, thread.ideal);
    o.add("thread affinity", thread.name, thread.affinity);
    o.add("thread quantum", thread.name, static_cast<std::uint64_t>(thread.quantum));
    o.add("thread processor", thread.name, thread.processor);
    o.add("thread preempted", thread.name, thread.preempted);
  };
  for (const Thread& thread : threads_) observe_thread(thread);
  if (options_.threaded_dpc == Options::ThreadedDpc::Enabled)
    for (const Thread& thread : dpc_threads_) observe_thread(thread);
}

}  // namespace kdpc::model
