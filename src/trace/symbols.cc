#include "trace/symbols.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>
#include <link.h>

#include <cstdlib>
#include <filesystem>

namespace kdpc {

namespace {

// By its program headers, so that uninitialised data belongs to it too: what lies past the file's last page is mapped without the file's name.
int report_image(dl_phdr_info* info, size_t, void* dwfl) {
  std::string path = info->dlpi_name;
  if (path.empty()) {
    std::error_code unreadable;
    path = std::filesystem::read_symlink("/proc/self/exe", unreadable).string();
  }
  dwfl_report_elf(static_cast<Dwfl*>(dwfl), path.c_str(), path.c_str(), -1, info->dlpi_addr, true);
  return 0;
}

// Separate debug files are not looked for: that may ask a server on the network.
int no_separate_debug_file(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word, char**) { return -1; }

const Dwfl_Callbacks kCallbacks = {
    .find_elf = dwfl_linux_proc_find_elf, .find_debuginfo = no_separate_debug_file, .section_address = nullptr, .debuginfo_path = nullptr};

unsigned long long images_loaded_ever() {
  unsigned long long count = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        *static_cast<unsigned long long*>(result) = info->dlpi_adds;
        return 1;
      },
      &count);
  return count;
}

std::string image_name(const char* path) {
  std::string name = path == nullptr ? "" : path;
  name.erase(0, name.rfind('/') + 1);
  if (const auto library = name.find(".so"); library != std::string::npos) name.resize(library);
  if (name.ends_with(".drv")) name.resize(name.size() - 4);
  return name;
}

// "kdpc::dpc::insert(kdpc::Dpc*, void*)" -> "kdpc::dpc::insert"
std::string without_parameters(std::string name) {
  for (const char* suffix : {" const", " volatile"})
    if (name.ends_with(suffix)) name.resize(name.size() - std::char_traits<char>::length(suffix));
  if (!name.ends_with(')')) return name;
  int depth = 0;
  for (std::size_t at = name.size(); at-- > 0;) {
    if (name[at] == ')') ++depth;
    if (name[at] == '(' && --depth == 0) {
      if (at != 0) name.resize(at);
      break;
    }
  }
  return name;
}

// "std::_Function_handler<void (), kdpc::lab::…>::_M_invoke" -> "std::_Function_handler<>::_M_invoke"
std::string without_template_arguments(const std::string& name) {
  if (name.find("operator") != std::string::npos) return name;  // whose name may have these characters
  std::string result;
  int depth = 0;
  for (const char letter : name) {
    if (letter == '>') --depth;
    if (depth == 0) result += letter;
    if (letter == '<') ++depth;
  }
  return depth == 0 ? result : name;
}

std::string demangled(const char* name) {
  if (name[0] != '_' || name[1] != 'Z') return name;  // a C name; as a type, "d" would be double
  int failed = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &failed);
  if (text == nullptr) return name;
  std::string result = without_template_arguments(without_parameters(text));
  std::free(text);
  return result;
}

// File and line, from the unit that says it covers the address.
void find_line(Dwfl_Module* module, std::uintptr_t address, Symbol& symbol) {
  if (Dwfl_Line* line = dwfl_module_getsrc(module, address)) {
    int number = 0;
    if (const char* file = dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr)) {
      symbol.file = file;
      symbol.line = number;
    }
    return;
  }
  // clang writes no table of address ranges, so each unit is asked.
  Dwarf_Addr bias = 0;
  for (Dwarf_Die* unit = nullptr; (unit = dwfl_module_nextcu(module, unit, &bias)) != nullptr;) {
    if (dwarf_haspc(unit, address - bias) <= 0) continue;
    Dwarf_Line* line = dwarf_getsrc_die(unit, address - bias);
    const char* file = line == nullptr ? nullptr : dwarf_linesrc(line, nullptr, nullptr);
    if (file == nullptr) return;
    symbol.file = file;
    dwarf_lineno(line, &symbol.line);
    return;
  }
}

}  // namespace

std::string short_path(const std::string& path) {
  auto slash = path.rfind('/');
  if (slash != std::string::npos && slash != 0) slash = path.rfind('/', slash - 1);
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string Symbol::short_text() const {
  if (image.empty()) return fmt::format("{:#x}", address);
  if (function.empty()) return fmt::format("{}+{:#x}", image, offset);
  if (offset == 0) return fmt::format("{}!{}", image, function);
  return fmt::format("{}!{}+{:#x}", image, function, offset);
}

std::string Symbol::text() const {
  if (file.empty()) return short_text();
  if (line == 0) return fmt::format("{} ({})", short_text(), short_path(file));  // inlined code that belongs to no line
  return fmt::format("{} ({}:{})", short_text(), short_path(file), line);
}

struct Symbols::Modules {
  Dwfl* dwfl = nullptr;
  unsigned long long seen = 0;
  bool is_other_process = false;
  std::vector<MappedFile> files;

  Modules() = default;
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;
  ~Modules() { dwfl_end(dwfl); }

  explicit Modules(const std::vector<MappedFile>& mapped) : is_other_process(true), files(mapped) {
    dwfl = dwfl_begin(&kCallbacks);
    if (dwfl == nullptr) return;
    dwfl_report_begin(dwfl);
    for (const MappedFile& file : files) dwfl_report_elf(dwfl, file.path.c_str(), file.path.c_str(), -1, file.base, false);
    dwfl_report_end(dwfl, nullptr, nullptr);
  }

  bool has_news() const { return !is_other_process && (dwfl == nullptr || images_loaded_ever() != seen); }

  // Reads the list of images if an image was loaded since the last time.
  void refresh() {
    if (!has_news()) return;
    const unsigned long long loaded = images_loaded_ever();
    dwfl_end(dwfl);  // a second report to the same one loses what it knew of the first
    dwfl = dwfl_begin(&kCallbacks);
    if (dwfl == nullptr) return;
    dwfl_report_begin(dwfl);
    ::dl_iterate_phdr(report_image, dwfl);
    dwfl_report_end(dwfl, nullptr, nullptr);
    seen = loaded;
  }
};

Symbols::Symbols() : modules_(std::make_unique<Modules>()) {}
Symbols::Symbols(const std::vector<MappedFile>& files) : modules_(std::make_unique<Modules>(files)) {}
Symbols::~Symbols() = default;

Symbol Symbols::look_up(std::uintptr_t address, std::uintptr_t inside) {
  Symbol symbol;
  symbol.address = address;
  symbol.offset = address;
  modules_->refresh();
  Dwfl_Module* module = modules_->dwfl == nullptr ? nullptr : dwfl_addrmodule(modules_->dwfl, inside);
  if (module == nullptr) {
    for (const MappedFile& file : modules_->files) {  // which has gone since
      if (inside < file.base || inside >= file.end) continue;
      symbol.image = image_name(file.path.c_str());
      symbol.offset = address - file.base;
    }
    return symbol;
  }

  Dwarf_Addr base = 0;
  const char* path = nullptr;
  const char* name = dwfl_module_info(module, nullptr, &base, nullptr, nullptr, nullptr, &path, nullptr);
  GElf_Off offset = 0;
  GElf_Sym entry;
  const char* function = dwfl_module_addrinfo(module, inside, &offset, &entry, nullptr, nullptr, nullptr);
  if (path == nullptr) path = name;
  if (path == nullptr || *path == '[') return symbol;  // [heap], [stack], [vdso]
  symbol.image = image_name(path);
  symbol.offset = address - base;
  if (function != nullptr && *function != '\0') {
    symbol.function = demangled(function);
    symbol.offset = offset + (address - inside);
  }
  find_line(module, inside, symbol);
  return symbol;
}

const Symbol& Symbols::find(std::uintptr_t address, Meaning meaning) {
  auto& known = known_[static_cast<std::size_t>(meaning)];
  const auto at = known.find(address);
  if (at != known.end() && (!at->second.image.empty() || !modules_->has_news())) return at->second;  // an image loaded later may lie there
  const bool is_return = meaning == Meaning::ReturnAddress && address != 0;
  return known.insert_or_assign(address, look_up(address, is_return ? address - 1 : address)).first->second;
}

std::string debuggers_name_of(const std::string& image) { return image.starts_with("libkdpc-") ? "nt" : image; }

}  // namespace kdpc
