// The live machine's own state: one processor, in the first page of the arena, so that every access is to a constant address.
//
//   kWorldBase           State; its first word is the edge budget that driver code counts down
//   kWorldBase + 4 KiB   arena: stacks, each above a page without access, then memory for the kernel
//
// Real time passes only while run_until() runs. Between two calls the machine stands still, so that a host may take its time.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kdpc/device.h"
#include "kernel/irql.h"
#include "kernel/machine.h"
#include "machine/world_header.h"

namespace kdpc::live {

inline constexpr std::uintptr_t kWorldBase = 0x400000000000;
inline constexpr std::uint64_t kForever = ~std::uint64_t{0};

// How a processor came back to the host.
enum class Departure : std::uint8_t { Yield, Idle, Stop };

struct State {
  std::int64_t edge_budget;
  std::int64_t unused[7];  // a line of its own: driver code writes that word all the time

  Irql irql;
  StackKind stack;  // in use now
  Departure departure;
  bool inside;    // the processor runs, not the host
  bool observed;  // there are sinks
  bool time_passes;
  bool marks_are_wanted;  // somebody has asked how long something took
  Requests requests;
  std::uint32_t pending_levels;  // bit n: a vector of level n is pending
  std::int32_t windows_left;     // until a window reads the host's clock
  Processor* processor;
  std::uintptr_t stack_low, stack_high;  // of the stack in use
  std::uint64_t clock;                   // when the clock interrupts
  std::uint64_t leave_at;                // when the host wants the processor back
  std::uint64_t first_clock;             // the host's clock when the machine was made
  std::uint64_t first_mark;              // the processor's then
  std::uint64_t origin;                  // the host's clock at the machine's time 0
  std::uint64_t stopped_at;              // the machine's time while none passes
  void* processor_context;               // while the host runs
  void* host_context;                    // while the processor runs
  void** left;                           // where the context goes that is being left
};
static_assert(offsetof(State, edge_budget) == 0 && kWorldBase + sizeof(State) <= WorldHeader::kPlace);

inline State& state() { return *reinterpret_cast<State*>(kWorldBase); }

// A vector above the processor's level is pending.
inline bool has_deliverable() { return (state().pending_levels >> (static_cast<unsigned>(state().irql) + 1)) != 0; }

}  // namespace kdpc::live
