#include "trace/address_space.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

namespace kdpc {

namespace {

// Where the executable lies: the one image whose program headers the kernel gave us.
std::uintptr_t program_base() {
  const std::uintptr_t headers = ::getauxval(AT_PHDR);
  Dl_info info{};
  if (headers == 0 || ::dladdr(reinterpret_cast<const void*>(headers), &info) == 0) return 0;
  return reinterpret_cast<std::uintptr_t>(info.dli_fbase);
}

}  // namespace

bool find_host_image(std::uintptr_t address, HostImage& image) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(address), &info) == 0 || info.dli_fname == nullptr) return false;
  image.base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  std::string_view name = info.dli_fname;
  if (const auto slash = name.rfind('/'); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  image.name = image.base == program_base() ? std::string_view("<program>") : name;
  return true;
}

}  // namespace kdpc
