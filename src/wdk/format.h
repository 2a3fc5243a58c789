// NT's printf for kernel code: what DbgPrint and the string-safe routines make of a format and a driver's arguments.
//
// Understood: %d %i %u %x %X %o %c %C %s %S %p %Z, the sizes h l ll w I I32 I64 z j t, the flags - + # 0 and space, width and precision as numbers
// or *. %Z is a counted string (%wZ: UNICODE_STRING). %p has sixteen digits. A character that means nothing after % stands for itself.
// There is no floating point (DBG-1): such a conversion consumes its argument and writes its letter.
//
// Any IRQL as far as this code is concerned: it allocates nothing, locks nothing and knows no locale. Wide text becomes UTF-8.
#pragma once
#include <cstddef>

namespace kdpc::wdk {

// DbgPrint transmits at most this much per call (DBG-1).
inline constexpr std::size_t kDebugPrintLimit = 512;

struct Formatted {
  std::size_t length = 0;       // bytes written, without the terminator
  bool truncated = false;       // there was more text than room
  bool wide = false;            // a conversion for wide characters was used: legal at PASSIVE_LEVEL only (DBG-1)
  bool floating_point = false;  // a conversion NT's kernel does not have
};

// Writes at most `capacity - 1` bytes and a terminating zero; a multi-byte character is never cut. `capacity` is at least 1.
// The arguments are those of a Win64 variadic call.
Formatted format(char* to, std::size_t capacity, const char* text, __builtin_ms_va_list arguments);
// The same with a wide format and wide output: %s is wide text, %S narrow; lengths and capacity count characters.
Formatted format_wide(char16_t* to, std::size_t capacity, const char16_t* text, __builtin_ms_va_list arguments);

}  // namespace kdpc::wdk
