// Core files, with libelf: segments by address, and the note that says which files were mapped where.
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "view/memory.h"

namespace kdpc::view {

namespace {

// Bytes of a file, at addresses.
struct Part {
  std::uintptr_t begin, end;
  std::uint64_t offset;
  int file;  // of the core, or of a mapped file
};

class File {
 public:
  explicit File(const std::string& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

struct CoreMemory::Parts {
  std::vector<Part> stored;  // in the core
  std::vector<Part> mapped;  // in the files
  std::map<std::string, std::unique_ptr<File>> files;
  std::vector<Mapping> mappings;

  int file(const std::string& path) {
    auto& file = files[path];
    if (file == nullptr) file = std::make_unique<File>(path);
    return file->descriptor();
  }

  // NT_FILE: count, page size, `count` times begin, end, offset in pages; then as many names.
  void read_mappings(const char* note, std::size_t size) {
    std::uint64_t head[2];
    if (size < sizeof head) return;
    std::memcpy(head, note, sizeof head);
    if (head[0] > (size - sizeof head) / 24) return;
    const char* name = note + sizeof head + head[0] * 24;
    const char* const end = note + size;
    for (std::uint64_t index = 0; index < head[0] && name < end; ++index) {
      std::uint64_t range[3];
      std::memcpy(range, note + sizeof head + index * 24, sizeof range);
      const std::string path(name, ::strnlen(name, static_cast<std::size_t>(end - name)));
      name += path.size() + 1;
      mapped.push_back({range[0], range[1], range[2] * head[1], file(path)});
      mappings.push_back({range[0], range[1], range[2], path});
    }
  }

  bool read_headers(int core) {
    Elf* const elf = ::elf_begin(core, ELF_C_READ, nullptr);
    GElf_Ehdr header;
    std::size_t count = 0;
    const bool is_core = elf != nullptr && ::elf_kind(elf) == ELF_K_ELF && ::gelf_getehdr(elf, &header) != nullptr && header.e_type == ET_CORE &&
                         header.e_machine == EM_X86_64 && ::elf_getphdrnum(elf, &count) == 0;
    for (std::size_t index = 0; is_core && index < count; ++index) {
      GElf_Phdr segment;
      if (::gelf_getphdr(elf, static_cast<int>(index), &segment) == nullptr) continue;
      if (segment.p_type == PT_LOAD) stored.push_back({segment.p_vaddr, segment.p_vaddr + segment.p_filesz, segment.p_offset, core});
      if (segment.p_type != PT_NOTE) continue;
      Elf_Data* const data = ::elf_getdata_rawchunk(elf, static_cast<std::int64_t>(segment.p_offset), segment.p_filesz, ELF_T_NHDR);
      GElf_Nhdr note;
      std::size_t name, description;
      for (std::size_t at = 0, next; data != nullptr && (next = ::gelf_getnote(data, at, &note, &name, &description)) > 0; at = next)
        if (note.n_type == NT_FILE) read_mappings(static_cast<const char*>(data->d_buf) + description, note.n_descsz);
    }
    ::elf_end(elf);
    return is_core;
  }
};

CoreMemory::CoreMemory(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
CoreMemory::~CoreMemory() = default;

Result<std::unique_ptr<CoreMemory>> CoreMemory::open(const std::string& path) {
  ::elf_version(EV_CURRENT);
  auto parts = std::make_unique<Parts>();
  const int core = parts->file(path);
  if (core < 0) return Error{fmt::format("the core file {} cannot be read: {}", path, std::strerror(errno))};
  if (!parts->read_headers(core)) return Error{fmt::format("{} is no core file of a 64-bit x86 process", path)};
  return std::unique_ptr<CoreMemory>(new CoreMemory(std::move(parts)));
}

std::vector<MappedFile> CoreMemory::files() const { return images_among(parts_->mappings); }

bool CoreMemory::read(std::uintptr_t address, void* to, std::size_t size) const {
  auto* into = static_cast<char*>(to);
  while (size > 0) {
    const Part* found = nullptr;
    for (const auto* parts : {&parts_->stored, &parts_->mapped})
      for (const Part& part : *parts)
        if (found == nullptr && address >= part.begin && address < part.end && part.file >= 0) found = &part;
    if (found == nullptr) return false;
    const std::size_t length = std::min<std::size_t>(size, found->end - address);
    if (::pread(found->file, into, length, static_cast<off_t>(found->offset + (address - found->begin))) != static_cast<ssize_t>(length))
      return false;
    address += length;
    into += length;
    size -= length;
  }
  return true;
}

}  // namespace kdpc::view
