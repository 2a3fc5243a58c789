// What holds on every machine: the same kernel, told by the same test, in virtual and in real time.
#include <cstring>

#include "kernel/bugcheck.h"
#include "kernel/dpc.h"
#include "kernel/interrupt.h"
#include "kernel/system.h"
#include "kernel/timer.h"
#include "kernel/wait.h"
#include "tests/machine/inside.h"

namespace kdpc {

namespace {

using inside::kMillisecond;
using inside::kSecond;
using inside::on;

constexpr std::uint8_t kVector = 0x52;  // level 5
constexpr std::int64_t kRelativeMillisecond = -10'000;

// A DPC that counts its runs and looks where it is.
struct Counter {
  Dpc dpc{};
  int runs = 0;
  StackKind stack = StackKind::Thread;
  Irql level = Irql::Passive;

  Counter() { dpc::initialize(dpc, run, this); }
  static void KDPC_NTAPI run(Dpc*, void* context, void*, void*) {
    auto& self = *static_cast<Counter*>(context);
    ++self.runs;
    self.stack = Machine::stack_limits().kind;
    self.level = Machine::irql();
  }
};

// A device in a few lines: a timer that asserts its line until register 0 is read.
class Ticker final : public Board, public Device {
 public:
  static constexpr std::uint64_t kBase = 0xFEB00000;
  void attach(BoardHost& host) override { host_ = &host; }
  std::span<Device* const> devices() override { return devices_; }
  unsigned lines() const override { return 1; }
  Nanoseconds next_event() const override { return due_; }
  Nanoseconds advance_to(Nanoseconds until) override {
    if (due_ > until) return until;
    const Nanoseconds reached = due_;
    due_ = kNever;
    ++asserted;
    host_->set_line(0, true);
    return reached;
  }
  std::string_view name() const override { return "ticker"; }
  std::span<const RegisterRange> registers() const override { return range_; }
  int line() const override { return 0; }
  std::uint64_t read(unsigned, std::uint64_t offset, unsigned) override {
    if (offset == 0) host_->set_line(0, false);
    return host_->now();
  }
  void write(unsigned, std::uint64_t, unsigned, std::uint64_t value) override { due_ = host_->now() + value; }

  int asserted = 0;

 private:
  BoardHost* host_ = nullptr;
  Nanoseconds due_ = kNever;
  Device* devices_[1] = {this};
  RegisterRange range_[1] = {{BusSpace::Memory, kBase, 16}};
};

// What an ISR of these tests knows.
struct Service {
  Counter counter;
  int runs = 0;
  StackKind stack = StackKind::Thread;
  Irql level = Irql::Passive;

  static unsigned char KDPC_NTAPI routine(Interrupt*, void* context) {
    auto& self = *static_cast<Service*>(context);
    ++self.runs;
    self.stack = Machine::stack_limits().kind;
    self.level = Machine::irql();
    std::uint64_t value = 0;
    host::bus_read(BusSpace::Memory, Ticker::kBase, 4, value);
    dpc::insert(&self.counter.dpc, nullptr, nullptr);
    return 1;
  }
  Interrupt* connect(Trigger trigger) {
    InterruptSpec spec{};
    spec.routine = routine;
    spec.context = this;
    spec.vector = kVector;
    spec.irql = spec.synchronize_irql = irql_of(kVector);
    spec.trigger = trigger;
    spec.processors = ProcessorSet::only(0);
    Interrupt* interrupt = nullptr;
    EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
    return interrupt;
  }
};

}  // namespace

TEST(AnyMachine, RunsALambdaAtItsLevel) {
  const inside::World world;
  Irql seen = Irql::High;
  EXPECT_EQ(on(0, Irql::Dispatch, [&] { seen = Machine::irql(); }).how, host::Ended::ConditionMet);
  EXPECT_EQ(seen, Irql::Dispatch);
}

TEST(AnyMachine, ADpcRunsOnTheDpcStackWhenTheLevelFalls) {
  const inside::World world;
  Counter counter;
  int before = -1;
  on(0, Irql::Dispatch, [&] {
    dpc::insert(&counter.dpc, nullptr, nullptr);
    before = counter.runs;
  });
  EXPECT_EQ(before, 0);
  EXPECT_EQ(counter.runs, 1);
  EXPECT_EQ(counter.stack, StackKind::Dpc);
  EXPECT_EQ(counter.level, Irql::Dispatch);
}

TEST(AnyMachine, AMessageInterruptsWhenItsLevelAllowsAndItsDpcFollows) {
  const inside::World world;
  Service service;
  bool held_off = false;
  on(0, Irql::Passive, [&] {
    Interrupt* interrupt = service.connect(Trigger::Latched);
    const Irql previous = raise_here(irql_of(kVector));
    host::raise_message(kVector, 0);
    Machine::stall(1000);
    held_off = service.runs == 0;
    lower_here(previous);
    interrupt::disconnect(interrupt);
  });
  EXPECT_TRUE(held_off);
  EXPECT_EQ(service.runs, 1);
  EXPECT_EQ(service.stack, StackKind::Isr);
  EXPECT_EQ(service.level, irql_of(kVector));
  EXPECT_EQ(service.counter.runs, 1);
}

TEST(AnyMachine, AnAssertedLineInterruptsUntilItIsQuieted) {
  const inside::World world;
  Ticker ticker;
  const unsigned line = host::attach(ticker).first_line;
  host::assign_line(line, kVector, true);
  Service service;
  on(0, Irql::Passive, [&] { service.connect(Trigger::Level); });
  on(0, Irql::Passive, [&] {
    for (int round = 0; round < 3; ++round) {
      host::bus_write(BusSpace::Memory, Ticker::kBase + 8, 4, kMillisecond);
      wait::delay(2 * kRelativeMillisecond);
    }
  });
  EXPECT_TRUE(host::run_until([&] { return service.counter.runs == 3; }, kSecond).how == host::Ended::ConditionMet);
  EXPECT_EQ(ticker.asserted, 3);
  EXPECT_EQ(service.runs, 3);
}

TEST(AnyMachine, AnIdleProcessorWakesForATimer) {
  const inside::World world;
  std::uint64_t waited = 0;
  on(0, Irql::Passive, [&] {
    const std::uint64_t start = Machine::now();
    wait::delay(40 * kRelativeMillisecond);
    waited = Machine::now() - start;
  });
  EXPECT_GE(waited, 39 * kMillisecond);  // NT rounds to ticks
}

TEST(AnyMachine, TheClockInterruptsAStallAndTakesTheQuantum) {
  const inside::World world;
  bool stop = false;
  int first = 0, second = 0;
  const auto spin = [&stop](int& turns) {
    while (!stop) {
      Machine::stall(kMillisecond);
      ++turns;
    }
  };
  inside::start(0, Irql::Passive, [&] { spin(first); });
  inside::start(0, Irql::Passive, [&] { spin(second); });
  EXPECT_EQ(host::run_until([&] { return first > 2 && second > 2; }, 10 * kSecond).how, host::Ended::ConditionMet);
  stop = true;
}

TEST(AnyMachine, ABugCheckEndsTheRunOnceAndForAll) {
  const inside::World world;
  const host::Outcome outcome = on(0, Irql::Dispatch, [] { bug_check(0xE2, {1, 2, 3, 4}, "A test wanted this.", "none"); });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, 0xE2u);
  EXPECT_EQ(outcome.report->parameters.p4, 4u);
  EXPECT_EQ(outcome.report->irql, Irql::Dispatch);
  EXPECT_NE(outcome.report->frames[0], 0u);
  EXPECT_EQ(host::run_until([] { return true; }, kSecond).how, host::Ended::Bugcheck);
}

TEST(AnyMachine, ABugCheckInADpcOfAnInterruptEndsTheRun) {
  const inside::World world;
  Dpc dpc{};
  dpc::initialize(
      dpc, [](Dpc*, void*, void*, void*) KDPC_NTAPI { wait::delay(kRelativeMillisecond); }, nullptr);
  const host::Outcome outcome = on(0, Irql::Passive, [&] { dpc::insert(&dpc, nullptr, nullptr); });
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
}

TEST(AnyMachine, NothingLeftToHappenIsSaid) {
  const inside::World world;
  const host::Outcome outcome = host::run_until([] { return false; }, 10 * kSecond);
  EXPECT_EQ(outcome.how, host::Ended::Quiescent);
  EXPECT_NE(outcome.text.find("nothing will ever happen again"), std::string::npos);
}

TEST(AnyMachine, TheTimeLimitHolds) {
  const inside::World world;
  EXPECT_EQ(host::run_until({}, 30 * kMillisecond).how, host::Ended::TimeLimit);
  EXPECT_GE(host::now(), 30 * kMillisecond);
}

TEST(AnyMachine, StacksAreUsedAgain) {
  const inside::World world;
  int ended = 0;
  for (int round = 0; round < 5000; ++round) on(0, Irql::Passive, [&] { ++ended; });
  EXPECT_EQ(ended, 5000);
}

TEST(AnyMachine, ExceptionsOfOneThreadAreNoneOfAnothers) {
  const inside::World world;
  std::string seen;
  const auto thrower = [&seen](const char* name) {
    try {
      throw std::string(name);
    } catch (const std::string& caught) {
      wait::delay(5 * kRelativeMillisecond);
      try {
        throw;
      } catch (const std::string& again) {
        seen += again;
      }
    }
  };
  const auto first = inside::start(0, Irql::Passive, [&] { thrower("a"); });
  const auto second = inside::start(0, Irql::Passive, [&] { thrower("b"); });
  EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(seen.size(), 2u);
}

TEST(AnyMachine, OneAfterAnotherIsFineAndTwoAtOnceAreNot) {
  for (int round = 0; round < 3; ++round) {
    const inside::World world;
    EXPECT_FALSE(host::create({}).ok());
    int runs = 0;
    on(0, Irql::Passive, [&] { ++runs; });
    EXPECT_EQ(runs, 1);
  }
}

}  // namespace kdpc
