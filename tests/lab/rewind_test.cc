// A run goes back to where it was, and from there it is the same run again: drivers, devices, time and what listeners have heard.
#include <wdm.h>

#include "kdpc/cards.h"
#include "kdpc/test.h"

using namespace std::chrono_literals;
using namespace kdpc;
using namespace kdpc::test;

namespace {

std::string driver(const char* name) { return std::string(KDPC_TEST_DRIVERS "/") + name + ".drv"; }

// The whole life of a driver and its device.
std::uint64_t life(lab::Machine& m) {
  std::string why;
  EXPECT_TRUE(m.load_driver(driver("adc"), why)) << why;
  EXPECT_TRUE(m.start_device("meter", "adc", why)) << why;
  EXPECT_TRUE(m.run_for(20ms));
  EXPECT_TRUE(m.remove_device("meter", why)) << why;
  EXPECT_TRUE(m.unload_driver("adc", why)) << why;
  return m.trace_hash();
}

void NTAPI nothing(PKDPC, PVOID, PVOID, PVOID) {}

// A board whose state is nobody's business here.
struct Elsewhere final : Board {
  void attach(BoardHost&) override {}
  std::span<Device* const> devices() override { return {}; }
  unsigned lines() const override { return 0; }
  Nanoseconds next_event() const override { return kNever; }
  Nanoseconds advance_to(Nanoseconds until) override { return until; }
};

// All that can be asked of a run, as text.
struct Heard {
  std::vector<std::string> events, findings, lines;
  Nanoseconds now;
  explicit Heard(const lab::Machine& m) : now(m.now()) {
    const auto head = [](Nanoseconds time, unsigned processor, unsigned irql) {
      return std::to_string(time) + ' ' + std::to_string(processor) + ' ' + std::to_string(irql) + ' ';
    };
    for (const lab::EventRecord& event : m.events()) {
      std::string& text = events.emplace_back(head(event.time, event.processor, event.irql) + std::to_string(event.thread) + ' ' + event.name);
      for (const lab::Field& field : event.fields) text += ' ' + field.name + '=' + std::to_string(field.value) + ' ' + field.text;
    }
    for (const lab::Finding& finding : m.findings()) findings.push_back(finding.id + ' ' + std::to_string(finding.count) + ' ' + finding.report());
    for (const lab::DebugLine& line : m.debug_lines()) lines.push_back(head(line.time, line.processor, line.irql) + line.text);
  }
};

}  // namespace

KDPC_TEST(Rewind, ATaskThatWasUnderWayIsUnderWayAgain) {
  const lab::Task task = m.start(0, PASSIVE_LEVEL, [] {
    LARGE_INTEGER millisecond{.QuadPart = -10'000};
    KeDelayExecutionThread(KernelMode, FALSE, &millisecond);
  });
  m.run_for(100us);
  std::string why;
  const auto mark = m.mark(why);
  ASSERT_NE(mark, nullptr) << why;
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_FALSE(task.done());
    EXPECT_TRUE(m.run_until([&] { return task.done(); }, 50ms));
    m.rewind(*mark);
  }
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, 50ms));
}

KDPC_TEST(Rewind, TheWholeLifeOfADriverIsTheSameAgain, .processors = 2) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{.name = "meter"});
  m.attach(board);
  std::string why;
  const auto start = m.mark(why);
  ASSERT_NE(start, nullptr) << why;
  const std::uint64_t first = life(m);
  EXPECT_NE(first, 0u);
  for (int turn = 0; turn < 5; ++turn) {
    m.rewind(*start);
    EXPECT_EQ(life(m), first);
  }
}

KDPC_TEST(Rewind, ADriverThatHasStartedIsThereAgain, .processors = 2) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{.name = "meter"});
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("adc"), why)) << why;
  ASSERT_TRUE(m.start_device("meter", "adc", why)) << why;
  const auto started = m.mark(why);
  ASSERT_NE(started, nullptr) << why;
  const auto rest = [&] {
    EXPECT_TRUE(m.run_for(10ms));
    EXPECT_TRUE(m.remove_device("meter", why)) << why;
    EXPECT_TRUE(m.unload_driver("adc", why)) << why;
    return m.trace_hash();
  };
  const std::uint64_t first = rest();
  m.rewind(*started);
  EXPECT_EQ(rest(), first);
}

KDPC_TEST(Rewind, ARunThatHasEndedGoesOn) {
  int runs = 0;
  std::string why;
  const auto start = m.mark(why);
  ASSERT_NE(start, nullptr) << why;
  m.on(0, PASSIVE_LEVEL, [] { KeBugCheck(0xE2); });
  EXPECT_EQ(m.outcome().how, lab::Ended::Bugcheck);
  EXPECT_EQ(m.mark(why), nullptr);
  EXPECT_EQ(why, "the run has ended; there is nothing to go on from");
  m.rewind(*start);
  EXPECT_FALSE(m.outcome().over());
  EXPECT_FALSE(m.outcome().bugcheck);
  EXPECT_TRUE(m.on(0, PASSIVE_LEVEL, [&] { ++runs; }));
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(Rewind, ABoardThatCannotGoBackIsARefusalThatSaysSo) {
  cards::CardBoard here;
  Elsewhere elsewhere;
  m.attach(here);
  m.attach(elsewhere);
  std::string why;
  EXPECT_EQ(m.mark(why), nullptr);
  EXPECT_EQ(why, "board 1 keeps its state outside this process's memory, so the run cannot be checkpointed");
}

KDPC_TEST(Rewind, ATaskThatWasStartedBehindTheMarkDoesNotExistAnyMore) {
  int before = 0, behind = 0;
  std::string why;
  const lab::Task first = m.start(0, PASSIVE_LEVEL, [&] { ++before; });
  const auto mark = m.mark(why);
  ASSERT_NE(mark, nullptr) << why;
  {
    const lab::Task task = m.start(0, PASSIVE_LEVEL, [&] { ++behind; });
    m.rewind(*mark);
    EXPECT_TRUE(m.run_for(10ms));
    EXPECT_FALSE(task.done());
    EXPECT_EQ(behind, 0);
    EXPECT_TRUE(first.done()) << "it was there";
    EXPECT_EQ(before, 1);
  }
  // Nor does one that was in the middle of its body.
  m.rewind(*mark);
  const auto wait_and_count = [&] {
    LARGE_INTEGER interval;
    interval.QuadPart = -10 * 10'000;
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    ++behind;
  };
  const lab::Task task = m.start(0, PASSIVE_LEVEL, wait_and_count);
  EXPECT_TRUE(m.run_for(5ms));
  m.rewind(*mark);
  EXPECT_TRUE(m.run_for(100ms));
  EXPECT_FALSE(task.done());
  EXPECT_EQ(behind, 0);
}

KDPC_TEST(Rewind, WhatListenersHaveHeardIsAsItWasAtTheMark, .processors = 2) {
  PKDPC dpc = nullptr;
  // Each time an event or two, a line, and the advice that the second pair of arguments was lost.
  const auto lose_arguments = [&] {
    EXPECT_TRUE(m.on(1, DISPATCH_LEVEL, [&] {
      KeInsertQueueDpc(dpc, nullptr, nullptr);
      KeInsertQueueDpc(dpc, &dpc, nullptr);
      DbgPrint("inserted twice\n");
    }));
  };
  ASSERT_TRUE(m.on(0, PASSIVE_LEVEL, [&] {
    dpc = static_cast<PKDPC>(ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(KDPC), 'dniw'));
    KeInitializeDpc(dpc, nothing, nullptr);
  }));
  lose_arguments();
  const Heard then(m);
  ASSERT_EQ(then.findings.size(), 1u);
  EXPECT_EQ(then.lines.size(), 1u);
  EXPECT_GT(then.events.size(), 10u);
  EXPECT_GT(then.now, 0u);
  std::string why;
  const auto mark = m.mark(why);
  ASSERT_NE(mark, nullptr) << why;
  for (int turn = 0; turn < 3; ++turn) {
    lose_arguments();
    EXPECT_TRUE(m.run_for(20ms));
    const Heard later(m);
    EXPECT_NE(later.findings, then.findings);
    EXPECT_NE(later.lines, then.lines);
    EXPECT_GT(later.events.size(), then.events.size());
    EXPECT_GT(later.now, then.now);
    m.rewind(*mark);
    const Heard again(m);
    EXPECT_EQ(again.findings, then.findings);
    EXPECT_EQ(again.lines, then.lines);
    EXPECT_EQ(again.events, then.events);
    EXPECT_EQ(again.now, then.now);
  }
  m.on(0, PASSIVE_LEVEL, [&] { ExFreePoolWithTag(dpc, 'dniw'); });
}
