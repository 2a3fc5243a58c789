// In-stack queued spin locks used wrongly, and mixed with ordinary acquisition: SEMANTICS LCK-2 and LCK-3.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/queued_lock.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

// -- misuse -----------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(QueuedSpinLockMisuse, AcquiringItsOwnLockIsABugCheck) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[1]);
  });
  EXPECT_BUGCHECK(0x0F, &lock, 0, 0, DISPATCH_LEVEL);
}

KDPC_TEST(QueuedSpinLockMisuse, AcquiringItsOwnLockOnAFreeBuildHangsAndTheHangIsReported, .options = {{"irql_checks", "free"}},
          .simulated_only = "asks for a deadlock to be explained") {
  RULE("LCK-3");
  initialize(m);
  m.start(0, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[1]);
  });
  m.run_for(1s);
  EXPECT_ENDED(Deadlock);
}

KDPC_TEST(QueuedSpinLockMisuse, TwoLocksInOppositeOrdersAreReportedAsADeadlock, .processors = 2,
          .simulated_only = "asks for a deadlock to be explained") {
  RULE("LCK-3");
  static KSPIN_LOCK inner;
  inner = 0;
  initialize(m);
  m.start(0, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    KeStallExecutionProcessor(100);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&inner, &handles[1]);
  });
  m.start(1, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&inner, &handles[2]);
    KeStallExecutionProcessor(100);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[3]);
  });
  m.run_for(1s);
  EXPECT_ENDED(Deadlock);
  EXPECT_NE(m.outcome().report().find("waits for the lock at"), std::string::npos);
  EXPECT_NE(m.outcome().report().find("its place in the queue"), std::string::npos);
}

KDPC_TEST(QueuedSpinLockMisuse, ReleasingTwiceIsABugCheck) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
  });
  EXPECT_BUGCHECK(0x10, &lock, 0, -1, DISPATCH_LEVEL);
}

KDPC_TEST(QueuedSpinLockMisuse, ReleasingAHandleThatNobodyFilledIsABugCheck) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    std::memset(&handles[0], 0xCC, sizeof handles[0]);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
  });
  EXPECT_BUGCHECK(0x10, any, 0, -1, DISPATCH_LEVEL);
}

KDPC_TEST(QueuedSpinLockMisuse, ReleasingTheHandleOfAnotherProcessorIsABugCheck, .processors = 2) {
  RULE("LCK-3");
  initialize(m);
  m.start(1, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[1]);
    note('a');
    for (;;) KeStallExecutionProcessor(1000);  // until the run ends
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, within(1ms)));
  m.on(0, DISPATCH_LEVEL, [] { KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[1]); });
  EXPECT_BUGCHECK(0x10, &lock, 0, 1, DISPATCH_LEVEL);
}

KDPC_TEST(QueuedSpinLockMisuse, AHandleInUseCannotServeASecondAcquisition, .processors = 2) {
  RULE("LCK-2");
  static KSPIN_LOCK other;
  other = 0;
  initialize(m);
  m.start(1, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    note('a');
    for (;;) KeStallExecutionProcessor(1000);  // until the run ends
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, within(1ms)));
  m.on(0, DISPATCH_LEVEL, [] { KeAcquireInStackQueuedSpinLockAtDpcLevel(&other, &handles[0]); });
  EXPECT_BUGCHECK(0xC4, 0x1005, &handles[0], 0, 0);
}

KDPC_TEST(QueuedSpinLockMisuse, AHandleThatWasOverwrittenIsFoundByTheNextInTheQueue, .processors = 2) {
  RULE("LCK-2");
  initialize(m);
  m.start(1, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[1]);
    std::memset(&handles[1], 0x55, sizeof handles[1]);
    note('a');
    for (;;) KeStallExecutionProcessor(1000);  // until the run ends
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, within(1ms)));
  m.on(0, DISPATCH_LEVEL, [] { KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]); });
  EXPECT_BUGCHECK(0xC4, 0x1002, &lock, &handles[1], 0);
}

KDPC_TEST(QueuedSpinLockMisuse, AHandleThatWasOverwrittenIsFoundByItsRelease) {
  RULE("LCK-2");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    handles[0].LockQueue.Lock = nullptr;
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
  });
  EXPECT_BUGCHECK(0xC4, 0x1002, &lock, &handles[0], 0);
}

KDPC_TEST(QueuedSpinLockMisuse, AnUninitialisedLockIsFound) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    lock = 0xCCCCCCCCCCCCCCCC;
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
  });
  EXPECT_BUGCHECK(0xC4, 0x1002, &lock, 0, 0);
}

KDPC_TEST(QueuedSpinLockMisuse, InitialisingALockThatIsHeldIsABugCheck) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    KeInitializeSpinLock(&lock);
  });
  EXPECT_BUGCHECK(0xC4, 0x1005, &lock, 0, 0);
}

// -- mixed with ordinary acquisition ----------------------------------------------------------------------------------------------------------

// Until processor 0 is about to take it, and for a millisecond more.
volatile bool held;
void hold_on_processor_1(kdpc::lab::Machine& m, bool queued) {
  initialize(m);
  held = true;
  m.start(1, DISPATCH_LEVEL, [queued] {
    if (queued) {
      KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[1]);
    } else {
      KeAcquireSpinLockAtDpcLevel(&lock);
    }
    note('a');
    while (held) KeStallExecutionProcessor(10);
    KeStallExecutionProcessor(1000);
    note('r');
    if (queued) {
      KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[1]);
    } else {
      KeReleaseSpinLockFromDpcLevel(&lock);
    }
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, within(1ms)));
}

KDPC_TEST(QueuedSpinLockMixed, OrdinaryAcquisitionOfAQueuedOneIs1008, .processors = 2) {
  RULE("LCK-2");
  hold_on_processor_1(m, true);
  m.on(0, DISPATCH_LEVEL, [] { KeAcquireSpinLockAtDpcLevel(&lock); });
  EXPECT_BUGCHECK(0xC4, 0x1008, &lock, 0, 0);
}
KDPC_TEST(QueuedSpinLockMixed, QueuedAcquisitionOfAnOrdinaryOneIs1008, .processors = 2) {
  RULE("LCK-2");
  hold_on_processor_1(m, false);
  m.on(0, DISPATCH_LEVEL, [] { KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]); });
  EXPECT_BUGCHECK(0xC4, 0x1008, &lock, 0, 0);
}
KDPC_TEST(QueuedSpinLockMixed, OrdinaryReleaseOfAQueuedOneIs1009) {
  RULE("LCK-2");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    KeReleaseSpinLockFromDpcLevel(&lock);
  });
  EXPECT_BUGCHECK(0xC4, 0x1009, &lock, 0, 0);
}
KDPC_TEST(QueuedSpinLockMixed, QueuedReleaseOfAnOrdinaryOneIs1009) {
  RULE("LCK-2");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeAcquireSpinLockAtDpcLevel(&lock);
    handles[0].LockQueue.Lock = &lock;
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
  });
  EXPECT_BUGCHECK(0xC4, 0x1009, &lock, 0, 0);
}
KDPC_TEST(QueuedSpinLockMixed, OnAFreeBuildTheOrdinaryOneWaitsForAnEmptyQueue, .processors = 2, .options = {{"irql_checks", "free"}}) {
  RULE("LCK-2");
  hold_on_processor_1(m, true);
  m.on(0, DISPATCH_LEVEL, [] {
    held = false;
    KeAcquireSpinLockAtDpcLevel(&lock);
    note('b');
    KeReleaseSpinLockFromDpcLevel(&lock);
  });
  EXPECT_STREQ(order, "arb");
}
KDPC_TEST(QueuedSpinLockMixed, OnAFreeBuildTheQueuedOneWaitsForTheOrdinaryOne, .processors = 2, .options = {{"irql_checks", "free"}}) {
  RULE("LCK-2");
  hold_on_processor_1(m, false);
  m.on(0, DISPATCH_LEVEL, [] {
    held = false;
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    note('b');
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
  });
  EXPECT_STREQ(order, "arb");
}

// The mixture is in the facts even where no two of them meet: that is for whoever looks at the whole run.
KDPC_TEST(QueuedSpinLockMixed, FormsAreInTheFacts, .checks = {.off = {"lock-wrong-variant"}}) {
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeAcquireInStackQueuedSpinLock(&lock, &handles[0]);
    KeReleaseInStackQueuedSpinLock(&handles[0]);
    KeAcquireSpinLock(&lock, &old);
    KeReleaseSpinLockFromDpcLevel(&lock);
    KeLowerIrql(old);
  });
  const auto acquired = m.events("lock-acquired", {{"lock", m.address_of(&lock)}});
  const auto released = m.events("lock-released", {{"lock", m.address_of(&lock)}});
  ASSERT_EQ(acquired.size(), 2u);
  ASSERT_EQ(released.size(), 2u);
  const auto text = [](const kdpc::lab::EventRecord& event, std::string_view name) {
    for (const auto& field : event.fields)
      if (field.name == name) return field.text;
    return std::string();
  };
  EXPECT_EQ(text(acquired[0], "kind"), "queued");
  EXPECT_EQ(text(acquired[1], "kind"), "spin");
  EXPECT_EQ(text(acquired[1], "form"), "raise-to-dpc");
  EXPECT_EQ(text(released[1], "form"), "at-dpc-level");
}

}  // namespace
