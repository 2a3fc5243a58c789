// Executive spin locks: many readers or one writer. SEMANTICS 8.3, LCK-3, IRQL-7.
#include <wdm.h>

#include <algorithm>
#include <vector>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

EX_SPIN_LOCK lock;

void initialize() {
  reset();
  lock = 0;
}

bool all_done(const std::vector<kdpc::lab::Task>& tasks) {
  return std::all_of(tasks.begin(), tasks.end(), [](const auto& task) { return task.done(); });
}

// One that comes after so many microseconds, says its letter when it is in, stays for 100 µs, and says its letter with a dash when it leaves.
struct Guest {
  char letter;
  bool shared;
  ULONG microsecond;
};
void expect_visits(kdpc::lab::Machine& m, const std::vector<Guest>& guests, const char* expected) {
  initialize();
  std::vector<kdpc::lab::Task> tasks;
  for (unsigned processor = 0; processor < guests.size(); ++processor)
    tasks.push_back(m.start(processor, DISPATCH_LEVEL, [guest = guests[processor]] {
      KeStallExecutionProcessor(guest.microsecond);
      if (guest.shared) {
        ExAcquireSpinLockSharedAtDpcLevel(&lock);
      } else {
        ExAcquireSpinLockExclusiveAtDpcLevel(&lock);
      }
      note(guest.letter);
      KeStallExecutionProcessor(100);
      note(static_cast<char>(guest.letter - 'a' + 'A'));
      if (guest.shared) {
        ExReleaseSpinLockSharedFromDpcLevel(&lock);
      } else {
        ExReleaseSpinLockExclusiveFromDpcLevel(&lock);
      }
    }));
  EXPECT_TRUE(m.run_until([&] { return all_done(tasks); }, within(1s)));
  EXPECT_STREQ(order, expected);
  EXPECT_EQ(lock, 0);
}

KDPC_TEST(ReaderWriterLock, ReadersAreInTogether, .processors = 3, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("K.RW-1");
  expect_visits(m, {{'a', true, 10}, {'b', true, 20}, {'c', true, 30}}, "abcABC");
}
KDPC_TEST(ReaderWriterLock, AWriterIsAlone, .processors = 3, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("K.RW-1");
  expect_visits(m, {{'a', false, 10}, {'b', true, 20}, {'c', true, 30}}, "aAbcBC");
}
KDPC_TEST(ReaderWriterLock, TwoWritersExcludeEachOther, .processors = 2, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("K.RW-1");
  expect_visits(m, {{'a', false, 10}, {'b', false, 20}}, "aAbB");
}
KDPC_TEST(ReaderWriterLock, AWriterWhoWaitsKeepsNewReadersOut, .processors = 4, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("K.RW-1");
  expect_visits(m, {{'a', true, 10}, {'w', false, 20}, {'b', true, 30}, {'c', true, 40}}, "aAwWbcBC");
}

KDPC_TEST(ReaderWriterLock, RaisingFormsRestoreTheLevel) {
  RULE("K.RW-1");
  initialize();
  for (const unsigned level : {PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL})
    m.on(0, level, [level] {
      KIRQL old = ExAcquireSpinLockExclusive(&lock);
      KDPC_EXPECT_EQ(old, level);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
      ExReleaseSpinLockExclusive(&lock, old);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      old = ExAcquireSpinLockShared(&lock);
      KDPC_EXPECT_EQ(old, level);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
      ExReleaseSpinLockShared(&lock, old);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
    });
}

KDPC_TEST(ReaderWriterLock, TheOnlyReaderMayBecomeTheWriter, .processors = 2, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("K.RW-1");
  initialize();
  std::vector<kdpc::lab::Task> tasks;
  tasks.push_back(m.start(0, DISPATCH_LEVEL, [] {
    ExAcquireSpinLockSharedAtDpcLevel(&lock);
    KDPC_EXPECT_EQ(ExTryConvertSharedSpinLockExclusive(&lock), TRUE);
    note('w');
    KDPC_EXPECT_EQ(ExTryAcquireSpinLockSharedAtDpcLevel(&lock), FALSE);
    KeStallExecutionProcessor(100);
    note('W');
    ExReleaseSpinLockExclusiveFromDpcLevel(&lock);
  }));
  tasks.push_back(m.start(1, DISPATCH_LEVEL, [] {
    KeStallExecutionProcessor(50);
    ExAcquireSpinLockSharedAtDpcLevel(&lock);
    note('r');
    ExReleaseSpinLockSharedFromDpcLevel(&lock);
  }));
  EXPECT_TRUE(m.run_until([&] { return all_done(tasks); }, within(1s)));
  EXPECT_STREQ(order, "wWr");
}

KDPC_TEST(ReaderWriterLock, OneOfTwoReadersMayNotBecomeTheWriterAndStaysAReader, .processors = 2,
          .simulated_only = "counts on the order of the processors' deeds") {
  RULE("K.RW-1");
  initialize();
  std::vector<kdpc::lab::Task> tasks;
  for (unsigned processor = 0; processor < 2; ++processor)
    tasks.push_back(m.start(processor, DISPATCH_LEVEL, [] {
      ExAcquireSpinLockSharedAtDpcLevel(&lock);
      KeStallExecutionProcessor(50);
      KDPC_EXPECT_EQ(ExTryConvertSharedSpinLockExclusive(&lock), FALSE);
      KeStallExecutionProcessor(50);
      ExReleaseSpinLockSharedFromDpcLevel(&lock);
    }));
  EXPECT_TRUE(m.run_until([&] { return all_done(tasks); }, within(1s)));
  EXPECT_EQ(lock, 0);
}

KDPC_TEST(ReaderWriterLock, AReaderMayNotPassAWriterWhoWaits, .processors = 2, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("K.RW-1");
  initialize();
  std::vector<kdpc::lab::Task> tasks;
  tasks.push_back(m.start(0, DISPATCH_LEVEL, [] {
    ExAcquireSpinLockSharedAtDpcLevel(&lock);
    KeStallExecutionProcessor(100);
    KDPC_EXPECT_EQ(ExTryConvertSharedSpinLockExclusive(&lock), FALSE);
    note('r');
    ExReleaseSpinLockSharedFromDpcLevel(&lock);
  }));
  tasks.push_back(m.start(1, DISPATCH_LEVEL, [] {
    KeStallExecutionProcessor(50);
    ExAcquireSpinLockExclusiveAtDpcLevel(&lock);
    note('w');
    ExReleaseSpinLockExclusiveFromDpcLevel(&lock);
  }));
  EXPECT_TRUE(m.run_until([&] { return all_done(tasks); }, within(1s)));
  EXPECT_STREQ(order, "rw");
}

KDPC_TEST(ReaderWriterLock, TryingNeverWaits) {
  RULE("K.RW-1");
  initialize();
  m.on(0, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(ExTryAcquireSpinLockSharedAtDpcLevel(&lock), TRUE);
    KDPC_EXPECT_EQ(ExTryAcquireSpinLockExclusiveAtDpcLevel(&lock), FALSE);
    ExReleaseSpinLockSharedFromDpcLevel(&lock);
    KDPC_EXPECT_EQ(ExTryAcquireSpinLockExclusiveAtDpcLevel(&lock), TRUE);
    KDPC_EXPECT_EQ(ExTryAcquireSpinLockExclusiveAtDpcLevel(&lock), FALSE);
    KDPC_EXPECT_EQ(ExTryAcquireSpinLockSharedAtDpcLevel(&lock), FALSE);
    ExReleaseSpinLockExclusiveFromDpcLevel(&lock);
    KDPC_EXPECT_EQ(lock, 0);
  });
}

// -- wrong levels -----------------------------------------------------------------------------------------------------------------------------

void expect_refusal(kdpc::lab::Machine& m, unsigned level, void (*act)(), std::uint64_t subcode) {
  initialize();
  m.on(0, level, act);
  EXPECT_BUGCHECK(0xC4, subcode, level, &lock, 0);
}
KDPC_TEST(ReaderWriterLock, AcquiredAboveDispatchIs42) {
  RULE("IRQL-7");
  expect_refusal(
      m, 5, [] { ExAcquireSpinLockExclusive(&lock); }, 0x42);
}
KDPC_TEST(ReaderWriterLock, ReadAboveDispatchIs42) {
  RULE("IRQL-7");
  expect_refusal(
      m, 5, [] { ExAcquireSpinLockShared(&lock); }, 0x42);
}
KDPC_TEST(ReaderWriterLock, ReleasedNotAtDispatchIs32) {
  RULE("IRQL-7");
  expect_refusal(
      m, APC_LEVEL, [] { ExReleaseSpinLockShared(&lock, PASSIVE_LEVEL); }, 0x32);
}
KDPC_TEST(ReaderWriterLock, AcquiredAtDpcLevelBelowDispatchIs40) {
  RULE("IRQL-7");
  expect_refusal(
      m, APC_LEVEL, [] { ExAcquireSpinLockSharedAtDpcLevel(&lock); }, 0x40);
}
KDPC_TEST(ReaderWriterLock, ReleasedFromDpcLevelBelowDispatchIs41) {
  RULE("IRQL-7");
  expect_refusal(
      m, PASSIVE_LEVEL, [] { ExReleaseSpinLockExclusiveFromDpcLevel(&lock); }, 0x41);
}

// -- misuse -----------------------------------------------------------------------------------------------------------------------------------

struct Twice {
  bool first_shared, second_shared;
};
void acquire(bool shared) {
  if (shared) {
    ExAcquireSpinLockSharedAtDpcLevel(&lock);
  } else {
    ExAcquireSpinLockExclusiveAtDpcLevel(&lock);
  }
}
void expect_own(kdpc::lab::Machine& m, Twice twice) {
  initialize();
  m.on(0, DISPATCH_LEVEL, [twice] {
    acquire(twice.first_shared);
    acquire(twice.second_shared);
  });
  EXPECT_BUGCHECK(0x0F, &lock, 0, 0, DISPATCH_LEVEL);
}
KDPC_TEST(ReaderWriterLockMisuse, AWriterComesAgainToWrite) {
  RULE("LCK-3");
  expect_own(m, {false, false});
}
KDPC_TEST(ReaderWriterLockMisuse, AWriterComesAgainToRead) {
  RULE("LCK-3");
  expect_own(m, {false, true});
}
KDPC_TEST(ReaderWriterLockMisuse, AReaderComesAgainToWrite) {
  RULE("LCK-3");
  expect_own(m, {true, false});
}
KDPC_TEST(ReaderWriterLockMisuse, AReaderComesAgainToRead) {
  RULE("LCK-3");
  expect_own(m, {true, true});
}

KDPC_TEST(ReaderWriterLockMisuse, OnAFreeBuildTheReaderWhoComesAgainHangsIfAWriterWaits, .processors = 2, .options = {{"irql_checks", "free"}},
          .simulated_only = "asks for a deadlock to be explained") {
  RULE("LCK-3");
  initialize();
  m.start(0, DISPATCH_LEVEL, [] {
    acquire(true);
    acquire(true);  // nobody waits yet: in
    KeStallExecutionProcessor(100);
    acquire(true);
  });
  m.start(1, DISPATCH_LEVEL, [] {
    KeStallExecutionProcessor(50);
    acquire(false);
  });
  m.run_for(1s);
  EXPECT_ENDED(Deadlock);
}

KDPC_TEST(ReaderWriterLockMisuse, AReaderThatWaitsForAnotherLockIsPartOfTheCircle, .processors = 3,
          .simulated_only = "asks for a deadlock to be explained") {
  RULE("LCK-3");
  static KSPIN_LOCK other;
  other = 0;
  initialize();
  m.start(0, DISPATCH_LEVEL, [] {  // an innocent reader, found first
    acquire(true);
    KeStallExecutionProcessor(1000);
    ExReleaseSpinLockSharedFromDpcLevel(&lock);
  });
  m.start(1, DISPATCH_LEVEL, [] {
    acquire(true);
    KeStallExecutionProcessor(100);
    KeAcquireSpinLockAtDpcLevel(&other);
  });
  m.start(2, DISPATCH_LEVEL, [] {
    KeAcquireSpinLockAtDpcLevel(&other);
    KeStallExecutionProcessor(50);
    acquire(false);
  });
  m.run_for(1s);
  EXPECT_ENDED(Deadlock);
}

KDPC_TEST(ReaderWriterLockMisuse, ReleasingWhatNobodyHoldsIsABugCheck) {
  RULE("LCK-3");
  initialize();
  m.on(0, DISPATCH_LEVEL, [] { ExReleaseSpinLockExclusiveFromDpcLevel(&lock); });
  EXPECT_BUGCHECK(0x10, &lock, 0, -1, DISPATCH_LEVEL);
}
KDPC_TEST(ReaderWriterLockMisuse, ReleasingInTheOtherWayIs1009) {
  RULE("LCK-3");
  initialize();
  m.on(0, DISPATCH_LEVEL, [] {
    acquire(true);
    ExReleaseSpinLockExclusiveFromDpcLevel(&lock);
  });
  EXPECT_BUGCHECK(0xC4, 0x1009, &lock, 0, 0);
}
KDPC_TEST(ReaderWriterLockMisuse, ConvertingWhatIsNotReadIsABugCheck) {
  RULE("LCK-3");
  initialize();
  m.on(0, DISPATCH_LEVEL, [] { ExTryConvertSharedSpinLockExclusive(&lock); });
  EXPECT_BUGCHECK(0x10, &lock, 0, -1, DISPATCH_LEVEL);
}
KDPC_TEST(ReaderWriterLockMisuse, AnUninitialisedLockIsFound) {
  RULE("LCK-3");
  initialize();
  m.on(0, DISPATCH_LEVEL, [] {
    lock = static_cast<LONG>(0xCCCCCCCC);
    acquire(true);
  });
  EXPECT_BUGCHECK(0xC4, 0x1002, &lock, 0, 0);
}

KDPC_TEST(ReaderWriterLock, TheFactsTellReadersFromWriters) {
  initialize();
  m.on(0, DISPATCH_LEVEL, [] {
    acquire(true);
    ExTryConvertSharedSpinLockExclusive(&lock);
    ExReleaseSpinLockExclusiveFromDpcLevel(&lock);
  });
  const auto lock_address = m.address_of(&lock);
  EXPECT_EQ(m.count("lock-acquired", {{"lock", lock_address}, {"shared", 1}}), 1u);
  EXPECT_EQ(m.count("lock-acquired", {{"lock", lock_address}, {"shared", 0}}), 1u);
  EXPECT_EQ(m.count("lock-released", {{"lock", lock_address}, {"shared", 1}}), 1u);
  EXPECT_EQ(m.count("lock-released", {{"lock", lock_address}, {"shared", 0}}), 1u);
}

}  // namespace
