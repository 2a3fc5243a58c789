// What a thread that is none of the machine's processors may ask of the kernel at any time, on a machine that runs in real time.
#pragma once
#include "kernel/dpc.h"

namespace kdpc::outside {

// KeInsertQueueDpc by such a thread: to the Dpc's target, or to processor 0. False: it is queued already, or no Dpc, or its target does not exist.
// Takes no lock of the kernel's and waits for nobody.
bool insert_dpc(Dpc& dpc, void* argument1, void* argument2);

}  // namespace kdpc::outside
