// The bases of FS and GS: by instruction where the host allows it, else by system call.
//
// FS is where a host thread's thread-local data are, GS is free for us. Both belong to the pthread, not to the stack it is on.
#pragma once
#include <cstdint>

namespace kdpc::live::segments {

void find_out();  // before anything else

std::uintptr_t fs();
void set_fs(std::uintptr_t base);
void set_gs(std::uintptr_t base);

}  // namespace kdpc::live::segments
