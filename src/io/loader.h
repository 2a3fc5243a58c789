// From a .drv file to a running driver.
//
// The host side maps the image once for the whole process and keeps its writable parts as they were before any code of it ran; every load, in
// this machine or a later one, begins with those. The inside runs DriverEntry.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "io/objects.h"

namespace kdpc::io {

// A driver's settings: what it finds in its registry key. Sub\Name is a value of a subkey, \Registry\… a value anywhere.
using Setting = std::pair<std::string, std::variant<std::uint64_t, std::string, std::vector<std::string>>>;

// A mapped driver file; the process keeps it.
struct Image {
  std::string path;
  std::byte* base;
  std::size_t size;
  DRIVER_INITIALIZE* entry;
};

// The same as bytes of the registry.
struct StoredSetting {
  std::string name;
  ULONG type;  // REG_…
  std::vector<std::byte> data;
};

namespace loader {

// On the host: code inside keeps nothing on the host's heap.
std::vector<StoredSetting> stored(const std::vector<Setting>& settings);

// On the host, between steps, with a machine. Errors: not a driver, missing exports (all of them), not where it was linked to be,
// a check variant for the live machine.
Result<const Image*> map(const std::string& path);

// In a thread at Passive. On success `driver` is loaded; else the status is DriverEntry's, or of what came before it.
NTSTATUS start(const Image& image, std::string_view name, const std::vector<StoredSetting>& settings, Driver*& driver);

// STATUS_NO_SUCH_DEVICE (0xC000000E)
std::string text_of(NTSTATUS status);

}  // namespace loader
}  // namespace kdpc::io
