#include "lab/invariants.h"

#include <fmt/format.h>

namespace kdpc::lab {

std::string Invariants::broken() const {
  for (const One& one : all_)
    if (!one.holds()) return fmt::format("the invariant '{}' does not hold any more", one.name);
  return {};
}

}  // namespace kdpc::lab
