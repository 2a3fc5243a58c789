#include "tests/model/kernel_run.h"

#include <chrono>

#include "kdpc/test.h"
#include "tests/model/driver.h"
#include "tests/model/kernel_state.h"

namespace kdpc::model {

namespace {

using namespace std::chrono_literals;

Driver driver;

void record(unsigned script, std::uint32_t index, std::int64_t result) {
  const sim::Slot& slot = sim::current();
  if (driver.over || !driver.recording) return;
  if (driver.steps.size() >= driver.limit || slot.time > driver.last_step + kPatience) {
    driver.over = true;
    return;
  }
  driver.last_step = slot.time;
  if (driver.steps.size() == driver.list_step) KernelState(driver).observe(driver.listing);
  Digest digest;
  KernelState(driver).observe(digest);
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
  if (which < events) return &driver.events[which];
  which -= events;
  return which < driver.program->timers ? static_cast<PVOID>(&driver.timers[which]) : &driver.semaphores[which - driver.program->timers];
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

std::int64_t signal_and_wait(const Operation& operation) {
  LARGE_INTEGER limit = time_of(operation);
  const LONG old = KeSetEvent(&driver.events[operation.object], operation.value, TRUE);
  return std::int64_t{old} << 32 |
         KeWaitForSingleObject(waitable(operation.other), Executive, KernelMode, FALSE, operation.time == kForEver ? nullptr : &limit);
}

void set_active(unsigned source, bool active) {
  IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS parameters = {};
  parameters.Version = CONNECT_FULLY_SPECIFIED;
  parameters.ConnectionContext.InterruptObject = driver.interrupts[source];
  driver.board->set_active(source, active);
  (active ? IoReportInterruptActive : IoReportInterruptInactive)(&parameters);
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
    case Kind::RemoveDpcEx: return KeRemoveQueueDpcEx(dpc, operation.value);
    case Kind::ReleaseSemaphore: return KeReleaseSemaphore(&driver.semaphores[operation.object], operation.value, operation.other, FALSE);
    case Kind::SignalAndWait: return signal_and_wait(operation);
    case Kind::SetBasePriority:
      return KeSetBasePriorityThread(wdk::as_kthread(*driver.threads[operation.object]), static_cast<std::int8_t>(operation.value));
    case Kind::SetIdealProcessor: return KeSetIdealProcessorThread(wdk::as_kthread(*driver.threads[operation.object]), operation.value);
    case Kind::SetAffinity: KeSetSystemAffinityThread(operation.value); return 0;
    case Kind::RevertAffinity: KeRevertToUserAffinityThread(); return 0;
    case Kind::SetActive: set_active(operation.object, operation.value != 0); return 0;
    case Kind::SetResolution: return ExSetTimerResolution(static_cast<ULONG>(operation.time), operation.value);
    case Kind::SetSystemTime: timer::set_system_time(timer::system_time() + static_cast<std::uint64_t>(operation.time)); return 0;
    case Kind::QuerySystemTime: KeQuerySystemTime(&time); return time.QuadPart;
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
  if (operation.kind == Kind::RemoveDpcEx && operation.value != 0) {
    for (unsigned n = 0; n < sys().processor_count; ++n)
      for (const Dpc* active : {processor(n).active_dpc, processor(n).active_threaded_dpc})
        if (active == wdk::as_dpc(&driver.dpcs[operation.object])) return false;
    return true;
  }
  if (operation.kind == Kind::SetActive) {
    const SourcePlan& plan = driver.program->sources[operation.object];
    return !driver.board->is_asserted(operation.object) || (!plan.shared && plan.lowest_processor() == sim::current().number);
  }
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
  for (unsigned i = 0; i < program.semaphores; ++i) KeInitializeSemaphore(&driver.semaphores[i], 0, MAXLONG);
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
    const Processor& p = processor(n);
    beginning.processors.push_back({p.dpcs.inserted(), p.next_clock, p.next_tick, p.last_clock, p.dpc_thread == nullptr ? 0 : p.dpc_thread->quantum});
  }
  for (unsigned i = 0; i < program.threads.size(); ++i)
    beginning.threads.push_back({driver.threads[i]->processor, driver.threads[i]->quantum, driver.threads[i]->uncharged});
  const List& waiters = wdk::as_timer(&driver.start).header.waiters;
  for (Link* link = waiters.first(); link != nullptr; link = waiters.after(link))
    beginning.waiting.push_back(static_cast<unsigned>(KernelState(driver).name_of(owner_of<&WaitBlock::link>(link)->thread)));
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
