// Boards and the interrupt controller of the simulated machine: exact times, lines, vectors, registers.
#include "tests/machine/inside.h"

#include <algorithm>
#include <deque>

#include "kdpc/device.h"
#include "kernel/interrupt.h"
#include "machine/sim/state.h"

namespace kdpc {

using namespace inside;

namespace {

constexpr std::uint8_t kVector = 0x61;
constexpr std::uint64_t kRegisters = 0xfeb00000;

// Raises its line at planned times; one register lowers it, another reads the board's time, a third plans an event a number of ns ahead.
class Alarm : public Board, public Device {
 public:
  explicit Alarm(bool looks_ahead) : looks_ahead_(looks_ahead) {}
  void plan(Nanoseconds when) { planned_.push_back(when); }

  void attach(BoardHost& host) override { host_ = &host; }
  std::span<Device* const> devices() override { return devices_; }
  unsigned lines() const override { return 1; }
  Nanoseconds next_event() const override { return !looks_ahead_ ? kUnknown : planned_.empty() ? kNever : planned_.front(); }
  Nanoseconds advance_to(Nanoseconds until) override {
    ++advances;
    EXPECT_GE(until, time_);
    if (planned_.empty() || planned_.front() > until) return time_ = until;
    time_ = planned_.front();
    planned_.pop_front();
    if (moves_memory) host_->dma_accessed(memory, sizeof memory, false);
    host_->set_line(0, true);
    return time_;
  }

  std::string_view name() const override { return "alarm"; }
  std::span<const RegisterRange> registers() const override { return ranges_; }
  int line() const override { return 0; }
  std::uint64_t read(unsigned, std::uint64_t offset, unsigned) override { return offset == 0 ? time_ : host_->now(); }
  void write(unsigned, std::uint64_t offset, unsigned, std::uint64_t value) override {
    if (offset == 4) host_->dma_accessed(memory, sizeof memory, true);
    if (offset == 0) host_->set_line(0, false);
    if (offset == 8) plan(time_ + value);
    if (offset == 16) host_->set_line(0, true);
    if (offset == 24) host_->fail("the alarm is broken");
  }

  int advances = 0;
  bool moves_memory = false;  // before it raises its line
  std::byte memory[16] = {};

 private:
  bool looks_ahead_;
  BoardHost* host_ = nullptr;
  Nanoseconds time_ = 0;
  std::deque<Nanoseconds> planned_;
  Device* devices_[1] = {this};
  RegisterRange ranges_[1] = {{BusSpace::Memory, kRegisters, 0x20}};
};

struct Seen {
  std::vector<std::uint64_t> times;
  std::vector<unsigned> processors;
  bool acknowledge = true;
};
Seen seen;

unsigned char KDPC_NTAPI service(Interrupt*, void*) {
  seen.times.push_back(Machine::now());
  seen.processors.push_back(Machine::here().number);
  if (seen.acknowledge) host::bus_write(BusSpace::Memory, kRegisters, 4, 0);
  return 1;
}

void connect(ProcessorSet processors, Trigger trigger = Trigger::Level) {
  seen = {};
  on(processors.lowest(), Irql::Passive, [=] {
    InterruptSpec spec;
    spec.routine = service;
    spec.vector = kVector;
    spec.irql = spec.synchronize_irql = Irql(6);
    spec.trigger = trigger;
    spec.processors = processors;
    static Interrupt* interrupt;
    EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
  });
}

void edge() {
  if (--sim::fixed().edge_budget < 0) Machine::edge();
}

}  // namespace

TEST(SimBus, AnIdleMachineMeetsABoardsEventExactly) {
  for (const bool looks_ahead : {true, false}) {
    Alarm alarm(looks_ahead);
    World world({.processors = 2, .costs = {{"isr_entry", 0}}});
    Log log;
    connect(ProcessorSet::only(1));
    host::assign_line(host::attach(alarm).first_line, kVector, true);
    alarm.plan(12'345'678);
    alarm.plan(87'654'321);
    const auto outcome = host::run_until([] { return seen.times.size() == 2; }, kSecond);
    EXPECT_EQ(outcome.how, host::Ended::ConditionMet) << outcome.text;
    // The interrupt lock, and nothing else, stands between the line and the routine.
    EXPECT_EQ(seen.times, (std::vector<std::uint64_t>{12'345'688, 87'654'331}));
    EXPECT_EQ(seen.processors, (std::vector<unsigned>{1, 1}));
    EXPECT_LT(alarm.advances, 40);
  }
}

TEST(SimBus, AStallingProcessorMeetsABoardsEventExactly) {
  for (const bool looks_ahead : {true, false}) {
    Alarm alarm(looks_ahead);
    World world({.costs = {{"isr_entry", 0}}});
    connect(ProcessorSet::only(0));
    host::assign_line(host::attach(alarm).first_line, kVector, true);
    alarm.plan(kMillisecond);
    on(0, Irql::Dispatch, [] { Machine::stall(10 * kMillisecond); });
    EXPECT_EQ(seen.times, std::vector<std::uint64_t>{kMillisecond + 10});
  }
}

TEST(SimBus, ABusyProcessorMeetsABoardsEvent) {
  for (const bool looks_ahead : {true, false}) {
    Alarm alarm(looks_ahead);
    World world;
    connect(ProcessorSet::only(0));
    host::assign_line(host::attach(alarm).first_line, kVector, true);
    alarm.plan(kMillisecond);
    on(0, Irql::Dispatch, [] {
      while (seen.times.empty()) edge();
    });
    ASSERT_EQ(seen.times.size(), 1u);
    // As exactly as the board can be looked at: its own event, or the grid of board_poll.
    EXPECT_GE(seen.times[0], kMillisecond);
    EXPECT_LT(seen.times[0], kMillisecond + (looks_ahead ? 1'000 : 25'000));
  }
}

TEST(SimBus, ARegisterAccessFindsTheBoardAtTheProcessorsTime) {
  for (const bool looks_ahead : {true, false}) {
    Alarm alarm(looks_ahead);
    World world({.processors = 2});
    connect(ProcessorSet::only(1));
    host::assign_line(host::attach(alarm).first_line, kVector, true);
    std::uint64_t board_time = 0, time = 0, host_time = 0;
    on(0, Irql::Dispatch, [&] {
      for (int turn = 0; turn < 1234; ++turn) edge();
      EXPECT_TRUE(host::bus_read(BusSpace::Memory, kRegisters, 8, board_time));
      time = Machine::now();
      EXPECT_TRUE(host::bus_read(BusSpace::Memory, kRegisters + 8, 8, host_time));
    });
    EXPECT_EQ(board_time, time);
    EXPECT_GE(host_time, time);
  }
}

TEST(SimBus, AnEventABoardPlansInARegisterAccessComesInTime) {
  Alarm alarm(true);
  World world;
  connect(ProcessorSet::only(0));
  host::assign_line(host::attach(alarm).first_line, kVector, true);
  std::uint64_t planned = 0;
  on(0, Irql::Dispatch, [&] {
    host::bus_write(BusSpace::Memory, kRegisters + 8, 4, 5'000);
    planned = Machine::now() + 5'000;
    while (seen.times.empty()) edge();
  });
  ASSERT_EQ(seen.times.size(), 1u);
  EXPECT_GE(seen.times[0], planned);
  EXPECT_LT(seen.times[0], planned + 1'000);
}

TEST(SimBus, ALineRaisedByAWriteInterruptsTheWriter) {
  Alarm alarm(true);
  World world;
  connect(ProcessorSet::only(0));
  host::assign_line(host::attach(alarm).first_line, kVector, true);
  std::size_t during = 99, after = 99;
  on(0, Irql::Passive, [&] {
    {
      RaiseTo<Irql::Synch> raised;
      host::bus_write(BusSpace::Memory, kRegisters + 16, 4, 1);
      during = seen.times.size();
    }
    after = seen.times.size();
  });
  EXPECT_EQ(during, 0u);
  EXPECT_EQ(after, 1u);
}

TEST(SimBus, WhatABoardMovesByItselfIsToldBeforeWhatItSaysAfterIt) {
  Alarm alarm(true);
  World world;
  connect(ProcessorSet::only(0));
  host::assign_line(host::attach(alarm).first_line, kVector, true);
  alarm.moves_memory = true;
  alarm.plan(kMillisecond);
  Log log;
  const auto told = [&](const std::string& fact) {
    const auto line = std::find_if(log.lines.begin(), log.lines.end(), [&](const std::string& one) { return one.find(fact) != std::string::npos; });
    return line - log.lines.begin();
  };
  on(0, Irql::Dispatch, [] { Machine::stall(2 * kMillisecond); });
  const std::string moved = " dma at=" + std::to_string(reinterpret_cast<std::uintptr_t>(alarm.memory)) + " size=16 write=";
  EXPECT_LT(told(moved + "0"), told("line")) << "by itself";
  EXPECT_LT(told("line"), static_cast<std::ptrdiff_t>(log.lines.size()));
  EXPECT_EQ(log.lines[static_cast<std::size_t>(told(moved + "0"))].substr(0, 7), "1000000");
  on(0, Irql::Dispatch, [] { host::bus_write(BusSpace::Memory, kRegisters + 4, 4, 0); });
  EXPECT_LT(told(moved + "1"), static_cast<std::ptrdiff_t>(log.lines.size())) << "by a processor's access";
}

TEST(SimBus, ThereIsNothingWhereNothingIs) {
  Alarm alarm(true);
  World world;
  host::attach(alarm);
  on(0, Irql::Passive, [] {
    std::uint64_t value = 0;
    EXPECT_FALSE(host::bus_read(BusSpace::Memory, kRegisters + 0x20, 4, value));
    EXPECT_FALSE(host::bus_read(BusSpace::Memory, kRegisters + 0x1e, 4, value));
    EXPECT_FALSE(host::bus_read(BusSpace::Port, kRegisters, 4, value));
    EXPECT_FALSE(host::bus_write(BusSpace::Memory, kRegisters - 1, 1, 0));
  });
}

TEST(SimBus, ABoardThatFailsEndsTheRunWithItsText) {
  Alarm alarm(true);
  World world;
  host::attach(alarm);
  const auto outcome = on(0, Irql::Passive, [] { host::bus_write(BusSpace::Memory, kRegisters + 24, 4, 0); });
  EXPECT_EQ(outcome.how, host::Ended::HostFailure);
  EXPECT_EQ(outcome.text, "the alarm is broken");
}

TEST(SimController, ALevelLineInterruptsForAsLongAsItIsAsserted) {
  World world;
  const unsigned line = host::add_line(true);
  connect(ProcessorSet::only(0));
  seen.acknowledge = false;
  host::assign_line(line, kVector, true);
  host::set_line(line, true);
  host::run_until([] { return seen.times.size() >= 5; }, kSecond);
  EXPECT_GE(seen.times.size(), 5u);
  host::set_line(line, false);
  const std::size_t so_far = seen.times.size();
  host::run_until({}, kMillisecond);
  EXPECT_LE(seen.times.size(), so_far + 1);  // one may already have reached the processor
}

TEST(SimController, AnEdgeLineInterruptsOncePerAssertion) {
  World world;
  const unsigned line = host::add_line(false);
  connect(ProcessorSet::only(0), Trigger::Latched);
  seen.acknowledge = false;
  host::assign_line(line, kVector, false);
  host::set_line(line, true);
  host::run_until({}, kMillisecond);
  const std::size_t first = seen.times.size();
  host::set_line(line, true);
  host::run_until({}, kMillisecond);
  EXPECT_EQ(seen.times.size(), first);
  host::set_line(line, false);
  host::set_line(line, true);
  host::run_until({}, kMillisecond);
  EXPECT_EQ(seen.times.size(), 2 * first);
}

TEST(SimController, ALineAssertedBeforeItIsRoutedInterruptsThen) {
  World world({.processors = 2});
  const unsigned line = host::add_line(true);
  host::assign_line(line, kVector, true);
  host::set_line(line, true);
  host::run_until({}, kMillisecond);
  start(1, Irql::Passive, [&] {
    Machine::stall(kMillisecond);
    host::set_line(line, false);
  });
  connect(ProcessorSet::only(0));
  seen.acknowledge = false;
  host::run_until([] { return !seen.times.empty(); }, kSecond);
  EXPECT_FALSE(seen.times.empty());
}

// What comes from a descriptor or from another thread would make a run depend on more than its inputs.
TEST(SimBus, ABoardThatFollowsADescriptorOrHasThreadsOfItsOwnIsRefused) {
  class Follower final : public Alarm {
   public:
    explicit Follower(bool watches) : Alarm(true), watches_(watches) {}
    void attach(BoardHost& host) override {
      if (watches_) EXPECT_EQ(host.watch(0, Watching::EveryTime, [] {}), nullptr);
    }
    bool acts_by_itself() const override { return !watches_; }

   private:
    const bool watches_;
  };
  for (const bool watches : {true, false}) {
    Follower board(watches);
    World world;
    host::attach(board);
    const auto outcome = host::run_until([] { return false; }, kSecond);
    EXPECT_EQ(outcome.how, host::Ended::HostFailure);
    EXPECT_NE(outcome.text.find("it needs the live machine"), std::string::npos) << outcome.text;
  }
}

TEST(SimController, MessagesToOneVectorCombineUntilTaken) {
  World world;
  connect(ProcessorSet::only(0), Trigger::Latched);
  seen.acknowledge = false;
  std::size_t before = 0, after = 0;
  on(0, Irql::Passive, [&] {
    {
      RaiseTo<Irql::High> raised;
      host::raise_message(kVector, 0);
      host::raise_message(kVector, 0);
      before = seen.times.size();
    }
    after = seen.times.size();
  });
  EXPECT_EQ(before, 0u);
  const std::size_t of_one = after;
  EXPECT_GE(of_one, 1u);
  on(0, Irql::Passive, [&] { host::raise_message(kVector, 0); });
  host::run_until({}, kMillisecond);
  EXPECT_EQ(seen.times.size(), 2 * of_one);
}

TEST(SimController, HigherVectorsComeFirst) {
  World world;
  static std::vector<int> order;
  order.clear();
  on(0, Irql::Passive, [] {
    for (const std::uint8_t vector : {0x41, 0x45, 0x91}) {
      InterruptSpec spec;
      spec.routine = [](Interrupt* interrupt, void*) KDPC_NTAPI -> unsigned char {
        order.push_back(static_cast<int>(interrupt->vector));
        return 1;
      };
      spec.vector = vector;
      spec.irql = spec.synchronize_irql = irql_of(vector);
      spec.processors = ProcessorSet::only(0);
      Interrupt* interrupt = nullptr;
      EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
    }
    RaiseTo<Irql::High> raised;
    for (const std::uint8_t vector : {0x41, 0x91, 0x45}) host::raise_message(vector, 0);
  });
  EXPECT_EQ(order, (std::vector<int>{0x91, 0x45, 0x41}));
}

}  // namespace kdpc
