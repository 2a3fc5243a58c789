// Events as lines of text for people, the same in every run:
//
//       12.345 678 ms  p0   2 DISPATCH t3    dpc-queued            dpc=0x40000001a340 routine=nic!NicDpc target=0 importance=1 depth=1 …
//
// time in milliseconds, processor, IRQL, the thread that runs or is interrupted, the fact, its fields.
#pragma once
#include <functional>
#include <string>
#include <unordered_map>

#include "machine/sink.h"
#include "trace/address_space.h"
#include "trace/fields.h"
#include "trace/symbols.h"

namespace kdpc {

std::string_view short_name_of_irql(unsigned irql);   // DISPATCH
std::string text_of_time(std::uint64_t nanoseconds);  // 12.345 678 ms

// Turns addresses and fields into text. Host memory that is in no image is named by the order of its first appearance: host#1.
class EventText {
 public:
  explicit EventText(Symbols& symbols) : symbols_(symbols) {}
  // The names of the routines that RoutineEntered numbers; without it they stay numbers.
  using RoutineNames = const char* (*)(std::uint16_t routine);
  void name_routines(RoutineNames names) { routine_names_ = names; }

  std::string address(std::uintptr_t address);
  std::string field(std::string_view event, std::string_view name, const FieldValue& value);
  std::string line(const Stamp& stamp, const Event& event);

 private:
  Symbols& symbols_;
  RoutineNames routine_names_ = nullptr;
  HostOrdinals ordinals_;
  std::unordered_map<std::uintptr_t, std::string> known_;
};

// A sink that writes each line as it comes.
class TextTrace : public EventSink {
 public:
  using Write = std::function<void(const std::string& line)>;
  TextTrace(EventText& text, Write write) : text_(text), write_(std::move(write)) {}
  void event(const Stamp& stamp, const Event& event) override { write_(text_.line(stamp, event)); }

 private:
  EventText& text_;
  Write write_;
};

}  // namespace kdpc
