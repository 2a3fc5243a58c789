// System work items: SEMANTICS 8.2.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr ULONG kTag = 0x69746d57;  // "Wmti"
WORK_QUEUE_ITEM item, other;
volatile int runs = 0;
struct Seen {
  PVOID parameter;
  KIRQL irql;
  PKTHREAD thread;
  KPRIORITY priority;
  ULONG processor;
} seen;

VOID NTAPI record(PVOID Parameter) {
  seen = {Parameter, KeGetCurrentIrql(), KeGetCurrentThread(), KeQueryPriorityThread(KeGetCurrentThread()), KeGetCurrentProcessorNumber()};
  runs = runs + 1;
}

char order[16];
volatile int steps = 0;
void note(char step) {
  order[steps % 15] = step;
  steps = steps + 1;
}
void reset() {
  std::memset(order, 0, sizeof order);
  steps = 0;
  runs = 0;
  seen = {};
}

KDPC_TEST(WorkItem, RunsAtPassiveInASystemThreadWithItsParameter) {
  RULE("WI-1");
  static PKTHREAD queued_by;
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    queued_by = KeGetCurrentThread();
    ExInitializeWorkItem(&item, record, &order);
    ExQueueWorkItem(&item, DelayedWorkQueue);
    KDPC_EXPECT_EQ(runs, 0);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(1s)));
  EXPECT_EQ(seen.parameter, &order);
  EXPECT_EQ(seen.irql, PASSIVE_LEVEL);
  EXPECT_NE(seen.thread, queued_by);
  EXPECT_EQ(m.count("work-queued", {{"item", m.address_of(&item)}, {"queue", std::uint64_t{DelayedWorkQueue}}}), 1u);
}

KDPC_TEST(WorkItem, AboveDispatchIsRefused) {
  RULE("WI-1");
  m.on(0, DISPATCH_LEVEL + 1, [] {
    ExInitializeWorkItem(&item, record, nullptr);
    ExQueueWorkItem(&item, DelayedWorkQueue);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL + 1);
}

KDPC_TEST(WorkItem, TheThreeQueuesHaveTheirPriorities) {
  RULE("WI-3");
  const struct {
    WORK_QUEUE_TYPE queue;
    KPRIORITY priority;
  } expected[] = {{CriticalWorkQueue, 13}, {DelayedWorkQueue, 12}, {HyperCriticalWorkQueue, 15}};
  for (const auto& [queue, priority] : expected) {
    reset();
    m.on(0, PASSIVE_LEVEL, [queue = queue] {
      ExInitializeWorkItem(&item, record, nullptr);
      ExQueueWorkItem(&item, queue);
    });
    EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(1s)));
    EXPECT_EQ(seen.priority, priority);
  }
}

VOID NTAPI wait_for_the_other(PVOID Event) {
  KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, nullptr);
  note('1');
}
VOID NTAPI set_the_event(PVOID Event) {
  note('2');
  KeSetEvent(static_cast<PKEVENT>(Event), IO_NO_INCREMENT, FALSE);
}

KDPC_TEST(WorkItem, OneThatWaitsForTheNextOfTheSameQueueIsServed) {
  RULE("WI-1");
  static KEVENT event;
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    ExInitializeWorkItem(&item, wait_for_the_other, &event);
    ExInitializeWorkItem(&other, set_the_event, &event);
    ExQueueWorkItem(&item, DelayedWorkQueue);
    ExQueueWorkItem(&other, DelayedWorkQueue);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 2; }, within(1s)));
  EXPECT_STREQ(order, "21");
}

// -- WI-2: an item is its owner's again before its routine runs ------------------------------------------------------------------------------

VOID NTAPI requeue_twice(PVOID) {
  runs = runs + 1;
  if (runs < 3) ExQueueWorkItem(&item, CriticalWorkQueue);
}

KDPC_TEST(WorkItem, MayBeQueuedAgainFromInside) {
  RULE("WI-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeWorkItem(&item, requeue_twice, nullptr);
    ExQueueWorkItem(&item, DelayedWorkQueue);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 3; }, within(1s)));
  EXPECT_EQ(m.count("work-queued", {{"item", m.address_of(&item)}}), 3u);
  EXPECT_NO_FINDINGS();
}

VOID NTAPI free_the_item(PVOID Item) {
  ExFreePoolWithTag(Item, kTag);
  runs = runs + 1;
}

PWORK_QUEUE_ITEM allocated;
void allocate(PWORKER_THREAD_ROUTINE routine) {
  allocated = static_cast<PWORK_QUEUE_ITEM>(ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(WORK_QUEUE_ITEM), kTag));
  ExInitializeWorkItem(allocated, routine, allocated);
}

KDPC_TEST(WorkItem, MayBeFreedFromInside) {
  RULE("WI-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    allocate(free_the_item);
    ExQueueWorkItem(allocated, DelayedWorkQueue);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(1s)));
  m.run_for(20ms);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(WorkItem, QueuedTwiceIsABugCheck) {
  RULE("WI-2");
  m.on(0, DISPATCH_LEVEL, [] {
    ExInitializeWorkItem(&item, record, nullptr);
    ExQueueWorkItem(&item, DelayedWorkQueue);
    ExQueueWorkItem(&item, CriticalWorkQueue);
  });
  EXPECT_BUGCHECK(0xE4, 1, &item, CriticalWorkQueue, 0);
}

KDPC_TEST(WorkItem, FreedWhileQueuedIsABugCheck) {
  RULE("WI-2");
  m.on(0, DISPATCH_LEVEL, [] {
    allocate(record);
    ExQueueWorkItem(allocated, DelayedWorkQueue);
    ExFreePool(allocated);
  });
  EXPECT_BUGCHECK(0xE4, 0, allocated, allocated, allocated + 1);
}

KDPC_TEST(WorkItem, OfAQueueThatDoesNotExistIsABugCheck) {
  RULE("WI-2");
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeWorkItem(&item, record, nullptr);
    ExQueueWorkItem(&item, MaximumWorkQueue);
  });
  EXPECT_BUGCHECK(0xE4, 6, &item, MaximumWorkQueue, 0);
}

KDPC_TEST(WorkItem, WithoutARoutineIsABugCheck) {
  RULE("WI-2");
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeWorkItem(&item, nullptr, nullptr);
    ExQueueWorkItem(&item, DelayedWorkQueue);
  });
  EXPECT_BUGCHECK(0xE4, 7, &item, DelayedWorkQueue, 0);
}

VOID NTAPI return_at_dispatch(PVOID) {
  KIRQL old;
  KeRaiseIrql(DISPATCH_LEVEL, &old);
}

KDPC_TEST(WorkItem, ThatReturnsAtARaisedLevelIsABugCheck) {
  RULE("WI-3");
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeWorkItem(&item, return_at_dispatch, &order);
    ExQueueWorkItem(&item, DelayedWorkQueue);
  });
  run_to_its_end(m, 20ms);
  EXPECT_BUGCHECK(0xE1, &return_at_dispatch, DISPATCH_LEVEL, &order, &item);
}

// -- WI-4: queueing from a DPC --------------------------------------------------------------------------------------------------------------

VOID NTAPI note_item(PVOID) { note('w'); }
VOID NTAPI queue_from_dpc(PKDPC, PVOID, PVOID, PVOID) {
  note('1');
  ExQueueWorkItem(&item, HyperCriticalWorkQueue);
  KeStallExecutionProcessor(1000);
  note('2');
}
VOID NTAPI second_dpc(PKDPC, PVOID, PVOID, PVOID) { note('3'); }

void two_dpcs() {
  static KDPC first, second;
  ExInitializeWorkItem(&item, note_item, nullptr);
  KeInitializeDpc(&first, queue_from_dpc, nullptr);
  KeInitializeDpc(&second, second_dpc, nullptr);
  KeInsertQueueDpc(&first, nullptr, nullptr);
  KeInsertQueueDpc(&second, nullptr, nullptr);
}

KDPC_TEST(WorkItem, QueuedFromADpcWaitsForTheEndOfTheDrain) {
  RULE("WI-4");
  reset();
  m.on(0, DISPATCH_LEVEL, two_dpcs);
  EXPECT_TRUE(m.run_until([] { return steps == 4; }, within(1s)));
  EXPECT_STREQ(order, "123w");
}

KDPC_TEST(WorkItem, QueuedFromADpcMayStartAtOnceOnAnIdleProcessor, .processors = 2,
          .simulated_only = "counts on the order of two processors' deeds") {
  RULE("WI-4");
  for (unsigned processor = 0; processor < 2; ++processor) {
    reset();
    m.on(processor, DISPATCH_LEVEL, two_dpcs);
    EXPECT_TRUE(m.run_until([] { return steps == 4; }, within(1s)));
    EXPECT_STREQ(order, "1w23");
  }
}

}  // namespace
