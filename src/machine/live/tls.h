// Thread-local data of NT threads. Each has a block of its own, so that what libc and the C++ runtime keep per thread (errno, the heap's caches, the exceptions
// being handled) goes with it when it is preempted or migrated. A block is borrowed from a donor: a pthread that does nothing else than own it.
#pragma once
#include <cstdint>

#include "base/result.h"

namespace kdpc::live::tls {

// This code runs in the machine: on a stack of a processor's, with its GS base. Part of the thread-local data, so it is true of an NT thread wherever it runs.
bool on_processor();
void set_on_processor(bool is);

struct Donor;

Result<void> open();  // by the host, before the first take()
void close();         // by the host, when the processors have gone: the donors end
// At any level up to Synch; null: the host has no more threads to give.
Donor* take();
void give(Donor* donor);
std::uintptr_t fs_of(const Donor* donor);

}  // namespace kdpc::live::tls
