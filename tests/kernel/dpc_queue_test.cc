// One order of insertions for a queue into which several processors insert, and what can be removed from it. SEMANTICS section 5.1.
#include "tests/kernel/dpc_order.h"

namespace {

using namespace std::chrono_literals;
using namespace dpc_order;

volatile unsigned stage = 0;

// Processor 1 stands at DISPATCH_LEVEL: it takes nothing, and inserts when it is told to. Processor 0 does `first`, then the other `second`; what ran
// then is the order.
std::string order_of(kdpc::lab::Machine& m, std::function<void()> first, std::function<void()> second) {
  reset();
  stage = 0;
  auto other = m.start(1, DISPATCH_LEVEL, [&] {
    stage = 1;
    while (stage == 1) KeStallExecutionProcessor(5);
    second();
  });
  m.on(0, PASSIVE_LEVEL, [&] {
    while (stage == 0) KeStallExecutionProcessor(5);
    first();
    stage = 2;
  });
  EXPECT_TRUE(m.run_until([&] { return other.done(); }, 1s));
  m.run_for(20ms);
  return order;
}

void insert(unsigned index, const char* name, KDPC_IMPORTANCE importance) {
  prepare(&dpcs[index], name, importance, 1);
  KDPC_EXPECT(KeInsertQueueDpc(&dpcs[index], nullptr, nullptr) == TRUE);
}

KDPC_TEST(DpcQueue, IsInTheOrderInWhichOtherProcessorsInserted, .processors = 2) {
  RULE("IMP-1");
  RULE("5.1");
  EXPECT_EQ(order_of(
                m,
                [] {
                  insert(0, "a", LowImportance);
                  insert(1, "b", MediumImportance);
                  insert(2, "c", LowImportance);
                },
                [] {}),
            "a b c ");
}

KDPC_TEST(DpcQueue, WhatAnotherProcessorInsertedEarlierRunsEarlier, .processors = 2) {
  RULE("IMP-1");
  EXPECT_EQ(order_of(
                m, [] { insert(0, "theirs", LowImportance); }, [] { insert(1, "mine", LowImportance); }),
            "theirs mine ");
  // Not only when it is the first: the queue has something in it already.
  reset();
  stage = 0;
  auto other = m.start(1, DISPATCH_LEVEL, [] {
    insert(0, "mine", LowImportance);
    stage = 1;
    while (stage == 1) KeStallExecutionProcessor(5);
    insert(2, "mine-too", LowImportance);
  });
  m.on(0, PASSIVE_LEVEL, [] {
    while (stage == 0) KeStallExecutionProcessor(5);
    insert(1, "theirs", LowImportance);
    stage = 2;
  });
  EXPECT_TRUE(m.run_until([&] { return other.done() && runs == 3; }, 1s));
  EXPECT_EQ(order, "mine theirs mine-too ");
}

KDPC_TEST(DpcQueue, HighImportanceGoesToTheHeadWhoeverInserts, .processors = 2) {
  RULE("IMP-1");
  EXPECT_EQ(order_of(
                m,
                [] {
                  insert(0, "low", LowImportance);
                  insert(1, "high1", HighImportance);
                },
                [] {
                  insert(2, "medium", MediumImportance);
                  insert(3, "high2", HighImportance);
                }),
            "high2 high1 low medium ");
}

KDPC_TEST(DpcQueue, ImportanceIsThatOfTheInsertionAndNotALaterOne, .processors = 2) {
  RULE("IMP-1");
  EXPECT_EQ(order_of(
                m,
                [] {
                  insert(0, "a", LowImportance);
                  insert(1, "b", LowImportance);
                  KeSetImportanceDpc(&dpcs[1], HighImportance);
                },
                [] {}),
            "a b ");
}

KDPC_TEST(DpcQueue, WhatAnotherProcessorInsertedCanBeRemovedByEither, .processors = 2) {
  RULE("REM-1");
  RULE("REM-3");
  EXPECT_EQ(order_of(
                m,
                [] {
                  for (unsigned i = 0; i < 4; ++i) insert(i, i == 0 ? "0" : i == 1 ? "1" : i == 2 ? "2" : "3", LowImportance);
                  KDPC_EXPECT(KeRemoveQueueDpc(&dpcs[1]) == TRUE);
                  KDPC_EXPECT(KeRemoveQueueDpc(&dpcs[1]) == FALSE);
                },
                [] {
                  KDPC_EXPECT(KeRemoveQueueDpc(&dpcs[2]) == TRUE);
                  KDPC_EXPECT(KeRemoveQueueDpc(&dpcs[2]) == FALSE);
                }),
            "0 3 ");
  EXPECT_EQ(m.processor_state(1).dpc_depth, 0);
}

}  // namespace
