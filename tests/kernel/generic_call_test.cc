// One routine on all processors: KeGenericCallDpc (SEMANTICS 4.7) and KeIpiGenericCall (IPI-2).
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr unsigned kMost = 64;

struct Run {
  KIRQL irql;
  PVOID context;
  bool executing;
  PKDPC dpc;
  PVOID argument1, argument2;
};
Run ran[kMost];
volatile LONG runs, winners, met, most_remaining;
ULONG odd_one;  // the processor that does something else
int meetings;

void reset() {
  for (Run& run : ran) run = {};
  runs = 0;
  winners = 0;
  met = 0;
  most_remaining = 0;
  odd_one = kMost;
  meetings = 1;
}

// -- KeGenericCallDpc -----------------------------------------------------------------------------------------------------------------------

VOID NTAPI note_and_say_done(PKDPC Dpc, PVOID Context, PVOID SystemArgument1, PVOID SystemArgument2) {
  // What has not been counted down yet, and the barrier: how many have come to it, and of how many.
  const LONG remaining = *static_cast<volatile LONG*>(SystemArgument1);
  for (LONG most = most_remaining; remaining > most;) {
    const LONG seen = InterlockedCompareExchange(&most_remaining, remaining, most);
    if (seen == most) break;
    most = seen;
  }
  KDPC_EXPECT_EQ(static_cast<const LONG*>(SystemArgument2)[0], LONG{0});
  KDPC_EXPECT_EQ(static_cast<const LONG*>(SystemArgument2)[1], LONG(KeQueryActiveProcessorCount(nullptr)));
  ran[KeGetCurrentProcessorNumber()] = {KeGetCurrentIrql(), Context, KeIsExecutingDpc() != 0, Dpc, SystemArgument1, SystemArgument2};
  InterlockedIncrement(&runs);
  KeSignalCallDpcDone(SystemArgument1);
}

KDPC_TEST(GenericCallDpc, RunsAtDispatchOnEveryProcessorBeforeItReturns, .processors = 4) {
  RULE("GEN-1");
  for (const unsigned level : {unsigned{PASSIVE_LEVEL}, unsigned{APC_LEVEL}}) {
    reset();
    m.on(2, level, [] {
      KeGenericCallDpc(note_and_say_done, &odd_one);
      KDPC_EXPECT_EQ(runs, LONG{4});
    });
    EXPECT_EQ(most_remaining, 4);
    for (unsigned number = 0; number < 4; ++number) {
      EXPECT_EQ(ran[number].irql, DISPATCH_LEVEL) << number;
      EXPECT_EQ(ran[number].context, &odd_one);
      EXPECT_TRUE(ran[number].executing);
      EXPECT_EQ(ran[number].argument1, ran[0].argument1) << number;
      EXPECT_EQ(ran[number].argument2, ran[0].argument2) << number;
      for (unsigned other = 0; other < number; ++other) EXPECT_NE(ran[number].dpc, ran[other].dpc);  // each processor's own
    }
  }
  const auto began = m.events("generic-call-began");
  ASSERT_EQ(began.size(), 2u);
  EXPECT_EQ(began[0]["processors"], 4u);
  EXPECT_EQ(m.count("generic-call-ended"), 2u);
}

KDPC_TEST(GenericCallDpc, CallsFromDifferentThreadsTakeTurns, .processors = 4) {
  RULE("GEN-1");
  reset();
  static volatile LONG back;
  back = 0;
  for (unsigned number = 0; number < 4; ++number)
    m.start(number, PASSIVE_LEVEL, [] {
      for (int time = 0; time < 3; ++time) KeGenericCallDpc(note_and_say_done, nullptr);
      InterlockedIncrement(&back);
    });
  EXPECT_TRUE(m.run_until([] { return back == 4; }, within(1s)));
  EXPECT_EQ(runs, 4 * 3 * 4);
  const auto began = m.events("generic-call-began");
  const auto ended = m.events("generic-call-ended");
  ASSERT_EQ(began.size(), 12u);
  ASSERT_EQ(ended.size(), 12u);
  for (std::size_t turn = 1; turn < 12; ++turn) EXPECT_GE(began[turn].time, ended[turn - 1].time);
}

VOID NTAPI meet(PKDPC, PVOID, PVOID SystemArgument1, PVOID SystemArgument2) {
  const ULONG self = KeGetCurrentProcessorNumber();
  if (self != odd_one) {
    for (int meeting = 1; meeting <= meetings; ++meeting) {
      KeStallExecutionProcessor(10 * self);
      InterlockedIncrement(&met);
      if (KeSignalCallDpcSynchronize(SystemArgument2)) InterlockedIncrement(&winners);
      KDPC_EXPECT(met >= meeting * LONG(KeQueryActiveProcessorCount(nullptr)), met);
      KeSignalCallDpcSynchronize(SystemArgument2);  // nobody counts for the next meeting before all have looked
    }
  }
  InterlockedIncrement(&runs);
  KeSignalCallDpcDone(SystemArgument1);
}

KDPC_TEST(GenericCallDpc, TheBarrierHoldsAllUntilTheLastHasComeAndOneOfThemWins, .processors = 4) {
  RULE("GEN-3");
  reset();
  meetings = 3;  // it may be used again within a call
  m.on(1, PASSIVE_LEVEL, [] { KeGenericCallDpc(meet, nullptr); });
  EXPECT_EQ(runs, 4);
  EXPECT_EQ(winners, 3);
  EXPECT_EQ(met, 12);
}

KDPC_TEST(GenericCallDpc, WorksOnOneProcessorToo) {
  RULE("GEN-3");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { KeGenericCallDpc(meet, nullptr); });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(winners, 1);
}

KDPC_TEST(GenericCallDpc, ABarrierThatOneProcessorNeverComesToIsExplained, .processors = 3) {
  RULE("GEN-3");
  reset();
  odd_one = 2;  // returns while the others wait
  m.on(0, PASSIVE_LEVEL, [] { KeGenericCallDpc(meet, nullptr); });
  EXPECT_BUGCHECK(0x133, 0, 0x501, 0x500);
  EXPECT_EQ(m.outcome().bugcheck->rule, "GEN-3");
  if (kdpc::lab::is_simulated()) EXPECT_LT(m.now(), 1'000'000u);  // and not after the 20 s that NT needs
}

VOID NTAPI come_late(PKDPC, PVOID, PVOID SystemArgument1, PVOID SystemArgument2) {
  if (KeGetCurrentProcessorNumber() == odd_one) {
    KeStallExecutionProcessor(500);  // by then the others are gone
    KeSignalCallDpcSynchronize(SystemArgument2);
  }
  KeSignalCallDpcDone(SystemArgument1);
}

KDPC_TEST(GenericCallDpc, SoIsOneThatComesAloneAndTooLate, .processors = 3, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("GEN-3");
  reset();
  odd_one = 1;
  m.on(0, PASSIVE_LEVEL, [] { KeGenericCallDpc(come_late, nullptr); });
  EXPECT_BUGCHECK(0x133, 0, 0x501, 0x500);
  EXPECT_EQ(m.outcome().bugcheck->processor, 1u);
}

KDPC_TEST(GenericCallDpc, InTheFreeProfileTheWatchdogFindsIt, .processors = 3, .options = {{"irql_checks", "free"}, {"dpc_time_limit", "8"}}) {
  RULE("GEN-3");
  reset();
  odd_one = 2;
  m.on(0, PASSIVE_LEVEL, [] { KeGenericCallDpc(meet, nullptr); });
  EXPECT_BUGCHECK(0x133, 0, 9, 8);
  EXPECT_EQ(m.outcome().bugcheck->rule, "WDG-3");
}

VOID NTAPI say_nothing(PKDPC, PVOID, PVOID, PVOID) {}

KDPC_TEST(GenericCallDpc, ARoutineThatIsNeverDoneIsExplained, .processors = 2) {
  RULE("GEN-2");
  m.on(0, PASSIVE_LEVEL, [] { KeGenericCallDpc(say_nothing, nullptr); });
  EXPECT_BUGCHECK(0x133, 0, 0x501, 0x500);
  EXPECT_EQ(m.outcome().bugcheck->rule, "GEN-2");
}

PVOID volatile counter;  // the same on every processor
VOID NTAPI say_done_twice(PKDPC, PVOID, PVOID SystemArgument1, PVOID) {
  counter = SystemArgument1;
  KeSignalCallDpcDone(SystemArgument1);
  KeSignalCallDpcDone(SystemArgument1);
}

KDPC_TEST(GenericCallDpc, ARoutineThatIsDoneTwiceIsFound, .processors = 2) {
  RULE("GEN-2");
  m.on(0, PASSIVE_LEVEL, [] { KeGenericCallDpc(say_done_twice, nullptr); });
  EXPECT_BUGCHECK(0x139, 14, counter);
}

VOID NTAPI mix_arguments(PKDPC, PVOID, PVOID, PVOID SystemArgument2) {
  counter = SystemArgument2;
  KeSignalCallDpcDone(SystemArgument2);
}

KDPC_TEST(GenericCallDpc, TheWrongArgumentIsFound) {
  RULE("GEN-2");
  m.on(0, PASSIVE_LEVEL, [] { KeGenericCallDpc(mix_arguments, nullptr); });
  EXPECT_BUGCHECK(0xA, counter, DISPATCH_LEVEL, 1);
}

KDPC_TEST(GenericCallDpc, AboveApcItIsRefused) {
  RULE("GEN-1");
  m.on(0, DISPATCH_LEVEL, [] { KeGenericCallDpc(note_and_say_done, nullptr); });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL);
}

volatile bool lingers;
VOID NTAPI linger(PKDPC, PVOID, PVOID SystemArgument1, PVOID) {
  KeSignalCallDpcDone(SystemArgument1);
  while (KeGetCurrentProcessorNumber() == 1 && lingers) KeStallExecutionProcessor(50);  // touches nothing of the call any more
  InterlockedIncrement(&runs);
}

KDPC_TEST(GenericCallDpc, ReturnsWhenAllAreDoneAlthoughOneStillRuns, .processors = 2) {
  RULE("GEN-1");
  RULE("GEN-2");
  reset();
  lingers = true;
  m.on(0, PASSIVE_LEVEL, [] {
    KeGenericCallDpc(linger, nullptr);
    KDPC_EXPECT_EQ(runs, LONG{1});
    lingers = false;
    KeGenericCallDpc(note_and_say_done, nullptr);  // and the next call is not confused by it
    KDPC_EXPECT_EQ(runs, LONG{4});
  });
  EXPECT_NO_FINDINGS();
}

// -- KeIpiGenericCall -----------------------------------------------------------------------------------------------------------------------

ULONG_PTR NTAPI note_at_ipi_level(ULONG_PTR Argument) {
  const ULONG self = KeGetCurrentProcessorNumber();
  ran[self] = {.irql = KeGetCurrentIrql(), .context = reinterpret_cast<PVOID>(Argument)};
  InterlockedIncrement(&runs);
  return 100 + self;
}

KDPC_TEST(IpiGenericCall, RunsOnAllProcessorsAtIpiLevelAndReturnsItsOwnResult, .processors = 4) {
  RULE("IPI-2");
  for (const unsigned level : {unsigned{PASSIVE_LEVEL}, unsigned{DISPATCH_LEVEL}, 5u, 12u, unsigned{CLOCK_LEVEL}}) {
    reset();
    m.on(2, level, [] {
      const KIRQL before = KeGetCurrentIrql();
      KDPC_EXPECT_EQ(KeIpiGenericCall(note_at_ipi_level, 77), ULONG_PTR{102});
      KDPC_EXPECT_EQ(runs, LONG{4});
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), before);
    });
    for (unsigned number = 0; number < 4; ++number) {
      EXPECT_EQ(ran[number].irql, IPI_LEVEL) << number << " called at " << level;
      EXPECT_EQ(ran[number].context, reinterpret_cast<PVOID>(77));
    }
  }
}

volatile LONG arrived;
ULONG_PTR NTAPI see_the_others(ULONG_PTR) {
  InterlockedIncrement(&arrived);
  KeStallExecutionProcessor(5);
  return static_cast<ULONG_PTR>(arrived);
}

KDPC_TEST(IpiGenericCall, AllHaveArrivedBeforeAnyRuns, .processors = 3, .simulated_only = "asks for a state that lasts for microseconds") {
  RULE("IPI-2");
  arrived = 0;
  // One of them is masked for a while: the others must not have begun when it comes.
  m.start(1, HIGH_LEVEL, [] {
    KeStallExecutionProcessor(300);
    KDPC_EXPECT_EQ(arrived, LONG{0});
  });
  m.run_for(10us);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeIpiGenericCall(see_the_others, 0), ULONG_PTR{3}); });
}

KDPC_TEST(IpiGenericCall, TwoCallersTakeTurns, .processors = 4) {
  RULE("IPI-2");
  reset();
  static volatile LONG back;
  back = 0;
  for (unsigned number = 0; number < 4; ++number)
    m.start(number, number % 2 == 0 ? unsigned{PASSIVE_LEVEL} : 11u, [] {
      for (int time = 0; time < 3; ++time) KeIpiGenericCall(note_at_ipi_level, 0);
      InterlockedIncrement(&back);
    });
  EXPECT_TRUE(m.run_until([] { return back == 4; }, within(1s)));
  EXPECT_EQ(runs, 4 * 3 * 4);
}

KDPC_TEST(IpiGenericCall, AProcessorThatTakesNoIpiIsFound, .processors = 2, .options = {{"ipi_time_limit_ms", "5"}},
          .simulated_only = "says how long something takes") {
  RULE("IPI-2");
  m.start(1, HIGH_LEVEL, [] { KeStallExecutionProcessor(100'000); });
  m.run_for(1ms);
  const auto before = m.now();
  m.on(0, PASSIVE_LEVEL, [] { KeIpiGenericCall(note_at_ipi_level, 0); });
  EXPECT_BUGCHECK(0x1DB, 10'000'000, any, any, 0);
  const auto& parameters = m.outcome().bugcheck->parameters;
  EXPECT_EQ(parameters[1] - parameters[2], 50'000u);  // 5 ms in counts
  EXPECT_GE(m.now(), before + 5'000'000);
}

KDPC_TEST(IpiGenericCall, AtIpiLevelItIsRefused) {
  RULE("IPI-2");
  m.on(0, IPI_LEVEL, [] { KeIpiGenericCall(note_at_ipi_level, 0); });
  EXPECT_BUGCHECK(0xC4, 0xE5, IPI_LEVEL);
}

ULONG_PTR NTAPI return_high(ULONG_PTR) {
  KIRQL old;
  KeRaiseIrql(HIGH_LEVEL, &old);
  return 0;
}

KDPC_TEST(IpiGenericCall, TheFunctionMustReturnAtItsLevel) {
  RULE("IPI-2");
  m.on(0, PASSIVE_LEVEL, [] { KeIpiGenericCall(return_high, 0); });
  EXPECT_BUGCHECK(0xC8, HIGH_LEVEL << 16 | IPI_LEVEL << 8 | 2);
}

// -- as many processors as there can be -----------------------------------------------------------------------------------------------------

KDPC many[64];
VOID NTAPI count_here(PKDPC, PVOID, PVOID, PVOID) { InterlockedIncrement(&runs); }

KDPC_TEST(SixtyFourProcessors, DpcsFlushesAndCallsReachAllOfThem, .processors = 64) {
  RULE("INS-4");
  RULE("FLU-1");
  RULE("GEN-1");
  RULE("IPI-2");
  reset();
  m.on(63, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KeQueryActiveProcessorCount(nullptr), ULONG{64});
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (int number = 0; number < 64; ++number) {
      if (number % 2 == 0) {
        KeInitializeDpc(&many[number], count_here, nullptr);
      } else {
        KeInitializeThreadedDpc(&many[number], count_here, nullptr);
      }
      KeSetTargetProcessorDpc(&many[number], static_cast<CCHAR>(number));
      KDPC_EXPECT(KeInsertQueueDpc(&many[number], nullptr, nullptr) == TRUE);
    }
    KeLowerIrql(old);
    KeFlushQueuedDpcs();
    KDPC_EXPECT_EQ(runs, LONG{64});
    KeGenericCallDpc(note_and_say_done, nullptr);
    KDPC_EXPECT_EQ(runs, LONG{128});
    KDPC_EXPECT_EQ(KeIpiGenericCall(note_at_ipi_level, 0), ULONG_PTR{163});
    KDPC_EXPECT_EQ(runs, LONG{192});
  });
  EXPECT_NO_FINDINGS();
}

}  // namespace
