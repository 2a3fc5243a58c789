// The fields of any event, one after the other, in the order in which the event states them.
#pragma once
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "kernel/events.h"

namespace kdpc {

struct FieldValue {
  enum class Kind : std::uint8_t { Unsigned, Signed, Boolean, Name, Address, Text };
  Kind kind;
  std::uint64_t bits;     // signed ones are sign-extended
  std::string_view text;  // of Name and Text
};

std::string_view name_of(ActivityKind kind);
std::string_view name_of(ObjectKind kind);
std::string_view name_of(LockKind kind);
std::string_view name_of(LockForm form);
std::string_view name_of(WaitReason reason);
std::string_view name_of(const Event& event);

namespace detail {
template <class T>
FieldValue field_value(const T& value) {
  if constexpr (std::is_same_v<T, Address>) {
    return {FieldValue::Kind::Address, value.value, {}};
  } else if constexpr (std::is_same_v<T, bool>) {
    return {FieldValue::Kind::Boolean, value ? 1u : 0u, {}};
  } else if constexpr (std::is_enum_v<T>) {
    return {FieldValue::Kind::Name, static_cast<std::uint64_t>(value), name_of(value)};
  } else if constexpr (std::is_convertible_v<T, std::string_view>) {
    return {FieldValue::Kind::Text, 0, value};
  } else if constexpr (std::is_signed_v<T>) {
    return {FieldValue::Kind::Signed, static_cast<std::uint64_t>(static_cast<std::int64_t>(value)), {}};
  } else {
    return {FieldValue::Kind::Unsigned, value, {}};
  }
}
}  // namespace detail

// visit(std::string_view name, const FieldValue& value)
template <class Visit>
void each_field(const Event& event, Visit&& visit) {
  std::visit(
      [&visit](const auto& fact) {
        using Fact = std::remove_cvref_t<decltype(fact)>;
        if constexpr (std::is_same_v<Fact, DebugPrinted>) {  // its text need not end with a zero
          visit(std::string_view("text"), FieldValue{FieldValue::Kind::Text, 0, std::string_view(fact.text, fact.length)});
        } else {
          fact.fields([&visit](const char* name, const auto& value) { visit(std::string_view(name), detail::field_value(value)); });
        }
      },
      event);
}

}  // namespace kdpc
