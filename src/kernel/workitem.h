// Work items: a routine a driver wants called at Passive in a system thread (SEMANTICS 8.2).
//
//   K.WORK-1  An item is off its queue before its routine is called; so it may be queued again or freed from inside (WI-2).
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/list.h"
#include "kernel/spinlock.h"
#include "kernel/wait.h"

namespace kdpc {

struct WorkItem;
using WorkRoutine = void KDPC_NTAPI(void* parameter);

// NT's WORK_QUEUE_ITEM. link.next is null while not queued.
struct WorkItem {
  Link link;
  WorkRoutine* routine;
  void* parameter;
};
static_assert(sizeof(WorkItem) == 0x20 && offsetof(WorkItem, routine) == 0x10);

enum class WorkQueue : std::uint8_t { Critical = 0, Delayed = 1, HyperCritical = 2 };
inline constexpr unsigned kWorkQueues = 3;

struct WorkerPool {
  List items;  // W
  Semaphore available;
  SpinLock lock;
};

namespace work {

void initialize(WorkItem& item, WorkRoutine* routine, void* parameter);
// At most Dispatch. An item that is queued already, or a queue that does not exist: bug check 0xE4 (WI-2).
void queue(WorkItem& item, std::uint32_t queue);
bool is_queued(const WorkItem& item);
// Passive, at boot: the worker threads.
void start_workers();

}  // namespace work
}  // namespace kdpc
