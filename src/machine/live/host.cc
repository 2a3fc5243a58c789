// The outside of the live machine (machine/host.h).
#include "machine/host.h"

#include "base/invariant.h"
#include "kernel/outside.h"
#include "kernel/system.h"
#include "machine/frames.h"
#include "machine/live/apic.h"
#include "machine/live/arena.h"
#include "machine/live/bus.h"
#include "machine/live/calls.h"
#include "machine/live/clock.h"
#include "machine/live/facts.h"
#include "machine/live/fiber.h"
#include "machine/live/lines.h"
#include "machine/live/processors.h"
#include "machine/live/run.h"
#include "machine/live/segments.h"
#include "machine/live/signals.h"
#include "machine/live/sources.h"
#include "machine/live/tls.h"
#include "machine/live/traps.h"

#include <cstring>

namespace kdpc {

namespace live {

namespace {

void prepare(Slot& slot, unsigned number, Processor& processor) {
  slot.self = &slot;
  slot.number = static_cast<std::uint16_t>(number);
  slot.processor = &processor;
  slot.irql = Irql::High;
  slot.attention = attention::kParked;
  slot.clock = kForever;
  const arena::Bounds for_dpcs = arena::dpc_stack(number), for_isrs = arena::isr_stack(number);
  slot.own_stacks[static_cast<unsigned>(StackKind::Dpc)] = {for_dpcs.low, for_dpcs.high};
  slot.own_stacks[static_cast<unsigned>(StackKind::Isr)] = {for_isrs.low, for_isrs.high};
}

// The host has processor 0's place while the machine stands still, at a level at which nothing is taken and nobody is switched to.
void prepare_host(Processor& processor) {
  prepare(host_slot(), 0, processor);
  host_slot().irql = Irql::Dispatch;
  host_slot().home_fs = segments::fs();
  segments::set_gs(reinterpret_cast<std::uintptr_t>(&host_slot()));
}

// Every processor stands at the entrance of its idle thread.
void place_idle_threads() {
  for (unsigned number = 0; number < shared().processors; ++number) {
    Thread& idle = *processor(number).idle_thread;
    fiber::make_at_home(idle);
    slot_of(number).stack = StackKind::Thread;
    slot_of(number).stack_low = idle.machine.stack_low;
    slot_of(number).stack_high = idle.machine.stack_high;
  }
  host_slot().stack_low = slot_of(0).stack_low;
  host_slot().stack_high = slot_of(0).stack_high;
}

void tell_debuggers() {
  const Slot& first = slot_of(0);
  WorldHeader& header = write_world_header("live");
  header.irql = per_processor(first.irql, sizeof(Slot));
  header.requests = per_processor(first.requests, sizeof(Slot));
  header.pending_levels = per_processor(first.pending_levels, sizeof(Slot));
  header.time = reinterpret_cast<std::uintptr_t>(&shared().stopped_at);
  header.frame = per_processor(first.frame, sizeof(Slot));
  header.attention = per_processor(first.attention, sizeof(Slot));
  header.suspended = attention::kParked;
  header.signal_return = frames::return_from_signal();
}

void forget_everything() {
  sources::close();
  tls::close();
  traps::uninstall();
  signals::uninstall();
  run::forget_end();
  bus::forget();
  lines::forget();
  facts::forget();
  system_pointer = nullptr;
  forget_world_header();
  segments::set_gs(0);
  arena::unmap();
}

}  // namespace
}  // namespace live

namespace host {

using namespace live;

Result<void> create(const Config& config) {
  if (exists()) return Error{"a machine exists already in this process; only one at a time is possible"};
  if (config.processors < 1 || config.processors > kMaxProcessors)
    return Error{"a machine has 1 to " + std::to_string(kMaxProcessors) + " processors, not " + std::to_string(config.processors)};
  if (!config.costs.empty())
    return Error{"the live machine runs in real time: it has no cost named '" + config.costs.begin()->first + "', nor any other"};
  constexpr std::size_t kLeast = sizeof(System) + (std::size_t{1} << 20);
  if (config.memory < kLeast) return Error{"a machine needs at least " + std::to_string(kLeast) + " bytes of memory"};
  const std::size_t size = (config.memory + kPage - 1) / kPage * kPage, paged = size / 4 / kPage * kPage;
  if (const int refused = calls::prepare_fences(); refused != 0)  // before anything is there that would have to go: K.QUE-1 rests on these fences
    return Error{"the live machine needs the host's fences on all processors (membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED): " +
                 std::string(std::strerror(refused))};
  auto memory = arena::map(config.processors, size + paged);
  if (!memory) return memory.error();

  segments::find_out();
  Shared& all = shared();
  all.edge_budget = signals::kEdgeBudget;
  all.processors = config.processors;
  all.idle_policy = static_cast<std::uint8_t>(config.idle);
  all.oversubscribed = config.processors > processors::of_host();
  all.first_clock = calls::host_clock();
  all.first_mark = all.stopped_mark = __builtin_ia32_rdtsc();
  auto* system = reinterpret_cast<System*>(*memory);
  for (unsigned number = 0; number < config.processors; ++number) prepare(slot_of(number), number, system->processors[number]);
  prepare_host(system->processors[0]);
  signals::install();
  traps::install();
  if (auto opened = tls::open(); !opened) {
    forget_everything();
    return opened.error();
  }
  boot({.processors = config.processors,
        .options = config.options,
        .memory = *memory,
        .size = size,
        .paged = *memory + size,  // it is always there
        .paged_size = paged});
  place_idle_threads();
  if (auto started = processors::start(); !started) {
    forget_everything();
    return started.error();
  }
  tell_debuggers();
  return {};
}

void destroy() {
  if (!exists()) return;
  KDPC_INVARIANT("K.LIVE-18", !shared().runs);
  processors::stop();
  forget_everything();
}

bool exists() { return arena::is_mapped(); }

Outcome run_until(const std::function<bool()>& condition, Nanoseconds limit) { return run::until(condition, limit); }
Nanoseconds now() { return live::clock::now(); }
Irql irql_of_processor(unsigned processor) { return slot_of(processor).irql; }

void add_sink(EventSink& sink) { facts::add(sink); }
void remove_sink(EventSink& sink) { facts::remove(sink); }

bool facts_are_complete() { return false; }
std::uint64_t facts_lost() { return facts::lost(); }
unsigned stack_of_fact(std::uintptr_t*, unsigned) { return 0; }
StackWord stack_word(std::uintptr_t, std::uintptr_t) { return StackWord::None; }
void end_with_fact() {}
void end_run(const std::string&) {}

bool insert_dpc(Dpc& dpc, void* argument1, void* argument2) { return outside::insert_dpc(dpc, argument1, argument2); }
void job_posted(unsigned processor) { apic::pend(slot_of(processor), kJobVector); }

Attached attach(Board& board) { return bus::attach(board); }
void set_line(unsigned line, bool asserted) { lines::set(line, asserted); }
unsigned add_line(bool level) { return lines::add(level); }
void assign_line(unsigned line, std::uint8_t vector, bool level) { lines::assign(line, vector, level); }
void assign_message(unsigned message, std::uint8_t vector) { lines::assign_message(message, vector); }
void raise_message(std::uint8_t vector, unsigned processor) { lines::raise_message(vector, processor); }

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
void restore(const Checkpoint&) { KDPC_INVARIANT("K.LIVE-19", !"there are no checkpoints of the live machine"); }
void wipe_stacks() {}
void discard(Checkpoint* checkpoint) { delete checkpoint; }
std::size_t size_of(const Checkpoint&) { return 0; }

std::uint64_t steps_of_processor(unsigned) { return 0; }
void set_oracle(sim::Oracle* oracle) { KDPC_INVARIANT("K.LIVE-23", oracle == nullptr && "nobody chooses what happens on the live machine"); }

}  // namespace host
}  // namespace kdpc
