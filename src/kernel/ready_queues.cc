#include "kernel/ready_queues.h"

#include <bit>

namespace kdpc {

void ReadyQueues::initialize() {
  for (List& list : lists) list.initialize();
  summary = 0;
}

void ReadyQueues::insert(Thread& thread, bool at_head) {
  List& list = lists[thread.priority];
  if (at_head) {
    list.push_front(thread.queue_link);
  } else {
    list.push_back(thread.queue_link);
  }
  summary = summary | 1u << thread.priority;
}

void ReadyQueues::remove(Thread& thread) {
  List::remove(thread.queue_link);
  if (lists[thread.priority].empty()) summary = summary & ~(1u << thread.priority);
}

Thread* ReadyQueues::best(std::uint32_t minimum_priority) const {
  const std::uint32_t candidates = summary & (~std::uint32_t{0} << minimum_priority);
  if (candidates == 0) return nullptr;
  return owner_of<&Thread::queue_link>(lists[31 - std::countl_zero(candidates)].first());
}

Thread* ReadyQueues::best_for(unsigned processor, std::uint32_t minimum_priority) const {
  for (unsigned priority = 32; priority-- > minimum_priority;) {
    if ((summary >> priority & 1) == 0) continue;
    for (Link* link = lists[priority].first(); link != nullptr; link = lists[priority].after(link))
      if (Thread* thread = owner_of<&Thread::queue_link>(link); thread->affinity.has(processor)) return thread;
  }
  return nullptr;
}

}  // namespace kdpc
