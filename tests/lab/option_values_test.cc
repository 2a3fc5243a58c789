// What the values of options do, where no other test shows it: checks of the level, IPIs, tunables, storms.
#include <wdm.h>

#include <vector>

#include "kdpc/test.h"
#include "tests/kernel/dpc_order.h"

using namespace std::chrono_literals;
using namespace kdpc::test;
using namespace dpc_order;
namespace lab = kdpc::lab;

namespace {

// -- irql_checks: IRQL-7 ------------------------------------------------------------------------------------------------------------------------

KSPIN_LOCK lock;
KEVENT event;
KTIMER timer;
KDPC dpc;

struct Stop {
  std::uint32_t code = 0;  // 0: none
  std::uint64_t p1 = 0;
};

struct Mistake {
  const char* name;
  unsigned level;
  void (*make)();
  Stop strict, checked, free;
};

const Mistake kMistakes[] = {
    {"KeRaiseIrql to lower", DISPATCH_LEVEL, [] { KfRaiseIrql(APC_LEVEL), KfRaiseIrql(DISPATCH_LEVEL); }, {0xC4, 0x30}, {0x9, DISPATCH_LEVEL}, {}},
    {"KeLowerIrql to higher",
     PASSIVE_LEVEL,
     [] {
       KeLowerIrql(DISPATCH_LEVEL);
       KeLowerIrql(PASSIVE_LEVEL);
     },
     {0xC4, 0x31},
     {0xA, PASSIVE_LEVEL},
     {}},
    {"KeLowerIrql below DISPATCH in a DPC",
     PASSIVE_LEVEL,
     [] {
       KeInitializeDpc(
           &dpc,
           +[](PKDPC, PVOID, PVOID, PVOID) NTAPI {
             KeLowerIrql(PASSIVE_LEVEL);
             KfRaiseIrql(DISPATCH_LEVEL);
           },
           nullptr);
       KeInsertQueueDpc(&dpc, nullptr, nullptr);
     },
     {0xC4, 0x31},
     {},
     {}},
    {"KeAcquireSpinLock above DISPATCH",
     5,
     [] {
       const KIRQL old = KeAcquireSpinLockRaiseToDpc(&lock);
       KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);  // NT's store drops the level
       KDPC_EXPECT_EQ(old, 5);
       KeReleaseSpinLock(&lock, old);
     },
     {0xC4, 0x42},
     {0xA, 5},
     {}},
    {"KeAcquireSpinLockAtDpcLevel below DISPATCH",
     PASSIVE_LEVEL,
     [] {
       KeAcquireSpinLockAtDpcLevel(&lock);
       KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
     },
     {0xC4, 0x40},
     {0x9, PASSIVE_LEVEL},
     {}},
    {"KeReleaseSpinLockFromDpcLevel below DISPATCH",
     PASSIVE_LEVEL,
     [] {
       const KIRQL old = KeAcquireSpinLockRaiseToDpc(&lock);
       KeLowerIrql(old);
       KeReleaseSpinLockFromDpcLevel(&lock);
       KDPC_EXPECT(lock == 0);
     },
     {0xC4, 0x41},
     {0x9, PASSIVE_LEVEL},
     {}},
    {"KeReleaseSpinLock not at DISPATCH",
     PASSIVE_LEVEL,
     [] {
       const KIRQL old = KeAcquireSpinLockRaiseToDpc(&lock);
       KeLowerIrql(old);
       KeReleaseSpinLock(&lock, old);
       KDPC_EXPECT(lock == 0);
     },
     {0xC4, 0x32},
     {},
     {}},
    {"KeSetEvent above DISPATCH", 5, [] { KeSetEvent(&event, 0, FALSE); }, {0xC4, 0x80}, {}, {}},
    {"KeEnterCriticalRegion above APC", DISPATCH_LEVEL, [] { KeEnterCriticalRegion(), KeLeaveCriticalRegion(); }, {0xC4, 0x11A}, {}, {}},
    {"a kernel API at a wrong IRQL", 5, [] { KeCancelTimer(&timer); }, {0xC4, 0xE5}, {}, {}},
    {"paged pool above APC", DISPATCH_LEVEL, [] { ExAllocatePoolWithTag(PagedPool, 16, 1); }, {0xC4, 1}, {0xC2, 8}, {0xC2, 8}},
    {"nonpaged pool above DISPATCH", 5, [] { ExAllocatePoolWithTag(NonPagedPoolNx, 16, 1); }, {0xC4, 2}, {0xC2, 8}, {0xC2, 8}},
};

TEST(IrqlChecks, EachProfileHasItsOwnWordForEachMistake) {
  RULE("IRQL-7");
  RULE("IRQL-8");
  for (const Mistake& mistake : kMistakes) {
    const std::pair<const char*, Stop> cases[] = {{"strict", mistake.strict}, {"checked", mistake.checked}, {"free", mistake.free}};
    for (const auto& [profile, expected] : cases) {
      SCOPED_TRACE(std::string(mistake.name) + ", " + profile);
      std::string why;
      lab::take_notes();
      const auto machine = lab::Machine::create({.options = {{"profile", profile}}, .checks = {.on = false}}, why);
      ASSERT_NE(machine, nullptr) << why;
      machine->on(0, PASSIVE_LEVEL, [] {
        KeInitializeSpinLock(&lock);
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        KeInitializeTimer(&timer);
      });
      machine->on(0, mistake.level, mistake.make);
      const auto& stop = machine->outcome().bugcheck;
      EXPECT_EQ(stop ? stop->code : 0, expected.code) << machine->outcome().report();
      if (stop && expected.code != 0) EXPECT_EQ(stop->parameters[0], expected.p1);
      for (const lab::Note& note : lab::take_notes()) ADD_FAILURE_AT(note.file, note.line) << note.expression;
    }
  }
}

// -- remote_ipi: TAB-1 ----------------------------------------------------------------------------------------------------------------------

void insert_for_one(int index, KDPC_IMPORTANCE importance) {
  prepare(&dpcs[index], "r", importance, 1);
  KeInsertQueueDpc(&dpcs[index], nullptr, nullptr);
}

// Which of `count` DPCs, inserted one after the other for a processor that is busy, asked for a drain.
std::vector<std::uint64_t> drain_requests(lab::Machine& m, int count, KDPC_IMPORTANCE importance) {
  reset();
  auto busy = keep_busy(m, 1);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [count, importance] {
    for (int index = 0; index < count; ++index) insert_for_one(index, importance);
  });
  std::vector<std::uint64_t> requests;
  for (const auto& queued : m.events("dpc-queued", {{"routine", m.address_of(&append)}})) requests.push_back(queued["drain_requested"]);
  release_it = true;
  EXPECT_TRUE(m.run_until([&] { return busy.done(); }, 100ms));
  return requests;
}

KDPC_TEST(RemoteIpi, OfReactOsIsForHighAndForDeepQueues, .processors = 2, .options = {{"remote_ipi", "react_os"}}) {
  RULE("TAB-1");
  reset();
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] {
    insert_for_one(0, MediumHighImportance);  // not even for an idle processor
    KeStallExecutionProcessor(1'000);
    KDPC_EXPECT_EQ(runs, 0);
    insert_for_one(1, HighImportance);
    KeStallExecutionProcessor(1'000);
    KDPC_EXPECT_EQ(runs, 2);
  });
  EXPECT_EQ(drain_requests(m, 4, MediumHighImportance), (std::vector<std::uint64_t>{0, 0, 0, 1}));
}

// -- tunables: 3.3, 3.4 ---------------------------------------------------------------------------------------------------------------------

KDPC_TEST(Tunables, TheQueueDepthDecidesWhichLowDpcAsksForADrain, .processors = 2, .options = {{"dpc_queue_depth", "2"}}) {
  RULE("TAB-2");
  EXPECT_EQ(drain_requests(m, 2, LowImportance), (std::vector<std::uint64_t>{0, 1}));
}

KDPC_TEST(Tunables, AColdProcessorDrainsLowDpcsAtOnce) {
  RULE("ADP-3");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(&dpcs[0], "l", LowImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KDPC_EXPECT_EQ(runs, 1);
  });
}

// Three ticks find a DPC in the queue; then comes quiet. The depths after the three, and after so many quiet ticks.
std::pair<int, int> depths(lab::Machine& m, unsigned quiet_ticks) {
  m.run_for(1ms);
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(&dpcs[0], "m", MediumImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KeStallExecutionProcessor(3 * 15'625);
  });
  const int after_three = m.processor_state(0).maximum_dpc_queue_depth;
  m.run_for(quiet_ticks * 15'625us);
  return {after_three, m.processor_state(0).maximum_dpc_queue_depth};
}

KDPC_TEST(Tunables, TheDepthClimbsAfterTwentyQuietTicks) {
  RULE("ADP-2");
  EXPECT_EQ(depths(m, 19), (std::pair{1, 1}));
  m.run_for(15'625us);
  EXPECT_EQ(m.processor_state(0).maximum_dpc_queue_depth, 2);
}

KDPC_TEST(Tunables, TheDepthClimbsAfterAsManyQuietTicksAsOneLikes, .options = {{"adjust_dpc_threshold", "5"}}) {
  RULE("ADP-2");
  EXPECT_EQ(depths(m, 5), (std::pair{1, 2}));
}

KDPC_TEST(Tunables, WithAnIdealRateOfZeroTheDepthNeverFalls, .options = {{"ideal_dpc_rate", "0"}}) {
  RULE("ADP-2");
  EXPECT_EQ(depths(m, 5), (std::pair{4, 4}));
}

KDPC_TEST(Tunables, TheWatchdogPeriodIs7680Ticks) {
  RULE("9.2");
  RULE("WDG-1");
  m.on(0, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(119'500'000); }, {.limit = 200s});
  EXPECT_NO_FINDINGS();
  m.on(0, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(120'500'000); }, {.limit = 200s});
  EXPECT_BUGCHECK(0x133, 1, 7680);
}

ULONG_PTR NTAPI answer(ULONG_PTR context) { return context; }

KDPC_TEST(Tunables, AProcessorHasASecondToTakeAnIpi, .processors = 2) {
  RULE("IPI-2");
  auto deaf = m.start(1, HIGH_LEVEL, [] { KeStallExecutionProcessor(900'000); });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeIpiGenericCall(answer, 0); });
  EXPECT_NO_FINDINGS();
  m.run_until([&] { return deaf.done(); }, 1s);
  m.start(1, HIGH_LEVEL, [] { KeStallExecutionProcessor(1'100'000); });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeIpiGenericCall(answer, 0); });
  EXPECT_BUGCHECK(0x1DB);
}

// -- storms: INT-18 -------------------------------------------------------------------------------------------------------------------------

constexpr unsigned kVector = 0x51;
PKINTERRUPT interrupt;
ULONG isr_stalls = 0;
BOOLEAN NTAPI never_quiets(PKINTERRUPT, PVOID) {
  KeStallExecutionProcessor(isr_stalls);
  return TRUE;
}

std::uint64_t dispatches_of_a_stuck_line(lab::Machine& m, ULONG stall, std::chrono::milliseconds time) {
  isr_stalls = stall;
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, never_quiets, nullptr, nullptr, kVector, 5, 5, LevelSensitive, FALSE, 1, FALSE), STATUS_SUCCESS);
  });
  const unsigned line = m.add_line();
  m.assign_line(line, kVector);
  m.assert_line(line);
  m.run_for(time);
  return m.count("activity-began", {{"routine", m.address_of(&never_quiets)}});
}

KDPC_TEST(Storm, IsThirtyThousandDispatchesWithin55Ticks, .remember_events = 100'000) {
  RULE("INT-18");
  EXPECT_GT(dispatches_of_a_stuck_line(m, 0, 500ms), 1000u);
  EXPECT_BUGCHECK(0xF2);
  EXPECT_GT(m.processor_state(0).interrupts, 30'000u);
  EXPECT_LT(m.processor_state(0).interrupts, 30'100u);
}

// Three hundred times 2.8 ms are 54 ticks, three hundred times 2.95 ms are 57.
KDPC_TEST(Storm, OfSlowInterruptsIsSeenWithinTheTicks, .options = {{"storm_dispatches", "300"}}) {
  RULE("INT-18");
  dispatches_of_a_stuck_line(m, 2'800, 2000ms);
  EXPECT_BUGCHECK(0xF2);
}

KDPC_TEST(Storm, OfSlowerInterruptsIsNone, .options = {{"storm_dispatches", "300"}}) {
  RULE("INT-18");
  EXPECT_GT(dispatches_of_a_stuck_line(m, 2'950, 2000ms), 600u);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Storm, OfSlowInterruptsIsNoneIfTheTicksAreFewer, .options = {{"storm_dispatches", "300"}, {"storm_ticks", "5"}}) {
  RULE("INT-18");
  EXPECT_GT(dispatches_of_a_stuck_line(m, 1'000, 1000ms), 900u);
  EXPECT_NO_FINDINGS();
}

}  // namespace
