// Memory that is only read: of this process, of another one, of a core file. It may hold anything, and a pointer in it may lead anywhere; who follows one
// asks here, and hears that there is nothing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/symbols.h"

namespace kdpc::view {

class Memory {
 public:
  virtual ~Memory() = default;
  // False: not all of it is there, and what was written to `to` means nothing.
  [[nodiscard]] virtual bool read(std::uintptr_t address, void* to, std::size_t size) const = 0;

  // Up to its zero, or to so many characters. Empty: there is none.
  std::string text(std::uintptr_t address, std::size_t most = 1000) const;
};

// A part of a file, as a process has it mapped.
struct Mapping {
  std::uintptr_t begin, end;
  std::uint64_t offset;
  std::string path;
};
// Those files that are mapped to run, and not only to be read: they have several parts, the first one first.
std::vector<MappedFile> images_among(const std::vector<Mapping>& mappings);

// This process.
class OwnMemory : public Memory {
 public:
  OwnMemory();
  ~OwnMemory() override;
  OwnMemory(const OwnMemory&) = delete;
  OwnMemory& operator=(const OwnMemory&) = delete;
  bool read(std::uintptr_t address, void* to, std::size_t size) const override;

 private:
  int file_;
};

// A core file of a process that had a World, as the host's kernel or a debugger writes it. What is in no core, because it could not change, is read
// from the files that were mapped.
class CoreMemory : public Memory {
 public:
  static Result<std::unique_ptr<CoreMemory>> open(const std::string& path);
  ~CoreMemory() override;
  CoreMemory(const CoreMemory&) = delete;
  CoreMemory& operator=(const CoreMemory&) = delete;
  bool read(std::uintptr_t address, void* to, std::size_t size) const override;
  std::vector<MappedFile> files() const;

 private:
  struct Parts;
  explicit CoreMemory(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace kdpc::view
