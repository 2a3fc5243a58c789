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
