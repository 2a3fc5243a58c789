// The live machine under everything at once: DPCs of all importances to all processors, removals, levels going up and down, IPIs, the clock, messages from the
// processors and from a thread of the host's. What is counted must come out even: nothing is lost, and nothing comes twice.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "kernel/clock.h"
#include "kernel/dpc.h"
#include "kernel/ipi.h"
#include "kernel/wait.h"
#include "tests/machine/inside.h"

namespace kdpc {

namespace {

using inside::kSecond;
using inside::on;
using inside::start;

constexpr std::uint8_t kVector = 0x52;  // level 5
constexpr unsigned kDpcs = 64;

struct Random {
  std::uint64_t state;
  unsigned below(unsigned bound) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return static_cast<unsigned>((state >> 33) % bound);
  }
};

struct Stress {
  explicit Stress(unsigned its_processors) : processors(its_processors) {}

  const unsigned processors;
  Dpc dpcs[kDpcs] = {};
  Dpc of_isr[64] = {};
  std::atomic<std::uint64_t> inserted{0}, ran{0}, removed{0}, at_wrong_level{0};
  std::atomic<std::uint64_t> isrs{0}, isr_inserted{0}, isr_ran{0}, on_wrong_processor{0};
  std::atomic<std::uint64_t> calls{0}, called{0};
  std::atomic<bool> stop{false};

  static void KDPC_NTAPI run(Dpc* dpc, void* context, void*, void*) {
    auto& self = *static_cast<Stress*>(context);
    if (Machine::irql() != Irql::Dispatch) ++self.at_wrong_level;
    if (dpc->number != 0 && Machine::here().number != dpc->number - Dpc::kTargeted) ++self.on_wrong_processor;
    ++self.ran;
  }
  static void KDPC_NTAPI run_for_isr(Dpc*, void* context, void*, void*) { ++static_cast<Stress*>(context)->isr_ran; }
  static unsigned char KDPC_NTAPI service(Interrupt*, void* context) {
    auto& self = *static_cast<Stress*>(context);
    if (Machine::irql() != irql_of(kVector)) ++self.at_wrong_level;
    ++self.isrs;
    if (dpc::insert(&self.of_isr[Machine::here().number], nullptr, nullptr)) ++self.isr_inserted;
    return 1;
  }
  static std::uintptr_t KDPC_NTAPI count_call(std::uintptr_t pointer) {
    ++reinterpret_cast<Stress*>(pointer)->called;
    return 0;
  }

  void prepare() {
    for (unsigned index = 0; index < kDpcs; ++index) {
      dpc::initialize(dpcs[index], run, this);
      dpc::set_importance(dpcs[index], static_cast<Importance>(index % 4));
      if (index % 3 != 0) dpc::set_target(dpcs[index], index % processors);
    }
    for (Dpc& dpc : of_isr) dpc::initialize(dpc, run_for_isr, this);
    inside::connect(kVector, service, this, ProcessorSet::first(processors));
  }

  void work(std::uint64_t seed) {
    Random random{seed};
    while (!stop) {
      Dpc& dpc = dpcs[random.below(kDpcs)];
      switch (random.below(16)) {
        case 0:
        case 1: {
          const Irql previous = raise_here(static_cast<Irql>(1 + random.below(15)));
          if (dpc::insert(&dpc, nullptr, nullptr)) ++inserted;
          lower_here(previous);
          break;
        }
        case 2: {
          if (dpc::remove(dpc)) ++removed;
          break;
        }
        case 3: host::raise_message(kVector, random.below(processors)); break;
        case 4: {
          if (random.below(50) != 0) break;
          ++calls;
          ipi::call_everywhere(count_call, reinterpret_cast<std::uintptr_t>(this));
          break;
        }
        case 5: {
          if (random.below(200) == 0) wait::delay(-1'000);
          break;
        }
        default:
          if (dpc::insert(&dpc, nullptr, nullptr)) ++inserted;
      }
    }
  }
};

void expect_even(unsigned processors, unsigned threads_each) {
  const inside::World world({.processors = processors});
  auto stress = std::make_unique<Stress>(processors);
  on(0, Irql::Passive, [&] {
    stress->prepare();
    clock::set_resolution(kShortestClockInterval, true);
  });
  std::vector<inside::Task> tasks;
  for (unsigned number = 0; number < processors; ++number)
    for (unsigned index = 0; index < threads_each; ++index)
      tasks.push_back(start(number, Irql::Passive, [&stress, seed = number * 100 + index] { stress->work(seed); }));
  std::thread device([&] {
    Random random{4711};
    while (!stress->stop) {
      host::raise_message(kVector, random.below(processors));
      std::this_thread::sleep_for(std::chrono::microseconds(70));
    }
  });
  std::uint64_t asked = 0;
  host::run_until([&] { return ++asked != 0 && host::now() > inside::stress_duration(1000); }, 600 * kSecond);
  stress->stop = true;
  device.join();
  const auto all_done = [&] {
    for (const inside::Task& task : tasks)
      if (!task->done) return false;
    return true;
  };
  ASSERT_EQ(host::run_until(all_done, 60 * kSecond).how, host::Ended::ConditionMet);
  host::run_until([&] { return stress->inserted == stress->ran + stress->removed && stress->isr_inserted == stress->isr_ran; }, 5 * kSecond);
  EXPECT_EQ(stress->inserted, stress->ran + stress->removed);
  EXPECT_EQ(stress->isr_inserted, stress->isr_ran);
  EXPECT_EQ(stress->called, stress->calls * processors);
  EXPECT_EQ(stress->at_wrong_level, 0u);
  EXPECT_EQ(stress->on_wrong_processor, 0u);
  EXPECT_GT(stress->ran, 1000u);
  EXPECT_GT(stress->isrs, 100u);
  EXPECT_GT(stress->calls, 0u);
  std::printf("%llu inserted, %llu ran, %llu removed, %llu ISRs, %llu calls, asked %llu times\n", static_cast<unsigned long long>(stress->inserted),
              static_cast<unsigned long long>(stress->ran), static_cast<unsigned long long>(stress->removed),
              static_cast<unsigned long long>(stress->isrs), static_cast<unsigned long long>(stress->calls), static_cast<unsigned long long>(asked));
}

}  // namespace

TEST(LiveStress, OneProcessorLosesNothing) { expect_even(1, 2); }
TEST(LiveStress, TwoProcessorsLoseNothing) { expect_even(2, 1); }
TEST(LiveStress, TwoProcessorsWithSeveralThreadsEachLoseNothing) { expect_even(2, 3); }
TEST(LiveStress, MoreProcessorsThanTheHostHasLoseNothing) { expect_even(8, 2); }

}  // namespace kdpc
