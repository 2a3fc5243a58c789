// What a thread pays for its run time: SEMANTICS 6.4, 6.5, both readings of the option `quantum`.
#include <wdm.h>

#include <vector>

#include "kdpc/test.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr std::uint64_t kQuantumEnd = 2;  // WaitReason

std::vector<std::uint64_t> quantum_ends(kdpc::lab::Machine& m) {
  std::vector<std::uint64_t> ticks;
  for (const auto& event : m.events("thread-switched", {{"why", kQuantumEnd}})) ticks.push_back(event.time / kTickNanoseconds);
  return ticks;
}

void keep_running() {
  for (int turn = 0; turn < 1000; ++turn) KeStallExecutionProcessor(500);
}

// Two busy threads of one priority that begin in the middle of a tick.
std::vector<std::uint64_t> ends_of_two_that_begin_late(kdpc::lab::Machine& m) {
  m.run_for(10ms);
  for (int thread = 0; thread < 2; ++thread) m.start(0, PASSIVE_LEVEL, keep_running);
  m.run_for(120ms);
  return quantum_ends(m);
}

KDPC_TEST(Quantum, InTicksAThreadPaysForTheWholeTickThatFindsIt) {
  RULE("6.5");
  EXPECT_EQ(ends_of_two_that_begin_late(m), (std::vector<std::uint64_t>{2, 4, 6, 8}));
}

KDPC_TEST(Quantum, InCyclesAThreadPaysForWhatItHasRun, .options = {{"quantum", "cycles"}}) {
  RULE("6.5");
  // The first has run for a tick and a third when the second tick comes; the two ticks that it may are over by the third.
  EXPECT_EQ(ends_of_two_that_begin_late(m), (std::vector<std::uint64_t>{3, 5, 7}));
}

constexpr unsigned kVector = 0x51;
BOOLEAN NTAPI slow_isr(PKINTERRUPT, PVOID) {
  KeStallExecutionProcessor(40'000);
  return TRUE;
}
VOID NTAPI slow_dpc(PKDPC, PVOID, PVOID, PVOID) { KeStallExecutionProcessor(40'000); }

// Two busy threads, and a DPC and an interrupt that together have the processor until 57 ms.
std::vector<std::uint64_t> ends_beside_interrupts(kdpc::lab::Machine& m) {
  static PKINTERRUPT interrupt;
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, slow_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE), STATUS_SUCCESS);
    KeInitializeDpc(&dpc, slow_dpc, nullptr);
  });
  m.run_for(16ms - std::chrono::nanoseconds(m.now()));
  m.start(0, PASSIVE_LEVEL, [] {
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    keep_running();
  });
  m.run_for(1ms);
  m.start(0, PASSIVE_LEVEL, keep_running);
  m.send_message(kVector);
  m.run_for(160ms);
  return quantum_ends(m);
}

KDPC_TEST(Quantum, InTicksItPaysForInterruptsAndDpcsToo) {
  RULE("6.5");
  EXPECT_EQ(ends_beside_interrupts(m).at(0), 3u);  // as soon as they are over: two ticks have found the thread
}

KDPC_TEST(Quantum, InCyclesItDoesNotPayForInterruptsAndDpcs, .options = {{"quantum", "cycles"}}) {
  RULE("6.5");
  EXPECT_EQ(ends_beside_interrupts(m).at(0), 6u);  // when it has had two ticks of its own
}

KDPC_TEST(Quantum, InCyclesAThreadThatYieldsBeforeEachTickNeverPays, .options = {{"quantum", "cycles"}}) {
  RULE("6.5");
  auto polite = m.start(0, PASSIVE_LEVEL, [] {
    for (int turn = 0; turn < 20; ++turn) {
      KeStallExecutionProcessor(1'000);
      LARGE_INTEGER pause = in_ms(5);
      KeDelayExecutionThread(KernelMode, FALSE, &pause);
    }
  });
  m.run_until([&] { return polite.done(); }, 2s);
  EXPECT_EQ(quantum_ends(m).size(), 0u);
}

}  // namespace
