// What two processors may rely on that race for one DPC: rules that hold trivially where only one thing happens at a time.
#include <atomic>
#include <chrono>
#include <cstdint>

#include <wdm.h>

#include "kdpc/test.h"
#include "tests/machine/polled.h"

namespace {

using namespace std::chrono_literals;

bool soon(const auto& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    look_if_polled();
  }
  return true;
}

void pause_for(unsigned turns) {
  for (volatile unsigned turn = 0; turn < turns; turn = turn + 1) {
  }
}

constexpr std::uint64_t kTurns = 100'000;
constexpr unsigned kDelays = 97;  // between two steps, in turn, so that every instant of the other processor's is met

struct Race {
  KDPC dpc;
  alignas(64) std::atomic<std::uint64_t> said{0};
  alignas(64) std::atomic<std::uint64_t> seen{0};
  std::atomic<bool> gone{false};
  std::atomic<std::uint64_t> late{0}, runs{0};
};
Race race;

VOID NTAPI look(PKDPC, PVOID, PVOID, PVOID) { race.seen.store(race.said.load(std::memory_order_relaxed), std::memory_order_relaxed); }

VOID NTAPI notice(PKDPC, PVOID, PVOID, PVOID) {
  if (race.gone) ++race.late;
  pause_for(20);
  if (race.gone) ++race.late;
  ++race.runs;
}

VOID NTAPI count(PKDPC, PVOID, PVOID, PVOID) { ++race.runs; }

void prepare(PKDEFERRED_ROUTINE routine) {
  race.said = race.seen = race.late = race.runs = 0;
  race.gone = false;
  KeInitializeDpc(&race.dpc, routine, nullptr);
  KeSetImportanceDpc(&race.dpc, HighImportance);
  KeSetTargetProcessorDpc(&race.dpc, 1);
}

}  // namespace

KDPC_TEST(LiveDpc, WhatWasStoredBeforeARefusedInsertionIsSeenByTheRunThatFollows, .processors = 2, .remember_events = 0, .hash = false,
          .checks = {.on = false}) {
  RULE("INS-1");
  std::uint64_t refused = 0, unseen = 0;
  m.on(0, PASSIVE_LEVEL, [&] {
    prepare(look);
    for (std::uint64_t turn = 1; turn <= kTurns && unseen == 0; ++turn) {
      KeInsertQueueDpc(&race.dpc, nullptr, nullptr);
      pause_for(static_cast<unsigned>(turn % kDelays));
      race.said.store(turn, std::memory_order_relaxed);
      if (!KeInsertQueueDpc(&race.dpc, nullptr, nullptr)) ++refused;
      if (!soon([&] { return race.seen == turn; })) ++unseen;
    }
  });
  EXPECT_EQ(unseen, 0u);
  EXPECT_GT(refused, 100u);
}

KDPC_TEST(LiveDpc, DoesNotBeginAfterWhoeverWaitedForItsRunWasLetGo, .processors = 2, .remember_events = 0, .hash = false, .checks = {.on = false}) {
  RULE("REM-4");
  std::uint64_t removed = 0, waited = 0;
  m.on(0, PASSIVE_LEVEL, [&] {
    prepare(notice);
    for (std::uint64_t turn = 0; turn < kTurns; ++turn) {
      race.gone = false;
      KeInsertQueueDpc(&race.dpc, nullptr, nullptr);
      pause_for(static_cast<unsigned>(turn % kDelays));
      ++(KeRemoveQueueDpcEx(&race.dpc, TRUE) ? removed : waited);
      race.gone = true;
      pause_for(static_cast<unsigned>(turn % 7));
    }
  });
  EXPECT_EQ(race.late, 0u);
  EXPECT_EQ(removed + race.runs, kTurns);
  EXPECT_GT(waited, 100u);
}

// Pool is searched for queued DPCs when it is freed, in the queues of other processors too.
KDPC_TEST(LiveDpc, RunsInItsThreadWhileAnotherProcessorLooksThroughTheQueue, .processors = 3, .remember_events = 0, .hash = false,
          .checks = {.on = false}) {
  RULE("THR-3");
  std::atomic<bool> over{false};
  const auto looks = m.start(2, PASSIVE_LEVEL, [&] {
    while (!over) ExFreePool(ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 'klol'));
  });
  bool forgotten = false;
  m.on(0, PASSIVE_LEVEL, [&] {
    prepare(count);
    KeInitializeThreadedDpc(&race.dpc, count, nullptr);
    KeSetTargetProcessorDpc(&race.dpc, 1);
    for (std::uint64_t turn = 1; turn <= kTurns / 5 && !forgotten; ++turn) {
      KeInsertQueueDpc(&race.dpc, nullptr, nullptr);
      forgotten = !soon([&] { return race.runs == turn; });
    }
    over = true;
  });
  EXPECT_FALSE(forgotten);
  EXPECT_TRUE(m.run_until([&] { return looks.done(); }, 10s));
}
