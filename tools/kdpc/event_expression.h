// Which event a person means: names of events and comparisons of their fields, put together with && || ! and parentheses.
//
//   dpc-queued && target == 1 && depth > 3
//   activity-began && kind == isr && routine == nic!NicIsr
//   routine-entered && routine == KeSetEvent || time >= 12.5ms
//
// Beside its own fields every event has `time`, `processor`, `irql` and `thread`: when and where it was stated. A comparison of a field that an event
// does not have is false.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machine/sink.h"
#include "trace/fields.h"

namespace kdpc::tool {

class EventExpression {
 public:
  // The Error says what is wrong at which column, shows it, and says which events and fields there are.
  static Result<EventExpression> parse(std::string_view text);

  // "nic!NicDpc" of an address, or empty.
  using Namer = std::function<const std::string&(std::uintptr_t address)>;
  // On whatever stack the event is stated: an expression is a list of steps, so that its depth does not matter here.
  bool fits(const Stamp& stamp, const Event& event, const Namer& name) const;
  const std::string& text() const { return text_; }

 private:
  friend class EventExpressionParser;

  // Names and comparisons make the result, Not inverts it. Behind what is on the left of && and ||, the result so far may skip what is on the right.
  enum class Kind : std::uint8_t { SkipIfFalse, SkipIfTrue, Not, EventName, Comparison };
  enum class Operator : std::uint8_t { Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual };
  struct Step {
    Kind kind;
    std::size_t to = 0;  // SkipIf…
    std::string name;    // of an event or a field
    Operator comparison = Operator::Equal;
    std::optional<std::uint64_t> number;
    std::string word;
  };

  static bool compare(const Step& step, bool is_routine_number, const FieldValue& value, const Namer& name);
  static bool compare_field(const Step& step, const Stamp& stamp, const Event& event, const Namer& name);

  std::string text_;
  std::vector<Step> steps_;
};

// Every event there is, with the names of its fields.
struct EventShape {
  std::string name;
  std::vector<std::string> fields;
};
const std::vector<EventShape>& event_shapes();
std::string event_list();  // one a line

// "12.5ms", "3 s": nanoseconds. Without a unit it is none.
std::optional<std::uint64_t> nanoseconds_of(std::string_view text);

}  // namespace kdpc::tool
