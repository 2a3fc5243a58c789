// What lies at an address: image, function, file and line, of drivers, of this library and of the executable.
//
// Names come from the symbol tables and DWARF of the files mapped into this process, or another one. Drivers that are loaded later are found too; what was asked once
// is remembered, so an answer survives the unloading of its image.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace kdpc {

struct Symbol {
  std::uintptr_t address = 0;
  std::string image;          // "nic" for nic.drv, "libkdpc-sim", "dpc_test.sim"; empty: in no image
  std::string function;       // or object; demangled, without parameters; empty: unknown
  std::uintptr_t offset = 0;  // from the start of the function, or of the image
  std::string file;           // as the compiler was given it; empty: no debug information
  int line = 0;

  std::string text() const;        // nic!NicDpc+0x1c (nic/dpc.c:88)
  std::string short_text() const;  // nic!NicDpc+0x1c
};

// A file that some process has mapped.
struct MappedFile {
  std::uintptr_t base = 0;  // where its first byte lies
  std::uintptr_t end = 0;   // behind the last of its pages
  std::string path;
};

class Symbols {
 public:
  Symbols();                                               // of this process
  explicit Symbols(const std::vector<MappedFile>& files);  // of another one, or of one that is no more
  ~Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  // A return address belongs to the call before it.
  enum class Meaning : std::uint8_t { Exact, ReturnAddress };
  const Symbol& find(std::uintptr_t address, Meaning meaning = Meaning::Exact);

 private:
  struct Modules;
  Symbol look_up(std::uintptr_t address, std::uintptr_t inside);
  std::unique_ptr<Modules> modules_;
  std::unordered_map<std::uintptr_t, Symbol> known_[2];
};

// As a debugger has it: this library is the kernel, "nt".
std::string debuggers_name_of(const std::string& image);

// The last two parts of a path: what a person needs of it.
std::string short_path(const std::string& path);

}  // namespace kdpc
