#include "tools/kdpc/bench.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace kdpc::tool {

ExitCode bench(const std::vector<std::string>& arguments) {
  std::error_code failed;
  std::string python = "python3", program = (std::filesystem::read_symlink("/proc/self/exe", failed).parent_path() / "kdpc-bench").string();
  if (::access(program.c_str(), R_OK) != 0) {
    fmt::print(stderr, "kdpc: {}: {}; it belongs to an installation, and the build makes it: do that again\n", program, std::strerror(errno));
    return ExitCode::HostLacks;
  }
  std::vector<std::string> words = arguments;
  std::vector<char*> pointers{python.data(), program.data()};
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execvp(python.c_str(), pointers.data());
  fmt::print(stderr, "kdpc: python3 cannot be started: {}; Debian's package python3 has it\n", std::strerror(errno));
  return ExitCode::HostLacks;
}

}  // namespace kdpc::tool
