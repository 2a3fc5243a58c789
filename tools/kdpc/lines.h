// Lines that somebody types, with editing and history if it is a person at a terminal; or the lines of standard input.
#pragma once
#include <optional>
#include <string>

namespace kdpc::tool {

// None: there are no more.
std::optional<std::string> read_line(const std::string& prompt, std::FILE* out);

}  // namespace kdpc::tool
