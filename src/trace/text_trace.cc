#include "trace/text_trace.h"

#include <fmt/format.h>

namespace kdpc {

std::string_view short_name_of_irql(unsigned irql) {
  static constexpr std::string_view kNames[] = {"PASSIVE", "APC",   "DISPATCH", "DIRQL", "DIRQL", "DIRQL", "DIRQL", "DIRQL",
                                                "DIRQL",   "DIRQL", "DIRQL",    "DIRQL", "SYNCH", "CLOCK", "IPI",   "HIGH"};
  return irql < 16 ? kNames[irql] : std::string_view("?");
}

std::string text_of_time(std::uint64_t nanoseconds) {
  return fmt::format("{}.{:03} {:03} ms", nanoseconds / 1'000'000, nanoseconds / 1000 % 1000, nanoseconds % 1000);
}

std::string EventText::address(std::uintptr_t address) {
  if (address == 0) return "0";
  if (is_number(address) || (is_fixed(address) && address < kDriversBegin)) return fmt::format("{:#x}", address);
  const auto known = known_.find(address);
  if (known != known_.end()) return known->second;
  const Symbol& symbol = symbols_.find(address);
  std::string text;
  if (!symbol.image.empty()) {
    text = symbol.short_text();
  } else if (is_fixed(address)) {
    text = fmt::format("{:#x}", address);
  } else {
    text = fmt::format("host#{}", ordinals_.of(address));
  }
  return known_.emplace(address, std::move(text)).first->second;
}

std::string EventText::field(std::string_view event, std::string_view name, const FieldValue& value) {
  using Kind = FieldValue::Kind;
  switch (value.kind) {
    case Kind::Address: return address(value.bits);
    case Kind::Boolean: return value.bits != 0 ? "true" : "false";
    case Kind::Name: return std::string(value.text);
    case Kind::Text: return fmt::format("\"{}\"", value.text.ends_with('\n') ? value.text.substr(0, value.text.size() - 1) : value.text);
    case Kind::Signed:
      if (name == "status") return fmt::format("{:#010x}", static_cast<std::uint32_t>(value.bits));
      return fmt::format("{}", static_cast<std::int64_t>(value.bits));
    case Kind::Unsigned: break;
  }
  if (name == "tag") {  // four characters, the first in the lowest byte
    std::string tag;
    for (unsigned shift = 0; shift < 32; shift += 8) {
      const char letter = static_cast<char>(value.bits >> shift);
      tag += letter >= ' ' && letter <= '~' ? letter : '.';
    }
    return fmt::format("'{}'", tag);
  }
  if (name == "routine" && event == RoutineEntered::name && routine_names_ != nullptr)
    if (const char* routine = routine_names_(static_cast<std::uint16_t>(value.bits))) return routine;
  if (name == "vector" || name == "code" || name == "targets" || event == RegisterAccessed::name) return fmt::format("{:#x}", value.bits);
  return fmt::format("{}", value.bits);
}

std::string EventText::line(const Stamp& stamp, const Event& event) {
  const std::string_view name = name_of(event);
  std::string line = fmt::format("{:>18}  p{:<2} {:>2} {:<8} t{:<3} {:<21}", text_of_time(stamp.time), stamp.processor, stamp.irql,
                                 short_name_of_irql(stamp.irql), stamp.thread, name);
  each_field(event, [&](std::string_view field_name, const FieldValue& value) {
    line += fmt::format(" {}={}", field_name, field(name, field_name, value));
  });
  return line;
}

}  // namespace kdpc
