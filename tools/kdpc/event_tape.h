// Events on their way to the text trace. A sink is called on the stack of whoever states the fact, which may be an ISR's and small, and to name an
// address takes a large one: so events are only copied there, and become lines on the host context, between steps.
#pragma once
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include "trace/text_trace.h"

namespace kdpc::tool {

class EventTape : public EventSink {
 public:
  EventTape(Symbols& symbols, std::FILE* file);
  void event(const Stamp& stamp, const Event& event) override;
  // On the host context.
  void write();

 private:
  struct Entry {
    Stamp stamp;
    Event event;
  };
  EventText text_;
  std::FILE* file_;
  std::vector<Entry> entries_;
  std::deque<std::string> texts_;  // an event's text lives only as long as the call
};

}  // namespace kdpc::tool
