// A pointer that leads nowhere: the run ends with NT's stop code, and the report names the routine that was given it.
#include <gmock/gmock.h>
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/io/host_driver.h"

namespace {

namespace io = kdpc::io;
using kdpc::test::any;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::uintptr_t kNowhere = 0x10000;
template <class T>
T* nowhere() {
  return reinterpret_cast<T*>(kNowhere);
}

KDPC_TEST(BadPointer, OfAnEventIsABugCheckThatNamesTheRoutine) {
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(nowhere<KEVENT>(), 0, FALSE); });
  EXPECT_BUGCHECK(0x0A, any, any, any, any);
  EXPECT_THAT(m.outcome().bugcheck->sentence, StartsWith("KeSetEvent was called with a pointer"));
}

KDPC_TEST(BadPointer, AtPassiveIsAPageFault) {
  m.on(0, PASSIVE_LEVEL, [] { RtlInitUnicodeString(nowhere<UNICODE_STRING>(), u"text"); });
  EXPECT_BUGCHECK(0x50, any, 1, any, any);
  EXPECT_THAT(m.outcome().bugcheck->sentence, StartsWith("RtlInitUnicodeString was called with a pointer"));
}

KDPC_TEST(BadPointer, InsideAnObjectIsBlamedOnTheRoutineToo) {
  m.on(0, PASSIVE_LEVEL, [] {
    static UNICODE_STRING text;
    text = {2, 2, nowhere<WCHAR>()};
    ULONG value = 0;
    RtlUnicodeStringToInteger(&text, 10, &value);
  });
  EXPECT_BUGCHECK(0x50, kNowhere, 0, any, any);
  EXPECT_THAT(m.outcome().bugcheck->sentence, HasSubstr("RtlUnicodeStringToInteger"));
}

KDPC_TEST(BadPointer, OfNullIsNoExceptionToThat) {
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeTimer(nullptr); });
  EXPECT_BUGCHECK(0x50);
  EXPECT_THAT(m.outcome().bugcheck->sentence, StartsWith("KeInitializeTimer"));
}

// The checks listen on the simulated machine only.
KDPC_TEST(BadPointer, OfNullIsExplainedAsSuch, .simulated_only = "asks what the checks have found") {
  m.on(0, DISPATCH_LEVEL, [] { KeSetEvent(nullptr, 0, FALSE); });
  EXPECT_BUGCHECK(0x0A);
  ASSERT_TRUE(m.outcome().finding);
  EXPECT_EQ(m.outcome().finding->id, "stop-null-pointer");
}

KDPC_TEST(BadPointer, ToNowhereIsNotNull, .simulated_only = "asks what the checks have found") {
  m.on(0, DISPATCH_LEVEL, [] { KeSetEvent(nowhere<KEVENT>(), 0, FALSE); });
  EXPECT_BUGCHECK(0x0A);
  ASSERT_TRUE(m.outcome().finding);
  EXPECT_EQ(m.outcome().finding->id, "stop-bad-memory");
}

KDPC_TEST(BadPointer, ThatIsNotCanonicalIsAnAccessViolation) {
  m.on(0, PASSIVE_LEVEL, [] { KeClearEvent(reinterpret_cast<PRKEVENT>(0xDEADBEEF00000000)); });
  EXPECT_BUGCHECK(0x1E, 0xC0000005, any, 0, ~std::uint64_t{0});
  EXPECT_THAT(m.outcome().bugcheck->sentence, StartsWith("KeClearEvent"));
}

KDPC_TEST(BadPointer, InTheListOfWaitersOfAnEventIsACorruptList) {
  static KEVENT event;
  static KWAIT_BLOCK nobodys;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    nobodys = {};
    InsertTailList(&event.Header.WaitListHead, &nobodys.WaitListEntry);
    KeSetEvent(&event, 0, FALSE);
  });
  EXPECT_BUGCHECK(0x139, 3, &event, 0, 0);
}

KDPC_TEST(BadPointer, OfAThreadToSomethingElseIsABugCheckThatNamesIt, .options = {{"profile", "free"}}) {
  static struct {
    KEVENT event;
    char behind[4096];
  } other;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeEvent(&other.event, SynchronizationEvent, FALSE);
    RtlFillMemory(other.behind, sizeof other.behind, 0xA5);
    KeSetBasePriorityThread(reinterpret_cast<PKTHREAD>(&other.event), 1);
  });
  EXPECT_BUGCHECK(0x1E, static_cast<ULONG>(STATUS_OBJECT_TYPE_MISMATCH), &other.event, SynchronizationEvent, 0);
  EXPECT_THAT(m.outcome().bugcheck->sentence, HasSubstr("works on a thread"));
}

// The first byte of anything may be a thread's.
KDPC_TEST(BadPointer, OfAThreadToSomethingThatBeginsLikeOneToo) {
  static char other[4096];
  m.on(0, PASSIVE_LEVEL, [] {
    RtlFillMemory(other, sizeof other, 0xA5);
    other[0] = 6;
    KeQueryPriorityThread(reinterpret_cast<PKTHREAD>(other));
  });
  EXPECT_BUGCHECK(0x1E, static_cast<ULONG>(STATUS_OBJECT_TYPE_MISMATCH), any, 6, 0);
}

KDPC_TEST(BadPointer, OfTheTextOfAnAssertionIsNotReadByTheReport) {
  m.on(0, PASSIVE_LEVEL, [] { RtlAssert(nowhere<void>(), nullptr, 1, nullptr); });
  EXPECT_BUGCHECK(0x50, kNowhere, 0, any, any);
}

KDPC_TEST(BadPointer, AnMdlTooSmallForAPartOfAnotherIsABugCheck) {
  m.on(0, PASSIVE_LEVEL, [] {
    auto* block = static_cast<char*>(ExAllocatePoolWithTag(NonPagedPool, 20'000, 0x6B6E6962));
    PMDL all = IoAllocateMdl(block, 20'000, FALSE, FALSE, nullptr);
    PMDL part = IoAllocateMdl(block, 100, FALSE, FALSE, nullptr);
    MmBuildMdlForNonPagedPool(all);
    IoBuildPartialMdl(all, part, block, 20'000);
  });
  EXPECT_BUGCHECK(0x40);
}

KDPC_TEST(BadPointer, AnIrpIsNotInitialisedBeyondItsMemory) {
  m.on(0, PASSIVE_LEVEL, [] { IoInitializeIrp(IoAllocateIrp(1, FALSE), 4096, 1); });
  EXPECT_BUGCHECK(0xCD);
}

KDPC_TEST(BadPointer, AnIrpHasRoomForItsStackLocations) {
  m.on(0, PASSIVE_LEVEL, [] { IoInitializeIrp(IoAllocateIrp(1, FALSE), sizeof(IRP), 100); });
  EXPECT_BUGCHECK(0xCD);
}

KDPC_TEST(BadPointer, AFreedIrpIsNotUsedAgain) {
  m.on(0, PASSIVE_LEVEL, [] {
    PIRP irp = IoAllocateIrp(1, FALSE);
    IoFreeIrp(irp);
    IoReuseIrp(irp, STATUS_SUCCESS);
  });
  EXPECT_BUGCHECK(0xCC);
}

KDPC_TEST(BadPointer, AMajorFunctionThatDoesNotExistIsNotCalled) {
  m.on(0, PASSIVE_LEVEL, [] {
    DEVICE_OBJECT* device = kdpc::test::make_device(kdpc::test::make_driver());
    PIRP irp = IoAllocateIrp(device->StackSize, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_MAXIMUM_FUNCTION + 1;
    IoCallDriver(device, irp);
  });
  EXPECT_BUGCHECK(0xC9, 3);
}

KDPC_TEST(BadPointer, AFreedMdlDescribesNoPages) {
  m.on(0, PASSIVE_LEVEL, [] {
    PMDL mdl = IoAllocateMdl(ExAllocatePoolWithTag(NonPagedPool, 100, 0x6B6E6962), 100, FALSE, FALSE, nullptr);
    IoFreeMdl(mdl);
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
  });
  EXPECT_BUGCHECK(0xCD);
}

KDPC_TEST(BadPointer, ADeviceIsNotAttachedToItsOwnStack) {
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = kdpc::test::make_driver();
    DEVICE_OBJECT* lower = kdpc::test::make_device(driver);
    DEVICE_OBJECT* upper = kdpc::test::make_device(driver, u"\\Device\\Second");
    KDPC_EXPECT(IoAttachDeviceToDeviceStack(upper, lower) == lower);
    KDPC_EXPECT(IoAttachDeviceToDeviceStack(upper, upper) == nullptr);
    KDPC_EXPECT(IoAttachDeviceToDeviceStack(lower, upper) == nullptr);
    IoDetachDevice(lower);
    IoDeleteDevice(upper);
    IoDeleteDevice(lower);
  });
}

}  // namespace
