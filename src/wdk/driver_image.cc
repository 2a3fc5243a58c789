#include "wdk/driver_image.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gelf.h>
#include <libelf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

namespace kdpc {
namespace {

constexpr std::uint64_t kPage = 4096;

struct File {
  explicit File(const std::string& path) : descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor >= 0) close(descriptor);
  }
  File(const File&) = delete;
  int descriptor;
};

struct CloseElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, CloseElf>;

// One ELF file being read into an image; every step returns what is wrong, or nothing.
class Reader {
 public:
  Reader(Elf* elf, DriverImage& image) : elf_(elf), image_(image) {}

  std::optional<Error> header() {
    GElf_Ehdr header;
    if (elf_kind(elf_) != ELF_K_ELF || !gelf_getehdr(elf_, &header)) return not_a_driver("is not an ELF file");
    if (header.e_machine != EM_X86_64 || gelf_getclass(elf_) != ELFCLASS64) return not_a_driver("is not for x86-64");
    if (header.e_type != ET_DYN) return not_a_driver("is an ELF file, but not a linked image");
    return {};
  }

  std::optional<Error> segments() {
    std::size_t count = 0;
    if (elf_getphdrnum(elf_, &count) != 0) return not_a_driver(elf_errmsg(-1));
    std::uint64_t low = ~std::uint64_t{0}, high = 0;
    for (std::size_t i = 0; i < count; ++i) {
      GElf_Phdr segment;
      if (!gelf_getphdr(elf_, static_cast<int>(i), &segment)) return not_a_driver(elf_errmsg(-1));
      if (segment.p_type == PT_TLS) return Error{fmt::format("{}: has thread-local variables, which NT drivers do not have", image_.path)};
      if (segment.p_type != PT_LOAD) continue;
      low = std::min<std::uint64_t>(low, segment.p_vaddr / kPage * kPage);
      high = std::max<std::uint64_t>(high, (segment.p_vaddr + segment.p_memsz + kPage - 1) / kPage * kPage);
      if (segment.p_flags & PF_W) image_.writable.push_back({segment.p_vaddr, segment.p_memsz, segment.p_filesz});
    }
    if (high == 0) return not_a_driver("has nothing to load");
    image_.link_base = low;
    image_.size = high - low;
    return {};
  }

  std::optional<Error> sections(const std::function<bool(std::string_view)>& is_exported) {
    if (elf_getshdrstrndx(elf_, &names_) != 0) return not_a_driver(elf_errmsg(-1));
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf_, section));) {
      GElf_Shdr header;
      if (!gelf_getshdr(section, &header)) return not_a_driver(elf_errmsg(-1));
      if (header.sh_type == SHT_PROGBITS) {
        pageable(header);
      } else if (header.sh_type == SHT_DYNAMIC) {
        if (auto wrong = needed_libraries(section, header)) return wrong;
      } else if (header.sh_type == SHT_DYNSYM) {
        symbols(section, header, is_exported);
      } else if (header.sh_type == SHT_NOTE) {
        build_id(section);
      }
    }
    std::sort(image_.missing_exports.begin(), image_.missing_exports.end());
    if (!image_.entry) return not_a_driver("exports no DriverEntry");
    return {};
  }

 private:
  Error not_a_driver(std::string_view why) const {
    return {fmt::format("{}: {}; a driver is made from its source by kdpc_add_driver()", image_.path, why)};
  }

  std::optional<Error> needed_libraries(Elf_Scn* section, const GElf_Shdr& header) const {
    Elf_Data* data = elf_getdata(section, nullptr);
    GElf_Dyn entry;
    for (int i = 0; data && gelf_getdyn(data, i, &entry); ++i) {
      if (entry.d_tag != DT_NEEDED) continue;
      const char* name = elf_strptr(elf_, header.sh_link, entry.d_un.d_val);
      return not_a_driver(fmt::format("was linked with {}, whose calls are not a driver's", name ? name : "a library"));
    }
    return {};
  }

  // The linker gives such a section pages of its own, up to the end of its last one.
  void pageable(const GElf_Shdr& header) {
    const char* name = elf_strptr(elf_, names_, header.sh_name);
    if (name == nullptr || std::strncmp(name, "PAGE", 4) != 0 || (header.sh_flags & SHF_ALLOC) == 0) return;
    if (header.sh_size == 0 || header.sh_addr % kPage != 0) return;
    const std::uint64_t size = (header.sh_size + kPage - 1) / kPage * kPage;
    image_.pageable.push_back({header.sh_addr, size, (header.sh_flags & SHF_WRITE) != 0, (header.sh_flags & SHF_EXECINSTR) != 0});
  }

  void symbols(Elf_Scn* section, const GElf_Shdr& header, const std::function<bool(std::string_view)>& is_exported) {
    Elf_Data* data = elf_getdata(section, nullptr);
    GElf_Sym symbol;
    for (int i = 1; data && gelf_getsym(data, i, &symbol); ++i) {
      const char* name = elf_strptr(elf_, header.sh_link, symbol.st_name);
      if (!name) continue;
      if (symbol.st_shndx == SHN_UNDEF) {
        if (std::strcmp(name, "KdpcAccess") == 0) image_.is_check_variant = true;
        if (!is_exported(name)) image_.missing_exports.emplace_back(name);
      } else if (std::strcmp(name, "DriverEntry") == 0 && GELF_ST_TYPE(symbol.st_info) == STT_FUNC) {
        image_.entry = symbol.st_value;
      }
    }
  }

  void build_id(Elf_Scn* section) {
    Elf_Data* data = elf_getdata(section, nullptr);
    GElf_Nhdr note;
    std::size_t name = 0, description = 0;
    for (std::size_t at = 0; data && (at = gelf_getnote(data, at, &note, &name, &description)) > 0;) {
      const auto* bytes = static_cast<const unsigned char*>(data->d_buf);
      if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || std::memcmp(bytes + name, "GNU", 4) != 0) continue;
      image_.build_id = fmt::format("{:02x}", fmt::join(bytes + description, bytes + description + note.n_descsz, ""));
    }
  }

  Elf* elf_;
  std::size_t names_ = 0;  // the section of the sections' names
  DriverImage& image_;
};

bool is_windows_image(int descriptor) {
  char magic[2] = {};
  return pread(descriptor, magic, sizeof magic, 0) == sizeof magic && magic[0] == 'M' && magic[1] == 'Z';
}

}  // namespace

Result<DriverImage> read_driver_image(const std::string& path, const std::function<bool(std::string_view)>& is_exported) {
  const File file(path);
  if (file.descriptor < 0) return Error{fmt::format("{}: cannot be opened: {}", path, std::strerror(errno))};
  if (is_windows_image(file.descriptor)) {
    return Error{fmt::format("{}: is a Windows image (.sys); drivers are loaded from .drv files, made from their source by kdpc_add_driver()", path)};
  }
  elf_version(EV_CURRENT);
  const ElfHandle elf(elf_begin(file.descriptor, ELF_C_READ, nullptr));

  DriverImage image;
  image.path = path;
  Reader reader(elf.get(), image);
  if (auto wrong = reader.header()) return *wrong;
  if (auto wrong = reader.segments()) return *wrong;
  if (auto wrong = reader.sections(is_exported)) return *wrong;
  return image;
}

Error missing_exports_error(const DriverImage& image) {
  const auto count = image.missing_exports.size();
  return {fmt::format("{}: needs {} routine{} that kdpc does not export: {}", image.path, count, count == 1 ? "" : "s",
                      fmt::join(image.missing_exports, ", "))};
}

}  // namespace kdpc
