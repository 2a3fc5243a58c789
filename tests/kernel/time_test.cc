// Time as a driver can read it: SEMANTICS 15.1.
#include <wdm.h>

#include "kdpc/device.h"
#include "kdpc/test.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

KDPC_TEST(Time, MovesInTheClockInterruptOfProcessorZeroOnly, .processors = 2) {
  RULE("TIME-1");
  m.run_for(100ms);
  for (const auto& tick : m.events("clock-ticked", {})) {
    if (tick.processor != 0) continue;
    EXPECT_EQ(tick["interrupt_time"] * 100, tick.time / kTickNanoseconds * kTickNanoseconds);
  }
  // Six ticks of each processor, and one full tick of time for each of processor 0's.
  EXPECT_EQ(m.count("clock-ticked"), 12u);
  EXPECT_EQ(m.events("clock-ticked").back()["interrupt_time"], 6 * kTick);
}

KDPC_TEST(Time, StandsStillForEverybodyWhileProcessorZeroHoldsItsClockOff, .processors = 2) {
  RULE("TIME-1");
  m.run_for(20ms);
  auto timekeeper = m.start(0, CLOCK_LEVEL, [] { KeStallExecutionProcessor(200'000); });
  m.run_for(1ms);
  m.on(1, PASSIVE_LEVEL, [] {
    const ULONGLONG interrupt_time = KeQueryInterruptTime();
    const ULONGLONG time = system_time();
    const ULONGLONG ticks = tick_count();
    const ULONGLONG count = performance_count();
    KDPC_EXPECT_EQ(interrupt_time, kTick);
    KeStallExecutionProcessor(100'000);
    KDPC_EXPECT_EQ(KeQueryInterruptTime(), interrupt_time);
    KDPC_EXPECT_EQ(system_time(), time);
    KDPC_EXPECT_EQ(tick_count(), ticks);
    KDPC_EXPECT(performance_count() - count >= 1'000'000);
  });
  // The other processor's own clock goes on: it accounts, and looks at its timers.
  EXPECT_GE(m.processor_state(1).kernel_ticks, 6u);
  EXPECT_TRUE(m.run_until([&] { return timekeeper.done(); }, 1s));
  m.run_for(20ms);
  m.on(1, PASSIVE_LEVEL, [] { KDPC_EXPECT(KeQueryInterruptTime() >= 13 * kTick); });
}

KDPC_TEST(Time, IsConstantBetweenClockInterrupts) {
  RULE("TIME-2");
  m.run_for(16ms);
  m.on(0, PASSIVE_LEVEL, [] {
    const ULONGLONG interrupt_time = KeQueryInterruptTime();
    const ULONGLONG time = system_time();
    const ULONGLONG ticks = tick_count();
    ULONG64 stamp = 0, later_stamp = 0;
    const ULONGLONG precise = KeQueryInterruptTimePrecise(&stamp);
    LARGE_INTEGER precise_time;
    KeQuerySystemTimePrecise(&precise_time);
    const ULONGLONG count = performance_count();
    KeStallExecutionProcessor(5000);
    KDPC_EXPECT_EQ(KeQueryInterruptTime(), interrupt_time);
    KDPC_EXPECT_EQ(KeQueryUnbiasedInterruptTime(), interrupt_time);
    KDPC_EXPECT_EQ(system_time(), time);
    KDPC_EXPECT_EQ(tick_count(), ticks);
    KDPC_EXPECT(KeQueryInterruptTimePrecise(&later_stamp) - precise >= 50'000);
    KDPC_EXPECT(later_stamp - stamp >= 50'000);
    const LONGLONG before = precise_time.QuadPart;
    KeQuerySystemTimePrecise(&precise_time);
    KDPC_EXPECT(precise_time.QuadPart - before >= 50'000);
    KDPC_EXPECT(performance_count() - count >= 50'000);
    KeStallExecutionProcessor(15'625);
    KDPC_EXPECT_EQ(KeQueryInterruptTime(), interrupt_time + kTick);
    KDPC_EXPECT_EQ(system_time(), time + kTick);
    KDPC_EXPECT_EQ(tick_count(), ticks + 1);
  });
}

KDPC_TEST(Time, CanBeReadAtEveryLevel) {
  RULE("TIME-2");
  m.on(0, HIGH_LEVEL, [] {
    KDPC_EXPECT_EQ(KeQueryInterruptTime(), 0u);
    KDPC_EXPECT(system_time() > 0);
    KDPC_EXPECT_EQ(tick_count(), 0u);
    LARGE_INTEGER frequency;
    KeQueryPerformanceCounter(&frequency);
    KDPC_EXPECT_EQ(frequency.QuadPart, 10'000'000);
  });
}

// What a driver must not write: waiting for the clock at a level that holds the clock off.
void wait_for_the_next_tick() {
  const ULONGLONG now = KeQueryInterruptTime();
  while (KeQueryInterruptTime() == now) {
  }
}

KDPC_TEST(Time, ALoopOnItBelowClockLevelEnds) {
  RULE("TIME-2");
  m.on(0, DISPATCH_LEVEL, wait_for_the_next_tick);
  EXPECT_GE(m.now(), kTickNanoseconds);
}

KDPC_TEST(Time, ALoopOnItAtClockLevelNeverEnds) {
  RULE("TIME-2");
  auto livelock = m.start(0, CLOCK_LEVEL, wait_for_the_next_tick);
  m.run_for(40ms);
  EXPECT_FALSE(livelock.done());
  EXPECT_EQ(m.outcome().how, kdpc::lab::Ended::TimeLimit);
  EXPECT_EQ(m.count("clock-ticked"), 0u);
}

KDPC_TEST(Time, ATickIs156250Units) {
  RULE("TIME-3");
  m.on(0, HIGH_LEVEL, [] { KDPC_EXPECT_EQ(KeQueryTimeIncrement(), 156'250u); });
}

KDPC_TEST(Stall, LastsAtLeastAsLongAsAskedForAndLeavesTheLevelAlone) {
  RULE("TIME-4");
  for (unsigned level = PASSIVE_LEVEL; level <= HIGH_LEVEL; ++level) {
    m.on(0, level, [level] {
      const ULONGLONG before = performance_count();
      KeStallExecutionProcessor(100);
      KDPC_EXPECT(performance_count() - before >= 1000);
      KDPC_EXPECT(performance_count() - before < 1100);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
    });
  }
}

constexpr unsigned kVector = 0x51;
int interrupts = 0;
BOOLEAN NTAPI slow_isr(PKINTERRUPT, PVOID) {
  ++interrupts;
  KeStallExecutionProcessor(2000);
  return TRUE;
}

KDPC_TEST(Stall, IsLengthenedByTheInterruptsThatNestInIt) {
  RULE("TIME-4");
  static PKINTERRUPT interrupt;
  static ULONGLONG elapsed;
  interrupts = 0;
  m.on(0, PASSIVE_LEVEL,
       [] { KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, slow_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE), STATUS_SUCCESS); });
  auto stall = m.start(0, PASSIVE_LEVEL, [] {
    const ULONGLONG before = performance_count();
    KeStallExecutionProcessor(1000);
    elapsed = performance_count() - before;
  });
  m.run_for(500us);
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([&] { return stall.done(); }, 1s));
  EXPECT_EQ(interrupts, 1);
  EXPECT_GE(elapsed, 20'000u);
}

// A device whose only register becomes 1 after a millisecond.
class SlowDevice final : public kdpc::Board, public kdpc::Device {
 public:
  void attach(kdpc::BoardHost& host) override { host_ = &host; }
  std::span<kdpc::Device* const> devices() override { return devices_; }
  unsigned lines() const override { return 0; }
  kdpc::Nanoseconds next_event() const override { return kdpc::kNever; }
  kdpc::Nanoseconds advance_to(kdpc::Nanoseconds until) override { return until; }

  std::string_view name() const override { return "slow"; }
  std::span<const kdpc::RegisterRange> registers() const override { return ranges_; }
  int line() const override { return -1; }
  std::uint64_t read(unsigned, std::uint64_t, unsigned) override {
    ++reads;
    return host_->now() >= 1'000'000 ? 1 : 0;
  }
  void write(unsigned, std::uint64_t, unsigned, std::uint64_t) override {}

  int reads = 0;

 private:
  kdpc::BoardHost* host_ = nullptr;
  kdpc::Device* devices_[1] = {this};
  kdpc::RegisterRange ranges_[1] = {{kdpc::BusSpace::Port, 0x300, 4}};
};

KDPC_TEST(RegisterRead, CostsTimeSoThatPollingADeviceEnds) {
  RULE("TIME-5");
  SlowDevice device;
  m.attach(device);
  m.on(0, HIGH_LEVEL, [] {
    while (READ_PORT_ULONG(reinterpret_cast<PULONG>(0x300)) == 0) {
    }
    KDPC_EXPECT(performance_count() >= 10'000);
  });
  EXPECT_GT(device.reads, 100);  // a port read costs about a microsecond
  EXPECT_LT(device.reads, 2000);
}

}  // namespace
