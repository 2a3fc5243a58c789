// What is in a processor's DPC queues.
#pragma once
#include <string>
#include <vector>

#include "view/world.h"

namespace kdpc::view {

struct QueuedDpc {
  std::uintptr_t address;
  Dpc dpc;
  bool readable;  // else `dpc` means nothing
  std::string type() const { return dpc.type == static_cast<std::uint8_t>(DpcType::Threaded) ? "Threaded" : "Normal"; }
};

struct Queue {
  std::vector<QueuedDpc> dpcs;
  std::string trouble;  // lines
};

// Ordinary or threaded ones of a processor that was read.
Queue read_queue(const World& world, const Copy<Processor>& processor, bool threaded);

}  // namespace kdpc::view
