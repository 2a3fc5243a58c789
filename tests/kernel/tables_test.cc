// The tables of SEMANTICS that are about no single routine: levels, the layouts of what a debugger sees, a processor's numbers, the accounting.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "kernel/system.h"
#include "tests/kernel/at_rest.h"

using namespace std::chrono_literals;

namespace {

// -- 1.1 ----------------------------------------------------------------------------------------------------------------------------------------

constexpr UCHAR kVectors[] = {0x31, 0x51, 0x7F, 0xB0};
KIRQL level_of[256];
BOOLEAN NTAPI note_level(PKINTERRUPT, PVOID Context) {
  level_of[reinterpret_cast<ULONG_PTR>(Context)] = KeGetCurrentIrql();
  return TRUE;
}

KDPC_TEST(Tables, TheLevelOfAVectorIsItsFirstDigit) {
  RULE("1.1");
  EXPECT_EQ(PASSIVE_LEVEL, LOW_LEVEL);
  EXPECT_EQ(APC_LEVEL, 1);
  EXPECT_EQ(DISPATCH_LEVEL, 2);
  EXPECT_EQ(CMCI_LEVEL, 5);
  EXPECT_EQ(CLOCK_LEVEL, 13);
  EXPECT_EQ(IPI_LEVEL, 14);
  EXPECT_EQ(DRS_LEVEL, 14);
  EXPECT_EQ(POWER_LEVEL, 14);
  EXPECT_EQ(PROFILE_LEVEL, 15);
  EXPECT_EQ(HIGH_LEVEL, 15);
  std::memset(level_of, 0, sizeof level_of);
  m.on(0, PASSIVE_LEVEL, [] {
    for (const UCHAR vector : kVectors) {
      PKINTERRUPT interrupt;
      const auto level = static_cast<KIRQL>(vector >> 4);
      KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, note_level, reinterpret_cast<PVOID>(ULONG_PTR{vector}), nullptr, vector, level, level, Latched,
                                        FALSE, 1, FALSE),
                     STATUS_SUCCESS);
    }
  });
  for (const UCHAR vector : kVectors) m.send_message(vector);
  kdpc::test::let_rest(m);
  for (const UCHAR vector : kVectors) EXPECT_EQ(level_of[vector], vector >> 4);
}

// The level belongs to the processor: a thread that is switched away from at APC_LEVEL leaves none of it to the next.
KDPC_TEST(Tables, TheLevelIsTheProcessorsAndEachThreadFindsItsOwn, .simulated_only = "looks before 100 milliseconds are over") {
  RULE("1.1");
  auto raised = m.start(0, APC_LEVEL, [] {
    for (int turn = 0; turn < 100; ++turn) KeStallExecutionProcessor(1'000);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), APC_LEVEL);
  });
  m.run_for(5ms);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL); });
  EXPECT_FALSE(raised.done());
  EXPECT_TRUE(m.run_until([&] { return raised.done(); }, 1s));
}

// -- 2.6 ----------------------------------------------------------------------------------------------------------------------------------------

template <class T>
T at(const void* object, unsigned offset) {
  T value;
  std::memcpy(&value, static_cast<const char*>(object) + offset, sizeof value);
  return value;
}

// Opaque to drivers; a debugger reads it by the offsets of public symbols.
KDPC_TEST(Tables, AnInterruptObjectHasItsFieldsWhereSymbolsSayTheyAre, .processors = 2) {
  RULE("2.6");
  static PKINTERRUPT interrupt;
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, note_level, reinterpret_cast<PVOID>(ULONG_PTR{0x51}), nullptr, 0x51, 5, 7, Latched, TRUE, 2, FALSE),
                   STATUS_SUCCESS);
  });
  for (int time = 0; time < 3; ++time) {
    m.send_message(0x51, 1);
    kdpc::test::let_rest(m, 1);
  }
  EXPECT_EQ(at<SHORT>(interrupt, 0x00), 22);
  EXPECT_EQ(at<PKSERVICE_ROUTINE>(interrupt, 0x18), &note_level);
  EXPECT_EQ(at<ULONG_PTR>(interrupt, 0x30), 0x51u);
  EXPECT_EQ(at<ULONG_PTR>(interrupt, 0x48), reinterpret_cast<ULONG_PTR>(interrupt) + 0x38) << "ActualLock is the one inside";
  EXPECT_EQ(at<ULONG>(interrupt, 0x58), 0x51u);
  EXPECT_EQ(at<KIRQL>(interrupt, 0x5C), 5);
  EXPECT_EQ(at<KIRQL>(interrupt, 0x5D), 7);
  EXPECT_EQ(at<BOOLEAN>(interrupt, 0x5F), TRUE);
  EXPECT_EQ(at<ULONG>(interrupt, 0x60), 1u) << "Number: its processor";
  EXPECT_EQ(at<BOOLEAN>(interrupt, 0x64), TRUE);
  EXPECT_EQ(at<ULONG>(interrupt, 0x6C), static_cast<ULONG>(Latched));
  EXPECT_EQ(at<ULONG>(interrupt, 0x78), at<ULONG64>(interrupt, 0xC0)) << "DispatchCount and the statistics' IsrCount";
  EXPECT_EQ(at<ULONG>(interrupt, 0x74), 3u) << "ServiceCount: TRUE was returned";
}

// -- 3.1, 3.2, 3.3 ------------------------------------------------------------------------------------------------------------------------------

VOID NTAPI nothing(PKDPC, PVOID, PVOID, PVOID) {}

KDPC_TEST(Tables, AKdpcSaysWhatItIsAndWhereItWaits) {
  RULE("3.1");
  static KDPC ordinary, threaded;
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&ordinary, nothing, nullptr);
    KeInitializeThreadedDpc(&threaded, nothing, nullptr);
    KDPC_EXPECT_EQ(unsigned{ordinary.Type}, 0x13u);
    KDPC_EXPECT_EQ(unsigned{threaded.Type}, 0x1Au);
    const KDPC_IMPORTANCE importances[] = {LowImportance, MediumImportance, HighImportance, MediumHighImportance};
    for (unsigned number = 0; number < 4; ++number) {
      KeSetImportanceDpc(&ordinary, importances[number]);
      KDPC_EXPECT_EQ(unsigned{ordinary.Importance}, number);
    }
    KDPC_EXPECT(ordinary.DpcData == nullptr);
    KeInsertQueueDpc(&ordinary, &ordinary, &threaded);
    KDPC_EXPECT(ordinary.DpcData != nullptr);
    KDPC_EXPECT(ordinary.SystemArgument1 == &ordinary && ordinary.SystemArgument2 == &threaded);
    KDPC_EXPECT(KeRemoveQueueDpc(&ordinary));
    KDPC_EXPECT(ordinary.DpcData == nullptr);
  });
  static_assert(sizeof(KDPC) == 0x40 && offsetof(KDPC, DeferredRoutine) == 0x18 && offsetof(KDPC, DpcData) == 0x38);
}

KDPC_TEST(Tables, DepthIsWhatIsQueuedAndCountWhatEverWas) {
  RULE("3.2");
  static KDPC dpcs[3];
  static unsigned before;
  m.on(0, DISPATCH_LEVEL, [] {
    const kdpc::DpcQueue& queue = kdpc::processor(0).dpcs;
    before = queue.inserted();
    for (KDPC& dpc : dpcs) {
      KeInitializeDpc(&dpc, nothing, nullptr);
      KeInsertQueueDpc(&dpc, nullptr, nullptr);
      KDPC_EXPECT(dpc.DpcData == static_cast<const void*>(&queue), dpc.DpcData);
    }
    KeRemoveQueueDpc(&dpcs[1]);
    KDPC_EXPECT_EQ(queue.depth(), 2);
    KDPC_EXPECT_EQ(queue.inserted() - before, 3u);
  });
  EXPECT_EQ(m.processor_state(0).dpc_depth, 0);
  EXPECT_EQ(m.processor_state(0).dpc_count - before, 3u);
}

PKDPC active_inside, active_in_other;
VOID NTAPI note_active(PKDPC, PVOID Context, PVOID, PVOID) { *static_cast<PKDPC*>(Context) = reinterpret_cast<PKDPC>(kdpc::processor(0).active_dpc); }

KDPC_TEST(Tables, TheActiveDpcIsKnownWhileItsRoutineRuns) {
  RULE("RET-7");
  static KDPC first, second;
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&first, note_active, &active_inside);
    KeInitializeDpc(&second, note_active, &active_in_other);
    KeInsertQueueDpc(&first, nullptr, nullptr);
    KeInsertQueueDpc(&second, nullptr, nullptr);
    KDPC_EXPECT(kdpc::processor(0).active_dpc == nullptr);
  });
  EXPECT_EQ(active_inside, &first);
  EXPECT_EQ(active_in_other, &second);
  m.on(0, DISPATCH_LEVEL, [] { KDPC_EXPECT(kdpc::processor(0).active_dpc == nullptr); });
}

KDPC_TEST(Tables, AProcessorBeginsWithTheKnownTunables, .processors = 2) {
  RULE("3.3");
  for (unsigned number = 0; number < 2; ++number) {
    const kdpc::Processor& processor = kdpc::processor(number);
    EXPECT_EQ(processor.maximum_dpc_queue_depth, 4);
    EXPECT_EQ(processor.dpc_request_rate, 0u);
    EXPECT_EQ(processor.adjust_dpc_countdown, 20u);
    EXPECT_FALSE(processor.dpc_routine_active);
    EXPECT_FALSE(processor.dpc_interrupt_requested);
    EXPECT_FALSE(processor.quantum_end);
  }
  EXPECT_EQ(kdpc::sys().options.minimum_dpc_rate, 3u);
  EXPECT_EQ(kdpc::sys().options.ideal_dpc_rate, 20u);
}

// -- 6.6 ----------------------------------------------------------------------------------------------------------------------------------------

constexpr ULONG kFiveTicks = 5 * 15'625;
VOID NTAPI run_five_ticks(PKDPC, PVOID, PVOID, PVOID) { KeStallExecutionProcessor(kFiveTicks); }

KDPC_TEST(Tables, ATickIsPaidByWhatItHasInterrupted, .simulated_only = "counts ticks") {
  RULE("6.6");
  const auto spent = [&m](auto&& run) {
    m.run_for(20ms);
    const auto before = m.processor_state(0);
    run();
    auto after = m.processor_state(0);
    after.kernel_ticks -= before.kernel_ticks;
    after.dpc_ticks -= before.dpc_ticks;
    after.interrupt_ticks -= before.interrupt_ticks;
    return after;
  };
  const auto thread = spent([&m] { m.on(0, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(kFiveTicks); }); });
  EXPECT_EQ(thread.kernel_ticks, 5u);
  EXPECT_EQ(thread.dpc_ticks + thread.interrupt_ticks, 0u);
  // Above DISPATCH_LEVEL it is interrupt time, whoever has raised the level.
  const auto raised = spent([&m] { m.on(0, 5, [] { KeStallExecutionProcessor(kFiveTicks); }); });
  EXPECT_EQ(raised.interrupt_ticks, 5u);
  EXPECT_EQ(raised.dpc_ticks, 0u);
  const auto in_dpc = spent([&m] {
    m.on(0, PASSIVE_LEVEL, [] {
      static KDPC dpc;
      KeInitializeDpc(&dpc, run_five_ticks, nullptr);
      KeInsertQueueDpc(&dpc, nullptr, nullptr);
    });
  });
  EXPECT_EQ(in_dpc.dpc_ticks, 5u);
  EXPECT_EQ(in_dpc.interrupt_ticks, 0u);
  // At DISPATCH_LEVEL without a DPC it is the thread's.
  const auto at_dispatch = spent([&m] { m.on(0, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(kFiveTicks); }); });
  EXPECT_EQ(at_dispatch.kernel_ticks, 5u);
  EXPECT_EQ(at_dispatch.dpc_ticks, 0u);
}

}  // namespace
