// NT's printf: every conversion a driver may use in DbgPrint, and what is said about the ones it may not.
#include "wdk/format.h"

#include <gtest/gtest.h>

#include <string>

#include <wdm.h>

#include "kdpc/test.h"

namespace {

using kdpc::wdk::Formatted;
using kdpc::wdk::kDebugPrintLimit;

Formatted last;

// Called as a driver calls DbgPrint.
std::string NTAPI text_of(const char* format, ...) {
  char buffer[kDebugPrintLimit + 1];
  __builtin_ms_va_list arguments;
  __builtin_ms_va_start(arguments, format);
  last = kdpc::wdk::format(buffer, sizeof buffer, format, arguments);
  __builtin_ms_va_end(arguments);
  EXPECT_EQ(last.length, std::char_traits<char>::length(buffer));
  return buffer;
}

UNICODE_STRING counted(const char16_t* text, USHORT bytes) { return {bytes, bytes, const_cast<PWCH>(text)}; }

TEST(Format, Integers) {
  EXPECT_EQ(text_of("%d %i %u %x %X %o", -1, 42, 3000000000u, 0xbeef, 0xbeef, 8), "-1 42 3000000000 beef BEEF 10");
  EXPECT_EQ(text_of("%ld %lu %lx", -2, 0xffffffffu, 0x1234), "-2 4294967295 1234");
  EXPECT_EQ(text_of("%hd %hu", 0x1ffff, 0x1ffff), "-1 65535");
  EXPECT_EQ(text_of("100%%"), "100%");
  EXPECT_EQ(text_of("%d", 0), "0");
}

TEST(Format, SixtyFourBits) {
  const long long most = 0x7fffffffffffffffLL;
  EXPECT_EQ(text_of("%I64d %I64u %I64x %lld %llu", most, most, most, most, ~0ull),
            "9223372036854775807 9223372036854775807 7fffffffffffffff 9223372036854775807 18446744073709551615");
  EXPECT_EQ(text_of("%Id %Iu %zd %zu", -5LL, most, -6LL, 7ULL), "-5 9223372036854775807 -6 7");
  EXPECT_EQ(text_of("%I32d", -7), "-7");
  EXPECT_EQ(text_of("%I64d", -most - 1), "-9223372036854775808");
  EXPECT_EQ(text_of("%d", most), "-1") << "without a size an integer has 32 bits";
}

TEST(Format, FlagsWidthAndPrecision) {
  EXPECT_EQ(text_of("[%5d][%-5d][%05d][%+d][% d][%.3d]", 42, 42, 42, 42, 42, 7), "[   42][42   ][00042][+42][ 42][007]");
  EXPECT_EQ(text_of("[%*d][%-*d][%.*d][%*d]", 4, 1, 4, 1, 3, 1, -4, 1), "[   1][1   ][001][1   ]");
  EXPECT_EQ(text_of("[%#x][%#X][%#o][%#x]", 255, 255, 8, 0), "[0xff][0XFF][010][0]");
  EXPECT_EQ(text_of("[%08.3x][%-08d]", 0xab, 5), "[     0ab][5       ]");
  EXPECT_EQ(text_of("[%#010x]", 0xab), "[0x000000ab]");
  EXPECT_EQ(text_of("[%.0d]", 0), "[]");
}

TEST(Format, PointersHaveSixteenDigits) {
  EXPECT_EQ(text_of("%p", reinterpret_cast<void*>(0xfffff80012ab0000)), "FFFFF80012AB0000");
  EXPECT_EQ(text_of("%p", nullptr), "0000000000000000");
}

TEST(Format, NarrowText) {
  EXPECT_EQ(text_of("%c%c %s [%6s][%-6s][%.2s]", 'o', 'k', "text", "abc", "abc", "abc"), "ok text [   abc][abc   ][ab]");
  EXPECT_EQ(text_of("%hs %hc", "narrow", 'c'), "narrow c");
  EXPECT_EQ(text_of("%s %hS", static_cast<char*>(nullptr), "n"), "(null) n");
  STRING string{3, 10, const_cast<PCHAR>("abcdef")};
  EXPECT_EQ(text_of("[%Z][%5Z]", &string, &string), "[abc][  abc]");
  EXPECT_FALSE(last.wide);
}

TEST(Format, WideTextIsReported) {
  RULE("DBG-1");
  for (const char* format : {"%ws", "%ls", "%S"}) {
    EXPECT_EQ(text_of(format, u"wide"), "wide") << format;
    EXPECT_TRUE(last.wide) << format;
  }
  for (const char* format : {"%wc", "%lc", "%C"}) {
    EXPECT_EQ(text_of(format, u'w'), "w") << format;
    EXPECT_TRUE(last.wide) << format;
  }
  const UNICODE_STRING name = counted(u"\\Device\\Beep", 14);  // counted in bytes
  EXPECT_EQ(text_of("[%wZ][%9wZ][%.3wZ]", &name, &name, &name), "[\\Device][  \\Device][\\De]");
  EXPECT_TRUE(last.wide);
  EXPECT_EQ(text_of("%wZ %ws", nullptr, nullptr), "(null) (null)");
  text_of("%s %d", "plain", 1);
  EXPECT_FALSE(last.wide);
}

TEST(Format, WideTextBecomesUtf8) {
  EXPECT_EQ(text_of("%ws", u"Grüße €"),
            "Gr\xc3\xbc\xc3\x9f"
            "e \xe2\x82\xac");
  EXPECT_EQ(text_of("%ws", u"\U0001F600"), "\xf0\x9f\x98\x80");
  const char16_t lone[] = {0xD800, u'x', 0};
  EXPECT_EQ(text_of("%ws", lone),
            "\xef\xbf\xbd"
            "x");
}

TEST(Format, ThereIsNoFloatingPoint) {
  RULE("DBG-1");
  EXPECT_EQ(text_of("%f %d", 1.5, 7), "f 7") << "what follows keeps its argument";
  EXPECT_TRUE(last.floating_point);
  text_of("%d", 7);
  EXPECT_FALSE(last.floating_point);
}

TEST(Format, CharactersWithoutMeaningStandForThemselves) {
  EXPECT_EQ(text_of("%y %q"), "y q");
  EXPECT_EQ(text_of("end %"), "end ");
}

TEST(Format, OneCallGivesAtMost512Bytes) {
  RULE("DBG-1");
  const std::string longer(600, 'x');
  EXPECT_EQ(text_of("%s", longer.c_str()).size(), kDebugPrintLimit);
  EXPECT_TRUE(last.truncated);
  EXPECT_EQ(text_of("%1000d", 1).size(), kDebugPrintLimit);
  const std::string exact(kDebugPrintLimit, 'x');
  EXPECT_EQ(text_of("%s", exact.c_str()), exact);
  EXPECT_FALSE(last.truncated);
}

TEST(Format, NoCharacterIsCut) {
  char buffer[4];
  __builtin_ms_va_list none{};
  EXPECT_EQ(kdpc::wdk::format(buffer, sizeof buffer, "abcdef", none).length, 3u);
  EXPECT_STREQ(buffer, "abc");
  const std::string almost(kDebugPrintLimit - 1, 'x');
  EXPECT_EQ(text_of("%s%ws", almost.c_str(), u"ü!"), almost);
  EXPECT_TRUE(last.truncated);
}

std::u16string NTAPI wide_text_of(const char16_t* format, ...) {
  char16_t buffer[32];
  __builtin_ms_va_list arguments;
  __builtin_ms_va_start(arguments, format);
  last = kdpc::wdk::format_wide(buffer, std::size(buffer), format, arguments);
  __builtin_ms_va_end(arguments);
  return buffer;
}

TEST(Format, AWideFormatTakesWideText) {
  EXPECT_EQ(wide_text_of(u"\\Device\\%s%02u", u"Gerät", 7), u"\\Device\\Gerät07");
  EXPECT_EQ(wide_text_of(u"[%S][%hs][%c][%4x]", "narrow", "n", u'€', 0xab), u"[narrow][n][€][  ab]");
  EXPECT_EQ(wide_text_of(u"%040d", 1).size(), 31u);
  EXPECT_TRUE(last.truncated);
}

}  // namespace
