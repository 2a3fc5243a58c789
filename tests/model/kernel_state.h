// Everything that can be observed of the kernel while a driver performs a Program: the same list as Model::observe() makes.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel/system.h"
#include "machine/sim/state.h"
#include "tests/model/driver.h"
#include "wdk/cast.h"

namespace kdpc::model {

class KernelState {
 public:
  explicit KernelState(Driver& driver) : driver_(driver) {}

  template <class Observer>
  void observe(Observer& o) const {
    const Program& program = *driver_.program;
    o.add("interrupt time", 0, sys().interrupt_time);
    o.add("tick count", 0, sys().tick_count);
    o.add("system time", 0, sys().interrupt_time + static_cast<std::uint64_t>(sys().system_time_offset));
    o.add("clock interval", 0, sys().clock_interval);
    for (std::size_t n = 0; n < program.processors; ++n) observe_processor(o, n);
    observe_objects(o);
    const auto observe_thread = [&](const Thread& thread, std::uint64_t name) {
      o.add("thread state", name, static_cast<std::uint64_t>(thread.state));
      o.add("thread priority", name, thread.priority);
      o.add("thread base priority", name, thread.base_priority);
      o.add("thread time not charged", name, static_cast<std::uint64_t>(thread.uncharged));
      o.add("thread ideal processor", name, thread.ideal_processor);
      o.add("thread affinity", name, thread.affinity.mask());
      o.add("thread quantum", name, static_cast<std::uint64_t>(thread.quantum));
      o.add("thread processor", name, thread.processor);
      o.add("thread preempted", name, thread.preempted);
    };
    for (std::size_t i = 0; i < program.threads.size(); ++i) observe_thread(*driver_.threads[i], i);
    if (program.options.threaded_dpc == Options::ThreadedDpc::Enabled)
      for (unsigned n = 0; n < program.processors; ++n) observe_thread(*processor(n).dpc_thread, kDpcThread + n);
  }

  std::uint64_t name_of(const Thread* thread) const {
    if (thread == nullptr) return kNobody;
    if (thread->is_idle) return kIdleThread + thread->processor;
    if (thread->name[0] == 'm' && thread->name[2] == 0) return static_cast<std::uint64_t>(thread->name[1] - 'A');
    for (unsigned number = 0; number < sys().processor_count; ++number)
      if (processor(number).dpc_thread == thread) return kDpcThread + number;
    return kStranger;
  }

 private:
  std::uint64_t name_of(const Dpc* dpc) const {
    const KDPC* mine = reinterpret_cast<const KDPC*>(dpc);
    return mine >= driver_.dpcs && mine < driver_.dpcs + kMaxDpcs ? static_cast<std::uint64_t>(mine - driver_.dpcs) : kStranger;
  }

  std::uint64_t name_of(const Timer* timer) const {
    const KTIMER* mine = reinterpret_cast<const KTIMER*>(timer);
    if (mine >= driver_.timers && mine < driver_.timers + kMaxTimers) return static_cast<std::uint64_t>(mine - driver_.timers);
    if (mine == &driver_.start) return kStartTimer;
    for (unsigned i = 0; i < driver_.program->threads.size(); ++i)
      if (timer == &driver_.threads[i]->timer) return kTimerOfThread + i;
    return kStranger;
  }

  template <class Function>
  static void for_each(const List& list, Function function) {
    for (Link* link = list.first(); link != nullptr; link = list.after(link)) function(link);
  }

  // In the order of their runs: what was sent from elsewhere stands in the inbox until the processor next looks.
  template <class Function>
  static void for_each(const DpcQueue& queue, Function function) {
    std::vector<const Dpc*> rest;
    const auto before = [](const Dpc* dpc) { return reinterpret_cast<const Dpc*>(dpc->link.next); };
    for (const Dpc* dpc = queue.last_sent(); dpc != nullptr; dpc = before(dpc)) {
      if (dpc->where.urgent) {
        function(dpc);
      } else {
        rest.push_back(dpc);
      }
    }
    for_each(queue.list(), [&](Link* link) { function(owner_of<&Dpc::link>(link)); });
    for (auto dpc = rest.rbegin(); dpc != rest.rend(); ++dpc) function(*dpc);
  }

  template <class Observer>
  void observe_waiters(Observer& o, const char* what, std::size_t whose, const List& list) const {
    for_each(list, [&](Link* link) { o.add(what, whose, name_of(owner_of<&WaitBlock::link>(link)->thread)); });
  }

  template <class Observer>
  void observe_processor(Observer& o, std::size_t n) const {
    const Processor& p = processor(static_cast<unsigned>(n));
    const sim::Slot& slot = sim::state().slots[n];
    o.add("irql", n, static_cast<std::uint64_t>(slot.irql));
    o.add("dispatch requested", n, (slot.requests & kDispatchRequest) != 0);
    for (const SourcePlan& source : driver_.program->sources) o.add("vector pending", n, slot.pending.has(source.vector));
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
    for_each(p.dpcs, [&](const Dpc* dpc) { o.add("queued DPC", n, name_of(dpc)); });
    o.add("threaded DPC depth", n, static_cast<std::uint64_t>(p.threaded_dpcs.depth()));
    for_each(p.threaded_dpcs, [&](const Dpc* dpc) { o.add("queued threaded DPC", n, name_of(dpc)); });
    o.add("active DPC", n, p.active_dpc == nullptr ? kNobody : name_of(p.active_dpc));
    o.add("active threaded DPC", n, p.active_threaded_dpc == nullptr ? kNobody : name_of(p.active_threaded_dpc));
    o.add("DPC thread requested", n, p.dpc_thread_requested);
    o.add("DPC thread active", n, p.dpc_thread_active);
    o.add("DPC thread to be woken", n, p.dpc_thread_signal);
    for (std::size_t priority = 32; priority-- > 0;)
      for_each(p.ready.lists[priority], [&](Link* link) { o.add("ready thread", n, priority << 32 | name_of(owner_of<&Thread::queue_link>(link))); });
    std::vector<const Timer*> timers;
    p.timers.for_each([&](const Timer& timer) { timers.push_back(&timer); });
    std::stable_sort(timers.begin(), timers.end(), [](const Timer* a, const Timer* b) { return a->due_time < b->due_time; });
    for (const Timer* timer : timers) {
      o.add("timer in table", n, name_of(timer));
      o.add("its due time", n, timer->due_time);
    }
  }

  template <class Observer>
  void observe_objects(Observer& o) const {
    const Program& program = *driver_.program;
    for (std::size_t i = 0; i < program.dpcs; ++i) {
      const KDPC& dpc = driver_.dpcs[i];
      o.add("KDPC type", i, dpc.Type);
      o.add("KDPC importance", i, dpc.Importance);
      o.add("KDPC target", i, static_cast<std::uint64_t>(dpc.Number == 0 ? -1 : dpc.Number - int{Dpc::kTargeted}));
      o.add("KDPC context", i, reinterpret_cast<std::uint64_t>(dpc.DeferredContext));
      o.add("KDPC argument 1", i, reinterpret_cast<std::uint64_t>(dpc.SystemArgument1));
      o.add("KDPC argument 2", i, reinterpret_cast<std::uint64_t>(dpc.SystemArgument2));
      o.add("KDPC queued", i, dpc.DpcData != nullptr);
    }
    for (std::size_t i = 0; i < program.timers; ++i) {
      const Timer& timer = wdk::as_timer(&driver_.timers[i]);
      o.add("KTIMER resets", i, timer.header.type == static_cast<std::uint8_t>(ObjectType::SynchronizationTimer));
      o.add("KTIMER inserted", i, timer.header.inserted);
      o.add("KTIMER signal", i, static_cast<std::uint64_t>(timer.header.signal_state));
      o.add("KTIMER due time", i, timer.due_time);
      o.add("KTIMER period", i, timer.period);
      observe_waiters(o, "waits for timer", i, timer.header.waiters);
    }
    for (std::size_t i = 0; i < program.events; ++i) {
      const DispatcherHeader& event = wdk::as_event(&driver_.events[i]).header;
      o.add("KEVENT signal", i, static_cast<std::uint64_t>(event.signal_state));
      observe_waiters(o, "waits for event", i, event.waiters);
    }
    for (std::size_t i = 0; i < program.semaphores; ++i) {
      const DispatcherHeader& semaphore = wdk::as_semaphore(&driver_.semaphores[i]).header;
      o.add("KSEMAPHORE signal", i, static_cast<std::uint64_t>(semaphore.signal_state));
      observe_waiters(o, "waits for semaphore", i, semaphore.waiters);
    }
    for (unsigned i = 0; i < program.sources.size(); ++i) {
      o.add("line asserted", i, driver_.board->is_asserted(i));
      std::uint64_t calls = 0, claims = 0;
      for (const Interrupt* object = &wdk::as_interrupt(driver_.interrupts[i]); object != nullptr; object = object->sibling) {
        calls += object->dispatch_count;
        claims += object->service_count;
      }
      o.add("KINTERRUPT calls", i, calls);
      o.add("KINTERRUPT claims", i, claims);
    }
  }

  Driver& driver_;
};

}  // namespace kdpc::model
