// Rtl's counted strings, as a driver uses them: truncation, refusal, terminators, case, and buffers from pool.
#include <gtest/gtest.h>

#include <string>

#include <wdm.h>

#include "kdpc/test.h"

namespace {

UNICODE_STRING counted(const char16_t* text) {
  const auto bytes = static_cast<USHORT>(std::char_traits<char16_t>::length(text) * sizeof(WCHAR));
  return {bytes, static_cast<USHORT>(bytes + sizeof(WCHAR)), const_cast<PWCH>(text)};
}
STRING counted(const char* text) {
  const auto bytes = static_cast<USHORT>(std::char_traits<char>::length(text));
  return {bytes, static_cast<USHORT>(bytes + 1), const_cast<PCHAR>(text)};
}
bool is(const UNICODE_STRING& string, const char16_t* text) { return std::u16string_view(string.Buffer, string.Length / sizeof(WCHAR)) == text; }

// A string with room for `count` characters, filled with a pattern to see what is written.
template <unsigned count>
struct Room {
  WCHAR buffer[count + 1];
  UNICODE_STRING string{0, count * sizeof(WCHAR), buffer};
  Room() { std::fill(std::begin(buffer), std::end(buffer), u'#'); }
};

KDPC_TEST(Rtl, InitCountsUpToTheTerminator) {
  m.on(0, DISPATCH_LEVEL, [] {
    UNICODE_STRING wide;
    RtlInitUnicodeString(&wide, u"\\Device\\x");
    KDPC_EXPECT_EQ(wide.Length, 18);
    KDPC_EXPECT_EQ(wide.MaximumLength, 20);
    RtlInitUnicodeString(&wide, nullptr);
    KDPC_EXPECT(wide.Length == 0 && wide.MaximumLength == 0 && wide.Buffer == nullptr);
    STRING narrow;
    RtlInitAnsiString(&narrow, "abc");
    KDPC_EXPECT_EQ(narrow.Length, 3);
    KDPC_EXPECT_EQ(narrow.MaximumLength, 4);
  });
}

KDPC_TEST(Rtl, CopyTruncatesAndAppendRefuses) {
  m.on(0, PASSIVE_LEVEL, [] {
    const UNICODE_STRING source = counted(u"abcdef");
    Room<4> small;
    RtlCopyUnicodeString(&small.string, &source);
    KDPC_EXPECT(is(small.string, u"abcd"));
    KDPC_EXPECT_EQ(small.buffer[4], u'#');  // no terminator behind the end
    Room<8> large;
    RtlCopyUnicodeString(&large.string, &source);
    KDPC_EXPECT_EQ(large.buffer[6], 0);  // there was room for one
    KDPC_EXPECT_EQ(RtlAppendUnicodeToString(&large.string, u"xyz"), STATUS_BUFFER_TOO_SMALL);
    KDPC_EXPECT(is(large.string, u"abcdef"));
    KDPC_EXPECT_EQ(RtlAppendUnicodeToString(&large.string, u"xy"), STATUS_SUCCESS);
    KDPC_EXPECT(is(large.string, u"abcdefxy"));
    KDPC_EXPECT_EQ(RtlAppendUnicodeStringToString(&large.string, &source), STATUS_BUFFER_TOO_SMALL);
    RtlCopyUnicodeString(&large.string, nullptr);
    KDPC_EXPECT_EQ(large.string.Length, 0);
  });
}

KDPC_TEST(Rtl, ComparisonKnowsCaseOnRequest) {
  m.on(0, PASSIVE_LEVEL, [] {
    const UNICODE_STRING small = counted(u"gerät λ ж"), capital = counted(u"GERÄT Λ Ж"), longer = counted(u"GERÄT Λ Ж2");
    KDPC_EXPECT(!RtlEqualUnicodeString(&small, &capital, FALSE));
    KDPC_EXPECT(RtlEqualUnicodeString(&small, &capital, TRUE));
    KDPC_EXPECT(RtlCompareUnicodeString(&small, &capital, FALSE) > 0);
    KDPC_EXPECT_EQ(RtlCompareUnicodeString(&small, &capital, TRUE), 0);
    KDPC_EXPECT(RtlCompareUnicodeString(&small, &longer, TRUE) < 0);
    KDPC_EXPECT(RtlPrefixUnicodeString(&small, &longer, TRUE));
    KDPC_EXPECT(!RtlPrefixUnicodeString(&longer, &small, TRUE));
    const STRING a = counted("beep"), b = counted("BEEP");
    KDPC_EXPECT(RtlEqualString(&a, &b, TRUE) && !RtlEqualString(&a, &b, FALSE));
    KDPC_EXPECT_EQ(RtlUpcaseUnicodeChar(u'ß'), u'ß');
  });
}

KDPC_TEST(Rtl, IntegersBothWays) {
  m.on(0, PASSIVE_LEVEL, [] {
    Room<10> room;
    KDPC_EXPECT_EQ(RtlIntegerToUnicodeString(0xBEEF, 16, &room.string), STATUS_SUCCESS);
    KDPC_EXPECT(is(room.string, u"BEEF"));
    KDPC_EXPECT_EQ(RtlIntegerToUnicodeString(4294967295u, 0, &room.string), STATUS_SUCCESS);
    KDPC_EXPECT(is(room.string, u"4294967295"));
    KDPC_EXPECT_EQ(RtlIntegerToUnicodeString(4294967295u, 2, &room.string), STATUS_BUFFER_OVERFLOW);
    KDPC_EXPECT_EQ(RtlIntegerToUnicodeString(1, 7, &room.string), STATUS_INVALID_PARAMETER);
    ULONG value = 0;
    const UNICODE_STRING hex = counted(u"  0xFfz"), negative = counted(u"-12"), octal = counted(u"17");
    KDPC_EXPECT_EQ(RtlUnicodeStringToInteger(&hex, 0, &value), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(value, 255u);
    KDPC_EXPECT_EQ(RtlUnicodeStringToInteger(&negative, 0, &value), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(static_cast<LONG>(value), -12);
    KDPC_EXPECT_EQ(RtlUnicodeStringToInteger(&octal, 8, &value), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(value, 15u);
  });
}

KDPC_TEST(Rtl, ConversionAllocatesOnRequest) {
  m.on(0, PASSIVE_LEVEL, [] {
    const STRING narrow = counted("abc");
    UNICODE_STRING wide{};
    KDPC_EXPECT_EQ(RtlAnsiStringToUnicodeString(&wide, &narrow, TRUE), STATUS_SUCCESS);
    KDPC_EXPECT(is(wide, u"abc"));
    KDPC_EXPECT_EQ(wide.Buffer[3], 0);
    RtlFreeUnicodeString(&wide);
    KDPC_EXPECT(wide.Buffer == nullptr && wide.Length == 0);
    Room<3> room;  // the terminator must fit too
    KDPC_EXPECT_EQ(RtlAnsiStringToUnicodeString(&room.string, &narrow, FALSE), STATUS_BUFFER_OVERFLOW);
    const UNICODE_STRING euro = counted(u"ü€");
    STRING back{};
    KDPC_EXPECT_EQ(RtlUnicodeStringToAnsiString(&back, &euro, TRUE), STATUS_SUCCESS);
    KDPC_EXPECT(back.Length == 2 && back.Buffer[0] == '\xfc' && back.Buffer[1] == '?');
    RtlFreeAnsiString(&back);
  });
}

KDPC_TEST(Rtl, CompareMemoryCountsEqualBytes) {
  m.on(0, HIGH_LEVEL, [] {
    KDPC_EXPECT_EQ(RtlCompareMemory("abcdef", "abcxef", 6), 3u);
    KDPC_EXPECT_EQ(RtlCompareMemory("abc", "abc", 3), 3u);
  });
}

KDPC_TEST(Rtl, TablesOfLettersArePagedMemory) {
  m.on(0, DISPATCH_LEVEL, [] {
    const UNICODE_STRING name = counted(u"x");
    RtlEqualUnicodeString(&name, &name, TRUE);
  });
  EXPECT_BUGCHECK(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, DISPATCH_LEVEL);
}

KDPC_TEST(Rtl, AListEntryInsertedTwiceStopsTheMachine) {
  static LIST_ENTRY head, entry;
  m.on(0, PASSIVE_LEVEL, [] {
    InitializeListHead(&head);
    InsertTailList(&head, &entry);
    RemoveEntryList(&entry);
    RemoveEntryList(&entry);
  });
  EXPECT_BUGCHECK(KERNEL_SECURITY_CHECK_FAILURE, FAST_FAIL_CORRUPT_LIST_ENTRY);
}

}  // namespace
