// The outside of the simulated machine (machine/host.h).
#include "machine/host.h"

#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "base/invariant.h"
#include "kernel/system.h"
#include "machine/sim/accesses.h"
#include "machine/sim/bus.h"
#include "machine/sim/checkpoint.h"
#include "machine/sim/choice.h"
#include "machine/sim/controller.h"
#include "machine/sim/explain.h"
#include "machine/sim/fiber.h"
#include "machine/sim/guard.h"
#include "machine/sim/pages.h"
#include "machine/sim/run.h"
#include "machine/sim/sim_machine.h"
#include "machine/sim/world.h"

namespace kdpc {

namespace sim {

namespace {

std::vector<EventSink*> sinks;
std::vector<EventSink*> access_sinks;  // of them, those that want to hear of accesses

// Idle threads stand at the entrance of their processors.
void start_processors() {
  State& all = state();
  for (unsigned number = 0; number < all.processors; ++number) {
    Slot& slot = all.slots[number];
    Thread& idle = *kdpc::processor(number).idle_thread;
    slot.time = 0;
    slot.held_count = 0;
    slot.irql = Irql::High;
    slot.doing = Doing::Running;
    slot.thread = &idle;
    slot.thread_id = idle.id;
    slot.stack = StackKind::Thread;
    slot.stack_low = idle.machine.stack_low;
    slot.stack_high = idle.machine.stack_high;
    slot.context = idle.machine.resume;
  }
  std::fill(std::begin(all.orders), std::end(all.orders), Order{});
  std::fill(std::begin(all.host_orders), std::end(all.host_orders), Order{});
  all.next_host_order = 0;
}

void prepare_for_boot(unsigned processors, const Costs& costs, System* system) {
  State& all = state();
  all.processors = processors;
  all.costs = costs;
  all.quiet_since = kForever;
  for (unsigned number = 0; number < processors; ++number) {
    Slot& slot = all.slots[number];
    slot.number = static_cast<std::uint16_t>(number);
    slot.processor = &system->processors[number];
    slot.irql = Irql::Dispatch;  // boot runs on processor 0 and must not be entered by what it asks for
    slot.limit = slot.clock = slot.ipi = kForever;
  }
  fixed().current = &all.slots[0];
  accesses::clear();
}

Stamp stamp_of(const Slot& slot, std::uint64_t when) {
  const Thread* thread = slot.processor->current_thread;
  return {when, slot.number, static_cast<std::uint8_t>(slot.irql), thread == nullptr ? 0 : thread->id, steps_of(slot)};
}

void note_sinks() {
  fixed().observed = !sinks.empty();
  fixed().accesses_wanted = !access_sinks.empty();
}

void tell_debuggers() {
  const State& all = state();
  const Slot& first = all.slots[0];
  WorldHeader& header = write_world_header("sim");
  header.time = reinterpret_cast<std::uintptr_t>(&all.time);
  header.irql = per_processor(first.irql, sizeof(Slot));
  header.requests = per_processor(first.requests, sizeof(Slot));
  header.pending_levels = per_processor(first.pending_levels, sizeof(Slot));
  header.ipi = per_processor(first.ipi, sizeof(Slot));
  header.inside = reinterpret_cast<std::uintptr_t>(&fixed().inside);
  header.current = reinterpret_cast<std::uintptr_t>(&fixed().current);
  header.itself = per_processor(first, sizeof(Slot));
  header.doing = per_processor(first.doing, sizeof(Slot));
  header.spinning = static_cast<std::uint64_t>(Doing::Spinning);
  header.spins_for = per_processor(*first.spin_word.place_of_lock(), sizeof(Slot));
  header.frame = per_processor(first.frame, sizeof(Slot));
}

}  // namespace

void tell_at(const Slot& slot, std::uint64_t when, const Event& event) {
  if (!fixed().observed) return;
  accesses::tell();
  if (fixed().inside) accesses::count(current());
  const Stamp stamp = stamp_of(slot, when);
  const HostCode host_code;
  for (EventSink* sink : sinks) sink->event(stamp, event);
}

void accesses::tell_all() {
  Slot& slot = current();
  settle(slot);
  count(slot);
  const Stamp stamp = stamp_of(slot, slot.time);
  const std::span<const Access> batch(log, static_cast<std::size_t>(untold()));
  const HostCode host_code;
  for (EventSink* sink : access_sinks) sink->accesses(stamp, batch);
}

const std::vector<EventSink*>& all_sinks() { return sinks; }

}  // namespace sim

namespace host {

using namespace sim;

Result<void> create(const Config& config) {
  if (exists()) return Error{"a machine exists already in this process; only one at a time is possible"};
  if (config.processors < 1 || config.processors > kMaxProcessors)
    return Error{"a machine has 1 to " + std::to_string(kMaxProcessors) + " processors, not " + std::to_string(config.processors)};
  auto costs = costs_with(config.costs);
  if (!costs) return costs.error();
  constexpr std::size_t kLeast = sizeof(System) + (std::size_t{1} << 20);
  if (config.memory < kLeast) return Error{"a machine needs at least " + std::to_string(kLeast) + " bytes of memory"};
  if (auto mapped = world::map(config.processors, config.memory); !mapped) return mapped.error();
  auto* memory = reinterpret_cast<std::byte*>(world::kMemory);
  prepare_for_boot(config.processors, *costs, reinterpret_cast<System*>(memory));
  BootParameters parameters;
  parameters.processors = config.processors;
  parameters.options = config.options;
  parameters.memory = memory;
  parameters.size = world::memory_size();
  const world::PagedPool paged = world::paged_pool();
  parameters.paged = paged.base;
  parameters.paged_size = paged.size;
  parameters.paged_view = paged.view;
  if (config.options.page_trim == Options::PageTrim::On) {
    pages::add(reinterpret_cast<std::uintptr_t>(paged.base), paged.size, PROT_READ | PROT_WRITE);
  } else {
    ::mprotect(paged.base, paged.size, PROT_READ | PROT_WRITE);
  }
  boot(parameters);
  start_processors();
  tell_debuggers();
  run::forget_end();
  guard::install();
  return {};
}

void destroy() {
  if (!exists()) return;
  KDPC_INVARIANT("K.SIM-10", !fixed().inside);
  guard::remove();
  run::forget_end();
  set_oracle(nullptr);
  bus::forget_boards();
  checkpoint::forget_spans();
  sinks.clear();
  access_sinks.clear();
  pages::forget();
  system_pointer = nullptr;
  forget_world_header();
  world::unmap();
}

bool exists() { return world::is_mapped(); }

Outcome run_until(const std::function<bool()>& condition, Nanoseconds limit) { return run::until(condition, limit); }
Nanoseconds now() { return controller::time_here(); }

void add_sink(EventSink& sink) {
  sinks.push_back(&sink);
  if (sink.wants_accesses()) access_sinks.push_back(&sink);
  note_sinks();
}
void remove_sink(EventSink& sink) {
  std::erase(sinks, &sink);
  std::erase(access_sinks, &sink);
  note_sinks();
}

bool facts_are_complete() { return true; }
std::uint64_t facts_lost() { return 0; }
unsigned stack_of_fact(std::uintptr_t* frames, unsigned room) {
  return fixed().inside ? fiber::walk(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), frames, room) : 0;
}
void end_with_fact() {
  run::finish({Ended::Finding, {}, {}});
  fixed().ends_with_fact = true;
}
void end_run(const std::string& why) {
  run::finish({Ended::Finding, why + '\n' + explain::everybody(), {}});
  fixed().ends_with_fact = true;
}

Irql irql_of_processor(unsigned processor) { return state().slots[processor].irql; }

bool insert_dpc(Dpc&, void*, void*) { return false; }
void job_posted(unsigned processor) { controller::pend(processor, kJobVector, controller::time_here()); }

Attached attach(Board& board) { return bus::attach(board); }
void set_line(unsigned line, bool asserted) { controller::set_line(line, asserted, controller::time_here(), controller::Cause::Caller); }
unsigned add_line(bool level) { return controller::add_line(kMaxSources, 0, level); }
void assign_line(unsigned line, std::uint8_t vector, bool level) { controller::assign(line, vector, level, controller::time_here()); }
void assign_message(unsigned message, std::uint8_t vector) { controller::assign_message(message, vector); }
void raise_message(std::uint8_t vector, unsigned processor) {
  const std::uint64_t when = controller::time_here();
  tell_at(state().slots[processor], when, InterruptRequested{vector, static_cast<std::uint16_t>(processor)});
  controller::pend(processor, vector, when);
}

bool bus_read(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t& value) { return bus::read(space, address, width, value); }
bool bus_write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value) { return bus::write(space, address, width, value); }

void set_oracle(Oracle* oracle) { sim::set_oracle(oracle); }
std::uint64_t steps_of_processor(unsigned processor) { return steps_of(state().slots[processor]); }

void add_span(void* base, std::size_t size) { checkpoint::add_span(base, size); }

void add_pageable(void* base, std::size_t size, bool write, bool execute) {
  if (sys().options.page_trim == Options::PageTrim::Off) return;
  pages::add(reinterpret_cast<std::uintptr_t>(base), size, PROT_READ | (write ? PROT_WRITE : 0) | (execute ? PROT_EXEC : 0));
}
void lock_pages(const void* address, std::size_t size) { pages::lock(reinterpret_cast<std::uintptr_t>(address), size); }
void lock_section(const void* address) { pages::lock_range(reinterpret_cast<std::uintptr_t>(address)); }
void unlock_section(const void* address) { pages::unlock_range(reinterpret_cast<std::uintptr_t>(address)); }
void unlock_pages(const void* address, std::size_t size) { pages::unlock(reinterpret_cast<std::uintptr_t>(address), size); }

}  // namespace host
}  // namespace kdpc
