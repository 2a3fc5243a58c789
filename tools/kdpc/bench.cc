#include "tools/kdpc/bench.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace kdpc::tool {

ExitCode bench(const std::vector<std::string>& arguments) {
  std::error_code failed;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  std::string program = (self.parent_path() / "kdpc-bench").string();
  std::vector<std::string> words = arguments;
  std::vector<char*> pointers{program.data()};
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(program.c_str(), pointers.data());
  fmt::print(stderr, "kdpc: {} cannot be started: {}; it needs python3\n", program, std::strerror(errno));
  return ExitCode::HostLacks;
}

}  // namespace kdpc::tool
