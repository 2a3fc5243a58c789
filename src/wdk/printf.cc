// The formatting routines NT's kernel exports under their C names; ntstrsafe.h is built on them.
#include <algorithm>
#include <cstddef>

#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/format.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

// The number of characters, or -1 if they did not fit with a terminator. Unlike C's routines of these names, what was cut off is terminated.
template <class Character, class Format>
int print(Character* to, std::size_t room, Format&& format) {
  if (room == 0) return -1;
  const wdk::Formatted formatted = format(to, room);
  Machine::observe(KernelAccess{to, static_cast<std::uint32_t>((std::min(formatted.length, room - 1) + 1) * sizeof(Character))});
  return formatted.truncated ? -1 : static_cast<int>(formatted.length);
}

}  // namespace

extern "C" {

int NTAPI _vsnprintf(char* buffer, size_t count, const char* format, __builtin_ms_va_list arguments) {
  KDPC_ROUTINE(_vsnprintf);
  return print(buffer, count, [&](char* to, std::size_t room) { return wdk::format(to, room, format, arguments); });
}

int NTAPI _vsnwprintf(WCHAR* buffer, size_t count, const WCHAR* format, __builtin_ms_va_list arguments) {
  KDPC_ROUTINE(_vsnwprintf);
  return print(buffer, count, [&](WCHAR* to, std::size_t room) { return wdk::format_wide(to, room, format, arguments); });
}

}  // extern "C"
