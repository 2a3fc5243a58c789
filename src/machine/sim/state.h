// The simulated machine's own state, at fixed addresses in the World: plain data, copied as bytes by a checkpoint.
//
//   kWorldBase           Fixed: the budgets that driver code counts down, and the host's own words
//   kWorldBase + 4 KiB   State: time, processors, interrupt controller, stacks in use
//
//   K.SIM-1  Nothing in State points to the host's heap.
//   K.SIM-2  On the host context every processor is suspended, and its Slot says where.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/processor_set.h"
#include "kernel/irql.h"
#include "kernel/machine.h"
#include "machine/access.h"
#include "machine/sim/costs.h"
#include "machine/world_header.h"

namespace kdpc::sim {

inline constexpr std::size_t kPage = 4096;
inline constexpr std::uint64_t kForever = ~std::uint64_t{0};

inline constexpr unsigned kMaxThreads = 4096;
inline constexpr unsigned kMaxLines = 256;
inline constexpr unsigned kMaxMessages = 4096;  // of all boards; an MSI-X function has up to 2048
inline constexpr unsigned kMaxSources = 128;    // of events on boards; each device that may be pulled out brings one more
inline constexpr unsigned kMaxHeldLocks = 16;   // per processor, for explanations; what is deeper is not explained
inline constexpr unsigned kOrders = 512;
inline constexpr unsigned kMaxPageable = 64;       // ranges; what is beyond stays resident
inline constexpr unsigned kMaxLockedPages = 1024;  // ranges at a time, see all_resident
inline constexpr unsigned kHostOrders = 64;
inline constexpr unsigned kNoLine = ~0u;

enum class Doing : std::uint8_t {
  Running,   // may go on at `time`
  Halted,    // until an interrupt above Dispatch
  Stalled,   // until `wake`, or an interrupt above its level
  Spinning,  // until spin_word.value() is no longer spin_expected, or `wake`, or an interrupt above its level
};

// A set of vectors.
struct VectorSet {
  std::uint64_t words[4];
  bool has(std::uint8_t vector) const { return ((words[vector >> 6] >> (vector & 63)) & 1) != 0; }
  void add(std::uint8_t vector) { words[vector >> 6] |= std::uint64_t{1} << (vector & 63); }
  void remove(std::uint8_t vector) { words[vector >> 6] &= ~(std::uint64_t{1} << (vector & 63)); }
  // Of the sixteen vectors of one level.
  std::uint16_t at_level(unsigned level) const { return static_cast<std::uint16_t>(words[level >> 2] >> ((level & 3) * 16)); }
};

struct HeldLock {
  const void* lock;
  std::uint64_t since;
  std::uint32_t thread;
};

// One processor, as the machine sees it.
struct alignas(64) Slot {
  std::uint64_t time;            // ns; without the edges not yet settled
  std::uint64_t limit;           // window() leaves for the host when time has passed it
  std::uint32_t pending_levels;  // bit n: a vector of level n is pending
  Requests requests;
  Irql irql;
  Doing doing;
  StackKind stack;  // in use now
  std::uint16_t number;
  std::int64_t edges_given;     // the budget at the last settlement
  std::int64_t accesses_given;  // likewise, of accesses (accesses.h)
  std::uint64_t accesses;       // that driver code has made here; without those not yet counted

  Processor* processor;
  Thread* thread;  // whose stack lies under everything here
  std::uint32_t thread_id;
  std::uintptr_t stack_low, stack_high;  // of the stack in use
  std::uintptr_t saved_pointers[3];      // by StackKind: where a stack was left for the one above it
  void* context;                         // while suspended
  std::uintptr_t frame;                  // its innermost frame pointer while suspended

  std::uint64_t wake;
  SpinWord spin_word;
  std::uintptr_t spin_expected;
  std::uint64_t clock;               // when the clock interrupts here
  std::uint64_t ipi;                 // when an IPI arrives here
  std::uint64_t windows;             // steps (choice.h) that were no accesses; counted with an oracle only
  std::uint64_t question;            // the step at which the oracle wants to be asked
  std::uint64_t question_at_access;  // the same for one that is an access
  VectorSet pending;
  VectorSet in_service;  // taken and not yet ended at the controller

  std::uint32_t held_count;
  HeldLock held[kMaxHeldLocks];
};

// Null: it does not hold it, or holds too many for that to be known.
inline const HeldLock* find_held(const Slot& slot, const void* lock) {
  for (std::uint32_t index = 0; index < slot.held_count && index < kMaxHeldLocks; ++index)
    if (slot.held[index].lock == lock) return &slot.held[index];
  return nullptr;
}

struct Line {
  std::uint16_t board;     // kMaxSources: of no board
  std::uint16_t of_board;  // the board's own number for it
  std::uint8_t vector;     // 0: not assigned
  bool level;
  bool asserted;
};

// The time at which something was last handed over.
struct Order {
  const void* object;
  std::uint64_t time;
};

struct StackSlot {
  Thread* owner;  // null: free
};

struct PageRange {
  std::uintptr_t low, high;
  int protection;
};

struct State {
  std::uint64_t time;  // what the whole machine has reached
  std::uint32_t processors;
  std::uint32_t spinners;  // how many are Spinning
  std::uint32_t lines_used;
  std::uint32_t messages_used;
  std::uint32_t boards_used, sources_used;
  std::uint32_t stacks_used;      // slots below this were used at some time
  std::uint64_t quiet_since;      // nothing but the clock has been possible since then; kForever: something is
  std::uint64_t same_time_steps;  // steps since `time` last moved
  Costs costs;
  std::uint64_t reached[kMaxSources];  // each source's own time
  Line lines[kMaxLines];
  std::uint8_t message_vectors[kMaxMessages];  // 0: not assigned
  ProcessorSet routes[256];                    // by vector: whom it is let through to
  Order orders[kOrders];           // of objects in the World and in drivers' images, by address: a newer one replaces one with the same hash
  Order host_orders[kHostOrders];  // of the host's objects: a newer one replaces the one that has been there longest
  std::uint32_t next_host_order;
  std::uint32_t pageable_used, locked_used;
  bool all_resident;                  // more was locked at a time than can be remembered: nothing is taken away any more
  PageRange pageable[kMaxPageable];   // pages.h
  PageRange locked[kMaxLockedPages];  // of them, by drivers
  Slot slots[kMaxProcessors];         // `processors` of them are in use
  StackSlot stacks[kMaxThreads];      // `stacks_used`
};

// Where and when a thread stopped; on its own stack, found through MachineContext::extra.
struct Stopped {
  std::uint64_t time;
  std::uintptr_t frame;
};

enum class Departure : std::uint8_t { Yield, Switch, Stop };

// The first page. Only `edge_budget` belongs to the run; the rest is the host's and is not copied.
struct Fixed {
  std::int64_t edge_budget;    // driver code's hook decrements it
  std::int64_t access_budget;  // the hooks of check variants decrement it …
  Access* access_log;          // … to n, and leave their record n + 1 places before this one
  std::uint64_t unused[5];
  Slot* current;
  void* host_context;         // where to go from inside; new at every switch
  std::uint64_t edge_stride;  // with an oracle: edges from one step to the next; 0: they are no steps
  bool exploring;             // there is an oracle
  bool only_asked;            // the processor that was left has left to ask it, and for nothing else
  bool pages_open;            // some pageable memory is there (pages.h)
  bool inside;                // a processor runs, not the host
  bool observed;              // there are sinks
  bool accesses_wanted;       // there are some that want to hear of accesses
  bool in_host_code;          // a sink or a device model runs on a processor's stack
  bool ends_with_fact;        // a sink has ended the run: whoever states the fact goes no further
  Departure departure;
  Thread* leaving;
  Thread* entering;
  std::uint64_t switches;              // ever; the host-time guard looks at it
  std::uint8_t host_order_hints[256];  // by address: where in State::host_orders to look first
};
static_assert(offsetof(Fixed, edge_budget) == 0 && offsetof(Fixed, access_budget) == 8 && offsetof(Fixed, access_log) == 16);  // drvcrt
static_assert(kWorldBase + sizeof(Fixed) <= WorldHeader::kPlace);

inline Fixed& fixed() { return *reinterpret_cast<Fixed*>(kWorldBase); }
inline State& state() { return *reinterpret_cast<State*>(kWorldBase + kPage); }
inline Slot& current() { return *fixed().current; }

namespace pages {
void close();
}
// A processor is at Dispatch or above, or will be: pageable memory goes away (K.PAGES-1).
inline void close_pages_at(Irql level) {
  if (fixed().pages_open && level >= Irql::Dispatch) [[unlikely]]
    pages::close();
}

// For the scope: what runs is the host's, whoever called it. Its faults are no driver's.
class HostCode {
 public:
  HostCode() : before_(fixed().in_host_code) { fixed().in_host_code = true; }
  ~HostCode() {
    fixed().in_host_code = before_;
    if (fixed().inside) close_pages_at(current().irql);
  }
  HostCode(const HostCode&) = delete;
  HostCode& operator=(const HostCode&) = delete;

 private:
  bool before_;
};

// Edges that driver code has run since the last settlement become time.
inline void settle(Slot& slot) {
  const std::int64_t left = fixed().edge_budget;
  if (left == slot.edges_given) return;
  slot.time += static_cast<std::uint64_t>(slot.edges_given - left) * state().costs.edge;
  slot.edges_given = left;
}

inline std::uint64_t steps_of(const Slot& slot) { return slot.accesses + slot.windows; }

// As many edges as fit before the limit.
inline void give_edges(Slot& slot) {
  if (fixed().edge_stride != 0) {
    slot.edges_given = fixed().edge_budget = static_cast<std::int64_t>(fixed().edge_stride - 1);
    return;
  }
  const std::uint64_t room = slot.limit > slot.time ? slot.limit - slot.time : 0;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
  const std::uint64_t edges = state().costs.edge == 1 ? room : room / state().costs.edge;
  slot.edges_given = fixed().edge_budget = static_cast<std::int64_t>(edges < kMost ? edges : kMost);
}

// Time passes on the running processor. The edges left until the limit become fewer by as many as would take that long, or more: then the budget is
// used up early, and given anew.
inline void pass(Slot& slot, std::uint64_t nanoseconds) {
  slot.time += nanoseconds;
  fixed().edge_budget -= static_cast<std::int64_t>(nanoseconds);
  slot.edges_given -= static_cast<std::int64_t>(nanoseconds);
}

// Something will happen at `when`: the running processor must not act at or after it before the host has looked.
inline void bound_current(std::uint64_t when) {
  if (!fixed().inside) return;
  Slot& slot = current();
  const std::uint64_t last = when == 0 ? 0 : when - 1;
  if (slot.limit <= last) return;
  settle(slot);
  slot.limit = last;
  give_edges(slot);
}

// A vector above the processor's level is pending.
inline bool has_deliverable(const Slot& slot) { return (slot.pending_levels >> (static_cast<unsigned>(slot.irql) + 1)) != 0; }

// Which object replaces which must not differ from run to run, but addresses of the host do: they are only compared.
inline Order* find_order(const void* object) {
  const auto bits = reinterpret_cast<std::uintptr_t>(object);
  State& all = state();
  if (bits >= kWorldBase && bits - kWorldBase < std::uintptr_t{1} << 40) return &all.orders[(bits >> 3 ^ bits >> 11 ^ bits >> 20) % kOrders];
  std::uint8_t& hint = fixed().host_order_hints[(bits >> 4 ^ bits >> 12) % 256];
  if (all.host_orders[hint].object == object) return &all.host_orders[hint];
  for (unsigned index = 0; index < kHostOrders; ++index)
    if (all.host_orders[index].object == object) {
      hint = static_cast<std::uint8_t>(index);
      return &all.host_orders[index];
    }
  return nullptr;
}

inline void set_order(const void* object, std::uint64_t time) {
  Order* order = find_order(object);
  if (order == nullptr) order = &state().host_orders[state().next_host_order++ % kHostOrders];
  *order = {object, time};
}

// When the object was last handed over, as far as that is known; otherwise 0.
inline std::uint64_t order_of(const void* object) {
  const Order* order = find_order(object);
  return order != nullptr && order->object == object ? order->time : 0;
}

}  // namespace kdpc::sim
