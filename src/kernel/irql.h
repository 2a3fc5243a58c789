// Interrupt request levels: what may interrupt this processor now, and what the code on it may do.
//
// Raising is a request to be left alone by anything at or below the new level. Lowering pays the debt: what arrived meanwhile runs before
// lower_here() returns.
//
//   K.IRQL-1  A processor's level is changed by that processor only.
//   K.IRQL-2  When lower_here() returns, nothing deliverable at the new level is pending (SEMANTICS IRQL-9).
//   K.IRQL-3  The level belongs to the processor, not to the thread: a thread switch happens at Synch and each thread lowers for itself.
//
//   Passive --raise--> Dispatch --interrupt--> Device --interrupt--> Clock, Ipi
//      ^                  |                       |
//      '--lower: window---'<---return: window-----'
#pragma once
#include <cstdint>

#include "base/annotations.h"

namespace kdpc {

enum class Irql : std::uint8_t {
  Passive = 0,   // Threads. Waiting, paged memory and preemption are all allowed.
  Apc = 1,       // As Passive, but no APC is delivered.
  Dispatch = 2,  // No waiting, no paged memory, no preemption. DPCs run here; spin locks are held here.
  Device = 3,    // 3…11: the device's own interrupt is held off. ISRs run here: touch the device, queue a DPC, leave.
  Synch = 12,    // The dispatcher's own lock is held here: only clock, IPI and worse get through.
  Clock = 13,    // The clock tick.
  Ipi = 14,      // Requests from other processors.
  High = 15,     // Nothing interrupts. DPC queues and vector tables are changed here.
};

constexpr Irql irql_of(std::uint8_t vector) { return static_cast<Irql>(vector >> 4); }
const char* name_of(Irql level);

// Permission to do what is only right at Dispatch or above. Not a lock: it costs nothing and exists for the reader and for clang.
struct CAPABILITY("irql") IrqlToken {};
inline constexpr IrqlToken at_dispatch;

Irql current_irql();  // Any level.

// The driver's own raise and lower, with NT's checks: raising to a lower level or lowering to a higher one is a bug check by the
// profile (SEMANTICS IRQL-5, IRQL-7), lowering below Dispatch inside a DPC routine too.
Irql raise_for_driver(Irql to);  // returns the level to lower to
void lower_for_driver(Irql to);

// The kernel's own. raise_here() never lowers, except for a driver that is too high already and that its profile does not stop; both are exact inverses.
Irql raise_here(Irql to);
void lower_here(Irql to);  // may run interrupts, DPCs and a thread switch before it returns
// The second half of that: `to` is the level already, and interrupts have been looked for.
void serve_requests_here(Irql to);

// Raises for the rest of the scope.
template <Irql Level>
class SCOPED_CAPABILITY RaiseTo {
 public:
  RaiseTo() ACQUIRE(at_dispatch) : previous_(raise_here(Level)) { static_assert(Level >= Irql::Dispatch); }
  ~RaiseTo() RELEASE() { lower_here(previous_); }
  RaiseTo(const RaiseTo&) = delete;
  RaiseTo& operator=(const RaiseTo&) = delete;
  Irql previous() const { return previous_; }

 private:
  Irql previous_;
};

}  // namespace kdpc
