// Resources: who may share them, who goes first, and what a driver does wrong with them.
#include <wdm.h>

#include <chrono>

#include "kdpc/test.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

ERESOURCE resource;

void initialize(kdpc::lab::Machine& m) {
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(ExInitializeResourceLite(&resource), STATUS_SUCCESS); });
}

enum class Way { Exclusive, Shared, Starve, Behind };

BOOLEAN acquire(Way way, BOOLEAN wait = TRUE) {
  switch (way) {
    case Way::Exclusive: return ExAcquireResourceExclusiveLite(&resource, wait);
    case Way::Shared: return ExAcquireResourceSharedLite(&resource, wait);
    case Way::Starve: return ExAcquireSharedStarveExclusive(&resource, wait);
    case Way::Behind: return ExAcquireSharedWaitForExclusive(&resource, wait);
  }
  return FALSE;
}

// A thread that acquires, says its letter, and releases when its event comes.
kdpc::lab::Task user(kdpc::lab::Machine& m, Way way, char letter, KEVENT& until) {
  auto task = m.start(0, PASSIVE_LEVEL, [way, letter, &until] {
    KeEnterCriticalRegion();
    KDPC_EXPECT_EQ(acquire(way), TRUE);
    note(letter);
    wait_for(&until);
    ExReleaseResourceLite(&resource);
    KeLeaveCriticalRegion();
  });
  m.run_for(1ms);
  return task;
}

void set(kdpc::lab::Machine& m, int index) {
  m.on(0, PASSIVE_LEVEL, [index] { KeSetEvent(&events[index], IO_NO_INCREMENT, FALSE); });
  m.run_for(1ms);
}

// Whether it can be had at once, from a thread that has nothing yet.
void expect_free(kdpc::lab::Machine& m, Way way, bool expected) {
  m.on(0, PASSIVE_LEVEL, [way, expected] {
    KeEnterCriticalRegion();
    const BOOLEAN got = acquire(way, FALSE);
    KDPC_EXPECT_EQ(got != FALSE, expected);
    if (got) ExReleaseResourceLite(&resource);
    KeLeaveCriticalRegion();
  });
}

KDPC_TEST(Resource, IsOwnedAsOftenAsItWasAcquired) {
  initialize(m);
  m.on(0, APC_LEVEL, [] {
    KDPC_EXPECT_EQ(ExIsResourceAcquiredSharedLite(&resource), 0u);
    acquire(Way::Exclusive);
    acquire(Way::Exclusive);
    acquire(Way::Shared);  // an exclusive owner that shares with itself stays exclusive
    KDPC_EXPECT_EQ(ExIsResourceAcquiredExclusiveLite(&resource), TRUE);
    KDPC_EXPECT_EQ(ExIsResourceAcquiredLite(&resource), 3u);
    KDPC_EXPECT_EQ(resource.ActiveCount, 1);
    for (int count = 0; count < 3; ++count) ExReleaseResourceLite(&resource);
    KDPC_EXPECT_EQ(ExIsResourceAcquiredExclusiveLite(&resource), FALSE);
    acquire(Way::Shared);
    acquire(Way::Shared);
    KDPC_EXPECT_EQ(ExIsResourceAcquiredExclusiveLite(&resource), FALSE);
    KDPC_EXPECT_EQ(ExIsResourceAcquiredSharedLite(&resource), 2u);
    KDPC_EXPECT_EQ(acquire(Way::Exclusive, FALSE), FALSE);  // not even for its only sharer
    ExReleaseResourceLite(&resource);
    ExReleaseResourceLite(&resource);
    KDPC_EXPECT_EQ(resource.ActiveCount, 0);
  });
}

KDPC_TEST(Resource, IsSharedByManyOrOwnedByOne) {
  initialize(m);
  for (int count = 0; count < 10; ++count) user(m, Way::Shared, 's', events[0]);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(resource.ActiveCount, 10); });
  expect_free(m, Way::Exclusive, false);
  expect_free(m, Way::Shared, true);
  for (int count = 0; count < 10; ++count) set(m, 0);
  auto owner = user(m, Way::Exclusive, 'e', events[1]);
  expect_free(m, Way::Exclusive, false);
  expect_free(m, Way::Shared, false);
  expect_free(m, Way::Starve, false);
  set(m, 1);
  EXPECT_TRUE(owner.done());
  expect_free(m, Way::Exclusive, true);
}

KDPC_TEST(Resource, SharersThatComeAfterAnExclusiveWaiterWaitUnlessTheyStarveIt) {
  RULE("IRQL-4");
  initialize(m);
  user(m, Way::Shared, 's', events[0]);
  user(m, Way::Exclusive, 'e', events[1]);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(ExGetExclusiveWaiterCount(&resource), 1u); });
  expect_free(m, Way::Shared, false);
  expect_free(m, Way::Behind, false);
  expect_free(m, Way::Starve, true);
  user(m, Way::Shared, 't', events[2]);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(ExGetSharedWaiterCount(&resource), 1u); });
  set(m, 0);
  EXPECT_STREQ(order, "se");
  set(m, 1);
  EXPECT_STREQ(order, "set");
  set(m, 2);
}

KDPC_TEST(Resource, WhoSharesItAlreadyMayShareAgainUnlessItWaitsForTheExclusiveOne) {
  initialize(m);
  auto sharer = m.start(0, APC_LEVEL, [] {
    acquire(Way::Shared);
    wait_for(&events[0]);
    KDPC_EXPECT_EQ(acquire(Way::Behind, FALSE), FALSE);
    KDPC_EXPECT_EQ(acquire(Way::Shared, FALSE), TRUE);
    ExReleaseResourceLite(&resource);
    ExReleaseResourceLite(&resource);
  });
  m.run_for(1ms);
  user(m, Way::Exclusive, 'e', events[1]);
  set(m, 0);
  EXPECT_TRUE(sharer.done());
  EXPECT_STREQ(order, "e");
  set(m, 1);
}

KDPC_TEST(Resource, AfterAnExclusiveOwnerComeAllWhoShareAndThenTheNextExclusiveOne) {
  initialize(m);
  user(m, Way::Exclusive, '1', events[0]);
  user(m, Way::Exclusive, '2', events[1]);
  user(m, Way::Shared, 'a', events[2]);
  user(m, Way::Shared, 'b', events[2]);
  set(m, 0);
  EXPECT_STREQ(order, "1ab");
  set(m, 2);
  EXPECT_STREQ(order, "1ab");
  set(m, 2);
  EXPECT_STREQ(order, "1ab2");
  set(m, 1);
  EXPECT_EQ(resource.ContentionCount, 3u);
}

KDPC_TEST(Resource, ConvertedToSharedLetsTheSharersIn) {
  initialize(m);
  auto owner = m.start(0, APC_LEVEL, [] {
    acquire(Way::Exclusive);
    wait_for(&events[0]);
    ExConvertExclusiveToSharedLite(&resource);
    note('c');
    KDPC_EXPECT_EQ(ExIsResourceAcquiredExclusiveLite(&resource), FALSE);
    KDPC_EXPECT_EQ(ExIsResourceAcquiredSharedLite(&resource), 1u);
    wait_for(&events[0]);
    ExReleaseResourceLite(&resource);
  });
  m.run_for(1ms);
  user(m, Way::Shared, 's', events[1]);
  set(m, 0);
  EXPECT_STREQ(order, "sc");  // and runs at once: it was given a boost
  set(m, 0);
  set(m, 1);
  EXPECT_TRUE(owner.done());
}

KDPC_TEST(Resource, CanBeReleasedForAnotherThread) {
  initialize(m);
  static ERESOURCE_THREAD owner;
  auto acquirer = m.start(0, APC_LEVEL, [] {
    owner = ExGetCurrentResourceThread();
    acquire(Way::Exclusive);
    wait_for(&events[0]);
  });
  m.run_for(1ms);
  m.on(0, APC_LEVEL, [] { ExReleaseResourceForThreadLite(&resource, owner); });
  expect_free(m, Way::Exclusive, true);
  set(m, 0);
}

KDPC_TEST(Resource, CanBeGivenAnOwnerThatIsNoThread) {
  initialize(m);
  m.on(0, APC_LEVEL, [] {
    acquire(Way::Shared);
    ExSetResourceOwnerPointer(&resource, reinterpret_cast<PVOID>(0x1003));
    KDPC_EXPECT_EQ(ExIsResourceAcquiredSharedLite(&resource), 0u);
  });
  expect_free(m, Way::Exclusive, false);
  m.on(0, APC_LEVEL, [] { ExReleaseResourceForThreadLite(&resource, 0x1003); });
  expect_free(m, Way::Exclusive, true);
}

KDPC_TEST(Resource, TheCombinedRoutinesKeepNormalApcsOff) {
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    for (const auto routine : {ExEnterCriticalRegionAndAcquireResourceExclusive, ExEnterCriticalRegionAndAcquireResourceShared,
                               ExEnterCriticalRegionAndAcquireSharedWaitForExclusive}) {
      KDPC_EXPECT(routine(&resource) == nullptr);
      KDPC_EXPECT_EQ(KeAreApcsDisabled(), TRUE);
      KDPC_EXPECT_EQ(ExIsResourceAcquiredLite(&resource), 1u);
      ExReleaseResourceAndLeaveCriticalRegion(&resource);
      KDPC_EXPECT_EQ(KeAreApcsDisabled(), FALSE);
      KDPC_EXPECT_EQ(ExIsResourceAcquiredLite(&resource), 0u);
    }
  });
}

KDPC_TEST(Resource, CanBeDeletedAndInitialisedAgain) {
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(ExDeleteResourceLite(&resource), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ExInitializeResourceLite(&resource), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ExReinitializeResourceLite(&resource), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ExDeleteResourceLite(&resource), STATUS_SUCCESS);
  });
}

// -- mistakes -------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(Resource, AcquiredWithApcsEnabledIs37) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { acquire(Way::Shared); });
  EXPECT_BUGCHECK(0xC4, 0x37, PASSIVE_LEVEL, 0, &resource);
}

KDPC_TEST(Resource, ReleasedWithApcsEnabledIs38) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeEnterCriticalRegion();
    acquire(Way::Exclusive);
    KeLeaveCriticalRegion();
    ExReleaseResourceLite(&resource);
  });
  EXPECT_BUGCHECK(0xC4, 0x38, PASSIVE_LEVEL, 0, &resource);
}

KDPC_TEST(Resource, AcquiredAboveApcLevelIsAFinding) {
  RULE("IRQL-4");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] { acquire(Way::Exclusive, FALSE); });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL, &resource);
}

KDPC_TEST(Resource, ReleasedByWhoDoesNotOwnItIsE3) {
  initialize(m);
  user(m, Way::Exclusive, 'e', events[0]);
  static PKTHREAD stranger;
  m.on(0, APC_LEVEL, [] {
    stranger = KeGetCurrentThread();
    ExReleaseResourceLite(&resource);
  });
  EXPECT_BUGCHECK(0xE3, &resource, stranger, 0, 0);
}

KDPC_TEST(Resource, DeletedWhileItIsOwnedIsAFinding) {
  initialize(m);
  user(m, Way::Shared, 's', events[0]);
  m.on(0, PASSIVE_LEVEL, [] { ExDeleteResourceLite(&resource); });
  EXPECT_BUGCHECK(0xC4, 0x100B, &resource);
}

KDPC_TEST(Resource, InitialisedTwiceIsAFinding) {
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { ExInitializeResourceLite(&resource); });
  EXPECT_BUGCHECK(0xC4, 0xD0, &resource);
}

void free_with_a_resource(kdpc::lab::Machine& m, PERESOURCE& freed) {
  m.on(0, PASSIVE_LEVEL, [&freed] {
    freed = static_cast<PERESOURCE>(ExAllocatePoolWithTag(NonPagedPool, sizeof(ERESOURCE), 'tseT'));
    ExInitializeResourceLite(freed);
    ExFreePoolWithTag(freed, 'tseT');
  });
}

KDPC_TEST(Resource, FreedWithoutHavingBeenDeletedIsAFinding) {
  RULE("IRQL-7");
  static PERESOURCE freed;
  free_with_a_resource(m, freed);
  EXPECT_BUGCHECK(0xC4, 0xD2, freed, freed, sizeof(ERESOURCE));
}

KDPC_TEST(Resource, FreedOnAFreeBuildIsForgotten, .options = {{"irql_checks", "free"}}) {
  static PERESOURCE freed;
  free_with_a_resource(m, freed);
  initialize(m);  // walks the list
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Resource, DeletedWithoutHavingBeenInitialisedIsAFinding) {
  static ERESOURCE never;
  m.on(0, PASSIVE_LEVEL, [] { ExDeleteResourceLite(&never); });
  EXPECT_BUGCHECK(0xC4, 0xD1, &never);
}

}  // namespace
