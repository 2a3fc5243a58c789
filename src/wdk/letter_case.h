// Case of letters: Latin, Greek and Cyrillic ones fold one to one; other scripts compare by code unit.
#pragma once
#include <wdm.h>

namespace kdpc::wdk {

constexpr WCHAR upcase(WCHAR c) {
  if (c < 0x80) return c >= u'a' && c <= u'z' ? static_cast<WCHAR>(c - 0x20) : c;
  if (c < 0x100) {
    if (c == 0xFF) return 0x178;
    return c >= 0xE0 && c != 0xF7 ? static_cast<WCHAR>(c - 0x20) : c;
  }
  const auto capital_first = [c] { return static_cast<WCHAR>(c & ~1); };     // pairs: even capital, odd small
  const auto capital_odd = [c] { return static_cast<WCHAR>((c - 1) | 1); };  // pairs: odd capital, even small
  if (c < 0x180) {
    if (c == 0x131 || c == 0x138 || c == 0x149 || c == 0x17F || c == 0x178) return c;
    return (c >= 0x139 && c <= 0x148) || c >= 0x179 ? capital_odd() : capital_first();
  }
  if (c >= 0x3B1 && c <= 0x3C9) return c == 0x3C2 ? c : static_cast<WCHAR>(c - 0x20);
  if (c >= 0x430 && c <= 0x44F) return static_cast<WCHAR>(c - 0x20);
  if (c >= 0x450 && c <= 0x45F) return static_cast<WCHAR>(c - 0x50);
  if ((c >= 0x460 && c <= 0x481) || (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F)) return capital_first();
  return c;
}
static_assert(upcase(u'ÿ') == 0x178 && upcase(u'é') == u'É' && upcase(u'ł') == u'Ł' && upcase(u'ő') == u'Ő' && upcase(u'ž') == u'Ž' &&
              upcase(u'λ') == u'Λ' && upcase(u'ж') == u'Ж' && upcase(u'Ž') == u'Ž' && upcase(u'÷') == u'÷');

constexpr char upcase(char c) {
  const WCHAR up = upcase(static_cast<WCHAR>(static_cast<unsigned char>(c)));
  return up < 0x100 ? static_cast<char>(up) : c;
}

constexpr WCHAR downcase(WCHAR c) {
  if (c < 0x80) return c >= u'A' && c <= u'Z' ? static_cast<WCHAR>(c + 0x20) : c;
  for (const int step : {0x20, 1, 0x50, -1})  // how far away a capital's small letter can be
    if (const auto small = static_cast<WCHAR>(c + step); small != c && upcase(small) == c && upcase(c) == c) return small;
  return c == 0x178 ? WCHAR{0xFF} : c;
}
static_assert(downcase(u'É') == u'é' && downcase(u'Ł') == u'ł' && downcase(u'Ж') == u'ж' && downcase(u'Ѐ') == u'ѐ' && downcase(u'é') == u'é' &&
              downcase(u'Ÿ') == u'ÿ' && downcase(u'1') == u'1');

}  // namespace kdpc::wdk
