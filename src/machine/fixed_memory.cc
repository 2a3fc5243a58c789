#include "machine/fixed_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace kdpc {

Result<void> map_at(std::uintptr_t place, std::size_t size, int protection, const char* what) {
  void* wanted = reinterpret_cast<void*>(place);
  void* got = ::mmap(wanted, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (got == wanted) return {};
  const std::string why = got == MAP_FAILED ? std::strerror(errno) : "the kernel chose another place";
  if (got != MAP_FAILED) ::munmap(got, size);
  return Error{std::string(what) + " could not be mapped at its fixed address: " + why +
               "; another mapping is in its way, or the address space of this process is limited (ulimit -v)"};
}

}  // namespace kdpc
