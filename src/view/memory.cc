#include "view/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace kdpc::view {

std::string Memory::text(std::uintptr_t address, std::size_t most) const {
  std::string text;
  for (char letter; address != 0 && text.size() < most && read(address + text.size(), &letter, 1) && letter != '\0';) text += letter;
  return text;
}

std::vector<MappedFile> images_among(const std::vector<Mapping>& mappings) {
  std::vector<MappedFile> images;
  std::size_t parts = 0;
  const auto finish = [&] {
    if (parts == 1) images.pop_back();
    parts = 0;
  };
  for (const Mapping& mapping : mappings) {
    const bool continues = parts != 0 && mapping.offset != 0 && mapping.path == images.back().path;
    if (!continues) finish();
    if (mapping.offset == 0) images.push_back({mapping.begin, mapping.end, mapping.path});
    if (mapping.offset == 0 || continues) {
      images.back().end = mapping.end;
      ++parts;
    }
  }
  finish();
  return images;
}

// The host's kernel answers for addresses that are not there; a load would be a fault.
OwnMemory::OwnMemory() : file_(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC)) {}
OwnMemory::~OwnMemory() {
  if (file_ >= 0) ::close(file_);
}

bool OwnMemory::read(std::uintptr_t address, void* to, std::size_t size) const {
  if (address > static_cast<std::uintptr_t>(INT64_MAX) - size) return false;
  return ::pread(file_, to, size, static_cast<off_t>(address)) == static_cast<ssize_t>(size);
}

}  // namespace kdpc::view
