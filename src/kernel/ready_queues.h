// The threads that are ready on one processor: 32 priorities, and among equals the one that came first.
#pragma once
#include <cstdint>

#include "kernel/thread.h"

namespace kdpc {

struct ReadyQueues {
  List lists[32];                  // D  oldest first
  volatile std::uint32_t summary;  // D  bit n: lists[n] is not empty; the idle thread glances at it without

  void initialize();
  void insert(Thread& thread, bool at_head);
  void remove(Thread& thread);
  Thread* best(std::uint32_t minimum_priority) const;                          // null: none of that priority or higher
  Thread* best_for(unsigned processor, std::uint32_t minimum_priority) const;  // the same of those that may run there
};

}  // namespace kdpc
