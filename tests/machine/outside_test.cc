// DPCs that threads queue which are none of the machine's processors.
#include <atomic>
#include <csignal>
#include <cstdint>
#include <thread>
#include <vector>

#include <wdm.h>

#include "kdpc/lab.h"
#include "kdpc/test.h"

namespace kdpc {

namespace {

using namespace std::chrono_literals;
using lab::Machine;

constexpr unsigned kProcessors = 2, kDpcs = 8;

struct Counted {
  KDPC dpc;
  std::atomic<std::uint64_t> queued{0}, ran{0}, elsewhere{0};
  ULONG target = 0;
  static void NTAPI run(PKDPC, PVOID context, PVOID, PVOID) {
    auto& self = *static_cast<Counted*>(context);
    if (KeGetCurrentIrql() != DISPATCH_LEVEL || KeGetCurrentProcessorNumber() != self.target) ++self.elsewhere;
    ++self.ran;
  }
  void prepare(unsigned number) {
    KeInitializeDpc(&dpc, run, this);
    target = number % kProcessors;
    if (number % 3 != 0) KeSetTargetProcessorDpc(&dpc, static_cast<CCHAR>(target));
    if (number % 3 == 0) target = 0;  // who names none has processor 0
    KeSetImportanceDpc(&dpc, static_cast<KDPC_IMPORTANCE>(number % 3));
  }
};

Counted* of_signal = nullptr;
void on_signal(int) {
  if (Machine::insert_dpc(&of_signal->dpc)) ++of_signal->queued;
}

}  // namespace

KDPC_TEST(Outside, WhatThreadsAndSignalHandlersQueueRunsOnceOnItsProcessor, .processors = kProcessors, .remember_events = 0, .hash = false,
          .checks = {.on = false}) {
  std::vector<Counted> all(kDpcs);
  m.on(0, PASSIVE_LEVEL, [&] {
    for (unsigned number = 0; number < kDpcs; ++number) all[number].prepare(number);
  });
  of_signal = &all[0];
  struct sigaction action {
  }, before{};
  action.sa_handler = on_signal;
  ::sigaction(SIGUSR2, &action, &before);
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (unsigned number = 1; number < 4; ++number)
    threads.emplace_back([&, number] {
      for (unsigned turn = number; !over; ++turn) {
        if (Counted& one = all[1 + turn % (kDpcs - 1)]; Machine::insert_dpc(&one.dpc)) ++one.queued;
        if (turn % 64 == 0) std::raise(SIGUSR2);
        if (turn % 16 == 0) std::this_thread::sleep_for(100us);
      }
    });
  const lab::Task busy = m.start(1, PASSIVE_LEVEL, [&] {
    while (!over) KeStallExecutionProcessor(5);
  });
  m.run_for(300ms);
  over = true;
  for (std::thread& thread : threads) thread.join();
  ::sigaction(SIGUSR2, &before, nullptr);
  m.run_until([&] { return busy.done(); }, 5s);
  m.run_for(50ms);  // low importance waits for a tick at most
  for (const Counted& each : all) {
    EXPECT_EQ(each.queued, each.ran);
    EXPECT_EQ(each.elsewhere, 0u);
    EXPECT_GT(each.ran, 10u);
  }
}

KDPC_TEST(Outside, ADpcThatWasNeverInitialisedIsRefused) {
  static KDPC garbage{};
  EXPECT_FALSE(Machine::insert_dpc(&garbage));
}

}  // namespace kdpc
