#include "tests/view/stage.h"

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "view/views.h"

namespace kdpc::test {

using namespace std::chrono_literals;

extern "C" {
VOID NTAPI StagedDpc(PKDPC, PVOID, PVOID, PVOID) {}
VOID NTAPI StagedThreadedDpc(PKDPC, PVOID, PVOID, PVOID) {}
VOID NTAPI StagedWait(PKDPC, PVOID, PVOID, PVOID) {
  static KEVENT never;
  KeInitializeEvent(&never, NotificationEvent, FALSE);
  LARGE_INTEGER second;
  second.QuadPart = -10'000'000;
  KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, &second);
}
BOOLEAN NTAPI StagedFirstIsr(PKINTERRUPT, PVOID) { return FALSE; }
BOOLEAN NTAPI StagedSecondIsr(PKINTERRUPT, PVOID) {
  lab::Machine::current()->deassert_line(staged_line);
  staged_interrupt = true;
  return TRUE;
}

__attribute__((noinline)) void StageDpc(PKDPC dpc, KDPC_IMPORTANCE importance, int target) {
  KeSetImportanceDpc(dpc, importance);
  if (target >= 0) KeSetTargetProcessorDpc(dpc, static_cast<CCHAR>(target));
  KeInsertQueueDpc(dpc, nullptr, nullptr);
}

void StageQueues() {
  for (KDPC* dpc : {&low_dpc, &medium_dpc, &high_dpc, &medium_high_dpc, &remote_dpc}) KeInitializeDpc(dpc, StagedDpc, nullptr);
  KeInitializeThreadedDpc(&threaded_dpc, StagedThreadedDpc, nullptr);
  StageDpc(&low_dpc, LowImportance, -1);
  StageDpc(&medium_dpc, MediumImportance, 0);
  StageDpc(&high_dpc, HighImportance, -1);
  StageDpc(&medium_high_dpc, MediumHighImportance, 1);
  StageDpc(&threaded_dpc, MediumImportance, 1);
  StageDpc(&remote_dpc, HighImportance, 2);
}
}

namespace {

constexpr auto kLimit = 10s;  // of real time, where the host is busy; of virtual time nothing like it passes

void set_timers() {
  LARGE_INTEGER due;
  KeInitializeDpc(&timer_dpc, StagedDpc, nullptr);
  KeInitializeDpc(&periodic_dpc, StagedDpc, nullptr);
  KeInitializeTimer(&one_shot);
  KeInitializeTimerEx(&periodic, SynchronizationTimer);
  due.QuadPart = -20'000'000;
  KeSetTimer(&one_shot, due, &timer_dpc);
  due.QuadPart = -20'010'000;
  KeSetTimerEx(&periodic, due, 250, &periodic_dpc);
}

void stay_at(unsigned number) {
  staged[number] = true;
  for (;;) KeStallExecutionProcessor(1000);
}

}  // namespace

void stage(lab::Machine& m) {
  std::memset(staged_handles, 0, sizeof staged_handles);
  for (volatile bool& there : staged) there = false;
  staged_interrupt = false;
  staged_queues = false;
  staged_line = m.add_line(true);
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeSpinLock(&staged_lock);
    KDPC_EXPECT_EQ(IoConnectInterrupt(&first_interrupt, StagedFirstIsr, nullptr, nullptr, 0x51, 5, 5, LevelSensitive, TRUE, 1, FALSE),
                   STATUS_SUCCESS);
    KDPC_EXPECT_EQ(IoConnectInterrupt(&second_interrupt, StagedSecondIsr, nullptr, nullptr, 0x51, 5, 5, LevelSensitive, TRUE, 1, FALSE),
                   STATUS_SUCCESS);
    set_timers();
  });
  m.assign_line(staged_line, 0x51, true);
  m.assert_line(staged_line);
  m.run_for(20ms);  // a tick and a bit
  m.run_until([] { return staged_interrupt; }, kLimit);
  m.start(0, PASSIVE_LEVEL,
          [] {
            LARGE_INTEGER interval;
            interval.QuadPart = -30'000'000;
            KeDelayExecutionThread(KernelMode, FALSE, &interval);
          },
          {.name = "sleeper"});
  m.run_for(1ms);
  m.start(2, HIGH_LEVEL, [] { stay_at(2); }, {.name = "two"});
  m.run_until([] { return staged[2]; }, kLimit);
  m.start(0, PASSIVE_LEVEL,
          [] {
            KeAcquireInStackQueuedSpinLock(&staged_lock, &staged_handles[0]);
            staged[0] = true;
            while (!staged[1]) KeStallExecutionProcessor(1);
            KeStallExecutionProcessor(20);  // until it waits
            StageQueues();
            staged_queues = true;
            stay_at(0);
          },
          {.name = "zero"});
  m.run_until([] { return staged[0]; }, kLimit);
  m.start(1, PASSIVE_LEVEL,
          [] {
            staged[1] = true;
            KeAcquireInStackQueuedSpinLock(&staged_lock, &staged_handles[1]);
          },
          {.name = "one"});
  m.run_until([] { return staged_queues && staged_handles[0].LockQueue.Next != nullptr; }, kLimit);
  m.run_for(1ms);
}

extern "C" __attribute__((noinline)) void StandStill() { asm volatile(""); }

void wait_for_debugger(std::initializer_list<const char*> views) {
  const char* const file = std::getenv("KDPC_VIEWS_EXPECTED");
  if (file == nullptr) return;
  Symbols symbols;
  const view::OwnMemory memory;
  const auto world = view::World::open({memory, symbols});
  ASSERT_TRUE(world);
  std::ofstream expected(file);
  for (const char* const each : views) expected << '<' << each << ">\n" << *view::show(*world, each);
  expected.close();
  StandStill();
}

void show_the_debugger_all() {
  wait_for_debugger(
      {"dpcs", "dpcs 1", "dpcs 7", "irql", "irql 2 -v", "ipi", "timer", "pcr 2", "prcb", "running", "running -i -t", "idt -a", "qlocks", "analyze"});
}

}  // namespace kdpc::test
