// Drivers that never let go of a real processor: the clock comes wherever they are, and the report says where.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "kernel/bugcheck.h"
#include "kernel/dpc.h"
#include "tests/machine/inside.h"
#include "tests/machine/polled.h"

namespace kdpc {

using namespace inside;

namespace {

constexpr std::uint8_t kVector = 0x52;  // level 5

volatile bool forever = true;

host::Config impatient(unsigned processors) {
  host::Config config;
  config.processors = processors;
  config.options.dpc_time_limit = 4;
  config.options.dpc_watchdog_period = 8;
  return config;
}

}  // namespace

extern "C" void KDPC_NTAPI DpcWithoutEnd(Dpc*, void*, void*, void*) {
  while (forever) {
  }
}

extern "C" unsigned char KDPC_NTAPI IsrWithoutEnd(Interrupt*, void*) {
  while (forever) {
  }
  return 1;
}

extern "C" void thread_that_stays() {
  while (forever) look_if_polled();
}

extern "C" [[gnu::noinline]] void thread_that_stays_raised() {
  while (forever) {
  }
}

TEST(LiveFault, ADpcThatNeverReturnsIsAViolationAndIsNamed) {
  NEEDS_SIGNALS;
  const World world(impatient(2));
  static Dpc dpc;
  dpc = {};
  start(1, Irql::Passive, [] {
    dpc::initialize(dpc, DpcWithoutEnd, nullptr);
    dpc::insert(&dpc, nullptr, nullptr);
  });
  const auto outcome = host::run_until([] { return false; }, 10 * kSecond);
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::DpcWatchdogViolation);
  EXPECT_EQ(outcome.report->parameters.p1, 0u);
  EXPECT_EQ(outcome.report->processor, 1);
  EXPECT_TRUE(names(outcome.report->frames, DpcWithoutEnd));
}

TEST(LiveFault, AnIsrThatNeverReturnsIsAViolationAndIsNamed) {
  NEEDS_SIGNALS;
  const World world(impatient(2));
  on(1, Irql::Passive, [] { connect(kVector, IsrWithoutEnd, nullptr, ProcessorSet::only(1)); });
  host::raise_message(kVector, 1);
  const auto outcome = host::run_until([] { return false; }, 10 * kSecond);
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::DpcWatchdogViolation);
  EXPECT_TRUE(names(outcome.report->frames, IsrWithoutEnd));
}

TEST(LiveFault, AThreadThatStaysAtDispatchIsAViolationAndIsNamed) {
  NEEDS_SIGNALS;
  const World world(impatient(1));
  start(0, Irql::Dispatch, thread_that_stays_raised);
  const auto outcome = host::run_until([] { return false; }, 10 * kSecond);
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::DpcWatchdogViolation);
  EXPECT_EQ(outcome.report->parameters.p1, 1u);
  EXPECT_TRUE(names(outcome.report->frames, thread_that_stays_raised));
}

// Its own clock does not come any more; the other processor's does.
TEST(LiveFault, AProcessorThatStaysAtHighIsNoticedByAnother) {
  NEEDS_SIGNALS;
  host::Config config;
  config.processors = 2;
  config.options.clock_watchdog_ticks = 8;
  const World world(config);
  start(1, Irql::High, thread_that_stays_raised);
  const auto outcome = host::run_until([] { return false; }, 10 * kSecond);
  ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
  EXPECT_EQ(outcome.report->code, stop::ClockWatchdogTimeout);
  EXPECT_EQ(outcome.report->parameters.p4, 1u);
}

// A debugger stops all of it, and for long: afterwards the first processor that goes on makes up for its clock interrupts before the second has taken one.
TEST(LiveFault, AProcessThatStoodStillHasNoProcessorToBlame) {
  const World world({.processors = 2, .options = {.clock_watchdog_ticks = 16}});
  const pid_t process = ::getpid(), helper = ::fork();
  if (helper == 0) {
    for (int round = 0; round < 3; ++round) {
      ::usleep(100'000);
      ::kill(process, SIGSTOP);
      ::usleep(600'000);
      ::kill(process, SIGCONT);
    }
    ::_exit(0);
  }
  start(0, Irql::Passive, thread_that_stays);
  start(1, Irql::Passive, thread_that_stays);
  const auto outcome = host::run_until({}, 2'500 * kMillisecond);
  EXPECT_EQ(outcome.how, host::Ended::TimeLimit) << (outcome.report ? outcome.report->sentence : "");
  int status = 0;
  EXPECT_EQ(::waitpid(helper, &status, 0), helper);
}

TEST(LiveFault, TwoProcessorsThatFaultAtOnceAreOneReport) {
  for (int round = 0; round < 20; ++round) {
    const World world({.processors = 2});
    static std::atomic<int> there;
    there = 0;
    const auto fault = [] {
      for (++there; there != 2;) Machine::spin_pause({});
      *reinterpret_cast<volatile int*>(0x1000) = 1;
    };
    start(0, Irql::Dispatch, fault);
    start(1, Irql::Dispatch, fault);
    const auto outcome = host::run_until([] { return false; }, 10 * kSecond);
    ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
    EXPECT_EQ(outcome.report->code, stop::DriverIrqlNotLessOrEqual);
  }
}

}  // namespace kdpc
