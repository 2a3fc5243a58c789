// Asks for a cache line early. A line that is going to be written is asked for in one go, where to read it first would take two.
#pragma once

namespace kdpc {

inline void fetch_for_writing(const volatile void* object) { asm volatile("prefetchw %0" : : "m"(*static_cast<const volatile char*>(object))); }

}  // namespace kdpc
