// The object name table: \Device\… names and the symbolic links that lead to them. Names are compared without regard to case.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "io/manager.h"
#include "wdk/rtl_string.h"

namespace kdpc::io {

// A name of the table: of a device, or a link to another name.
struct NameEntry {
  NameEntry* next;        // R
  UNICODE_STRING name;    // I
  DEVICE_OBJECT* device;  // R  null: a link
  UNICODE_STRING target;  // R  of a link
};

// Text on the stack of a thread: such frames own nothing of the host's heap. What does not fit makes it too_long().
class Name {
 public:
  static constexpr std::size_t kRoom = 256;
  Name() = default;
  Name(std::u16string_view text) { append(text); }  // NOLINT(google-explicit-constructor)
  Name(std::string_view text) { append(text); }     // NOLINT(google-explicit-constructor)  what is not ASCII becomes '?'
  Name& append(std::u16string_view text);
  Name& append(std::string_view text);
  Name& append_hex(std::uint64_t number, unsigned digits);
  std::u16string_view view() const { return {text_, length_}; }
  bool too_long() const { return too_long_; }
  void clear() { length_ = 0, too_long_ = false; }

 private:
  char16_t text_[kRoom];
  std::size_t length_ = 0;
  bool too_long_ = false;
};

// UNICODE_STRINGs whose buffer lies in the pool, zero-terminated. One that a driver gets, and frees with RtlFreeUnicodeString, has Rtl's tag.
using wdk::kRtlStringTag;
[[nodiscard]] bool duplicate(UNICODE_STRING& to, std::u16string_view text, std::uint32_t tag = kTag, const void* owner = nullptr);
void release(UNICODE_STRING& string);
inline std::u16string_view view(const UNICODE_STRING& string) { return {string.Buffer, string.Length / sizeof(WCHAR)}; }
bool equal(std::u16string_view left, std::u16string_view right);
bool begins_with(std::u16string_view text, std::u16string_view prefix);

namespace names {

// Below Dispatch. STATUS_OBJECT_NAME_COLLISION: it exists.
NTSTATUS add_device(std::u16string_view name, DEVICE_OBJECT* device);
NTSTATUS add_link(std::u16string_view name, std::u16string_view target);
// False: there is no such link.
bool remove_link(std::u16string_view name);
void remove_device(DEVICE_OBJECT* device);
// Opens the device of this name, as device::count_open_locked does, so that it stays from then on. Follows links. What is left of `name` behind the
// device's own becomes `rest`. \??\X, \DosDevices\X and \\.\X are the same.
NTSTATUS open(std::u16string_view name, Name& rest, DEVICE_OBJECT*& device);
// The device's own name, or empty.
Name name_of(const DEVICE_OBJECT* device);
// On the host, between steps: the names of a driver's devices, and the links to physical devices that such a device stands on.
std::vector<std::string> of_driver(std::string_view driver);

}  // namespace names
}  // namespace kdpc::io
