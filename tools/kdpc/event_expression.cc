#include "tools/kdpc/event_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "tools/kdpc/near_name.h"
#include "trace/fields.h"
#include "trace/text_trace.h"
#include "wdk/routine.h"

namespace kdpc::tool {

namespace {

const std::vector<std::string> kStampFields = {"time", "processor", "irql", "thread"};

template <std::size_t... I>
std::vector<EventShape> shapes(std::index_sequence<I...>) {
  std::vector<EventShape> all;
  const auto add = [&all](const Event& event) {
    EventShape shape{std::string(name_of(event)), {}};
    each_field(event, [&](std::string_view name, const FieldValue&) { shape.fields.emplace_back(name); });
    all.push_back(std::move(shape));
  };
  (add(Event{std::in_place_index<I>}), ...);
  return all;
}

// How a field of this name is written in some event.
template <std::size_t... I>
bool any_field_is(std::string_view name, std::initializer_list<FieldValue::Kind> kinds, std::index_sequence<I...>) {
  bool found = false;
  const auto look = [&](const Event& event) {
    each_field(event, [&](std::string_view field, const FieldValue& value) {
      if (field == name && std::find(kinds.begin(), kinds.end(), value.kind) != kinds.end()) found = true;
    });
  };
  (look(Event{std::in_place_index<I>}), ...);
  return found;
}

// What can stand in the fields of this name that have words: a few names, or true and false.
template <std::size_t... I>
std::vector<std::string> words_in(std::string_view name, std::index_sequence<I...>) {
  std::set<std::string> words;
  const auto look = [&]<class Fact>(const Fact& fact) {
    if constexpr (!std::is_same_v<Fact, DebugPrinted>)
      fact.fields([&]<class Value>(std::string_view field, const Value&) {
        if (field != name) return;
        if constexpr (std::is_same_v<Value, bool>) words.insert({"false", "true"});
        if constexpr (std::is_enum_v<Value>)
          for (unsigned number = 0; number <= std::numeric_limits<std::underlying_type_t<Value>>::max(); ++number)
            if (const std::string_view word = name_of(static_cast<Value>(number)); word != "?") words.emplace(word);
      });
  };
  (look(std::variant_alternative_t<I, Event>{}), ...);
  return {words.begin(), words.end()};
}

constexpr auto kEvents = std::make_index_sequence<std::variant_size_v<Event>>();

std::vector<std::string> words_of_field(std::string_view name) { return words_in(name, kEvents); }

bool is_event(std::string_view name) {
  const auto& all = event_shapes();
  return std::any_of(all.begin(), all.end(), [&](const EventShape& shape) { return shape.name == name; });
}

bool is_field(std::string_view name) {
  using enum FieldValue::Kind;
  return std::find(kStampFields.begin(), kStampFields.end(), name) != kStampFields.end() ||
         any_field_is(name, {Unsigned, Signed, Boolean, Name, Address, Text}, kEvents);
}

std::vector<std::string> all_names() {
  std::vector<std::string> names = kStampFields;
  for (const EventShape& shape : event_shapes()) {
    names.push_back(shape.name);
    names.insert(names.end(), shape.fields.begin(), shape.fields.end());
  }
  return names;
}

std::optional<std::uint64_t> routine_named(std::string_view name) {
  for (unsigned id = 0; id < wdk::kRoutineCount; ++id)
    if (name == wdk::row_of(static_cast<wdk::RoutineId>(id)).name) return id;
  return {};
}

// "DISPATCH_LEVEL", or "DISPATCH" as in a trace. Devices have many levels, so those are numbers.
std::optional<std::uint64_t> level_named(std::string_view name) {
  if (name.ends_with("_LEVEL")) name.remove_suffix(std::string_view("_LEVEL").size());
  for (unsigned level = 0; level < 16; ++level)
    if (name != "DIRQL" && name == short_name_of_irql(level)) return level;
  return {};
}

std::optional<std::uint64_t> plain_number(std::string_view text) {
  const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
  const bool is_negative = text.starts_with('-');
  if (is_hex) text.remove_prefix(2);
  if (is_negative) text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, is_hex ? 16 : 10);
  if (failed != std::errc() || end != text.data() + text.size()) return {};
  return is_negative ? ~value + 1 : value;
}

}  // namespace

const std::vector<EventShape>& event_shapes() {
  static const std::vector<EventShape> all = shapes(kEvents);
  return all;
}

std::string event_list() {
  std::string text;
  for (const EventShape& shape : event_shapes()) text += fmt::format("  {:<24} {}\n", shape.name, fmt::join(shape.fields, " "));
  return text + fmt::format("  {:<24} {}\n", "every event", fmt::join(kStampFields, " "));
}

std::optional<std::uint64_t> nanoseconds_of(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (failed != std::errc() || value < 0) return {};
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const auto& [name, scale] : {std::pair{"ns", 1.0}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}})
    if (unit == name && value * scale < 9e18) return static_cast<std::uint64_t>(std::llround(value * scale));
  return {};
}

// One pass from left to right; every rule of the grammar is a function.
class EventExpressionParser {
 public:
  explicit EventExpressionParser(std::string_view text) : text_(text) { next(); }

  Result<EventExpression> parse() {
    any_of();
    if (failed_.empty() && !token_.empty()) fail(token_at_, fmt::format("'{}' is one too many here", token_));
    if (!failed_.empty()) return Error{failed_};
    expression_.text_ = std::string(text_);
    return std::move(expression_);
  }

 private:
  using Step = EventExpression::Step;
  using Kind = EventExpression::Kind;
  using Operator = EventExpression::Operator;

  // More than anybody means; and what is nested is parsed by functions that call themselves.
  static constexpr unsigned kDeepest = 64;

  void add(Step step) { expression_.steps_.push_back(std::move(step)); }

  void any_of() { joined("||", Kind::SkipIfTrue, &EventExpressionParser::all_of); }
  void all_of() { joined("&&", Kind::SkipIfFalse, &EventExpressionParser::one); }

  // Parts with the same sign in between: the first that decides the result skips the others.
  void joined(std::string_view sign, Kind skip, void (EventExpressionParser::*part)()) {
    std::vector<std::size_t> skips;
    (this->*part)();
    while (failed_.empty() && accept(sign)) {
      skips.push_back(expression_.steps_.size());
      add({skip, 0, {}, {}, {}, {}});
      (this->*part)();
    }
    for (const std::size_t each : skips) expression_.steps_[each].to = expression_.steps_.size();
  }

  void one() {
    const std::size_t at = token_at_;
    const bool is_not = accept("!");
    if (!is_not && !accept("(")) return term();
    if (depth_ == kDeepest) return fail(at, "this is nested too deeply");
    ++depth_;
    if (is_not) {
      one();
      add({Kind::Not, 0, {}, {}, {}, {}});
    } else {
      any_of();
      if (failed_.empty() && !accept(")")) fail(token_at_, "a ')' is missing here");
    }
    --depth_;
  }

  void term() {
    const std::string name = token_;
    const std::size_t at = token_at_;
    if (name.empty()) return fail(at, "the name of an event or of a field is missing here");
    if (!is_event(name) && !is_field(name)) {
      const std::string_view near = nearest(name, names_);
      return fail(at, fmt::format("there is no event or field '{}'{}", name, near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
    }
    next();
    const auto comparison = comparison_of(token_);
    if (!comparison) {
      if (is_event(name)) return add({Kind::EventName, 0, name, {}, {}, {}});
      return fail(token_at_, fmt::format("'{}' is a field: compare it, with == != < <= > or >=", name));
    }
    if (!is_field(name)) return fail(token_at_, fmt::format("'{}' is an event, which has fields, but cannot be compared itself", name));
    next();
    value(name, *comparison);
  }

  void value(const std::string& name, Operator comparison) {
    using enum FieldValue::Kind;
    const std::string word = token_;
    const std::size_t at = token_at_;
    if (word.empty() || word == "&&" || word == "||" || word == ")" || word == "(")
      return fail(at, fmt::format("what '{}' is compared with is missing here", name));
    std::optional<std::uint64_t> number = quoted_ ? std::nullopt : plain_number(word);
    if (!number && !quoted_) number = nanoseconds_of(word);
    if (!number && name == "routine") number = routine_named(word);
    if (!number && name == "irql") number = level_named(word);
    if (!number && !any_field_is(name, {Address, Text}, kEvents)) {
      const std::vector<std::string> words = words_of_field(name);
      if (words.empty()) return fail(at, fmt::format("'{}' is a number, and '{}' is none (12, 0x1f, 12.5ms)", name, word));
      if (std::find(words.begin(), words.end(), word) == words.end())
        return fail(at, fmt::format("'{}' is never '{}'{}", name, word, suggestion(word, words)));
    }
    const bool ordered = comparison != Operator::Equal && comparison != Operator::NotEqual;
    if (ordered && !number) return fail(at, fmt::format("'{}' has no order: names are compared with == and !=", word));
    next();
    add({Kind::Comparison, 0, name, comparison, number, word});
  }

  static std::optional<Operator> comparison_of(std::string_view token) {
    if (token == "==" || token == "=") return Operator::Equal;
    if (token == "!=") return Operator::NotEqual;
    if (token == "<") return Operator::Less;
    if (token == "<=") return Operator::LessOrEqual;
    if (token == ">") return Operator::Greater;
    if (token == ">=") return Operator::GreaterOrEqual;
    return {};
  }

  bool accept(std::string_view token) {
    if (quoted_ || token_ != token) return false;
    next();
    return true;
  }

  void fail(std::size_t at, const std::string& why) {
    if (failed_.empty())
      failed_ =
          fmt::format("column {}: {}\n  {}\n  {:>{}}\nThere are these events, with these fields:\n{}", at + 1, why, text_, '^', at + 1, event_list());
  }

  static bool is_of_word(char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 ||
           (letter != '\0' && std::string_view("_-!:$.~").find(letter) != std::string_view::npos);
  }

  void next() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    token_at_ = at_;
    quoted_ = false;
    const std::string_view rest = text_.substr(at_);
    if (rest.empty()) {
      token_.clear();
      return;
    }
    for (const std::string_view sign : {"&&", "||", "==", "!=", "<=", ">=", "<", ">", "=", "!", "(", ")"})
      if (rest.starts_with(sign)) {
        token_ = sign;
        at_ += sign.size();
        return;
      }
    if (rest.front() == '"') {
      if (rest.find('"', 1) == std::string_view::npos) fail(at_, "a quote begins here that does not end");
      const std::size_t end = std::min(rest.find('"', 1), rest.size());
      token_ = rest.substr(1, end - 1);
      quoted_ = true;
      at_ += std::min(end + 1, rest.size());
      return;
    }
    std::size_t length = 0;
    while (length < rest.size() && is_of_word(rest[length]) && !rest.substr(length).starts_with("!=")) ++length;
    length = std::max<std::size_t>(length, 1);
    token_ = rest.substr(0, length);
    at_ += length;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string token_;  // empty: the end
  std::size_t token_at_ = 0;
  bool quoted_ = false;
  unsigned depth_ = 0;  // of '(' and '!' around the token
  std::string failed_;
  const std::vector<std::string> names_ = all_names();
  EventExpression expression_;
};

Result<EventExpression> EventExpression::parse(std::string_view text) { return EventExpressionParser(text).parse(); }

// `is_routine_number`: of the table of exports, which has names too.
bool EventExpression::compare(const Step& step, bool is_routine_number, const FieldValue& value, const Namer& name) {
  using FieldKind = FieldValue::Kind;
  bool equal = false;
  int order = 0;  // of the field against the number
  if (step.number && (value.kind != FieldKind::Address || step.word.find('!') == std::string::npos) &&
      (step.name != "routine" || is_routine_number || plain_number(step.word))) {
    equal = value.bits == *step.number;
    order = value.kind == FieldKind::Signed ? (static_cast<std::int64_t>(value.bits) < static_cast<std::int64_t>(*step.number) ? -1 : 1)
                                            : (value.bits < *step.number ? -1 : 1);
  } else if (value.kind == FieldKind::Name || value.kind == FieldKind::Text) {
    equal = value.text == step.word;
  } else if (value.kind == FieldKind::Boolean) {
    equal = step.word == (value.bits != 0 ? "true" : "false");
  } else if (value.kind == FieldKind::Address) {
    const std::string& its_name = name(value.bits);
    equal = its_name == step.word || (step.word.find('!') == std::string::npos && its_name.ends_with("!" + step.word));
  } else {
    return false;
  }
  switch (step.comparison) {
    case Operator::Equal: return equal;
    case Operator::NotEqual: return !equal;
    case Operator::Less: return !equal && order < 0;
    case Operator::LessOrEqual: return equal || order < 0;
    case Operator::Greater: return !equal && order > 0;
    case Operator::GreaterOrEqual: return equal || order > 0;
  }
  return false;
}

bool EventExpression::compare_field(const Step& step, const Stamp& stamp, const Event& event, const Namer& name) {
  bool result = false, own = false;
  each_field(event, [&](std::string_view field, const FieldValue& value) {
    if (field != step.name) return;
    own = true;
    result = compare(step, field == "routine" && std::holds_alternative<RoutineEntered>(event), value, name);
  });
  if (own) return result;
  const std::pair<std::string_view, std::uint64_t> stated[] = {
      {"time", stamp.time}, {"processor", stamp.processor}, {"irql", stamp.irql}, {"thread", stamp.thread}};
  for (const auto& [field, bits] : stated)
    if (field == step.name) return compare(step, false, {FieldValue::Kind::Unsigned, bits, {}}, name);
  return false;
}

bool EventExpression::fits(const Stamp& stamp, const Event& event, const Namer& name) const {
  bool result = false;
  for (std::size_t index = 0; index < steps_.size();) {
    const Step& step = steps_[index++];
    switch (step.kind) {
      case Kind::SkipIfFalse:
        if (!result) index = step.to;
        break;
      case Kind::SkipIfTrue:
        if (result) index = step.to;
        break;
      case Kind::Not: result = !result; break;
      case Kind::EventName: result = name_of(event) == step.name; break;
      case Kind::Comparison: result = compare_field(step, stamp, event, name); break;
    }
  }
  return result;
}

}  // namespace kdpc::tool
