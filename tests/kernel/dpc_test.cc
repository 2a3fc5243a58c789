// The KDPC routines: SEMANTICS section 4.
#include <wdm.h>

#include <cstring>
#include <string>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"

namespace {

struct Call {
  PKDPC dpc;
  PVOID context, argument1, argument2;
  KIRQL irql;
  ULONG processor;
  bool still_queued;
};
Call calls[64];
int runs = 0;
std::string order;

VOID NTAPI record(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  calls[runs++ % 64] = {Dpc, Context, Argument1, Argument2, KeGetCurrentIrql(), KeGetCurrentProcessorNumber(), Dpc->DpcData != nullptr};
}

// Context: the letter or name to append.
VOID NTAPI append(PKDPC, PVOID Context, PVOID, PVOID) {
  ++runs;
  order += static_cast<const char*>(Context);
  order += ' ';
}

void reset() {
  runs = 0;
  order.clear();
  order.reserve(4096);
}

PVOID value(ULONG_PTR number) { return reinterpret_cast<PVOID>(number); }

KDPC_TEST(DpcInitialize, WritesWhatTheDocumentationSaysAndNothingElse) {
  RULE("INI-1");
  static KDPC dpc;
  std::memset(&dpc, 0x55, sizeof dpc);
  m.on(0, HIGH_LEVEL, [] { KeInitializeDpc(&dpc, record, value(7)); });
  EXPECT_EQ(dpc.Type, 19);
  EXPECT_EQ(dpc.Number, 0);
  EXPECT_EQ(dpc.Importance, MediumImportance);
  EXPECT_EQ(dpc.DeferredRoutine, &record);
  EXPECT_EQ(dpc.DeferredContext, value(7));
  EXPECT_EQ(dpc.DpcData, nullptr);
  EXPECT_EQ(dpc.SystemArgument1, value(0x5555555555555555));
  EXPECT_EQ(dpc.SystemArgument2, value(0x5555555555555555));
  EXPECT_EQ(dpc.DpcListEntry.Next, value(0x5555555555555555));
}

KDPC_TEST(DpcInitialize, ANullRoutineAndContextAreAccepted) {
  RULE("INI-2");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeDpc(&dpc, nullptr, nullptr); });
  EXPECT_NO_FINDINGS();
  EXPECT_EQ(dpc.DeferredRoutine, nullptr);
}

KDPC_TEST(DpcInitialize, ANullDpcFaults) {
  RULE("INI-2");
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeDpc(nullptr, record, nullptr); });
  EXPECT_BUGCHECK(0x50);
}

KDPC_TEST(DpcInitialize, ANullRoutineFaultsWhenItComesToRun) {
  RULE("INI-2");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, nullptr, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xD1, 0, DISPATCH_LEVEL, 8);
}

KDPC_TEST(DpcInitialize, TheStorageIsTheCallersAndNothingIsAllocated) {
  RULE("INI-3");
  static KDPC dpc;
  reset();
  m.forget_events();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(calls[0].dpc, &dpc);  // the very object, no copy
  const auto queued = m.events("dpc-queued", {{"dpc", m.address_of(&dpc)}});
  ASSERT_EQ(queued.size(), 1u);
  for (const auto& allocated : m.events("pool-allocated")) EXPECT_LT(allocated.time, queued[0].time);
}

KDPC_TEST(DpcInitialize, InitialisingAQueuedDpcIsDiagnosedAtOnce) {
  RULE("INI-4");
  static KDPC dpc;
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeInitializeDpc(&dpc, record, nullptr);
  });
  EXPECT_BUGCHECK(0x139, 3, &dpc);
}

KDPC_TEST(DpcInsert, SecondInsertIsRefusedAndChangesNothing) {
  RULE("INS-1");
  RULE("V-1");
  static KDPC dpc;
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, record, value(1));
    KDPC_EXPECT(KeInsertQueueDpc(&dpc, value(0xabc123), value(0x5678)) == TRUE);
    KDPC_EXPECT(KeInsertQueueDpc(&dpc, value(0xdef), value(0x123)) == FALSE);
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(calls[0].argument1, value(0xabc123));
  EXPECT_EQ(calls[0].argument2, value(0x5678));
  EXPECT_EQ(calls[0].context, value(1));
}

KDPC_TEST(DpcInsert, CountsDepthAndTotalAndRequestsADrainInOneStep) {
  RULE("INS-2");
  static KDPC dpc;
  reset();
  const auto before = m.processor_state(0);
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);
    KDPC_EXPECT(dpc.DpcData == nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KDPC_EXPECT(dpc.DpcData != nullptr);
    KDPC_EXPECT(KeGetCurrentIrql() == DISPATCH_LEVEL);
  });
  const auto queued = m.events("dpc-queued", {{"dpc", m.address_of(&dpc)}});
  ASSERT_EQ(queued.size(), 1u);
  EXPECT_EQ(queued[0]["depth"], 1u);
  EXPECT_EQ(queued[0]["drain_requested"], 1u);
  EXPECT_EQ(queued[0].irql, unsigned{HIGH_LEVEL});
  EXPECT_GE(m.processor_state(0).dpc_count, before.dpc_count + 1);
  EXPECT_EQ(m.processor_state(0).dpc_depth, 0);
}

KDPC_TEST(DpcInsert, IsLegalAtEveryLevel) {
  RULE("INS-3");
  static KDPC dpc;
  reset();
  for (unsigned level = PASSIVE_LEVEL; level <= HIGH_LEVEL; ++level) {
    m.on(0, level, [] {
      KeInitializeDpc(&dpc, record, nullptr);
      KDPC_EXPECT(KeInsertQueueDpc(&dpc, nullptr, nullptr) == TRUE);
    });
    EXPECT_EQ(runs, static_cast<int>(level) + 1);
    EXPECT_EQ(calls[level].irql, DISPATCH_LEVEL);
  }
}

KDPC_TEST(DpcInsert, AnUntargetedDpcRunsWhereItWasInserted, .processors = 4) {
  RULE("INS-4");
  static KDPC dpc;
  reset();
  for (unsigned processor = 0; processor < 4; ++processor) {
    m.on(processor, DISPATCH_LEVEL, [] {
      KeInitializeDpc(&dpc, record, nullptr);
      KeInsertQueueDpc(&dpc, nullptr, nullptr);
    });
    EXPECT_EQ(calls[processor].processor, processor);
  }
}

int requeue_left = 0;
VOID NTAPI requeue(PKDPC Dpc, PVOID, PVOID, PVOID) {
  ++runs;
  if (requeue_left-- > 0) KDPC_EXPECT(KeInsertQueueDpc(Dpc, nullptr, nullptr) == TRUE);
}

KDPC_TEST(DpcInsert, ARoutineMayRequeueItselfAndRunsAgainInTheSameDrain) {
  RULE("INS-5");
  RULE("V-7");
  static KDPC dpc;
  reset();
  requeue_left = 3;
  m.on(0, DISPATCH_LEVEL, [] { KeInitializeDpc(&dpc, requeue, nullptr); });
  m.forget_events();
  m.on(0, DISPATCH_LEVEL, [] { KeInsertQueueDpc(&dpc, nullptr, nullptr); });
  EXPECT_EQ(runs, 4);
  const auto began = m.events("activity-began", {{"object", m.address_of(&dpc)}});
  ASSERT_EQ(began.size(), 4u);
  int drains = 0;
  for (const auto& drain : m.events("drain-began"))
    if (drain.time >= began.front().time && drain.time <= began.back().time) ++drains;
  EXPECT_EQ(drains, 0) << "the four runs were not one drain";
}

KDPC_TEST(DpcInsert, ADpcThatAlwaysRequeuesItselfMeetsTheCumulativeWatchdog, .options = {{"dpc_watchdog_period", "20"}}) {
  RULE("INS-5");
  RULE("V-7");
  static KDPC dpc;
  reset();
  requeue_left = 0x7fffffff;
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, requeue, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0x133, 1, 20);
}

// The second run, on the other processor, begins while the first is still in its routine, which waits for it.
volatile LONG begun = 0, over_before_the_second = 0;
KDPC shared;
VOID NTAPI overlap(PKDPC, PVOID, PVOID, PVOID) {
  InterlockedIncrement(&begun);
  for (int turn = 0; turn < 1000 && begun < 2; ++turn) KeStallExecutionProcessor(100);
  if (begun < 2) over_before_the_second = 1;
}

KDPC_TEST(DpcInsert, ReinsertedOnAnotherProcessorItRunsConcurrently, .processors = 2) {
  RULE("INS-5");
  begun = 0;
  over_before_the_second = 0;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeDpc(&shared, overlap, nullptr); });
  auto first = m.start(0, PASSIVE_LEVEL, [] { KDPC_EXPECT(KeInsertQueueDpc(&shared, nullptr, nullptr) == TRUE); });
  EXPECT_TRUE(m.run_until([] { return begun == 1; }, kdpc::test::within(std::chrono::seconds(1))));
  m.on(1, PASSIVE_LEVEL, [] { KDPC_EXPECT(KeInsertQueueDpc(&shared, nullptr, nullptr) == TRUE); });
  EXPECT_TRUE(m.run_until([&] { return first.done(); }, kdpc::test::within(std::chrono::seconds(1))));
  EXPECT_EQ(begun, 2);
  EXPECT_EQ(over_before_the_second, 0);
}

VOID NTAPI free_itself(PKDPC Dpc, PVOID, PVOID, PVOID) {
  ++runs;
  ExFreePoolWithTag(Dpc, 'cpD1');
}

KDPC_TEST(DpcInsert, TheRoutineMayFreeItsOwnObject) {
  RULE("INS-6");
  RULE("RET-6");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    auto* dpc = static_cast<PKDPC>(ExAllocatePoolWithTag(NonPagedPool, sizeof(KDPC), 'cpD1'));
    KeInitializeDpc(dpc, free_itself, nullptr);
    KeInsertQueueDpc(dpc, nullptr, nullptr);
  });
  EXPECT_EQ(runs, 1);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DpcInsert, ANonsensicalProcessorNumberIsABugCheck, .processors = 2) {
  RULE("INS-7");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);
    dpc.Number = 5000;
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC7, 3, &dpc, 5000, 2);
}

KDPC_TEST(DpcInsert, ANullDpcFaultsAtHighLevel) {
  RULE("INS-8");
  m.on(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(nullptr, nullptr, nullptr); });
  EXPECT_BUGCHECK(0xA, 0, HIGH_LEVEL);
}

KDPC_TEST(DpcInsert, AnObjectThatWasNeverInitialisedIsDiagnosed) {
  RULE("INS-8");
  static KDPC dpc;
  dpc = {};
  m.on(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&dpc, nullptr, nullptr); });
  EXPECT_BUGCHECK(0xA, &dpc, HIGH_LEVEL);
}

KDPC_TEST(DpcImportance, TakesEffectAtTheNextInsertionOnly) {
  RULE("IMP-1");
  static KDPC first, second;
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    static char a[] = "a", b[] = "b";
    KeInitializeDpc(&first, append, a);
    KeInitializeDpc(&second, append, b);
    KeInsertQueueDpc(&first, nullptr, nullptr);
    KeInsertQueueDpc(&second, nullptr, nullptr);
    KeSetImportanceDpc(&second, HighImportance);  // queued already: not moved
  });
  EXPECT_EQ(order, "a b ");
  order.clear();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInsertQueueDpc(&first, nullptr, nullptr);
    KeInsertQueueDpc(&second, nullptr, nullptr);
  });
  EXPECT_EQ(order, "b a ");
}

KDPC_TEST(DpcTarget, HasNoEffectOnAQueuedInstance, .processors = 2) {
  RULE("TGT-1");
  static KDPC dpc;
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeSetTargetProcessorDpc(&dpc, 1);
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(calls[0].processor, 0u);
}

KDPC_TEST(DpcTarget, AnInvalidProcessorChangesNothing, .processors = 2) {
  RULE("TGT-2");
  static KDPC dpc;
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);
    KeSetTargetProcessorDpc(&dpc, 1);
    KeSetTargetProcessorDpc(&dpc, 2);  // out of range: void, unchanged
    PROCESSOR_NUMBER number = {0, 2, 0};
    KDPC_EXPECT(KeSetTargetProcessorDpcEx(&dpc, &number) == STATUS_INVALID_PARAMETER);
    number = {1, 0, 0};
    KDPC_EXPECT(KeSetTargetProcessorDpcEx(&dpc, &number) == STATUS_INVALID_PARAMETER);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, kdpc::test::within(std::chrono::seconds(1))));
  EXPECT_EQ(calls[0].processor, 1u);
  m.on(0, DISPATCH_LEVEL, [] {
    PROCESSOR_NUMBER number = {0, 0, 0};
    KDPC_EXPECT(KeSetTargetProcessorDpcEx(&dpc, &number) == STATUS_SUCCESS);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(calls[1].processor, 0u);
}

KDPC_TEST(DpcTarget, ANegativeNumberIsOutOfRangeToo, .processors = 64) {
  RULE("TGT-2");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);
    KeSetTargetProcessorDpc(&dpc, -1);
    KDPC_EXPECT_EQ(dpc.Number, USHORT{0});
    KeSetTargetProcessorDpc(&dpc, -128);
    KeSetTargetProcessorDpc(&dpc, 64);
    KDPC_EXPECT_EQ(dpc.Number, USHORT{0});
    PROCESSOR_NUMBER number = {0, 63, 1};  // Reserved must be zero
    KDPC_EXPECT(KeSetTargetProcessorDpcEx(&dpc, &number) == STATUS_INVALID_PARAMETER);
    number.Reserved = 0;
    KDPC_EXPECT(KeSetTargetProcessorDpcEx(&dpc, &number) == STATUS_SUCCESS);
    KDPC_EXPECT(dpc.Number != 0);
  });
}

KDPC_TEST(DpcTarget, PersistsAcrossInsertions, .processors = 2) {
  RULE("TGT-3");
  static KDPC dpc;
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);
    KeSetTargetProcessorDpc(&dpc, 1);
  });
  for (int round = 1; round <= 3; ++round) {
    m.on(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&dpc, nullptr, nullptr); });
    EXPECT_TRUE(m.run_until([&] { return runs == round; }, kdpc::test::within(std::chrono::seconds(1))));
    EXPECT_EQ(calls[round - 1].processor, 1u);
  }
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, record, nullptr);  // only this makes it untargeted again
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_EQ(calls[3].processor, 0u);
}

}  // namespace
