// Bitmaps, conversions and versions, as a driver uses them; strings that end where their buffer ends; and what is filtered of DbgPrint.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include <ntstrsafe.h>
#include <wdm.h>

#include "kdpc/test.h"

namespace {

UNICODE_STRING counted(const char16_t* text) {
  UNICODE_STRING string;
  const auto bytes = static_cast<USHORT>(std::char_traits<char16_t>::length(text) * sizeof(WCHAR));
  string = {bytes, static_cast<USHORT>(bytes + sizeof(WCHAR)), const_cast<PWCH>(text)};
  return string;
}
bool is(const UNICODE_STRING& string, const char16_t* text) { return std::u16string_view(string.Buffer, string.Length / sizeof(WCHAR)) == text; }

KDPC_TEST(Bitmap, RunsAreFoundFromTheHintAndThenFromTheBeginning) {
  m.on(0, DISPATCH_LEVEL, [] {
    ULONG words[3];
    RTL_BITMAP map;
    RtlInitializeBitMap(&map, words, 70);
    RtlClearAllBits(&map);
    RtlSetBits(&map, 0, 10);
    RtlSetBits(&map, 20, 40);
    KDPC_EXPECT_EQ(RtlNumberOfSetBits(&map), 50u);
    KDPC_EXPECT_EQ(RtlNumberOfClearBits(&map), 20u);
    KDPC_EXPECT_EQ(RtlFindClearBits(&map, 5, 0), 10u);
    KDPC_EXPECT_EQ(RtlFindClearBits(&map, 5, 30), 60u);
    KDPC_EXPECT_EQ(RtlFindClearBits(&map, 10, 64), 10u);  // not enough behind the hint
    KDPC_EXPECT_EQ(RtlFindClearBits(&map, 11, 0), 0xFFFFFFFFu);
    KDPC_EXPECT_EQ(RtlFindSetBits(&map, 40, 0), 20u);
    KDPC_EXPECT_EQ(RtlFindClearBitsAndSet(&map, 4, 0), 10u);
    KDPC_EXPECT(RtlAreBitsSet(&map, 0, 14) && !RtlAreBitsSet(&map, 0, 15) && RtlAreBitsClear(&map, 14, 6));
    KDPC_EXPECT(!RtlAreBitsClear(&map, 60, 11));  // beyond the end
    KDPC_EXPECT_EQ(RtlFindSetBitsAndClear(&map, 2, 0), 0u);
    ULONG start = 0;
    KDPC_EXPECT_EQ(RtlFindNextForwardRunClear(&map, 2, &start), 6u);
    KDPC_EXPECT_EQ(start, 14u);
    KDPC_EXPECT_EQ(RtlFindLongestRunClear(&map, &start), 10u);
    KDPC_EXPECT_EQ(start, 60u);
    RTL_BITMAP_RUN runs[2];
    KDPC_EXPECT_EQ(RtlFindClearRuns(&map, runs, 2, TRUE), 2u);
    KDPC_EXPECT(runs[0].StartingIndex == 60 && runs[1].StartingIndex == 14 && runs[1].NumberOfBits == 6);
    KDPC_EXPECT_EQ(RtlFindClearRuns(&map, runs, 2, FALSE), 2u);
    KDPC_EXPECT(runs[0].StartingIndex == 0 && runs[1].StartingIndex == 14);
    RtlSetBit(&map, 69);
    KDPC_EXPECT(RtlTestBit(&map, 69) && RtlCheckBit(&map, 69) && !RtlTestBit(&map, 68));
    RtlSetAllBits(&map);
    KDPC_EXPECT_EQ(RtlFindFirstRunClear(&map, &start), 0u);
  });
}

KDPC_TEST(RtlConvert, NumbersAndGuidsAsText) {
  m.on(0, PASSIVE_LEVEL, [] {
    WCHAR buffer[24];
    UNICODE_STRING string = {0, sizeof buffer, buffer};
    KDPC_EXPECT_EQ(RtlInt64ToUnicodeString(0xFEDCBA9876543210ull, 16, &string), STATUS_SUCCESS);
    KDPC_EXPECT(is(string, u"FEDCBA9876543210"));
    KDPC_EXPECT_EQ(RtlInt64ToUnicodeString(1, 7, &string), STATUS_INVALID_PARAMETER);
    ULONG value = 0;
    KDPC_EXPECT_EQ(RtlCharToInteger("  -0x1F!", 0, &value), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(value, static_cast<ULONG>(-31));
    GUID guid;
    const UNICODE_STRING text = counted(u"{2F9AC3A1-40c6-4E4D-8F5E-60F3C1B9A1D0}");
    KDPC_EXPECT_EQ(RtlGUIDFromString(&text, &guid), STATUS_SUCCESS);
    KDPC_EXPECT(guid.Data1 == 0x2F9AC3A1 && guid.Data2 == 0x40C6 && guid.Data4[0] == 0x8F && guid.Data4[7] == 0xD0);
    UNICODE_STRING back;
    KDPC_EXPECT_EQ(RtlStringFromGUID(guid, &back), STATUS_SUCCESS);
    KDPC_EXPECT(is(back, u"{2F9AC3A1-40C6-4E4D-8F5E-60F3C1B9A1D0}"));
    RtlFreeUnicodeString(&back);
    const UNICODE_STRING wrong = counted(u"{2F9AC3A1-40c6-4E4D-8F5E_60F3C1B9A1D0}");
    KDPC_EXPECT_EQ(RtlGUIDFromString(&wrong, &guid), STATUS_INVALID_PARAMETER);
  });
}

KDPC_TEST(RtlConvert, CaseHashAndSizes) {
  m.on(0, PASSIVE_LEVEL, [] {
    const UNICODE_STRING mixed = counted(u"Größe");
    UNICODE_STRING changed;
    KDPC_EXPECT_EQ(RtlUpcaseUnicodeString(&changed, &mixed, TRUE), STATUS_SUCCESS);
    KDPC_EXPECT(is(changed, u"GRÖßE"));  // one to one
    KDPC_EXPECT_EQ(RtlDowncaseUnicodeString(&changed, &changed, FALSE), STATUS_SUCCESS);
    KDPC_EXPECT(is(changed, u"größe"));
    ULONG one = 0, two = 0;
    KDPC_EXPECT_EQ(RtlHashUnicodeString(&mixed, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &one), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(RtlHashUnicodeString(&changed, TRUE, HASH_STRING_ALGORITHM_X65599, &two), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(one, two);
    RtlFreeUnicodeString(&changed);
    KDPC_EXPECT_EQ(RtlUnicodeStringToAnsiSize(&mixed), 6u);
    ANSI_STRING ansi;
    KDPC_EXPECT_EQ(RtlInitAnsiStringEx(&ansi, "abc"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(RtlAnsiStringToUnicodeSize(&ansi), 8u);
    KDPC_EXPECT_EQ(RtlUpperChar('q'), 'Q');
  });
}

KDPC_TEST(RtlVersion, IsComparedAsOneNumber) {
  m.on(0, PASSIVE_LEVEL, [] {
    RTL_OSVERSIONINFOEXW wanted = {};
    wanted.dwOSVersionInfoSize = sizeof wanted;
    wanted.dwMajorVersion = 6;
    wanted.dwMinorVersion = 3;
    ULONGLONG mask = 0;
    VER_SET_CONDITION(mask, VER_MAJORVERSION, VER_GREATER_EQUAL);
    VER_SET_CONDITION(mask, VER_MINORVERSION, VER_GREATER_EQUAL);
    KDPC_EXPECT_EQ(RtlVerifyVersionInfo(&wanted, VER_MAJORVERSION | VER_MINORVERSION, mask), STATUS_SUCCESS);
    wanted.dwMajorVersion = 11;
    KDPC_EXPECT_EQ(RtlVerifyVersionInfo(&wanted, VER_MAJORVERSION | VER_MINORVERSION, mask), STATUS_REVISION_MISMATCH);
    KDPC_EXPECT(RtlIsNtDdiVersionAvailable(NTDDI_WIN7) && RtlIsNtDdiVersionAvailable(NTDDI_WIN10));
  });
}

KDPC_TEST(StrSafe, ExFormsTellTheEndAndObeyTheirFlags) {
  m.on(0, DISPATCH_LEVEL, [] {
    char text[8];
    char* end = nullptr;
    size_t left = 0;
    KDPC_EXPECT_EQ(RtlStringCchCopyExA(text, 8, "abc", &end, &left, 0), STATUS_SUCCESS);
    KDPC_EXPECT(end == text + 3 && left == 5);
    KDPC_EXPECT_EQ(RtlStringCchCatExA(text, 8, "defgh", &end, &left, STRSAFE_NO_TRUNCATION), STATUS_BUFFER_OVERFLOW);
    KDPC_EXPECT_EQ(std::strcmp(text, "abc"), 0);
    KDPC_EXPECT_EQ(RtlStringCchCatNA(text, 8, "defgh", 2), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(std::strcmp(text, "abcde"), 0);
    KDPC_EXPECT_EQ(RtlStringCchCopyExA(text, 8, nullptr, &end, &left, STRSAFE_IGNORE_NULLS | STRSAFE_FILL_BEHIND('z')), STATUS_SUCCESS);
    KDPC_EXPECT(text[0] == 0 && text[7] == 'z' && left == 8);
    KDPC_EXPECT_EQ(RtlStringCbPrintfExA(text, 8, &end, &left, STRSAFE_NULL_ON_FAILURE, "%d", 123456789), STATUS_BUFFER_OVERFLOW);
    KDPC_EXPECT(text[0] == 0 && end == text && left == 8);
    KDPC_EXPECT_EQ(RtlStringCbPrintfExA(text, 8, &end, &left, 0, "%I64x", 0xABCull), STATUS_SUCCESS);
    KDPC_EXPECT(std::strcmp(text, "abc") == 0 && left == 5);
  });
}

KDPC_TEST(StrSafe, CountedStringsNeedNoTerminator) {
  m.on(0, PASSIVE_LEVEL, [] {
    WCHAR buffer[6];
    UNICODE_STRING string = {0, sizeof buffer, buffer};
    KDPC_EXPECT_EQ(RtlUnicodeStringCopyString(&string, u"abc"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(RtlUnicodeStringCatString(&string, u"def"), STATUS_SUCCESS);
    KDPC_EXPECT(is(string, u"abcdef"));
    KDPC_EXPECT_EQ(RtlUnicodeStringCat(&string, &string), STATUS_BUFFER_OVERFLOW);
    const UNICODE_STRING source = counted(u"xy");
    KDPC_EXPECT_EQ(RtlUnicodeStringCopy(&string, &source), STATUS_SUCCESS);
    KDPC_EXPECT(is(string, u"xy"));
    WCHAR text[2];
    KDPC_EXPECT_EQ(RtlStringCchCopyUnicodeString(text, 2, &string), STATUS_BUFFER_OVERFLOW);
    KDPC_EXPECT(text[0] == u'x' && text[1] == 0);
    string.Length = 3;
    KDPC_EXPECT_EQ(RtlUnicodeStringValidate(&string), STATUS_INVALID_PARAMETER);
  });
}

void say() {
  DbgPrint("info\n");
  DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "error\n");
  DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_WARNING_LEVEL, "warning\n");
}

KDPC_TEST(DebugFilter, EverythingIsShownByDefault) {
  RULE("DBG-1");
  m.on(0, PASSIVE_LEVEL, say);
  EXPECT_EQ(m.debug_lines().size(), 3u);
}

KDPC_TEST(DebugFilter, AsWindowsErrorsOnly, .options = {{"debug_filter", "windows"}}) {
  RULE("DBG-1");
  m.on(0, PASSIVE_LEVEL, [] {
    say();
    KDPC_EXPECT_EQ(DbgQueryDebugFilterState(DPFLTR_DEFAULT_ID, DPFLTR_INFO_LEVEL), FALSE);
  });
  ASSERT_EQ(m.debug_lines().size(), 1u);
  EXPECT_EQ(m.debug_lines()[0].text, "error");
}

KDPC_TEST(DebugFilter, TheMaskLetsMoreThrough, .options = {{"debug_filter", "windows"}, {"debug_mask", "8"}}) {
  RULE("DBG-1");
  m.on(0, PASSIVE_LEVEL, say);
  ASSERT_EQ(m.debug_lines().size(), 1u);
  EXPECT_EQ(m.debug_lines()[0].text, "info");
}

}  // namespace
