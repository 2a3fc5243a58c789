// Memory at an address that everybody knows: the World of either machine.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace kdpc {

// Nothing else may be there. `what` begins the sentence of a refusal.
Result<void> map_at(std::uintptr_t place, std::size_t size, int protection, const char* what);

}  // namespace kdpc
