// What may fail is let fail: once for each stack that calls it.
#include <gmock/gmock.h>

#include "check/explore/moves.h"
#include "kdpc/explore.h"
#include "kdpc/test.h"
#include "tests/io/host_driver.h"
#include "wdm.h"

using namespace std::chrono_literals;
using namespace kdpc;
using explore::Deviation;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

lab::Life careless(std::uint64_t how) {
  return [how](lab::Machine& m) -> std::string {
    std::string why;
    if (!m.load_driver(KDPC_TEST_DRIVERS "/check/careless.drv", why, {.settings = {{"How", how}}})) return lab::made_to_fail() ? "" : why;
    m.run_for(1ms);
    m.unload_driver("careless", why);
    return why;
  };
}

NTSTATUS mapped(KPROCESSOR_MODE mode, ULONG stops) {
  static char buffer[64];
  PMDL mdl = IoAllocateMdl(buffer, sizeof buffer, FALSE, FALSE, nullptr);
  if (mdl == nullptr) return STATUS_SUCCESS;  // that is not what is asked about
  MmBuildMdlForNonPagedPool(mdl);
  const NTSTATUS status =
      MmMapLockedPagesSpecifyCache(mdl, mode, MmCached, nullptr, stops, NormalPagePriority) != nullptr ? STATUS_SUCCESS : STATUS_NO_MEMORY;
  IoFreeMdl(mdl);
  return status;
}

VOID NTAPI tick(PDEVICE_OBJECT, PVOID) {}

const lab::ExploreSettings kFaults = {.schedules = 0, .bound = 1, .faults = true};

}  // namespace

TEST(Faults, ADriverThatIsRightGivesUpInOrder) {
  const lab::ExploreResult result = lab::explore(kFaults, careless(0));
  EXPECT_EQ(result.failure + result.broken, "") << result.report;
  EXPECT_TRUE(result.exhausted);
}

TEST(Faults, MemoryThatWasNotLookedForIsABugCheckThatNamesWhatFailed) {
  const lab::ExploreResult found = lab::explore(kFaults, careless(1));
  EXPECT_THAT(found.failure, HasSubstr("bug check")) << found.broken;
  EXPECT_THAT(found.report, HasSubstr("Made to fail: ExAllocatePool2, called by careless!Allocate"));
  EXPECT_THAT(found.report, HasSubstr("1 deviation from the default one:\n  cpu0@"));
  EXPECT_THAT(found.schedule, HasSubstr(" fail\n"));
  const lab::ExploreResult again = lab::replay({}, careless(1), found.schedule);
  EXPECT_EQ(again.failure, found.failure);
  EXPECT_EQ(again.differs, "");
}

TEST(Faults, AWayOutThatIsWrongIsFound) {
  const lab::ExploreResult found = lab::explore(kFaults, careless(2));
  EXPECT_THAT(found.failure, HasSubstr("bug check")) << found.broken;
  EXPECT_THAT(found.report, HasSubstr("Made to fail: PsCreateSystemThread, called by careless!StartThread"));
}

TEST(Faults, ALifeThatHangsIsAFailureToo) {
  const lab::ExploreResult found = lab::explore(kFaults, careless(3));
  EXPECT_THAT(found.failure, HasSubstr("this did not end: unload")) << found.broken;
  EXPECT_THAT(found.report, HasSubstr("Made to fail: PsCreateSystemThread"));
}

TEST(Faults, WordsCountIfTheLifeHasGivenUp) {
  for (const bool gives_up : {false, true}) {
    const lab::ExploreResult found = lab::explore(kFaults, [gives_up](lab::Machine& m) -> std::string {
      bool well = true;
      m.on(0, PASSIVE_LEVEL, [&] {
        PVOID memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 'tset');
        well = memory != nullptr;
        if (well) ExFreePool(memory);
      });
      if (well) return {};
      if (gives_up) lab::did_not_end();
      return "it waits for ever";
    });
    EXPECT_EQ(found.failure, gives_up ? "it waits for ever" : "") << found.broken;
  }
}

TEST(Faults, ALambdaThatHangsIsAFailureAndOneThatFailsIsNone) {
  for (const bool hangs : {false, true}) {
    const lab::ExploreResult found = lab::explore(kFaults, [hangs](lab::Machine& m) {
      KEVENT never;
      KeInitializeEvent(&never, NotificationEvent, FALSE);
      m.on(0, PASSIVE_LEVEL, [&] {
        PVOID memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 'tset');
        KDPC_EXPECT(memory != nullptr);
        if (memory != nullptr) return ExFreePool(memory);
        if (hangs) KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, nullptr);
      });
      return std::string();
    });
    EXPECT_EQ(found.failure.empty(), !hangs) << found.failure;
    if (hangs) EXPECT_THAT(found.report, HasSubstr("the lambda has not returned, and nothing is left to happen"));
  }
}

// Each is called once; what it returns when it is made to fail, or how the run ends.
TEST(Faults, WhoAsksForAnExceptionGetsOneAndWhoNeverFailsDoesNot) {
  using Call = NTSTATUS (*)();
  const auto status_of = [](PVOID memory) {
    if (memory == nullptr) return STATUS_NO_MEMORY;
    ExFreePool(memory);
    return STATUS_SUCCESS;
  };
  static const auto given = status_of;
  const Call returning[] = {
      [] { return given(ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 'tset')); },
      [] { return given(ExAllocatePoolWithTag(NonPagedPool, 16, 'tset')); },
      [] { return given(ExAllocatePool(NonPagedPool, 16)); },
      [] { return given(ExAllocatePoolWithQuotaTag(static_cast<POOL_TYPE>(NonPagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE), 16, 'tset')); },
  };
  const Call raising[] = {
      [] { return given(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, 16, 'tset')); },
      [] { return given(ExAllocatePoolWithTag(static_cast<POOL_TYPE>(NonPagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE), 16, 'tset')); },
      [] { return given(ExAllocatePool(static_cast<POOL_TYPE>(NonPagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE), 16)); },
      [] { return given(ExAllocatePoolWithQuotaTag(NonPagedPool, 16, 'tset')); },
      [] { return given(ExAllocatePoolQuotaZero(NonPagedPool, 16, 'tset')); },
      [] { return mapped(UserMode, FALSE); },
      [] { return mapped(UserMode, TRUE); },
  };
  const auto explored = [](Call call) {
    return lab::explore(kFaults, [call](lab::Machine& m) {
      NTSTATUS status = STATUS_SUCCESS;
      m.on(0, PASSIVE_LEVEL, [&] { status = call(); });
      if (status != STATUS_SUCCESS) lab::did_not_end();  // so that it is told
      return std::string(status != STATUS_SUCCESS ? "it has failed" : "");
    });
  };
  for (std::size_t which = 0; which < std::size(returning); ++which) EXPECT_EQ(explored(returning[which]).failure, "it has failed") << which;
  EXPECT_EQ(explored([] { return mapped(KernelMode, FALSE); }).failure, "it has failed");
  EXPECT_EQ(explored([] { return mapped(KernelMode, TRUE); }).failure, "") << "a bug check is all that could come";
  for (std::size_t which = 0; which < std::size(raising); ++which)
    EXPECT_THAT(explored(raising[which]).failure, HasSubstr("ExRaiseStatus raised an exception that nobody handles")) << which;
}

TEST(Faults, ATimerIsMadeOnceAndThatAloneMayFail) {
  std::vector<NTSTATUS> first, again;
  const lab::ExploreResult result = lab::explore(kFaults, [&](lab::Machine& m) {
    m.on(0, PASSIVE_LEVEL, [&] {
      PDEVICE_OBJECT device;
      if (!NT_SUCCESS(IoCreateDevice(&test::make_driver().object, 0, nullptr, FILE_DEVICE_UNKNOWN, 0, FALSE, &device))) return;
      const auto initialize = [&] { return IoInitializeTimer(device, tick, nullptr); };
      first.push_back(initialize());
      if (NT_SUCCESS(first.back())) again.push_back(initialize());
    });
    return std::string();
  });
  EXPECT_EQ(result.failure + result.broken, "");
  EXPECT_THAT(first, testing::Contains(STATUS_INSUFFICIENT_RESOURCES));
  EXPECT_THAT(again, testing::Each(STATUS_SUCCESS));
}

TEST(Faults, WithoutThemNothingFails) {
  for (const std::uint64_t how : {0, 1, 2, 3}) {
    const lab::ExploreResult result = lab::explore({.schedules = 0, .bound = 1}, careless(how));
    EXPECT_EQ(result.failure + result.broken, "") << how;
  }
}

TEST(Faults, EachStackFailsOnceAndFirst) {
  RULE("K.FAULT-1");
  explore::Lesson lesson;
  for (std::uint64_t step = 1; step <= 4; ++step) {
    lesson.points.push_back({0, step, 0x1000 + step, false});
    lesson.options.push_back({.processor = 0, .step = step, .others_can_go_on = true, .may_fail = step == 3 ? 0 : step == 4 ? 7u : 7u + step % 2});
  }
  std::vector<std::string> moves;
  for (const explore::Move& move : explore::moves_behind({}, lesson)) moves.push_back(text_of(with({}, move)));
  EXPECT_THAT(moves, ElementsAre("cpu0@1 fail\n", "cpu0@2 fail\n", "cpu0@1 hold\n", "cpu0@2 hold\n", "cpu0@3 hold\n", "cpu0@4 hold\n"));
  // Behind one that has failed, another one may.
  moves.clear();
  const explore::Schedule failed = {{Deviation::Kind::Fail, 0, 1, 0}};
  for (const explore::Move& move : explore::moves_behind(failed, lesson)) moves.push_back(text_of(with(failed, move)));
  EXPECT_THAT(moves, testing::Contains("cpu0@1 fail\ncpu0@2 fail\n"));
  EXPECT_THAT(moves, testing::Contains("cpu0@1 fail\ncpu0@2 hold\n"));
}

// What the same code asks for from two places is two stacks, and a loop is one.
TEST(Faults, ALoopIsOneStackAndTwoCallersAreTwo) {
  std::set<int> failed;
  const lab::ExploreResult result = lab::explore(kFaults, [&](lab::Machine& m) -> std::string {
    int call = 0;
    const auto one = [&] {
      PVOID memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 'tset');
      if (memory == nullptr) failed.insert(call);
      if (memory != nullptr) ExFreePool(memory);
      ++call;
    };
    m.on(0, PASSIVE_LEVEL, [&] {
      for (int turn = 0; turn < 3; ++turn) one();
      one();
    });
    return {};
  });
  EXPECT_EQ(result.failure + result.broken, "");
  EXPECT_EQ(failed, (std::set<int>{0, 3}));
}
