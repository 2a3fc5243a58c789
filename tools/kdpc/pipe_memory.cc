#include "tools/kdpc/pipe_memory.h"

#include <fmt/format.h>

#include <cstdio>

namespace kdpc::tool {

bool PipeMemory::read(std::uintptr_t address, void* to, std::size_t size) const {
  fmt::print(stdout, "read {:x} {:x}\n", address, size);
  std::fflush(stdout);
  return std::getc(stdin) == '+' && std::fread(to, 1, size, stdin) == size;
}

std::vector<MappedFile> PipeMemory::files() const {
  fmt::print(stdout, "files\n");
  std::fflush(stdout);
  std::vector<view::Mapping> mappings;
  for (;;) {
    std::string line;
    for (int letter; (letter = std::getc(stdin)) != EOF && letter != '\n';) line += static_cast<char>(letter);
    unsigned long long begin = 0, end = 0, offset = 0;
    int path = 0;
    if (line.empty() || std::sscanf(line.c_str(), "%llx %llx %llx %n", &begin, &end, &offset, &path) != 3) return view::images_among(mappings);
    mappings.push_back({begin, end, offset, line.substr(static_cast<std::size_t>(path))});
  }
}

void PipeMemory::say(const std::string& text) const {
  fmt::print(stdout, "text {:x}\n{}", text.size(), text);
  std::fflush(stdout);
}

}  // namespace kdpc::tool
