// Service routines at PASSIVE_LEVEL (SEMANTICS 2.5).
#include <wdm.h>

#include "tests/io/pulse_board.h"
#include "tests/io/started_device.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using namespace test::started;
using test::PulseBoard;

PulseBoard* board_in_use = nullptr;
PKINTERRUPT interrupt = nullptr, other = nullptr;
volatile int inside = 0, most_inside = 0, served = 0;
KIRQL level_seen = 99;
KPRIORITY priority_seen = 0;
LONGLONG sleep = 0;  // 100 ns; what only a routine at Passive may do
bool quiets = true;

BOOLEAN NTAPI serve(PKINTERRUPT, PVOID) {
  inside = inside + 1;
  if (inside > most_inside) most_inside = inside;
  level_seen = KeGetCurrentIrql();
  if (level_seen == PASSIVE_LEVEL) priority_seen = KeQueryPriorityThread(KeGetCurrentThread());
  if (sleep != 0) {
    LARGE_INTEGER time;
    time.QuadPart = -sleep;
    KeDelayExecutionThread(KernelMode, FALSE, &time);
  }
  served = served + 1;
  if (quiets) WRITE_REGISTER_ULONG(registers(), 1);
  inside = inside - 1;
  return TRUE;
}
BOOLEAN NTAPI not_mine(PKINTERRUPT, PVOID) { return FALSE; }

void start(lab::Machine& m, PulseBoard& board) {
  board_in_use = &board;
  interrupt = other = nullptr;
  inside = 0;
  most_inside = 0;
  served = 0;
  level_seen = 99;
  sleep = 0;
  quiets = true;
  test::start_device(m, board, "pulse");
}

NTSTATUS connect(PKSERVICE_ROUTINE routine = serve, PKINTERRUPT* object = &interrupt, PKSPIN_LOCK lock = nullptr, KIRQL synchronize = PASSIVE_LEVEL) {
  IO_CONNECT_INTERRUPT_PARAMETERS parameters = {};
  parameters.Version = CONNECT_LINE_BASED;
  parameters.LineBased = {physical, object, routine, nullptr, lock, synchronize, FALSE};
  return IoConnectInterruptEx(&parameters);
}

struct Fully {
  KIRQL irql = PASSIVE_LEVEL, synchronize = PASSIVE_LEVEL;
  PKSPIN_LOCK lock = nullptr;
  PKSERVICE_ROUTINE routine = serve;
  KINTERRUPT_MODE mode = LevelSensitive;
};
NTSTATUS connect_fully(const Fully& wanted = {}) {
  IO_CONNECT_INTERRUPT_PARAMETERS parameters = {};
  parameters.Version = CONNECT_FULLY_SPECIFIED;
  auto& full = parameters.FullySpecified;
  full.PhysicalDeviceObject = physical;
  full.InterruptObject = &interrupt;
  full.ServiceRoutine = wanted.routine;
  full.SpinLock = wanted.lock;
  full.Vector = translated_interrupt.u.Interrupt.Vector;
  full.Irql = wanted.irql;
  full.SynchronizeIrql = wanted.synchronize;
  full.InterruptMode = wanted.mode;
  full.ShareVector = wanted.mode == LevelSensitive;
  full.ProcessorEnableMask = 1;
  return IoConnectInterruptEx(&parameters);
}

void enable() { WRITE_REGISTER_ULONG(registers() + 1, 1); }

void connect_and_trigger(lab::Machine& m) {
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(connect_fully(), STATUS_SUCCESS);
    enable();
    board_in_use->trigger(0);
  });
}

KDPC_TEST(PassiveInterrupt, TheResourceOfAPassiveLineSaysSoAndSelectsIt) {
  RULE("INT-23");
  PulseBoard board({{"pulse"}});
  board.make_passive();
  start(m, board);
  EXPECT_EQ(ULONG{translated_interrupt.u.Interrupt.Level}, ULONG{PASSIVE_LEVEL});
  m.on(0, PASSIVE_LEVEL, [] {
    KSPIN_LOCK lock = 0;
    KDPC_EXPECT_EQ(connect(serve, &interrupt, &lock), STATUS_INVALID_PARAMETER);
    KDPC_EXPECT_EQ(connect(serve, &interrupt, nullptr, 5), STATUS_INVALID_PARAMETER);
    KDPC_EXPECT(interrupt == nullptr);
    KDPC_EXPECT_EQ(connect(), STATUS_SUCCESS);
    enable();
    board_in_use->trigger(0);
  });
  EXPECT_TRUE(m.run_until([] { return served == 1; }, 1ms));
  EXPECT_EQ(level_seen, PASSIVE_LEVEL);
}

KDPC_TEST(PassiveInterrupt, FullySpecifiedSelectsItByBothLevels) {
  RULE("INT-23");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    KSPIN_LOCK lock = 0;
    KDPC_EXPECT_EQ(connect_fully({.lock = &lock}), STATUS_INVALID_PARAMETER);
    KDPC_EXPECT_EQ(connect_fully({.synchronize = 5}), STATUS_INVALID_PARAMETER);
    KDPC_EXPECT_EQ(connect_fully(), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(connect(not_mine, &other), STATUS_INVALID_PARAMETER);  // a vector's routines run all at Passive or none
    enable();
    board_in_use->trigger(0);
  });
  EXPECT_TRUE(m.run_until([] { return served == 1; }, 1ms));
  EXPECT_EQ(level_seen, PASSIVE_LEVEL);
}

// The line stays up while the routine sleeps: it is masked, so nothing comes; afterwards it comes as long as the line is up.
KDPC_TEST(PassiveInterrupt, ALevelLineIsMaskedUntilTheRoutineHasReturned) {
  RULE("INT-24");
  PulseBoard board({{"pulse"}});
  start(m, board);
  sleep = 200'000;  // 20 ms
  quiets = false;
  connect_and_trigger(m);
  for (static int calls = 0; calls < 3; ++calls) {
    EXPECT_TRUE(m.run_until([] { return inside == 1 && served == calls; }, 1s));
    m.run_for(10ms);
    EXPECT_EQ(inside, 1);
    EXPECT_EQ(m.count("interrupt-requested", {{"vector", m.vector_of("pulse")}}), calls + 1u);
  }
  quiets = true;
  m.run_for(200ms);
  EXPECT_EQ(served, 3);
  EXPECT_EQ(most_inside, 1);
  EXPECT_NO_FINDINGS();  // that is no storm: threads run between
}

KDPC_TEST(PassiveInterrupt, AnEdgeWhileTheRoutineRunsIsAnotherCall) {
  RULE("INT-24");
  PulseBoard board({{"pulse"}}, false);
  start(m, board);
  sleep = 200'000;
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(connect_fully({.mode = Latched}), STATUS_SUCCESS); });
  const unsigned vector = m.vector_of("pulse");
  m.send_message(vector);
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, 1ms));
  m.send_message(vector);
  m.run_for(1ms);
  m.send_message(vector);  // the two are one
  m.run_for(200ms);
  EXPECT_EQ(served, 2);
  EXPECT_EQ(most_inside, 1);
}

KDPC_TEST(PassiveInterrupt, SynchronizationIsByAnEventAndTheRoutineRunsAtPassive, .processors = 2) {
  RULE("INT-24");
  PulseBoard board({{"pulse"}});
  start(m, board);
  sleep = 200'000;
  connect_and_trigger(m);
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, 1ms));
  static KIRQL level;
  m.on(1, PASSIVE_LEVEL, [] {
    const BOOLEAN answer = KeSynchronizeExecution(
        interrupt,
        [](PVOID) NTAPI -> BOOLEAN {
          level = KeGetCurrentIrql();
          KDPC_EXPECT_EQ(int{inside}, 0);
          KDPC_EXPECT_EQ(int{served}, 1);
          LARGE_INTEGER time;
          time.QuadPart = -100'000;
          board_in_use->trigger(0);
          KeDelayExecutionThread(KernelMode, FALSE, &time);
          KDPC_EXPECT_EQ(int{inside}, 0);  // the next interrupt waits for us
          return 7;
        },
        nullptr);
    KDPC_EXPECT_EQ(answer, 7);
  });
  EXPECT_EQ(level, PASSIVE_LEVEL);
  EXPECT_TRUE(m.run_until([] { return served == 2; }, 1s));
}

KDPC_TEST(PassiveInterrupt, SynchronizingAboveItsLevelIsABugCheck) {
  RULE("INT-21");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] { connect_fully(); });
  m.on(0, APC_LEVEL, [] {
    KeSynchronizeExecution(
        interrupt, [](PVOID) NTAPI -> BOOLEAN { return TRUE; }, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, APC_LEVEL, interrupt);
}

KDPC_TEST(PassiveInterrupt, ItHasNoSpinLock) {
  RULE("INT-22");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    connect_fully();
    KeAcquireInterruptSpinLock(interrupt);
  });
  EXPECT_BUGCHECK(0x13B, 1, interrupt, 0, 0);
}

KDPC_TEST(PassiveInterrupt, TheSpinLockOfAnOrdinaryOneReturnsTheLevelBefore) {
  RULE("INT-22");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(connect(), STATUS_SUCCESS);
    for (const KIRQL level : {PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL}) {
      KIRQL old;
      KeRaiseIrql(level, &old);
      const KIRQL returned = KeAcquireInterruptSpinLock(interrupt);
      KDPC_EXPECT_EQ(returned, level);
      KDPC_EXPECT_EQ(ULONG{KeGetCurrentIrql()}, ULONG{translated_interrupt.u.Interrupt.Level});
      KeReleaseInterruptSpinLock(interrupt, returned);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KeLowerIrql(old);
    }
  });
}

KDPC dpc;
volatile int dpc_runs = 0, work_runs = 0;
PIO_WORKITEM item = nullptr;
BOOLEAN NTAPI serve_and_queue(PKINTERRUPT object, PVOID context) {
  const BOOLEAN mine = serve(object, context);
  KeInsertQueueDpc(&dpc, nullptr, nullptr);
  KDPC_EXPECT_EQ(int{dpc_runs}, 1);  // at Passive it has run by now
  IoQueueWorkItem(
      item, [](PDEVICE_OBJECT, PVOID) NTAPI { work_runs = work_runs + 1; }, DelayedWorkQueue, nullptr);
  KDPC_EXPECT_EQ(int{work_runs}, 0);  // a worker's priority is lower
  return mine;
}

KDPC_TEST(PassiveInterrupt, ItRunsAboveOrdinaryThreadsAndAWorkItemMayFollow) {
  RULE("INT-25");
  PulseBoard board({{"pulse"}});
  start(m, board);
  dpc_runs = 0;
  work_runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(
        &dpc, [](PKDPC, PVOID, PVOID, PVOID) NTAPI { dpc_runs = dpc_runs + 1; }, nullptr);
    item = IoAllocateWorkItem(functional);
  });
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(connect_fully({.routine = serve_and_queue}), STATUS_SUCCESS);
    enable();
    board_in_use->trigger(0);
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(registers()), 0u);
    KDPC_EXPECT_EQ(int{served}, 1);  // it preempted us
    KDPC_EXPECT(priority_seen >= LOW_REALTIME_PRIORITY, priority_seen);
  });
  EXPECT_TRUE(m.run_until([] { return work_runs == 1; }, 1s));
}

KDPC_TEST(PassiveInterrupt, OnASharedLineTheFirstClaimEndsTheWalk) {
  RULE("INT-24");
  RULE("INT-14");
  PulseBoard board({{"pulse"}});
  board.make_passive();
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(connect(not_mine, &other), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(connect(), STATUS_SUCCESS);
    PKINTERRUPT third = nullptr;
    KDPC_EXPECT_EQ(connect(not_mine, &third), STATUS_SUCCESS);
    enable();
    board_in_use->trigger(0);
  });
  EXPECT_TRUE(m.run_until([] { return served == 1; }, 1ms));
  m.run_for(1ms);
  EXPECT_EQ(m.count("isr-answered"), 2u);
}

KDPC_TEST(PassiveInterrupt, DisconnectingWaitsForTheRoutine, .processors = 2) {
  RULE("INT-26");
  PulseBoard board({{"pulse"}});
  start(m, board);
  sleep = 200'000;
  connect_and_trigger(m);
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, 1ms));
  m.on(1, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(int{inside}, 1);
    IoDisconnectInterrupt(interrupt);
    KDPC_EXPECT_EQ(int{inside}, 0);
    KDPC_EXPECT_EQ(int{served}, 1);
    board_in_use->trigger(0);
  });
  m.run_for(10ms);
  EXPECT_EQ(served, 1);
  // The vector is an ordinary one again, and its line is let through.
  sleep = 0;
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(connect(), STATUS_SUCCESS); });
  EXPECT_EQ(served, 2);
  EXPECT_GT(level_seen, DISPATCH_LEVEL);
}

BOOLEAN NTAPI return_raised(PKINTERRUPT, PVOID) {
  KIRQL old;
  KeRaiseIrql(DISPATCH_LEVEL, &old);
  return TRUE;
}

KDPC_TEST(PassiveInterrupt, ReturningRaisedIsABugCheck) {
  RULE("INT-20");
  PulseBoard board({{"pulse"}});
  board.make_passive();
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(connect(return_raised), STATUS_SUCCESS);
    enable();
    board_in_use->trigger(0);
  });
  m.run_for(1ms);
  EXPECT_BUGCHECK(0xC4, 0x111, return_raised, PASSIVE_LEVEL, DISPATCH_LEVEL);
}

}  // namespace
}  // namespace kdpc
