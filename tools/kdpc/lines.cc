#include "tools/kdpc/lines.h"

#include <editline/readline.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace kdpc::tool {

std::optional<std::string> read_line(const std::string& prompt, std::FILE* out) {
  if (::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0) {
    char* const typed = ::readline(prompt.c_str());
    if (typed == nullptr) return {};
    std::string line(typed);
    if (!line.empty()) ::add_history(typed);
    std::free(typed);
    return line;
  }
  std::string line;
  if (!std::getline(std::cin, line)) return {};
  fmt::print(out, "{}{}\n", prompt, line);  // so that what was written reads like what was typed
  return line;
}

}  // namespace kdpc::tool
