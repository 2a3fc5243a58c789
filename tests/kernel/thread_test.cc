// Threads: priorities, preemption, quanta, affinity, and the objects and handles of system threads (SEMANTICS 6.4, 8.1).
#include <wdm.h>

#include <cstring>
#include <vector>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr std::uint64_t kQuantumEnd = 2;  // WaitReason::QuantumEnd

// -- priorities -----------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(ThreadPriority, TheHigherRunsFirst, .simulated_only = "asks for a state that lasts for a millisecond") {
  reset();
  m.on(0, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(1); });
  std::vector<kdpc::lab::Task> tasks;
  auto busy = m.start(0, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(1000); }, {.priority = 31});
  m.run_for(100us);
  for (const unsigned priority : {5, 9, 7, 30, 1})
    tasks.push_back(m.start(0, PASSIVE_LEVEL, [priority] { note(static_cast<char>('A' + priority)); }, {.priority = priority}));
  EXPECT_TRUE(m.run_until([] { return steps == 5; }, within(1s)));
  const char expected[] = {'A' + 30, 'A' + 9, 'A' + 7, 'A' + 5, 'A' + 1, 0};
  EXPECT_STREQ(order, expected);
}

KDPC_TEST(ThreadPriority, SettingItReturnsTheOldOne) {
  m.on(0, PASSIVE_LEVEL, [] {
    PKTHREAD self = KeGetCurrentThread();
    KDPC_EXPECT_EQ(KeSetPriorityThread(self, 12), 8);
    KDPC_EXPECT_EQ(KeSetPriorityThread(self, 16), 12);
    KDPC_EXPECT_EQ(KeQueryPriorityThread(self), 16);
  });
}

KDPC_TEST(ThreadPriority, LoweringOnesOwnBelowAReadyThreadGivesWayAtOnce, .simulated_only = "asks for a state that lasts for a millisecond") {
  reset();
  m.start(0, PASSIVE_LEVEL,
          [] {
            KeStallExecutionProcessor(1000);
            note('1');
            KeSetPriorityThread(KeGetCurrentThread(), 5);
            note('3');
          },
          {.priority = 9});
  m.run_for(100us);
  m.start(0, PASSIVE_LEVEL, [] { note('2'); });
  EXPECT_TRUE(m.run_until([] { return steps == 3; }, within(1s)));
  EXPECT_STREQ(order, "123");
}

PKTHREAD ready_thread;

KDPC_TEST(ThreadPriority, RaisingAReadyThreadAboveTheRunningOnePreemptsIt) {
  static KEVENT event;
  reset();
  m.start(0, PASSIVE_LEVEL,
          [] {
            ready_thread = KeGetCurrentThread();
            KeInitializeEvent(&event, SynchronizationEvent, FALSE);
            wait_for(&event);
            note('2');
          },
          {.priority = 7});
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetEvent(&event, IO_NO_INCREMENT, FALSE);
    note('1');
    KeSetPriorityThread(ready_thread, 9);
    note('3');
  });
  EXPECT_STREQ(order, "123");
}

// -- quanta ---------------------------------------------------------------------------------------------------------------------------------

// Two busy threads of one priority on one processor: at which ticks it changes hands in 200 ms, which are twelve.
std::vector<std::uint64_t> quantum_ends(kdpc::lab::Machine& m) {
  for (int thread = 0; thread < 2; ++thread)
    m.start(0, PASSIVE_LEVEL, [] {
      for (int turn = 0; turn < 1000; ++turn) KeStallExecutionProcessor(500);
    });
  m.run_for(200ms);
  std::vector<std::uint64_t> times;
  for (const auto& event : m.events("thread-switched", {{"why", kQuantumEnd}})) times.push_back(event.time / kTickNanoseconds);
  return times;
}

KDPC_TEST(Quantum, OfTwoTicksIsSharedRoundRobin, .simulated_only = "counts ticks") {
  RULE("6.4");
  EXPECT_EQ(quantum_ends(m), (std::vector<std::uint64_t>{2, 4, 6, 8, 10, 12}));
}

KDPC_TEST(Quantum, CanBeLonger, .options = {{"quantum_reset", "18"}}, .simulated_only = "counts ticks") {
  EXPECT_EQ(quantum_ends(m), (std::vector<std::uint64_t>{6, 12}));
}

KDPC_TEST(Quantum, OfAThreadThatIsAloneAtItsPriorityIsRenewed, .simulated_only = "counts ticks") {
  m.start(0, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(200'000); }, {.priority = 9});
  m.start(0, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(1000); });
  m.run_for(150ms);
  EXPECT_EQ(m.count("thread-switched", {{"why", kQuantumEnd}}), 0u);
}

KDPC_TEST(Quantum, EndsOnlyWhenTheLevelAllowsIt, .simulated_only = "counts ticks") {
  RULE("6.4");
  reset();
  m.start(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeStallExecutionProcessor(100'000);
    note('1');
    KeLowerIrql(old);
    note('3');
  });
  m.run_for(1ms);
  m.start(0, PASSIVE_LEVEL, [] { note('2'); });
  EXPECT_TRUE(m.run_until([] { return steps == 3; }, within(1s)));
  EXPECT_STREQ(order, "123");
}

// -- affinity -------------------------------------------------------------------------------------------------------------------------------

ULONG here() { return KeGetCurrentProcessorNumberEx(nullptr); }

KDPC_TEST(Affinity, ASystemAffinityMovesTheThreadAtOnceAndRevertsToItsOwn, .processors = 4) {
  m.on(1, PASSIVE_LEVEL, [] {
    KeSetSystemAffinityThread(KAFFINITY{1} << 3);
    KDPC_EXPECT_EQ(here(), 3u);
    KeSetSystemAffinityThread(KAFFINITY{1} << 0);
    KDPC_EXPECT_EQ(here(), 0u);
    KeRevertToUserAffinityThread();
    KDPC_EXPECT_EQ(here(), 1u);
  });
}

KDPC_TEST(Affinity, TheExFormReturnsTheSystemAffinityBeforeOrZero, .processors = 4) {
  m.on(1, PASSIVE_LEVEL, [] {
    const KAFFINITY none = KeSetSystemAffinityThreadEx(KAFFINITY{1} << 3);
    KDPC_EXPECT_EQ(none, 0u);
    const KAFFINITY outer = KeSetSystemAffinityThreadEx(KAFFINITY{1} << 2);
    KDPC_EXPECT_EQ(outer, KAFFINITY{1} << 3);
    KDPC_EXPECT_EQ(here(), 2u);
    KeRevertToUserAffinityThreadEx(outer);
    KDPC_EXPECT_EQ(here(), 3u);
    KeRevertToUserAffinityThreadEx(none);
    KDPC_EXPECT_EQ(here(), 1u);
  });
}

KDPC_TEST(Affinity, MovesTheThreadWhileBothProcessorsAreBusy, .processors = 2) {
  for (unsigned processor = 0; processor < 2; ++processor) m.start(processor, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(400'000); });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] {
    for (ULONG turn = 0; turn < 6; ++turn) {
      KeSetSystemAffinityThread(KAFFINITY{1} << (turn + 1) % 2);
      KDPC_EXPECT_EQ(here(), (turn + 1) % 2);
    }
    KeRevertToUserAffinityThread();
    KDPC_EXPECT_EQ(here(), 0u);
  });
}

VOID NTAPI busy_thread(PVOID Where) {
  KeStallExecutionProcessor(10'000);
  *static_cast<volatile ULONG*>(Where) = here();
  note('x');
}

KDPC_TEST(Affinity, ThreadsThatMayRunAnywhereSpreadOverAllProcessors, .processors = 3, .simulated_only = "says how long something takes") {
  static volatile ULONG where[3];
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    for (volatile ULONG& one : where) {
      HANDLE handle;
      KDPC_EXPECT_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, busy_thread, const_cast<ULONG*>(&one)),
                     STATUS_SUCCESS);
      KDPC_EXPECT_EQ(ZwClose(handle), STATUS_SUCCESS);
    }
  });
  EXPECT_TRUE(m.run_until([] { return steps == 3; }, 15ms));  // one after another they would need 30 ms
  EXPECT_TRUE(where[0] != where[1] && where[1] != where[2] && where[0] != where[2]);
}

// -- objects and handles --------------------------------------------------------------------------------------------------------------------

struct Created {
  PVOID context;
  KIRQL irql;
  KPRIORITY priority;
  HANDLE id;
} created;

VOID NTAPI record(PVOID Context) {
  created = {Context, KeGetCurrentIrql(), KeQueryPriorityThread(KeGetCurrentThread()), PsGetCurrentThreadId()};
  LARGE_INTEGER pause = in_ms(20);
  KeDelayExecutionThread(KernelMode, FALSE, &pause);
  note('t');
  PsTerminateSystemThread(STATUS_SUCCESS);
}
VOID NTAPI just_return(PVOID) { note('r'); }

KDPC_TEST(SystemThread, RunsAtPassiveWithNormalPriorityAndItsContext) {
  reset();
  created = {};
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle = nullptr;
    CLIENT_ID id = {};
    KDPC_EXPECT_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, &id, record, &created), STATUS_SUCCESS);
    KDPC_EXPECT(handle != nullptr);
    PVOID object = nullptr;
    KDPC_EXPECT_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &object, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwClose(handle), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(wait_for(object), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(steps, 1);                          // it has ended
    KDPC_EXPECT_EQ(wait_for(object), STATUS_SUCCESS);  // and stays signalled
    KDPC_EXPECT_EQ(created.id, id.UniqueThread);
    ObDereferenceObject(object);
  });
  EXPECT_EQ(created.context, &created);
  EXPECT_EQ(created.irql, PASSIVE_LEVEL);
  EXPECT_EQ(created.priority, 8);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(SystemThread, EndsWhenItsRoutineReturns) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle;
    KDPC_EXPECT_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, just_return, nullptr), STATUS_SUCCESS);
    PVOID object;
    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &object, nullptr);
    KDPC_EXPECT_EQ(wait_for(object), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwClose(handle), STATUS_SUCCESS);
    ObDereferenceObject(object);
  });
  EXPECT_STREQ(order, "r");
}

KDPC_TEST(SystemThread, WaitingForItWithALimitTimesOut, .simulated_only = "looks before 20 milliseconds are over") {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle;
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, record, nullptr);
    PVOID object;
    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &object, nullptr);
    ZwClose(handle);
    LARGE_INTEGER limit = in_ms(1);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &limit), STATUS_TIMEOUT);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(object, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
    ObDereferenceObject(object);
  });
}

KDPC_TEST(SystemThread, AHandleThatIsClosedOrNeverWasIsInvalid) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle;
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, record, nullptr);
    KDPC_EXPECT_EQ(ZwClose(handle), STATUS_SUCCESS);
    PVOID object;
    KDPC_EXPECT_EQ(ZwClose(handle), STATUS_INVALID_HANDLE);
    KDPC_EXPECT_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &object, nullptr), STATUS_INVALID_HANDLE);
    KDPC_EXPECT_EQ(ZwClose(nullptr), STATUS_INVALID_HANDLE);
    KDPC_EXPECT_EQ(ZwClose(reinterpret_cast<HANDLE>(0x1235)), STATUS_INVALID_HANDLE);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, within(1s)));  // the second close has not hurt the thread
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(SystemThread, ItsMemoryGoesWhenTheLastReferenceGoes) {
  reset();
  static PVOID object;
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle;
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, just_return, nullptr);
    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &object, nullptr);
    ZwClose(handle);
    wait_for(object);
    ObReferenceObject(object);
    ObDereferenceObject(object);
  });
  EXPECT_EQ(m.count("pool-freed", {{"block", m.address_of(object)}}), 0u);
  m.on(0, PASSIVE_LEVEL, [] { ObDereferenceObject(object); });
  EXPECT_EQ(m.count("pool-freed", {{"block", m.address_of(object)}}), 1u);
}

KDPC_TEST(SystemThread, CannotBeCreatedAbovePassive) {
  m.on(0, APC_LEVEL, [] {
    HANDLE handle;
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, just_return, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, APC_LEVEL);
}

}  // namespace
