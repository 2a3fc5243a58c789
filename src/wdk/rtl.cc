// Rtl: memory and counted strings.
// ANSI is Latin-1 here: what it lacks becomes '?'.
#include <algorithm>
#include <cstring>

#include "kernel/system.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/letter_case.h"
#include "wdk/routine.h"
#include "wdk/rtl_string.h"

using namespace kdpc;
using kdpc::wdk::kMostStringBytes;
using kdpc::wdk::kRtlStringTag;
using kdpc::wdk::upcase;

namespace {

void wrote(const void* at, std::size_t size) { Machine::observe(KernelAccess{at, static_cast<std::uint32_t>(size)}); }

constexpr int code_of(WCHAR c) { return c; }
constexpr int code_of(char c) { return static_cast<unsigned char>(c); }

// Of STRING and UNICODE_STRING alike. `Length` counts bytes.
template <class String>
std::size_t count_of(const String& string) {
  return string.Length / sizeof(*string.Buffer);
}

template <class Character>
std::size_t length_of(const Character* text) {
  std::size_t length = 0;
  while (text[length] != 0) ++length;
  return length;
}

template <class String, class Text>
void init(String* string, const Text* text) {
  *string = {};
  if (text != nullptr) {
    const std::size_t bytes =
        std::min(length_of(text) * sizeof(Text), kMostStringBytes - sizeof(Text) * (sizeof(Text) - 1));  // room for the terminator
    string->Length = static_cast<USHORT>(bytes);
    string->MaximumLength = static_cast<USHORT>(bytes + sizeof(Text));
    string->Buffer = const_cast<Text*>(text);
  }
  wrote(string, sizeof *string);
}

// A terminator is a courtesy: written if there is room for it.
template <class String>
void terminate(String* string) {
  using Character = std::remove_reference_t<decltype(*string->Buffer)>;
  if (string->Length + sizeof(Character) <= string->MaximumLength) string->Buffer[count_of(*string)] = 0;
}

template <class String>
void copy(String* to, const String* from) {
  to->Length = from == nullptr ? USHORT{0} : std::min(from->Length, to->MaximumLength);
  if (to->Length != 0) std::memmove(to->Buffer, from->Buffer, to->Length);
  if (from != nullptr && to->Buffer != nullptr) terminate(to);
  wrote(to->Buffer, to->Length);
}

template <class String>
int difference(const String& left, const String& right, BOOLEAN ignore_case, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto a = ignore_case ? upcase(left.Buffer[i]) : left.Buffer[i];
    const auto b = ignore_case ? upcase(right.Buffer[i]) : right.Buffer[i];
    if (a != b) return code_of(a) - code_of(b);
  }
  return 0;
}

template <class String>
LONG compare(const String& left, const String& right, BOOLEAN ignore_case) {
  const std::size_t common = std::min(count_of(left), count_of(right));
  if (const int different = difference(left, right, ignore_case, common)) return different;
  return static_cast<LONG>(left.Length) - static_cast<LONG>(right.Length);
}

template <class String>
BOOLEAN equal(const String& left, const String& right, BOOLEAN ignore_case) {
  return left.Length == right.Length && difference(left, right, ignore_case, count_of(left)) == 0;
}

NTSTATUS append(UNICODE_STRING* to, const WCHAR* text, std::size_t bytes) {
  if (to->Length + bytes > to->MaximumLength) return STATUS_BUFFER_TOO_SMALL;
  std::memmove(reinterpret_cast<char*>(to->Buffer) + to->Length, text, bytes);
  to->Length = static_cast<USHORT>(to->Length + bytes);
  if (to->Buffer != nullptr) terminate(to);
  wrote(to->Buffer, to->Length);
  return STATUS_SUCCESS;
}

int digit_value(WCHAR c) {
  if (c >= u'0' && c <= u'9') return c - u'0';
  const WCHAR up = upcase(c);
  return up >= u'A' && up <= u'F' ? up - u'A' + 10 : 99;
}
bool is_base(ULONG base) { return base == 2 || base == 8 || base == 10 || base == 16; }

// Converts counted text between the two widths, one character to one. With `allocate` the target gets a buffer of its own.
template <class To, class From, class Convert>
NTSTATUS convert(To* to, const From& from, BOOLEAN allocate, void* caller, Convert&& one) {
  using Character = std::remove_reference_t<decltype(*to->Buffer)>;
  const std::size_t count = count_of(from);
  const std::size_t bytes = (count + 1) * sizeof(Character);
  if (bytes > kMostStringBytes) return STATUS_INVALID_PARAMETER_2;
  if (allocate) {
    void* memory = sys().pool.allocate(bytes, kRtlStringTag, PoolType::Paged, reinterpret_cast<std::uintptr_t>(caller));
    if (memory == nullptr) return STATUS_NO_MEMORY;
    to->Buffer = static_cast<Character*>(memory);
    to->MaximumLength = static_cast<USHORT>(bytes);
  } else if (bytes > to->MaximumLength) {
    return STATUS_BUFFER_OVERFLOW;
  }
  for (std::size_t i = 0; i < count; ++i) to->Buffer[i] = one(from.Buffer[i]);
  to->Buffer[count] = 0;
  to->Length = static_cast<USHORT>(count * sizeof(Character));
  wrote(to->Buffer, bytes);
  return STATUS_SUCCESS;
}

template <class String>
void free_string(String* string, void* caller) {
  if (string->Buffer != nullptr) sys().pool.free(string->Buffer, kRtlStringTag, reinterpret_cast<std::uintptr_t>(caller));
  *string = {};
}

}  // namespace

extern "C" {

SIZE_T NTAPI RtlCompareMemory(const VOID* Source1, const VOID* Source2, SIZE_T Length) {
  KDPC_ROUTINE(RtlCompareMemory);
  const auto *left = static_cast<const UCHAR*>(Source1), *right = static_cast<const UCHAR*>(Source2);
  return static_cast<SIZE_T>(std::mismatch(left, left + Length, right).first - left);
}

VOID NTAPI RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString) {
  KDPC_ROUTINE(RtlInitAnsiString);
  init(DestinationString, SourceString);
}

VOID NTAPI RtlInitString(PSTRING DestinationString, PCSZ SourceString) {
  KDPC_ROUTINE(RtlInitString);
  init(DestinationString, SourceString);
}

VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString) {
  KDPC_ROUTINE(RtlInitUnicodeString);
  init(DestinationString, SourceString);
}

VOID NTAPI RtlCopyString(PSTRING DestinationString, const STRING* SourceString) {
  KDPC_ROUTINE(RtlCopyString);
  copy<STRING>(DestinationString, SourceString);
}

VOID NTAPI RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString) {
  KDPC_ROUTINE(RtlCopyUnicodeString);
  copy<UNICODE_STRING>(DestinationString, SourceString);
}

LONG NTAPI RtlCompareString(const STRING* String1, const STRING* String2, BOOLEAN CaseInSensitive) {
  KDPC_ROUTINE(RtlCompareString);
  return compare(*String1, *String2, CaseInSensitive);
}

LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
  KDPC_ROUTINE(RtlCompareUnicodeString);
  return compare(*String1, *String2, CaseInSensitive);
}

BOOLEAN NTAPI RtlEqualString(const STRING* String1, const STRING* String2, BOOLEAN CaseInSensitive) {
  KDPC_ROUTINE(RtlEqualString);
  return equal(*String1, *String2, CaseInSensitive);
}

BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
  KDPC_ROUTINE(RtlEqualUnicodeString);
  return equal(*String1, *String2, CaseInSensitive);
}

BOOLEAN NTAPI RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
  KDPC_ROUTINE(RtlPrefixUnicodeString);
  return String1->Length <= String2->Length && difference(*String1, *String2, CaseInSensitive, count_of(*String1)) == 0;
}

NTSTATUS NTAPI RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source) {
  KDPC_ROUTINE(RtlAppendUnicodeToString);
  return Source == nullptr ? STATUS_SUCCESS : append(Destination, Source, length_of(Source) * sizeof(WCHAR));
}

NTSTATUS NTAPI RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source) {
  KDPC_ROUTINE(RtlAppendUnicodeStringToString);
  return Source->Length == 0 ? STATUS_SUCCESS : append(Destination, Source->Buffer, Source->Length);
}

WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR SourceCharacter) {
  KDPC_ROUTINE(RtlUpcaseUnicodeChar);
  return upcase(SourceCharacter);
}

NTSTATUS NTAPI RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String) {
  KDPC_ROUTINE(RtlIntegerToUnicodeString);
  if (Base == 0) Base = 10;
  if (!is_base(Base)) return STATUS_INVALID_PARAMETER;
  WCHAR digits[32];
  std::size_t count = 0;
  do digits[std::size(digits) - ++count] = u"0123456789ABCDEF"[Value % Base];
  while ((Value /= Base) != 0);
  if (count * sizeof(WCHAR) > String->MaximumLength) return STATUS_BUFFER_OVERFLOW;
  String->Length = 0;
  return append(String, std::end(digits) - count, count * sizeof(WCHAR));
}

NTSTATUS NTAPI RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value) {
  KDPC_ROUTINE(RtlUnicodeStringToInteger);
  const WCHAR *at = String->Buffer, *end = at + count_of(*String);
  while (at != end && *at <= u' ') ++at;
  const bool negative = at != end && *at == u'-';
  if (at != end && (*at == u'-' || *at == u'+')) ++at;
  if (Base == 0) {
    Base = 10;
    if (end - at >= 2 && *at == u'0') {
      const WCHAR mark = at[1];
      Base = mark == u'x' ? 16 : mark == u'o' ? 8 : mark == u'b' ? 2 : 10;
      if (Base != 10) at += 2;
    }
  } else if (!is_base(Base)) {
    return STATUS_INVALID_PARAMETER;
  }
  ULONG result = 0;
  for (; at != end && digit_value(*at) < static_cast<int>(Base); ++at) result = result * Base + static_cast<ULONG>(digit_value(*at));
  *Value = negative ? 0 - result : result;
  wrote(Value, sizeof *Value);
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString, PCANSI_STRING SourceString, BOOLEAN AllocateDestinationString) {
  KDPC_ROUTINE(RtlAnsiStringToUnicodeString);
  return convert(DestinationString, *SourceString, AllocateDestinationString, __builtin_return_address(0),
                 [](char c) { return static_cast<WCHAR>(static_cast<unsigned char>(c)); });
}

NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString, PCUNICODE_STRING SourceString, BOOLEAN AllocateDestinationString) {
  KDPC_ROUTINE(RtlUnicodeStringToAnsiString);
  return convert(DestinationString, *SourceString, AllocateDestinationString, __builtin_return_address(0),
                 [](WCHAR c) { return c < 0x100 ? static_cast<char>(c) : '?'; });
}

VOID NTAPI RtlFreeUnicodeString(PUNICODE_STRING UnicodeString) {
  KDPC_ROUTINE(RtlFreeUnicodeString);
  free_string(UnicodeString, __builtin_return_address(0));
}

VOID NTAPI RtlFreeAnsiString(PANSI_STRING AnsiString) {
  KDPC_ROUTINE(RtlFreeAnsiString);
  free_string(AnsiString, __builtin_return_address(0));
}

// The sequence depends on the seed alone, so a run repeats. Lehmer's generator: multiplier and prime of the "minimal standard".
ULONG NTAPI RtlRandomEx(PULONG Seed) {
  KDPC_ROUTINE(RtlRandomEx);
  constexpr std::uint64_t kPrime = 0x7FFFFFFF;
  const std::uint64_t state = *Seed % kPrime == 0 ? 1 : *Seed % kPrime;
  *Seed = static_cast<ULONG>(state * 48271 % kPrime);
  wrote(Seed, sizeof *Seed);
  return *Seed - 1;  // 0 … MAXLONG - 2
}

NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW VersionInformation) {
  KDPC_ROUTINE(RtlGetVersion);
  VersionInformation->dwMajorVersion = 10;
  VersionInformation->dwMinorVersion = 0;
  VersionInformation->dwBuildNumber = 19041;  // version 2004, whose structures we have
  VersionInformation->dwPlatformId = 2;       // NT
  VersionInformation->szCSDVersion[0] = 0;
  wrote(VersionInformation, sizeof *VersionInformation);
  return STATUS_SUCCESS;
}

}  // extern "C"
