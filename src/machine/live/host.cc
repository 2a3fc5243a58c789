// The outside of the live machine (machine/host.h).
#include "machine/host.h"

#include <vector>

#include "base/invariant.h"
#include "kernel/system.h"
#include "machine/live/bus.h"
#include "machine/live/fiber.h"
#include "machine/live/lines.h"
#include "machine/live/live_machine.h"
#include "machine/live/run.h"

namespace kdpc {

namespace live {

namespace {

std::vector<EventSink*> sinks;

}  // namespace

void tell(const Event& event) {
  const State& all = state();
  if (!all.observed) return;
  const Thread* thread = all.processor->current_thread;
  const Stamp stamp{Machine::now(), 0, static_cast<std::uint8_t>(all.irql), thread == nullptr ? 0 : thread->id};
  for (EventSink* sink : sinks) sink->event(stamp, event);
}

}  // namespace live

namespace host {

using namespace live;

Result<void> create(const Config& config) {
  if (exists()) return Error{"a machine exists already in this process; only one at a time is possible"};
  if (config.processors != 1)
    return Error{"the live machine has one processor so far, not " + std::to_string(config.processors) +
                 "; more of them are simulated (libkdpc-sim)"};
  if (!config.costs.empty())
    return Error{"the live machine runs in real time: it has no cost named '" + config.costs.begin()->first + "', nor any other"};
  constexpr std::size_t kLeast = sizeof(System) + (std::size_t{1} << 20);
  if (config.memory < kLeast) return Error{"a machine needs at least " + std::to_string(kLeast) + " bytes of memory"};
  constexpr std::size_t kPage = 4096;
  const std::size_t size = (config.memory + kPage - 1) / kPage * kPage, paged = size / 4 / kPage * kPage;
  auto memory = fiber::map(size + paged);
  if (!memory) return memory.error();

  State& all = state();
  all.processor = &reinterpret_cast<System*>(*memory)->processors[0];
  all.irql = Irql::Dispatch;  // boot must not be entered by what it asks for
  all.clock = kForever;
  all.first_clock = run::host_clock();
  all.first_mark = __builtin_ia32_rdtsc();
  boot({.processors = 1,
        .options = config.options,
        .memory = *memory,
        .size = size,
        .paged = *memory + size,  // it is always there
        .paged_size = paged});

  // The idle thread stands at the entrance.
  const Thread& idle = *all.processor->idle_thread;
  all.irql = Irql::High;
  all.stack = StackKind::Thread;
  all.stack_low = idle.machine.stack_low;
  all.stack_high = idle.machine.stack_high;
  all.processor_context = idle.machine.resume;
  all.departure = Departure::Yield;
  WorldHeader& header = write_world_header("live");
  header.irql = per_processor(all.irql, sizeof(State));
  header.requests = per_processor(all.requests, sizeof(State));
  header.pending_levels = per_processor(all.pending_levels, sizeof(State));
  run::forget_end();
  return {};
}

void destroy() {
  if (!exists()) return;
  KDPC_INVARIANT("K.LIVE-5", !state().inside);
  run::forget_end();
  bus::forget();
  lines::forget();
  sinks.clear();
  system_pointer = nullptr;
  forget_world_header();
  fiber::unmap();
}

bool exists() { return fiber::is_mapped(); }

Outcome run_until(const std::function<bool()>& condition, Nanoseconds limit) { return run::until(condition, limit); }
Nanoseconds now() { return Machine::now(); }
Irql irql_of_processor(unsigned) { return state().irql; }

void add_sink(EventSink& sink) {
  sinks.push_back(&sink);
  state().observed = true;
}
void remove_sink(EventSink& sink) {
  std::erase(sinks, &sink);
  state().observed = !sinks.empty();
}

bool facts_are_complete() { return false; }
unsigned stack_of_fact(std::uintptr_t*, unsigned) { return 0; }
StackWord stack_word(std::uintptr_t, std::uintptr_t) { return StackWord::None; }
void end_with_fact() {}

void job_posted(unsigned) { lines::pend(kJobVector); }

Attached attach(Board& board) { return bus::attach(board); }
void set_line(unsigned line, bool asserted) { lines::set(line, asserted); }
unsigned add_line(bool level) { return lines::add(level); }
void assign_line(unsigned line, std::uint8_t vector, bool level) { lines::assign(line, vector, level); }
void assign_message(unsigned message, std::uint8_t vector) { lines::assign_message(message, vector); }
void raise_message(std::uint8_t vector, unsigned) { lines::raise_message(vector); }

bool bus_read(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t& value) { return bus::read(space, address, width, value); }
bool bus_write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value) { return bus::write(space, address, width, value); }

void add_span(void*, std::size_t) {}  // spans are for checkpoints
void add_pageable(void*, std::size_t, bool, bool) {}
void lock_pages(const void*, std::size_t) {}
void unlock_pages(const void*, std::size_t) {}
void lock_section(const void*) {}
void unlock_section(const void*) {}

// Real time cannot be taken back.
struct Checkpoint {};
Result<Checkpoint*> checkpoint() {
  return Error{"the live machine cannot be checkpointed: real time has passed and does not come back; use the simulated machine"};
}
void restore(const Checkpoint&) { KDPC_INVARIANT("K.LIVE-6", !"there are no checkpoints of the live machine"); }
void discard(Checkpoint* checkpoint) { delete checkpoint; }
std::size_t size_of(const Checkpoint&) { return 0; }

}  // namespace host
}  // namespace kdpc
