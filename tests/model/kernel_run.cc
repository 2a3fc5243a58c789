#include "tests/model/kernel_run.h"

#include <wdm.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "kdpc/test.h"
#include "kernel/system.h"
#include "machine/sim/state.h"
#include "wdk/cast.h"

namespace kdpc::model {

namespace {

using namespace std::chrono_literals;

// The sources of interrupts, one line each.
class SourceBoard : public Board {
 public:
  explicit SourceBoard(const Program& program) : program_(program) { std::fill(std::begin(due_), std::end(due_), kNever); }
  void attach(BoardHost& host) override { host_ = &host; }
  std::span<Device* const> devices() override { return {}; }
  unsigned lines() const override { return static_cast<unsigned>(program_.sources.size()); }
  bool line_is_level(unsigned line) const override { return program_.sources[line].level; }
  Nanoseconds next_event() const override { return *std::min_element(std::begin(due_), std::end(due_)); }
  Nanoseconds advance_to(Nanoseconds until) override {
    for (unsigned line = 0; line < lines(); ++line) {
      if (due_[line] > until) continue;
      due_[line] = kNever;
      if (asserted_[line]) continue;
      asserted_[line] = true;
      host_->set_line(line, true);
    }
    return until;
  }

  void interrupt_at(unsigned line, Nanoseconds when) {
    if (due_[line] == kNever) due_[line] = when;
  }
  // Returns whether it was this one.
  bool quiet(unsigned line) {
    const bool was_asserted = asserted_[line];
    asserted_[line] = false;
    if (was_asserted) host_->set_line(line, false);
    return was_asserted;
  }
  bool is_asserted(unsigned line) const { return asserted_[line]; }

 private:
  const Program& program_;
  BoardHost* host_ = nullptr;
  Nanoseconds due_[kMaxSources];
  bool asserted_[kMaxSources] = {};
};

// The driver's objects, and what its routines leave for the host.
struct Driver {
  const Program* program = nullptr;
  KDPC dpcs[kMaxDpcs];
  KTIMER timers[kMaxTimers];
  KEVENT events[kMaxEvents];
  KTIMER start;
  Thread* threads[kMaxPlannedThreads];
  PKINTERRUPT interrupts[kMaxSources];
  SourceBoard* board = nullptr;
  std::uint64_t system_time_offset;
  std::vector<std::size_t> cursors;  // by script
  std::vector<Step> steps;
  std::size_t limit = 0;
  std::size_t list_step = kNoListing;
  Listing listing;
  std::uint64_t last_step = 0;
  bool over = false;
  bool recording = false;
};
Driver driver;

// -- what can be observed: the same list as Model::observe() makes ------------------------------------------------------------------------------

std::uint64_t name_of(const Thread* thread) {
  if (thread == nullptr) return kNobody;
  if (thread->is_idle) return kIdleThread + thread->processor;
  if (thread->name[0] == 'm' && thread->name[2] == 0) return static_cast<std::uint64_t>(thread->name[1] - 'A');
  for (unsigned number = 0; number < sys().processor_count; ++number)
    if (processor(number).dpc_thread == thread) return kDpcThread + number;
  return kStranger;
}

std::uint64_t name_of(const Dpc* dpc) {
  const KDPC* mine = reinterpret_cast<const KDPC*>(dpc);
  return mine >= driver.dpcs && mine < driver.dpcs + kMaxDpcs ? static_cast<std::uint64_t>(mine - driver.dpcs) : kStranger;
}

std::uint64_t name_of(const Timer* timer) {
  const KTIMER* mine = reinterpret_cast<const KTIMER*>(timer);
  if (mine >= driver.timers && mine < driver.timers + kMaxTimers) return static_cast<std::uint64_t>(mine - driver.timers);
  if (mine == &driver.start) return kStartTimer;
  for (unsigned i = 0; i < driver.program->threads.size(); ++i)
    if (timer == &driver.threads[i]->timer) return kTimerOfThread + i;
  return kStranger;
}

template <class Observer, class Function>
void for_each(Observer&, const List& list, Function function) {
  for (Link* link = list.first(); link != nullptr; link = list.after(link)) function(link);
}

template <class Observer>
void observe_waiters(Observer& o, const char* what, std::size_t whose, const List& list) {
  for_each(o, list, [&](Link* link) { o.add(what, whose, name_of(owner_of<&WaitBlock::link>(link)->thread)); });
}

template <class Observer>
void observe(Observer& o) {
  const Program& program = *driver.program;
  o.add("interrupt time", 0, sys().interrupt_time);
  o.add("tick count", 0, sys().tick_count);
  for (std::size_t n = 0; n < program.processors; ++n) {
    const Processor& p = processor(static_cast<unsigned>(n));
    const sim::Slot& slot = sim::state().slots[n];
    o.add("irql", n, static_cast<std::uint64_t>(slot.irql));
    o.add("dispatch requested", n, (slot.requests & kDispatchRequest) != 0);
    for (const SourcePlan& source : program.sources) o.add("vector pending", n, slot.pending.has(source.vector));
    o.add("current thread", n, name_of(p.current_thread));
    o.add("next thread", n, name_of(p.next_thread));
    o.add("idle", n, p.idle);
    o.add("in the set of idle processors", n, sys().idle_processors.has(static_cast<unsigned>(n)));
    o.add("halted", n, p.halted);
    o.add("quantum end", n, p.quantum_end);
    o.add("timer request", n, p.timer_request);
    o.add("drain active", n, p.dpc_routine_active);
    o.add("drain requested", n, p.dpc_interrupt_requested);
    o.add("maximum depth", n, static_cast<std::uint64_t>(p.maximum_dpc_queue_depth));
    o.add("DPC rate", n, p.dpc_request_rate);
    o.add("adjust countdown", n, p.adjust_dpc_countdown);
    o.add("DPCs ever inserted", n, p.dpcs.inserted());
    o.add("DPC depth", n, static_cast<std::uint64_t>(p.dpcs.depth()));
    for_each(o, p.dpcs.dpcs(), [&](Link* link) { o.add("queued DPC", n, name_of(owner_of<&Dpc::link>(link))); });
    o.add("threaded DPC depth", n, static_cast<std::uint64_t>(p.threaded_dpcs.depth()));
    for_each(o, p.threaded_dpcs.dpcs(), [&](Link* link) { o.add("queued threaded DPC", n, name_of(owner_of<&Dpc::link>(link))); });
    o.add("DPC thread requested", n, p.dpc_thread_requested);
    o.add("DPC thread active", n, p.dpc_thread_active);
    o.add("DPC thread to be woken", n, p.dpc_thread_signal);
    for (std::size_t priority = 32; priority-- > 0;)
      for_each(o, p.ready.lists[priority],
               [&](Link* link) { o.add("ready thread", n, priority << 32 | name_of(owner_of<&Thread::queue_link>(link))); });
    for_each(o, p.timers.timers(), [&](Link* link) {
      const Timer* timer = owner_of<&Timer::link>(link);
      o.add("timer in table", n, name_of(timer));
      o.add("its due time", n, timer->due_time);
    });
  }
  for (std::size_t i = 0; i < program.dpcs; ++i) {
    const KDPC& dpc = driver.dpcs[i];
    o.add("KDPC type", i, dpc.Type);
    o.add("KDPC importance", i, dpc.Importance);
    o.add("KDPC target", i, static_cast<std::uint64_t>(dpc.Number == 0 ? -1 : dpc.Number - int{Dpc::kTargeted}));
    o.add("KDPC context", i, reinterpret_cast<std::uint64_t>(dpc.DeferredContext));
    o.add("KDPC argument 1", i, reinterpret_cast<std::uint64_t>(dpc.SystemArgument1));
    o.add("KDPC argument 2", i, reinterpret_cast<std::uint64_t>(dpc.SystemArgument2));
    o.add("KDPC queued", i, dpc.DpcData != nullptr);
  }
  for (std::size_t i = 0; i < program.timers; ++i) {
    const Timer& timer = wdk::as_timer(&driver.timers[i]);
    o.add("KTIMER resets", i, timer.header.type == static_cast<std::uint8_t>(ObjectType::SynchronizationTimer));
    o.add("KTIMER inserted", i, timer.header.inserted);
    o.add("KTIMER signal", i, static_cast<std::uint64_t>(timer.header.signal_state));
    o.add("KTIMER due time", i, timer.due_time);
    o.add("KTIMER period", i, timer.period);
    observe_waiters(o, "waits for timer", i, timer.header.waiters);
  }
  for (std::size_t i = 0; i < program.events; ++i) {
    const DispatcherHeader& event = wdk::as_event(&driver.events[i]).header;
    o.add("KEVENT signal", i, static_cast<std::uint64_t>(event.signal_state));
    observe_waiters(o, "waits for event", i, event.waiters);
  }
  for (unsigned i = 0; i < program.sources.size(); ++i) {
    o.add("line asserted", i, driver.board->is_asserted(i));
    std::uint64_t calls = 0, claims = 0;
    for (const Interrupt* object = &wdk::as_interrupt(driver.interrupts[i]); object != nullptr; object = object->sibling) {
      calls += object->dispatch_count;
      claims += object->service_count;
    }
    o.add("KINTERRUPT calls", i, calls);
    o.add("KINTERRUPT claims", i, claims);
  }
  const auto observe_thread = [&](const Thread& thread, std::uint64_t name) {
    o.add("thread state", name, static_cast<std::uint64_t>(thread.state));
    o.add("thread priority", name, thread.priority);
    o.add("thread quantum", name, static_cast<std::uint64_t>(thread.quantum));
    o.add("thread processor", name, thread.processor);
    o.add("thread preempted", name, thread.preempted);
  };
  for (std::size_t i = 0; i < program.threads.size(); ++i) observe_thread(*driver.threads[i], i);
  if (program.options.threaded_dpc == Options::ThreadedDpc::Enabled)
    for (unsigned n = 0; n < program.processors; ++n) observe_thread(*processor(n).dpc_thread, kDpcThread + n);
}

void record(unsigned script, std::uint32_t index, std::int64_t result) {
  const sim::Slot& slot = sim::current();
  if (driver.over || !driver.recording) return;
  if (driver.steps.size() >= driver.limit || slot.time > driver.last_step + kPatience) {
    driver.over = true;
    return;
  }
  driver.last_step = slot.time;
  if (driver.steps.size() == driver.list_step) observe(driver.listing);
  Digest digest;
  observe(digest);
  driver.steps.push_back({slot.time, static_cast<std::uint16_t>(script), static_cast<std::uint8_t>(slot.number), static_cast<std::uint8_t>(slot.irql),
                          index, result, digest.value()});
}

// -- the driver -----------------------------------------------------------------------------------------------------------------------------

LARGE_INTEGER time_of(const Operation& operation) {
  LARGE_INTEGER time;
  time.QuadPart = operation.time;
  if (operation.time >= kAbsolute) time.QuadPart += static_cast<std::int64_t>(driver.system_time_offset) - kAbsolute;
  return time;
}

void* number(std::uint64_t value) { return reinterpret_cast<void*>(value); }

PVOID waitable(unsigned which) {
  const unsigned events = driver.program->events;
  return which < events ? static_cast<PVOID>(&driver.events[which]) : &driver.timers[which - events];
}

VOID NTAPI dpc_routine(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2);

std::int64_t wait_for(const Operation& operation) {
  LARGE_INTEGER limit = time_of(operation);
  LARGE_INTEGER* const timeout = operation.time == kForEver ? nullptr : &limit;
  PVOID objects[3];
  ULONG count = 0;
  for (const unsigned which : {operation.object, operation.other, operation.third})
    if (which != kNone) objects[count++] = waitable(which);
  if (operation.kind == Kind::WaitForOne) return KeWaitForSingleObject(objects[0], Executive, KernelMode, FALSE, timeout);
  return KeWaitForMultipleObjects(count, objects, operation.kind == Kind::WaitForAll ? WaitAll : WaitAny, Executive, KernelMode, FALSE, timeout,
                                  nullptr);
}

std::int64_t perform(const Operation& operation) {
  KDPC* const dpc = &driver.dpcs[operation.object % kMaxDpcs];
  KTIMER* const timer = &driver.timers[operation.object % kMaxTimers];
  KEVENT* const event = &driver.events[operation.object % kMaxEvents];
  LARGE_INTEGER time = time_of(operation);
  switch (operation.kind) {
    case Kind::Return: return 0;
    case Kind::Stall: KeStallExecutionProcessor(static_cast<ULONG>(operation.time)); return 0;
    case Kind::InsertDpc: return KeInsertQueueDpc(dpc, number(operation.value), number(operation.other));
    case Kind::RemoveDpc: return KeRemoveQueueDpc(dpc);
    case Kind::SetImportance: KeSetImportanceDpc(dpc, static_cast<KDPC_IMPORTANCE>(operation.value)); return 0;
    case Kind::SetTarget: KeSetTargetProcessorDpc(dpc, static_cast<CCHAR>(operation.value)); return 0;
    case Kind::SetTargetEx: {
      PROCESSOR_NUMBER processor_number = {0, operation.value, 0};
      return KeSetTargetProcessorDpcEx(dpc, &processor_number);
    }
    case Kind::InitializeDpc:
      (operation.value != 0 ? KeInitializeThreadedDpc : KeInitializeDpc)(dpc, dpc_routine,
                                                                         number(operation.object | std::uint64_t{operation.other} << 8));
      return 0;
    case Kind::Raise: {
      KIRQL old = 0;
      KeRaiseIrql(operation.value, &old);
      return old;
    }
    case Kind::Lower: KeLowerIrql(operation.value); return 0;
    case Kind::SetTimer:
    case Kind::SetCoalescableTimer: {
      KDPC* const its_dpc = operation.other == kNone ? nullptr : &driver.dpcs[operation.other];
      if (operation.kind == Kind::SetCoalescableTimer) return KeSetCoalescableTimer(timer, time, operation.period, 31, its_dpc);
      return operation.period == 0 ? KeSetTimer(timer, time, its_dpc) : KeSetTimerEx(timer, time, static_cast<LONG>(operation.period), its_dpc);
    }
    case Kind::CancelTimer: return KeCancelTimer(timer);
    case Kind::ReadTimer: return KeReadStateTimer(timer);
    case Kind::InitializeTimer: KeInitializeTimerEx(timer, operation.value != 0 ? SynchronizationTimer : NotificationTimer); return 0;
    case Kind::SetEvent: return KeSetEvent(event, operation.value, FALSE);
    case Kind::ResetEvent: return KeResetEvent(event);
    case Kind::PulseEvent: return KePulseEvent(event, operation.value, FALSE);
    case Kind::ReadEvent: return KeReadStateEvent(event);
    case Kind::WaitForOne:
    case Kind::WaitForAny:
    case Kind::WaitForAll: return wait_for(operation);
    case Kind::Delay: return KeDelayExecutionThread(KernelMode, FALSE, &time);
    case Kind::Flush: KeFlushQueuedDpcs(); return 0;
    case Kind::SetPriority: return KeSetPriorityThread(wdk::as_kthread(*driver.threads[operation.object]), operation.value);
    case Kind::Interrupt:
      driver.board->interrupt_at(operation.object, sim::current().time + static_cast<std::uint64_t>(operation.time) * 1000);
      return 0;
    case Kind::QueryTime: return static_cast<std::int64_t>(KeQueryInterruptTime());
    case Kind::QueryTickCount: KeQueryTickCount(&time); return time.QuadPart;
    case Kind::QueryExecuting: return KeIsExecutingDpc();
  }
  return 0;
}

// Is its object in a state in which that can be done at all?
bool is_possible(const Operation& operation) {
  if (operation.kind == Kind::InitializeDpc) return driver.dpcs[operation.object].DpcData == nullptr;
  if (operation.kind != Kind::InitializeTimer) return true;
  const DispatcherHeader& header = wdk::as_timer(&driver.timers[operation.object]).header;
  return header.inserted == 0 && header.waiters.empty();
}

void perform_script(unsigned script, Where where) {
  const Program& program = *driver.program;
  const auto& operations = program.scripts[script];
  const auto entry = static_cast<unsigned>(current_irql());
  while (!driver.over && driver.cursors[script] < operations.size()) {
    const std::size_t index = driver.cursors[script]++;
    const Operation& operation = operations[index];
    if (operation.kind == Kind::Return && where != Where::Thread) break;
    if (!is_legal(operation, where, static_cast<unsigned>(current_irql()), entry, program) || !is_possible(operation)) continue;
    const std::int64_t result = perform(operation);
    record(script, static_cast<std::uint32_t>(index), result);
  }
  if (const auto now = static_cast<unsigned>(current_irql()); now > entry) KeLowerIrql(static_cast<KIRQL>(entry));
}

VOID NTAPI dpc_routine(PKDPC, PVOID context, PVOID argument1, PVOID argument2) {
  const auto bits = reinterpret_cast<std::uint64_t>(context);
  const unsigned script = driver.program->script_of_dpc(bits & 0xff);
  const Where where = current_irql() < Irql::Dispatch ? Where::ThreadedDpc : Where::Dpc;
  record(script, kBegins, begins_with(bits, reinterpret_cast<std::uint64_t>(argument1), reinterpret_cast<std::uint64_t>(argument2)));
  perform_script(script, where);
}

BOOLEAN NTAPI service_routine(PKINTERRUPT, PVOID context) {
  const auto source = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(context));
  const SourcePlan& plan = driver.program->sources[source];
  const unsigned script = driver.program->script_of_source(source);
  const bool mine = driver.board->quiet(source);
  record(script, kBegins, mine);
  perform_script(script, Where::Isr);
  return plan.claims && (mine || !plan.shared);
}

void KDPC_NTAPI thread_routine(void* context) {
  const auto script = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(context));
  KeWaitForSingleObject(&driver.start, Executive, KernelMode, FALSE, nullptr);
  perform_script(script, Where::Thread);
}

void prepare() {
  const Program& program = *driver.program;
  for (unsigned i = 0; i < program.dpcs; ++i) KeInitializeDpc(&driver.dpcs[i], dpc_routine, number(i));
  for (unsigned i = 0; i < program.timers; ++i) KeInitializeTimerEx(&driver.timers[i], i % 2 == 1 ? SynchronizationTimer : NotificationTimer);
  for (unsigned i = 0; i < program.events; ++i) KeInitializeEvent(&driver.events[i], i % 2 == 1 ? SynchronizationEvent : NotificationEvent, FALSE);
  for (unsigned i = 0; i < program.sources.size(); ++i) {
    const SourcePlan& plan = program.sources[i];
    KDPC_EXPECT(IoConnectInterrupt(&driver.interrupts[i], service_routine, number(i), nullptr, plan.vector, plan.vector >> 4, plan.synchronize_irql,
                                   plan.level ? LevelSensitive : Latched, plan.shared, plan.affinity, FALSE) == STATUS_SUCCESS);
  }
  KeInitializeTimer(&driver.start);
  KeSetTimer(&driver.start, LARGE_INTEGER{.QuadPart = kStart}, nullptr);
  for (std::uintptr_t i = 0; i < program.threads.size(); ++i) {
    const ThreadPlan& plan = program.threads[i];
    const char name[] = {'m', static_cast<char>('A' + i), 0};
    ProcessorSet affinity;
    for (unsigned n = 0; n < program.processors; ++n)
      if ((plan.affinity >> n & 1) != 0) affinity.add(n);
    Thread* thread = driver.threads[i] = thread::create(name, thread_routine, number(i), plan.priority, affinity);
    thread::set_ideal_processor(*thread, plan.ideal);
    thread::reference(*thread);  // it is looked at after its end
    thread::start(*thread);
  }
}

Beginning begin() {
  const Program& program = *driver.program;
  Beginning beginning;
  beginning.now = sim::state().time;
  beginning.clock_epoch = sys().clock_epoch;
  beginning.interrupt_time = sys().interrupt_time;
  beginning.tick_count = sys().tick_count;
  beginning.system_time_offset = driver.system_time_offset = static_cast<std::uint64_t>(sys().system_time_offset);
  beginning.start_due = wdk::as_timer(&driver.start).due_time;
  for (unsigned n = 0; n < program.processors; ++n) {
    beginning.inserted.push_back(processor(n).dpcs.inserted());
    beginning.next_clock.push_back(processor(n).next_clock);
    beginning.dpc_thread_quantum.push_back(processor(n).dpc_thread == nullptr ? 0 : processor(n).dpc_thread->quantum);
  }
  for (unsigned i = 0; i < program.threads.size(); ++i) beginning.threads.push_back({driver.threads[i]->processor, driver.threads[i]->quantum});
  const List& waiters = wdk::as_timer(&driver.start).header.waiters;
  for (Link* link = waiters.first(); link != nullptr; link = waiters.after(link))
    beginning.waiting.push_back(static_cast<unsigned>(name_of(owner_of<&WaitBlock::link>(link)->thread)));
  return beginning;
}

// Nothing takes time but stalls, waits, and IPIs on their way.
const lab::Settings kCosts = {{"kernel_call", "0"},
                              {"lock", "0"},
                              {"isr_entry", "0"},
                              {"isr_exit", "0"},
                              {"clock_interrupt", "0"},
                              {"ipi_interrupt", "0"},
                              {"dpc_dispatch", "0"},
                              {"thread_switch", "0"},
                              {"register_memory", "0"},
                              {"register_port", "0"},
                              {"ipi", std::to_string(kIpiLatency)}};

}  // namespace

KernelRun run_kernel(const Program& program, std::size_t limit, std::size_t list_step) {
  KernelRun run;
  SourceBoard board(program);  // outlives the machine
  std::string why;
  const auto machine = lab::Machine::create({.processors = program.processors,
                                             .options = program.settings,
                                             .costs = kCosts,
                                             .memory = std::size_t{8} << 20,
                                             .remember_events = 0,
                                             .hash = false,
                                             .checks = {.on = false}},
                                            why);
  if (machine == nullptr) {
    run.ended = why;
    return run;
  }
  driver = {};
  driver.program = &program;
  driver.board = &board;
  driver.cursors.assign(program.scripts.size(), 0);
  driver.steps.reserve(limit);
  driver.limit = limit;
  driver.list_step = list_step;
  driver.listing.items.reserve(4096);
  const unsigned first_line = machine->attach(board);
  for (unsigned i = 0; i < program.sources.size(); ++i) machine->assign_line(first_line + i, program.sources[i].vector, program.sources[i].level);
  if (machine->on(0, PASSIVE_LEVEL, prepare) && machine->run_for(1ms)) {
    run.beginning = begin();
    driver.last_step = run.beginning.now;
    driver.recording = true;
    machine->run_until([] { return driver.over || driver.steps.size() >= driver.limit || sim::state().time > driver.last_step + kPatience; }, 1h);
  }
  if (machine->outcome().over()) run.ended = machine->outcome().report();
  for (const lab::Note& note : lab::take_notes()) run.ended += note.expression;
  run.steps = std::move(driver.steps);
  run.listing = std::move(driver.listing.items);
  return run;
}

}  // namespace kdpc::model
