// Counted strings whose buffers the system allocates and a driver frees: RtlFreeUnicodeString and its like take what has this tag.
#pragma once
#include "kernel/pool.h"

namespace kdpc::wdk {

inline constexpr std::uint32_t kRtlStringTag = pool_tag("grtS");
inline constexpr std::size_t kMostStringBytes = 0xFFFE;  // of a UNICODE_STRING: the largest even number Length can hold

}  // namespace kdpc::wdk
