// Changes of level for the ways on which a call counts: from an ISR to its DPC, and back. Elsewhere raise_here(), lower_here() and RaiseTo do the same.
#pragma once
#include "kernel/irql.h"
#include "this_machine.h"

namespace kdpc {

inline void lower_inline_here(Irql to) {
  Machine::lower(to);  // hardware first: it is above anything software can ask for
  if (to < Irql::Dispatch && Machine::requests() != 0) [[unlikely]]
    serve_requests_here(to);
}

// RaiseTo<Irql::High>: nothing is above that, so nothing needs to be checked.
class SCOPED_CAPABILITY AtHigh {
 public:
  AtHigh() ACQUIRE(at_dispatch) : previous_(Machine::irql()) { Machine::set_irql(Irql::High); }
  ~AtHigh() RELEASE() { lower_inline_here(previous_); }
  AtHigh(const AtHigh&) = delete;
  AtHigh& operator=(const AtHigh&) = delete;

 private:
  Irql previous_;
};

}  // namespace kdpc
