// Facts, from where they are stated to the sinks. A processor writes down its own, at High, in a room of its own; the host takes all of them in order of time while
// the machine is frozen, and hands them to the sinks.
//
//   K.LIVE-15  A room is written by its processor and emptied by the host while that processor is parked; so neither waits for the other.
#pragma once
#include <cstdint>

#include "machine/live/slot.h"
#include "machine/sink.h"

namespace kdpc::live {

struct Fact {
  Stamp stamp;
  Event event;
};

// By a processor at any level, or by the host or one of its threads. When the room is almost full the processor waits for the host if its level allows; else the fact is
// lost, and counted.
void tell(const Event& event);
// The same, as of that processor, from anywhere.
void tell_of(const Slot& slot, const Event& event);

namespace facts {

void drain();  // by the host, with the machine frozen
std::uint64_t lost();
void add(EventSink& sink);
void remove(EventSink& sink);
void forget();

}  // namespace facts
}  // namespace kdpc::live
