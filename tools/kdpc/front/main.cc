// bin/kdpc: a process has one machine, so this one only looks which machine the scenario wants and becomes the program that has it.
#include <fmt/format.h>
#include <unistd.h>

#include <toml++/toml.h>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "tools/kdpc/arguments.h"

namespace {

using kdpc::tool::ExitCode;

// What is wrong with the scenario is said by the program that reads it wholly.
std::string machine_of(const std::string& scenario) {
  try {
    const toml::table parsed = toml::parse_file(scenario);
    const std::string kind = parsed["machine"]["kind"].value_or(std::string("sim"));
    if (kind == "live") return kind;
  } catch (const toml::parse_error&) {
  }
  return "sim";
}

}  // namespace

int main(int argc, char** argv) {
  kdpc::tool::Arguments arguments;
  if (const auto ended = kdpc::tool::parse(argc, argv, arguments)) return static_cast<int>(*ended);
  const std::string machine = arguments.scenario().empty() ? "sim" : machine_of(arguments.scenario());
  std::error_code failed;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  const std::filesystem::path program = self.parent_path().parent_path() / "libexec" / ("kdpc-" + machine);
  ::execv(program.c_str(), argv);
  fmt::print(stderr, "kdpc: {} cannot be started: {}; this installation has no machine \"{}\"\n", program.string(), std::strerror(errno), machine);
  return static_cast<int>(ExitCode::HostLacks);
}
