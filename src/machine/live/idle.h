// An idle processor. It looks for pending vectors by itself for a while, and sleeps then until somebody changes the word it sleeps on.
#pragma once
#include <cstdint>

#include "machine/live/slot.h"

namespace kdpc::live::idle {

// By the processor, at Dispatch: returns when a vector above Dispatch is pending, or when one has been taken since `taken` was the count.
void wait(Slot& slot, std::uint64_t taken);

// By the host, while the machine is frozen: the processor was idle, and nothing has come since; or it has ended.
bool is(const Slot& slot);

}  // namespace kdpc::live::idle
