// Rtl: text of other kinds and cases, numbers and GUIDs as text, and questions about the version of Windows.
#include <algorithm>
#include <cstring>

#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/letter_case.h"
#include "wdk/routine.h"
#include "wdk/rtl_string.h"

using namespace kdpc;
using kdpc::wdk::kMostStringBytes;
using kdpc::wdk::kRtlStringTag;

namespace {

template <class Convert>
NTSTATUS change_case(UNICODE_STRING* to, const UNICODE_STRING& from, bool allocate, void* caller, Convert convert) {
  if (allocate) {
    void* memory = sys().pool.allocate(from.Length + sizeof(WCHAR), kRtlStringTag, PoolType::Paged, reinterpret_cast<std::uintptr_t>(caller));
    if (memory == nullptr) return STATUS_NO_MEMORY;
    *to = {0, from.Length, static_cast<PWCH>(memory)};
  } else if (from.Length > to->MaximumLength) {
    return STATUS_BUFFER_OVERFLOW;
  }
  for (std::size_t i = 0; i < from.Length / sizeof(WCHAR); ++i) to->Buffer[i] = convert(from.Buffer[i]);
  to->Length = from.Length;
  return STATUS_SUCCESS;
}

int digit_value(char16_t c) {
  if (c >= u'0' && c <= u'9') return c - u'0';
  const char16_t small = c | 0x20;
  return small >= u'a' && small <= u'f' ? small - u'a' + 10 : 99;
}

bool is_base(ULONG base) { return base == 2 || base == 8 || base == 10 || base == 16; }

// {xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}
constexpr char kGuidShape[] = "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}";
constexpr std::size_t kGuidLength = sizeof kGuidShape - 1;

// The bytes of a GUID in the order of its text.
constexpr int kGuidOrder[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

struct Version {
  ULONG major = 10, minor = 0, build = 19041, service_pack = 0;
};

bool holds(ULONG ours, ULONG asked, ULONGLONG condition) {
  switch (condition) {
    case VER_EQUAL: return ours == asked;
    case VER_GREATER: return ours > asked;
    case VER_GREATER_EQUAL: return ours >= asked;
    case VER_LESS: return ours < asked;
    case VER_LESS_EQUAL: return ours <= asked;
    default: return false;
  }
}

}  // namespace

extern "C" {

NTSTATUS NTAPI RtlInitUnicodeStringEx(PUNICODE_STRING DestinationString, PCWSTR SourceString) {
  KDPC_ROUTINE(RtlInitUnicodeStringEx);
  *DestinationString = {};
  if (SourceString == nullptr) return STATUS_SUCCESS;
  std::size_t length = 0;
  while (SourceString[length] != 0) ++length;
  if (length * sizeof(WCHAR) > kMostStringBytes - sizeof(WCHAR)) return STATUS_NAME_TOO_LONG;
  *DestinationString = {static_cast<USHORT>(length * sizeof(WCHAR)), static_cast<USHORT>((length + 1) * sizeof(WCHAR)),
                        const_cast<PWCH>(SourceString)};
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlInitAnsiStringEx(PANSI_STRING DestinationString, PCSZ SourceString) {
  KDPC_ROUTINE(RtlInitAnsiStringEx);
  *DestinationString = {};
  if (SourceString == nullptr) return STATUS_SUCCESS;
  const std::size_t length = std::strlen(SourceString);
  if (length > 0xFFFE) return STATUS_NAME_TOO_LONG;
  *DestinationString = {static_cast<USHORT>(length), static_cast<USHORT>(length + 1), const_cast<PCHAR>(SourceString)};
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlAppendStringToString(PSTRING Destination, const STRING* Source) {
  KDPC_ROUTINE(RtlAppendStringToString);
  if (Destination->Length + Source->Length > Destination->MaximumLength) return STATUS_BUFFER_TOO_SMALL;
  if (Source->Length != 0) std::memmove(Destination->Buffer + Destination->Length, Source->Buffer, Source->Length);
  Destination->Length = static_cast<USHORT>(Destination->Length + Source->Length);
  return STATUS_SUCCESS;
}

BOOLEAN NTAPI RtlPrefixString(const STRING* String1, const STRING* String2, BOOLEAN CaseInSensitive) {
  KDPC_ROUTINE(RtlPrefixString);
  if (String1->Length > String2->Length) return FALSE;
  for (USHORT i = 0; i < String1->Length; ++i) {
    const char left = String1->Buffer[i], right = String2->Buffer[i];
    if (CaseInSensitive ? wdk::upcase(left) != wdk::upcase(right) : left != right) return FALSE;
  }
  return TRUE;
}

CHAR NTAPI RtlUpperChar(CHAR Character) {
  KDPC_ROUTINE(RtlUpperChar);
  return wdk::upcase(Character);
}

VOID NTAPI RtlUpperString(PSTRING DestinationString, const STRING* SourceString) {
  KDPC_ROUTINE(RtlUpperString);
  DestinationString->Length = std::min(SourceString->Length, DestinationString->MaximumLength);
  for (USHORT i = 0; i < DestinationString->Length; ++i) DestinationString->Buffer[i] = wdk::upcase(SourceString->Buffer[i]);
}

WCHAR NTAPI RtlDowncaseUnicodeChar(WCHAR SourceCharacter) {
  KDPC_ROUTINE(RtlDowncaseUnicodeChar);
  return wdk::downcase(SourceCharacter);
}

NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString) {
  KDPC_ROUTINE(RtlUpcaseUnicodeString);
  return change_case(DestinationString, *SourceString, AllocateDestinationString != 0, __builtin_return_address(0),
                     [](WCHAR c) { return wdk::upcase(c); });
}

NTSTATUS NTAPI RtlDowncaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString) {
  KDPC_ROUTINE(RtlDowncaseUnicodeString);
  return change_case(DestinationString, *SourceString, AllocateDestinationString != 0, __builtin_return_address(0),
                     [](WCHAR c) { return wdk::downcase(c); });
}

// hash = hash * 65599 + character: the documented algorithm.
NTSTATUS NTAPI RtlHashUnicodeString(PCUNICODE_STRING String, BOOLEAN CaseInSensitive, ULONG HashAlgorithm, PULONG HashValue) {
  KDPC_ROUTINE(RtlHashUnicodeString);
  if (String == nullptr || HashValue == nullptr || HashAlgorithm > HASH_STRING_ALGORITHM_X65599) return STATUS_INVALID_PARAMETER;
  ULONG hash = 0;
  for (std::size_t i = 0; i < String->Length / sizeof(WCHAR); ++i)
    hash = hash * 65599 + (CaseInSensitive ? wdk::upcase(String->Buffer[i]) : String->Buffer[i]);
  *HashValue = hash;
  return STATUS_SUCCESS;
}

ULONG NTAPI RtlxAnsiStringToUnicodeSize(PCANSI_STRING AnsiString) {
  KDPC_ROUTINE(RtlxAnsiStringToUnicodeSize);
  return (AnsiString->Length + 1u) * static_cast<ULONG>(sizeof(WCHAR));
}

ULONG NTAPI RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING UnicodeString) {
  KDPC_ROUTINE(RtlxUnicodeStringToAnsiSize);
  return UnicodeString->Length / static_cast<ULONG>(sizeof(WCHAR)) + 1;
}

NTSTATUS NTAPI RtlInt64ToUnicodeString(ULONGLONG Value, ULONG Base, PUNICODE_STRING String) {
  KDPC_ROUTINE(RtlInt64ToUnicodeString);
  if (Base == 0) Base = 10;
  if (!is_base(Base)) return STATUS_INVALID_PARAMETER;
  WCHAR digits[64];
  std::size_t count = 0;
  do digits[std::size(digits) - ++count] = u"0123456789ABCDEF"[Value % Base];
  while ((Value /= Base) != 0);
  if (count * sizeof(WCHAR) > String->MaximumLength) return STATUS_BUFFER_OVERFLOW;
  std::memcpy(String->Buffer, std::end(digits) - count, count * sizeof(WCHAR));
  String->Length = static_cast<USHORT>(count * sizeof(WCHAR));
  if (String->Length + sizeof(WCHAR) <= String->MaximumLength) String->Buffer[count] = 0;
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value) {
  KDPC_ROUTINE(RtlCharToInteger);
  const char* at = String;
  while (*at != 0 && static_cast<unsigned char>(*at) <= ' ') ++at;
  const bool negative = *at == '-';
  if (*at == '-' || *at == '+') ++at;
  if (Base == 0) {
    Base = 10;
    if (*at == '0') {
      Base = at[1] == 'x' ? 16 : at[1] == 'o' ? 8 : at[1] == 'b' ? 2 : 10;
      if (Base != 10) at += 2;
    }
  } else if (!is_base(Base)) {
    return STATUS_INVALID_PARAMETER;
  }
  ULONG result = 0;
  for (; digit_value(static_cast<unsigned char>(*at)) < static_cast<int>(Base); ++at)
    result = result * Base + static_cast<ULONG>(digit_value(static_cast<unsigned char>(*at)));
  *Value = negative ? 0 - result : result;
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlGUIDFromString(PCUNICODE_STRING GuidString, GUID* Guid) {
  KDPC_ROUTINE(RtlGUIDFromString);
  if (GuidString->Length < kGuidLength * sizeof(WCHAR)) return STATUS_INVALID_PARAMETER;
  UCHAR bytes[16] = {};
  unsigned digits = 0;
  for (std::size_t i = 0; i < kGuidLength; ++i) {
    const WCHAR c = GuidString->Buffer[i];
    if (kGuidShape[i] != 'x') {
      if (c != static_cast<WCHAR>(kGuidShape[i])) return STATUS_INVALID_PARAMETER;
      continue;
    }
    if (digit_value(c) > 15) return STATUS_INVALID_PARAMETER;
    UCHAR& byte = bytes[kGuidOrder[digits++ / 2]];
    byte = static_cast<UCHAR>(byte << 4 | digit_value(c));
  }
  std::memcpy(Guid, bytes, sizeof bytes);
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlStringFromGUID(REFGUID Guid, PUNICODE_STRING GuidString) {
  KDPC_ROUTINE(RtlStringFromGUID);
  constexpr std::size_t kBytes = (kGuidLength + 1) * sizeof(WCHAR);
  auto* text =
      static_cast<WCHAR*>(sys().pool.allocate(kBytes, kRtlStringTag, PoolType::Paged, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0))));
  if (text == nullptr) return STATUS_NO_MEMORY;
  const auto* bytes = reinterpret_cast<const UCHAR*>(&Guid);
  unsigned digits = 0;
  for (std::size_t i = 0; i < kGuidLength; ++i) {
    text[i] = static_cast<WCHAR>(kGuidShape[i]);
    if (kGuidShape[i] != 'x') continue;
    const UCHAR byte = bytes[kGuidOrder[digits / 2]];
    text[i] = u"0123456789ABCDEF"[digits++ % 2 == 0 ? byte >> 4 : byte & 15];
  }
  text[kGuidLength] = 0;
  *GuidString = {kGuidLength * sizeof(WCHAR), kBytes, text};
  return STATUS_SUCCESS;
}

// Major, minor and service pack are one number if they are asked for with the same comparison: 10.0 is above 6.3.
NTSTATUS NTAPI RtlVerifyVersionInfo(PRTL_OSVERSIONINFOEXW VersionInfo, ULONG TypeMask, ULONGLONG ConditionMask) {
  KDPC_ROUTINE(RtlVerifyVersionInfo);
  if (TypeMask == 0 || (TypeMask & ~ULONG{VER_MAJORVERSION | VER_MINORVERSION | VER_BUILDNUMBER | VER_SERVICEPACKMAJOR}) != 0)
    return STATUS_INVALID_PARAMETER;
  const auto condition = [&](ULONG type) { return ConditionMask >> (3 * static_cast<unsigned>(__builtin_ctz(type))) & 7; };
  constexpr Version ours;
  if ((TypeMask & VER_BUILDNUMBER) != 0 && !holds(ours.build, VersionInfo->dwBuildNumber, condition(VER_BUILDNUMBER)))
    return STATUS_REVISION_MISMATCH;
  const ULONG parts[3][3] = {{VER_MAJORVERSION, ours.major, VersionInfo->dwMajorVersion},
                             {VER_MINORVERSION, ours.minor, VersionInfo->dwMinorVersion},
                             {VER_SERVICEPACKMAJOR, ours.service_pack, VersionInfo->wServicePackMajor}};
  ULONG my_number = 0, asked_number = 0;
  ULONGLONG comparison = 0;
  for (const auto& [type, mine, asked] : parts) {
    if ((TypeMask & type) == 0) continue;
    my_number = my_number << 8 | mine;
    asked_number = asked_number << 8 | asked;
    if (comparison == 0) comparison = condition(type);
  }
  return comparison == 0 || holds(my_number, asked_number, comparison) ? STATUS_SUCCESS : STATUS_REVISION_MISMATCH;
}

ULONGLONG NTAPI VerSetConditionMask(ULONGLONG ConditionMask, ULONG TypeMask, UCHAR Condition) {
  KDPC_ROUTINE(VerSetConditionMask);
  for (unsigned bit = 0; bit < 8; ++bit)
    if ((TypeMask >> bit & 1) != 0) ConditionMask |= ULONGLONG{Condition & 7u} << (3 * bit);
  return ConditionMask;
}

BOOLEAN NTAPI RtlIsNtDdiVersionAvailable(ULONG Version) {
  KDPC_ROUTINE(RtlIsNtDdiVersionAvailable);
  return (Version & 0xFFFF) == 0 && Version <= NTDDI_WIN10 ? TRUE : FALSE;  // of the system, without a service pack
}

}  // extern "C"
