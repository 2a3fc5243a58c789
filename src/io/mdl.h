// Memory descriptor lists. Every byte of a run is resident and mapped once, so locking and mapping only say so in the flags.
#pragma once
#include "io/manager.h"

namespace kdpc::io::mdl {

// At most Dispatch. Null: no memory. `owner`: the driver's call, if it must free the MDL itself.
MDL* allocate(void* address, std::size_t size, const void* owner = nullptr);
void free(MDL* mdl);
void describe(MDL* mdl);  // fills in its pages
void lock(MDL* mdl);
void unlock(MDL* mdl);
// Unlocks and frees it and all that follow it.
void free_chain(MDL* mdl);

// The bus address of a byte of the run: in a board's memory the board's, elsewhere the address itself.
std::uint64_t physical_address(const void* address);

}  // namespace kdpc::io::mdl
