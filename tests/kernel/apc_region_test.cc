// Critical and guarded regions, and the APCs that they keep off: SEMANTICS CTX-2, IRQL-7.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/apcs.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

// For this thread; the normal one is inserted first, which is no reason for it to come first.
void initialize_both() {
  special(apcs[0], KeGetCurrentThread());
  normal(apcs[1], KeGetCurrentThread());
}
void insert_both() {
  insert(apcs[1], "N");
  insert(apcs[0]);
}

KDPC_TEST(CriticalRegion, KeepsNormalApcsOffUntilTheOutermostIsLeft) {
  RULE("CTX-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    initialize_both();
    KeEnterCriticalRegion();
    KeEnterCriticalRegion();
    insert_both();
    note('1');
    KeLeaveCriticalRegion();
    note('2');
    KeLeaveCriticalRegion();
    note('3');
  });
  EXPECT_STREQ(order, "S12Nn3");
}

KDPC_TEST(GuardedRegion, KeepsAllApcsOffUntilTheOutermostIsLeft) {
  RULE("CTX-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    initialize_both();
    KeEnterGuardedRegion();
    KeEnterGuardedRegion();
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), TRUE);
    KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), TRUE);
    insert_both();
    KeLeaveGuardedRegion();
    note('1');
    KeLeaveGuardedRegion();
    note('2');
    KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), FALSE);
  });
  EXPECT_STREQ(order, "1SNn2");
}

KDPC_TEST(CriticalRegion, LeftAtApcLevelDeliversOnlyWhenLowered) {
  RULE("CTX-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    normal(apcs[0], KeGetCurrentThread());
    KeEnterCriticalRegion();
    insert(apcs[0], "N");
    KIRQL old;
    KeRaiseIrql(APC_LEVEL, &old);
    KeLeaveCriticalRegion();
    note('1');
    KeLowerIrql(old);
  });
  EXPECT_STREQ(order, "1Nn");
}

KDPC_TEST(Mutex, ReleasedLetsTheApcsIn) {
  static KMUTEX mutex;
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeMutex(&mutex, 0);
    normal(apcs[0], KeGetCurrentThread());
    wait_for(&mutex);
    insert(apcs[0], "N");
    note('1');
    KeReleaseMutex(&mutex, FALSE);
    note('2');
  });
  EXPECT_STREQ(order, "1Nn2");
}

KDPC_TEST(CriticalRegion, LeftWithoutHavingBeenEnteredIsAFinding) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] { KeLeaveCriticalRegion(); });
  EXPECT_BUGCHECK(0xC4, 0x3E, 0, 0, 0);
}

KDPC_TEST(CriticalRegion, EnteredAboveApcLevelIsAFinding) {
  RULE("IRQL-7");
  m.on(0, DISPATCH_LEVEL, [] { KeEnterCriticalRegion(); });
  EXPECT_BUGCHECK(0xC4, 0x11A, DISPATCH_LEVEL);
}
KDPC_TEST(CriticalRegion, LeftAboveApcLevelIsAFinding) {
  RULE("IRQL-7");
  m.on(0, DISPATCH_LEVEL, [] { KeLeaveCriticalRegion(); });
  EXPECT_BUGCHECK(0xC4, 0x11B, DISPATCH_LEVEL);
}

KDPC_TEST(CriticalRegion, NotLeftByAThreadThatEndsIsAFinding) {
  m.on(0, PASSIVE_LEVEL, [] { KeEnterCriticalRegion(); });
  m.run_for(1ms);
  EXPECT_BUGCHECK(0x20, 0, 0xFFFF, PASSIVE_LEVEL);
}
KDPC_TEST(GuardedRegion, NotLeftByAThreadThatEndsIsAFinding) {
  m.on(0, PASSIVE_LEVEL, [] {
    KeEnterGuardedRegion();
    special(apcs[0], KeGetCurrentThread());
    insert(apcs[0]);
  });
  m.run_for(1ms);
  EXPECT_BUGCHECK(0x20, &apcs[0], 0xFFFF0000u, PASSIVE_LEVEL);
}

}  // namespace
