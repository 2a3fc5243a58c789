#include "wdk/format.h"

#include <wdm.h>

#include <cstdint>
#include <cstring>

namespace kdpc::wdk {

namespace {

// A Win64 argument list is an array of eight-byte slots.
class Arguments {
 public:
  explicit Arguments(__builtin_ms_va_list list) : at_(reinterpret_cast<const char*>(list)) {}
  template <class T>
  T next() {
    static_assert(sizeof(T) <= 8);
    T value;
    std::memcpy(&value, at_, sizeof value);
    at_ += 8;
    return value;
  }

 private:
  const char* at_;
};

// Text with an end. Whole characters only: after the first that does not fit, nothing more is taken.
template <class Unit>
class Output {
 public:
  Output(Unit* to, std::size_t capacity) : to_(to), room_(capacity - 1) {}
  void one(Unit c) { append(&c, 1); }
  void repeat(char c, int count) {
    for (; count > 0 && !full_; --count) one(static_cast<Unit>(c));
  }
  void append(const Unit* units, std::size_t count) {
    if (full_ || length_ + count > room_) {
      full_ = true;
      return;
    }
    std::memcpy(to_ + length_, units, count * sizeof(Unit));
    length_ += count;
  }
  // One code point as UTF-8; lone surrogates become U+FFFD.
  void code_point(char32_t c) requires(sizeof(Unit) == 1) {
    char utf8[4];
    if (c < 0x80) return one(static_cast<char>(c));
    if (c >= 0xD800 && c < 0xE000) c = 0xFFFD;
    const int extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    utf8[0] = static_cast<char>((0xFF00 >> (extra + 1)) | (c >> (6 * extra)));
    for (int i = 1; i <= extra; ++i) utf8[i] = static_cast<char>(0x80 | ((c >> (6 * (extra - i))) & 0x3F));
    append(utf8, static_cast<std::size_t>(extra) + 1);
  }
  std::size_t finish() {
    to_[length_] = 0;
    return length_;
  }
  bool full() const { return full_; }

 private:
  Unit* to_;
  std::size_t room_;
  std::size_t length_ = 0;
  bool full_ = false;
};

enum class Size : std::uint8_t { None, Short, Long, LongLong, Wide, Pointer };  // Pointer: eight bytes here (I, z, j, t)

struct Conversion {
  bool left = false, plus = false, space = false, alternate = false, zero = false;
  int width = 0;
  int precision = -1;
  Size size = Size::None;
  char16_t letter = 0;
};

template <class Unit>
int number(const Unit*& at) {
  constexpr int kEnough = 1 << 20;  // longer than any output; keeps the sum from overflowing
  int value = 0;
  for (; *at >= '0' && *at <= '9'; ++at)
    if (value < kEnough) value = value * 10 + static_cast<int>(*at - '0');
  return value;
}

// `at` stands behind the percent sign; afterwards, behind the conversion's letter.
template <class Unit>
Conversion parse(const Unit*& at, Arguments& arguments) {
  Conversion c;
  for (;; ++at) {
    if (*at == '-')
      c.left = true;
    else if (*at == '+')
      c.plus = true;
    else if (*at == ' ')
      c.space = true;
    else if (*at == '#')
      c.alternate = true;
    else if (*at == '0')
      c.zero = true;
    else
      break;
  }
  if (*at == '*') {
    ++at;
    c.width = arguments.next<std::int32_t>();
    if (c.width < 0) c.left = true, c.width = c.width == INT32_MIN ? INT32_MAX : -c.width;
  } else {
    c.width = number(at);
  }
  if (*at == '.') {
    ++at;
    if (*at == '*') {
      ++at;
      c.precision = arguments.next<std::int32_t>();  // negative: as if there were none
    } else {
      c.precision = number(at);
    }
  }
  switch (*at) {
    case 'h':
      ++at;
      c.size = Size::Short;
      break;
    case 'w':
      ++at;
      c.size = Size::Wide;
      break;
    case 'z':
    case 'j':
    case 't':
      ++at;
      c.size = Size::Pointer;
      break;
    case 'l':
      ++at;
      c.size = Size::Long;
      if (*at == 'l') ++at, c.size = Size::LongLong;
      break;
    case 'I':
      ++at;
      c.size = Size::Pointer;
      if (at[0] == '6' && at[1] == '4')
        at += 2, c.size = Size::LongLong;
      else if (at[0] == '3' && at[1] == '2')
        at += 2, c.size = Size::Long;
      break;
    default: break;
  }
  c.letter = *at;
  if (*at != '\0') ++at;
  return c;
}

// Unit is the width of both the format and what comes out.
template <class Unit>
class Formatter {
 public:
  Formatter(Unit* to, std::size_t capacity, __builtin_ms_va_list arguments) : out_(to, capacity), arguments_(arguments) {}

  Formatted run(const Unit* text) {
    while (*text != '\0' && !out_.full()) {
      if (*text != '%') {
        out_.one(*text++);
        continue;
      }
      ++text;
      convert(parse(text, arguments_));
    }
    result_.truncated = out_.full();
    result_.length = out_.finish();
    return result_;
  }

 private:
  void convert(const Conversion& c) {
    switch (c.letter) {
      case 'd':
      case 'i': return integer(c, 10, true);
      case 'u': return integer(c, 10, false);
      case 'x':
      case 'X': return integer(c, 16, false);
      case 'o': return integer(c, 8, false);
      case 'p': return pointer(c);
      case 'c':
      case 'C': return character(c);
      case 's':
      case 'S': return string(c);
      case 'Z': return counted_string(c);
      case 'e':
      case 'E':
      case 'f':
      case 'g':
      case 'G':
      case 'a':
      case 'A':
        result_.floating_point = true;
        arguments_.next<std::uint64_t>();
        return out_.one(static_cast<Unit>(c.letter));
      case 0: return;  // the format ends within a conversion
      default: return out_.one(static_cast<Unit>(c.letter));
    }
  }

  void integer(const Conversion& c, unsigned base, bool is_signed) {
    const auto raw = arguments_.next<std::uint64_t>();
    std::uint64_t value = 0;
    bool negative = false;
    if (is_signed) {
      std::int64_t wide = 0;
      if (c.size == Size::LongLong || c.size == Size::Pointer)
        wide = static_cast<std::int64_t>(raw);
      else if (c.size == Size::Short)
        wide = static_cast<std::int16_t>(raw);
      else
        wide = static_cast<std::int32_t>(raw);
      negative = wide < 0;
      value = negative ? 0 - static_cast<std::uint64_t>(wide) : static_cast<std::uint64_t>(wide);
    } else {
      if (c.size == Size::LongLong || c.size == Size::Pointer)
        value = raw;
      else if (c.size == Size::Short)
        value = static_cast<std::uint16_t>(raw);
      else
        value = static_cast<std::uint32_t>(raw);
    }
    const char* sign = "";
    if (negative)
      sign = "-";
    else if (is_signed && c.plus)
      sign = "+";
    else if (is_signed && c.space)
      sign = " ";
    else if (c.alternate && base == 16 && value != 0)
      sign = c.letter == 'X' ? "0X" : "0x";
    digits(c, sign, value, base);
  }

  void pointer(const Conversion& c) {
    Conversion as_hex = c;
    as_hex.letter = 'X';
    if (c.precision < 0) as_hex.precision = 16;
    digits(as_hex, c.alternate ? "0X" : "", arguments_.next<std::uint64_t>(), 16);
  }

  void digits(const Conversion& c, const char* sign, std::uint64_t value, unsigned base) {
    const char* alphabet = c.letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char reversed[24];
    int count = 0;
    for (; value != 0; value /= base) reversed[count++] = alphabet[value % base];
    int precision = c.precision < 0 ? 1 : c.precision;
    if (base == 8 && c.alternate && precision <= count) precision = count + 1;
    const int zeros = precision > count ? precision - count : 0;
    const int sign_length = static_cast<int>(std::strlen(sign));
    int padding = c.width - sign_length - zeros - count;
    const bool pad_with_zeros = c.zero && !c.left && c.precision < 0;
    if (!c.left && !pad_with_zeros) out_.repeat(' ', padding);
    ascii(sign);
    if (pad_with_zeros) out_.repeat('0', padding);
    out_.repeat('0', zeros);
    while (count > 0) out_.one(static_cast<Unit>(reversed[--count]));
    if (c.left) out_.repeat(' ', padding);
  }

  void ascii(const char* text) {
    for (; *text != '\0'; ++text) out_.one(static_cast<Unit>(*text));
  }

  // Small letters are as wide as the format, capital ones the other width, and h, l, w override that.
  static bool is_wide(const Conversion& c) {
    if (c.size == Size::Short) return false;
    if (c.size == Size::Long || c.size == Size::Wide) return true;
    return (c.letter == 'C' || c.letter == 'S') != (sizeof(Unit) == sizeof(WCHAR));
  }

  void character(const Conversion& c) {
    const auto value = arguments_.next<std::uint16_t>();
    if (is_wide(c)) {
      const WCHAR wide = value;
      return wide_text(c, &wide, 1);
    }
    const char narrow = static_cast<char>(value);
    narrow_text(c, &narrow, 1);
  }

  void string(const Conversion& c) {
    const void* text = arguments_.next<const void*>();
    if (is_wide(c)) {
      result_.wide = true;
      if (text != nullptr) return wide_text(c, static_cast<const WCHAR*>(text), bounded_length(c, static_cast<const WCHAR*>(text)));
    }
    const char* narrow = text != nullptr ? static_cast<const char*>(text) : "(null)";
    narrow_text(c, narrow, bounded_length(c, narrow));
  }

  void counted_string(const Conversion& c) {
    const void* string = arguments_.next<const void*>();
    const bool wide = c.size == Size::Wide || c.size == Size::Long;
    result_.wide |= wide;
    UNICODE_STRING counted{};  // a STRING has the same shape
    if (string != nullptr) std::memcpy(&counted, string, sizeof counted);
    if (counted.Buffer == nullptr) return narrow_text(c, "(null)", 6);
    std::size_t length = wide ? counted.Length / sizeof(WCHAR) : counted.Length;
    if (c.precision >= 0 && static_cast<std::size_t>(c.precision) < length) length = static_cast<std::size_t>(c.precision);
    if (wide) return wide_text(c, counted.Buffer, length);
    narrow_text(c, reinterpret_cast<const char*>(counted.Buffer), length);
  }

  template <class Character>
  static std::size_t bounded_length(const Conversion& c, const Character* text) {
    const std::size_t limit = c.precision < 0 ? SIZE_MAX : static_cast<std::size_t>(c.precision);
    std::size_t length = 0;
    while (length < limit && text[length] != 0) ++length;
    return length;
  }

  void narrow_text(const Conversion& c, const char* text, std::size_t length) {
    before(c, length);
    for (std::size_t i = 0; i < length && !out_.full(); ++i) out_.one(static_cast<Unit>(static_cast<unsigned char>(text[i])));
    after(c, length);
  }

  void wide_text(const Conversion& c, const WCHAR* text, std::size_t length) {
    result_.wide = true;
    before(c, length);
    for (std::size_t i = 0; i < length && !out_.full(); ++i) {
      if constexpr (sizeof(Unit) == sizeof(WCHAR))
        out_.one(text[i]);
      else
        i += utf8(text + i, length - i);
    }
    after(c, length);
  }

  // Writes the code point at `text`; returns 1 if it took a second unit.
  std::size_t utf8(const WCHAR* text, std::size_t length) {
    const bool pair = text[0] >= 0xD800 && text[0] < 0xDC00 && length > 1 && text[1] >= 0xDC00 && text[1] < 0xE000;
    out_.code_point(pair ? 0x10000 + ((text[0] - 0xD800u) << 10) + (text[1] - 0xDC00u) : text[0]);
    return pair ? 1 : 0;
  }

  // Width counts characters of the source.
  void before(const Conversion& c, std::size_t length) {
    if (!c.left) out_.repeat(c.zero ? '0' : ' ', missing(c, length));
  }
  void after(const Conversion& c, std::size_t length) {
    if (c.left) out_.repeat(' ', missing(c, length));
  }
  static int missing(const Conversion& c, std::size_t length) {
    return static_cast<std::size_t>(c.width) > length ? c.width - static_cast<int>(length) : 0;
  }

  Output<Unit> out_;
  Arguments arguments_;
  Formatted result_;
};

}  // namespace

Formatted format(char* to, std::size_t capacity, const char* text, __builtin_ms_va_list arguments) {
  return Formatter<char>(to, capacity, arguments).run(text);
}

Formatted format_wide(char16_t* to, std::size_t capacity, const char16_t* text, __builtin_ms_va_list arguments) {
  return Formatter<char16_t>(to, capacity, arguments).run(text);
}

}  // namespace kdpc::wdk
