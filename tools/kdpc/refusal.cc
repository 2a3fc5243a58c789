#include "tools/kdpc/refusal.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace kdpc::tool {

ExitCode refuse(const Refusal& refusal) {
  std::string_view rest = refusal.text;
  for (std::size_t end; !rest.empty(); rest.remove_prefix(std::min(end, rest.size()))) {
    end = std::min(rest.find('\n'), rest.size());
    fmt::print(stderr, "kdpc: {}\n", rest.substr(0, end++));
  }
  return refusal.code;
}

}  // namespace kdpc::tool
