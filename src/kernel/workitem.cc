#include "kernel/workitem.h"

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::work {

namespace {

struct WorkerPlan {
  const char* name;
  unsigned threads;
  std::uint8_t priority;
};

// How many threads serve a queue is not documented; the priorities are as observed (WI-3). More than one each, so that a routine that waits
// for another item of the same queue is served.
constexpr WorkerPlan kPlans[kWorkQueues] = {{"worker (critical)", 3, 13}, {"worker (delayed)", 4, 12}, {"worker (hypercritical)", 1, 15}};

WorkItem* take(WorkerPool& pool) {
  Locked<Irql::Dispatch> locked(pool.lock, LockKind::System);
  Link* link = pool.items.pop_front();
  if (link == nullptr) return nullptr;
  WorkItem* item = owner_of<&WorkItem::link>(link);
  item->link.next = nullptr;  // K.WORK-1
  return item;
}

// The worker goes on to other drivers' items.
void check_left_clean(const WorkItem* item, WorkRoutine* routine, void* parameter) {
  const Thread& self = thread::current();
  if (!self.mutants.empty())
    bug_check(stop::SystemExitOwnedMutex, {as_parameter(routine), as_parameter(parameter), as_parameter(item), 0},
              "A work item routine returned while it owned a mutex, which nobody can ever acquire again.", "0x39");
  if (self.kernel_apc_disable != 0 || self.special_apc_disable != 0)
    bug_check(stop::ApcIndexMismatch, {as_parameter(routine), 0, thread::combined_apc_disable(self), 1},
              "A work item routine returned inside a critical or guarded region.", "0x01");
}

void KDPC_NTAPI serve(void* context) {
  auto& pool = *static_cast<WorkerPool*>(context);
  for (;;) {
    wait::for_object(pool.available.header, nullptr);
    WorkItem* item = take(pool);
    if (item == nullptr) continue;
    WorkRoutine* const routine = item->routine;
    void* const parameter = item->parameter;
    Machine::observe(OrderAcquired{item});
    Machine::observe(ActivityBegan{ActivityKind::WorkItem, static_cast<std::uint8_t>(Irql::Passive), routine, item});
    routine(parameter);
    Machine::observe(ActivityEnded{ActivityKind::WorkItem, true, routine, item});
    if (const Irql level = Machine::irql(); level != Irql::Passive)
      bug_check(stop::WorkerThreadReturnedAtBadIrql, {as_parameter(routine), as_parameter(level), as_parameter(parameter), as_parameter(item)},
                "A work item routine returned above PASSIVE_LEVEL.", "WI-3");
    check_left_clean(item, routine, parameter);
  }
}

}  // namespace

void initialize(WorkItem& item, WorkRoutine* routine, void* parameter) {
  item.routine = routine;
  item.parameter = parameter;
  item.link.next = nullptr;
}

bool is_queued(const WorkItem& item) { return item.link.next != nullptr; }

void queue(WorkItem& item, std::uint32_t number) {
  if (number >= kWorkQueues)
    bug_check(stop::WorkerInvalid, {6, as_parameter(&item), number, 0}, "A work item was queued to a queue type that does not exist.", "WI-2");
  if (item.routine == nullptr)
    bug_check(stop::WorkerInvalid, {7, as_parameter(&item), number, 0}, "A work item without a routine was queued.", "WI-2");
  WorkerPool& pool = sys().workers[number];
  {
    Locked<Irql::Dispatch> locked(pool.lock, LockKind::System);
    if (is_queued(item))
      bug_check(stop::WorkerInvalid, {1, as_parameter(&item), number, 0}, "A work item was queued while it was already queued.", "WI-2");
    pool.items.push_back(item.link);
    Machine::observe(OrderReleased{&item});
    Machine::observe(WorkQueued{&item, item.routine, static_cast<std::uint8_t>(number)});
  }
  bool ok = true;
  wait::release_semaphore(pool.available, 1, 0, ok);
  KDPC_INVARIANT("K.WORK-2", ok);
}

void start_workers() {
  for (unsigned number = 0; number < kWorkQueues; ++number) {
    WorkerPool& pool = sys().workers[number];
    pool.lock.initialize();
    pool.items.initialize();
    wait::initialize_semaphore(pool.available, 0, 0x7fffffff);
    for (unsigned index = 0; index < kPlans[number].threads; ++index) {
      Thread* worker = thread::create(kPlans[number].name, serve, &pool, kPlans[number].priority, active_processors());
      KDPC_INVARIANT("K.WORK-3", worker != nullptr);
      worker->is_worker = true;
      thread::start(*worker);
      thread::release(*worker);
    }
  }
}

}  // namespace kdpc::work
