// Copies of the World: everything that is in use, so that a run can go on from there again.
//
//   K.CHECK-1  Taken and restored on the host context only, where every processor is suspended.
#pragma once
#include <cstddef>
#include <cstdint>

namespace kdpc::sim::checkpoint {

void add_span(void* base, std::size_t size);
void forget_spans();

// A number that is equal when everything a checkpoint would copy is equal, except for the stacks: their frames have gaps in which the remains of
// earlier calls stand. For tests.
std::uint64_t hash_of_world();

}  // namespace kdpc::sim::checkpoint
