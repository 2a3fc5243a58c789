#include "lab/build_id.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <cstring>

namespace kdpc::lab {

namespace {

constexpr char kOwner[] = "GNU";

// The notes of one segment: a header, the owner's name and the description, each filled up to four bytes.
std::string in_notes(std::uintptr_t at, std::uintptr_t end) {
  const auto filled = [](std::size_t size) { return (size + 3) / 4 * 4; };
  while (at + sizeof(ElfW(Nhdr)) <= end) {
    const auto& note = *reinterpret_cast<const ElfW(Nhdr)*>(at);
    const std::uintptr_t name = at + sizeof note, description = name + filled(note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof kOwner &&
        std::memcmp(reinterpret_cast<const void*>(name), kOwner, sizeof kOwner) == 0) {
      const auto* bytes = reinterpret_cast<const unsigned char*>(description);
      return fmt::format("{:02x}", fmt::join(bytes, bytes + note.n_descsz, ""));
    }
    at = description + filled(note.n_descsz);
  }
  return {};
}

// Of the image in which this code lies.
int look(dl_phdr_info* image, std::size_t, void* result) {
  const auto here = reinterpret_cast<std::uintptr_t>(&look);
  bool is_this = false;
  std::string found;
  for (unsigned index = 0; index < image->dlpi_phnum; ++index) {
    const ElfW(Phdr)& segment = image->dlpi_phdr[index];
    const std::uintptr_t begin = image->dlpi_addr + segment.p_vaddr, end = begin + segment.p_memsz;
    is_this = is_this || (segment.p_type == PT_LOAD && here >= begin && here < end);
    if (segment.p_type == PT_NOTE && found.empty()) found = in_notes(begin, end);
  }
  if (!is_this) return 0;
  *static_cast<std::string*>(result) = std::move(found);
  return 1;
}

}  // namespace

std::string build_id() {
  std::string id;
  ::dl_iterate_phdr(look, &id);
  return id.empty() ? "unknown" : id;
}

}  // namespace kdpc::lab
