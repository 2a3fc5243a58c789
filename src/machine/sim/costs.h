// What time costs on the simulated machine. Virtual time passes through these numbers, stalls and waits only.
//
// The numbers are round and of the right order for an x64 desktop of the 2010s; a scenario may set each of them by name.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kernel/events.h"

namespace kdpc::sim {

// All in nanoseconds.
struct Costs {
  std::uint64_t edge = 1;               // one control-flow edge of driver code: three or four instructions at 3 GHz
  std::uint64_t kernel_call = 20;       // a call of an exported routine: argument checks and a short body
  std::uint64_t lock = 10;              // an uncontended interlocked exchange on a line in this processor's cache
  std::uint64_t isr_entry = 400;        // trap, saving of registers, acknowledge, stack switch, chain walk
  std::uint64_t isr_exit = 200;         // end of interrupt at the controller, restoring, return
  std::uint64_t clock_interrupt = 500;  // as an ISR, plus the accounting of one tick
  std::uint64_t ipi_interrupt = 300;    // entry and exit of the handler, which only leaves a request
  std::uint64_t dpc_dispatch = 100;     // taking it from the queue, and the call
  std::uint64_t thread_switch = 1000;   // dispatcher, registers, and the caches that are cold afterwards
  std::uint64_t ipi = 500;              // from the write to the interrupt command register until it arrives
  std::uint64_t register_memory = 500;  // an uncached read travels to the device and back over PCI Express
  std::uint64_t register_port = 1000;   // port accesses are slower still, and serialise
  std::uint64_t board_poll = 20000;     // how far a board that cannot look ahead may lag while processors run
  std::uint64_t spin_turn = 100;        // how often a spinning processor looks at a word that is not a lock
  std::uint64_t slack = 0;              // how far a processor may run ahead of another that is not halted
};

struct NamedCost {
  std::string_view name;
  std::uint64_t Costs::*field;
};
inline constexpr std::array<NamedCost, 15> kNamedCosts{{
    {"edge", &Costs::edge},
    {"kernel_call", &Costs::kernel_call},
    {"lock", &Costs::lock},
    {"isr_entry", &Costs::isr_entry},
    {"isr_exit", &Costs::isr_exit},
    {"clock_interrupt", &Costs::clock_interrupt},
    {"ipi_interrupt", &Costs::ipi_interrupt},
    {"dpc_dispatch", &Costs::dpc_dispatch},
    {"thread_switch", &Costs::thread_switch},
    {"ipi", &Costs::ipi},
    {"register_memory", &Costs::register_memory},
    {"register_port", &Costs::register_port},
    {"board_poll", &Costs::board_poll},
    {"spin_turn", &Costs::spin_turn},
    {"slack", &Costs::slack},
}};

// The defaults with `overrides`; an unknown name, or a zero where time would stand still, is an error.
inline Result<Costs> costs_with(const std::map<std::string, std::uint64_t>& overrides) {
  Costs costs;
  for (const auto& [name, nanoseconds] : overrides) {
    const NamedCost* found = nullptr;
    for (const NamedCost& known : kNamedCosts)
      if (known.name == name) found = &known;
    if (found == nullptr) {
      std::string all;
      for (const NamedCost& known : kNamedCosts) {
        if (!all.empty()) all += ", ";
        all += known.name;
      }
      return Error{"there is no cost named '" + name + "'; the costs are " + all};
    }
    costs.*(found->field) = nanoseconds;
  }
  if (costs.edge == 0 || costs.board_poll == 0 || costs.spin_turn == 0)
    return Error{"the costs edge, board_poll and spin_turn must be at least 1 ns: without them time could stand still for ever"};
  return costs;
}

// What stating a fact costs: the action it reports. Zero for facts that are part of another action.
template <class E>
constexpr std::uint64_t cost_of(const Costs&, const E&) {
  return 0;
}
template <>
constexpr std::uint64_t cost_of(const Costs& costs, const RoutineEntered&) {
  return costs.kernel_call;
}
template <>
constexpr std::uint64_t cost_of(const Costs& costs, const LockAcquired&) {
  return costs.lock;
}
template <>
constexpr std::uint64_t cost_of(const Costs& costs, const DpcQueued&) {
  return costs.lock;
}
template <>
constexpr std::uint64_t cost_of(const Costs& costs, const DpcRefused&) {
  return costs.lock;
}
template <>
constexpr std::uint64_t cost_of(const Costs& costs, const ThreadSwitched&) {
  return costs.thread_switch;
}
template <>
constexpr std::uint64_t cost_of(const Costs& costs, const ActivityBegan& event) {
  switch (event.kind) {
    case ActivityKind::Isr: return costs.isr_entry;
    case ActivityKind::Dpc:
    case ActivityKind::TimerDpc:
    case ActivityKind::ThreadedDpc: return costs.dpc_dispatch;
    case ActivityKind::ClockInterrupt: return costs.clock_interrupt;
    case ActivityKind::IpiInterrupt: return costs.ipi_interrupt;
    case ActivityKind::SynchronizedRoutine:
    case ActivityKind::WorkItem:
    case ActivityKind::DriverRoutine:
    case ActivityKind::BroadcastRoutine: return 0;
  }
  return 0;
}
template <>
constexpr std::uint64_t cost_of(const Costs& costs, const ActivityEnded& event) {
  return event.kind == ActivityKind::Isr ? costs.isr_exit : 0;
}

}  // namespace kdpc::sim
