// Memory of a process that a debugger holds, living or dead. The debugger has started this program and answers on its standard input what is asked on its
// standard output:
//
//   asked              answered
//   read ADDRESS SIZE  "+" and so many bytes, or "-"        (both numbers hexadecimal)
//   files              lines "BEGIN END OFFSET PATH" of what files are mapped, by address, then an empty one
//   text SIZE          nothing: so many bytes follow that are for the user
#pragma once
#include <string>
#include <vector>

#include "view/memory.h"

namespace kdpc::tool {

class PipeMemory : public view::Memory {
 public:
  bool read(std::uintptr_t address, void* to, std::size_t size) const override;
  std::vector<MappedFile> files() const;
  void say(const std::string& text) const;
};

}  // namespace kdpc::tool
