// NT threads that are preempted and migrated between any two instructions keep what is theirs: registers, errno, the heap's caches, exceptions in flight, the
// streams of the C++ library.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kernel/dpc.h"
#include "kernel/interrupt.h"
#include "kernel/wait.h"
#include "machine/live/signals.h"
#include "machine/sanitizer.h"
#include "tests/machine/inside.h"

namespace kdpc {

namespace {

using inside::kMillisecond;
using inside::kSecond;
using inside::on;
using inside::start;

constexpr std::uint8_t kVector = 0x52;  // level 5

std::uint64_t duration() {
  const char* wanted = std::getenv("KDPC_STRESS_MS");
  return (wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 700) * kMillisecond;
}

// Counts thread switches, and those after which a thread was on another processor than before.
class Switches : public EventSink {
 public:
  Switches() { host::add_sink(*this); }
  ~Switches() override { host::remove_sink(*this); }
  void event(const Stamp& stamp, const Event& event) override {
    const auto* switched = std::get_if<ThreadSwitched>(&event);
    if (switched == nullptr) return;
    if (switched->why == WaitReason::Preempted) ++preemptions;
    if (switched->to >= last_.size()) return;
    if (last_[switched->to] != 0 && last_[switched->to] != stamp.processor + 1u) ++migrations;
    last_[switched->to] = stamp.processor + 1u;
  }
  std::uint64_t preemptions = 0, migrations = 0;

 private:
  std::array<unsigned, 1024> last_{};
};

// A thread of high priority on each processor, woken by a device's interrupts, shakes all others off.
class Shaker {
 public:
  explicit Shaker(unsigned processors) : processors_(processors) {
    on(0, Irql::Passive, [this] {
      for (unsigned number = 0; number < processors_; ++number) {
        Part& part = parts_[number];
        wait::initialize_event(part.event, ObjectType::SynchronizationEvent, false);
        dpc::initialize(part.dpc, wake, &part);
      }
      InterruptSpec spec{};
      spec.routine = service;
      spec.context = this;
      spec.vector = kVector;
      spec.irql = spec.synchronize_irql = irql_of(kVector);
      spec.trigger = Trigger::Latched;
      spec.processors = ProcessorSet::first(processors_);
      Interrupt* interrupt = nullptr;
      EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
    });
    for (unsigned number = 0; number < processors_; ++number) {
      EXPECT_TRUE(job::post("shaker", shake, &parts_[number], ProcessorSet::only(number), kLowRealtimePriority));
      host::job_posted(number);
    }
    device_ = std::thread([this] {
      for (unsigned turn = 0; !stop_; ++turn) {
        host::raise_message(kVector, turn % processors_);
        std::this_thread::sleep_for(std::chrono::microseconds(30));
      }
    });
  }
  ~Shaker() {
    stop_ = true;
    device_.join();
  }
  Shaker(const Shaker&) = delete;
  Shaker& operator=(const Shaker&) = delete;

 private:
  struct Part {
    EventObject event;
    Dpc dpc;
  };
  static unsigned char KDPC_NTAPI service(Interrupt*, void* context) {
    dpc::insert(&static_cast<Shaker*>(context)->parts_[Machine::here().number].dpc, nullptr, nullptr);
    return 1;
  }
  static void KDPC_NTAPI wake(Dpc*, void* context, void*, void*) { wait::set_event(static_cast<Part*>(context)->event, 0); }
  static void KDPC_NTAPI shake(void* context) {
    for (;;) wait::for_object(static_cast<Part*>(context)->event.header, nullptr);
  }

  const unsigned processors_;
  Part parts_[64] = {};
  std::atomic<bool> stop_{false};
  std::thread device_;
};

#ifdef KDPC_ASAN
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
// While a sanitizer has its own heap, the machine cannot keep others out of a thread's way in there.
#define NEEDS_THE_HEAP \
  if (kSanitized) GTEST_SKIP() << "a sanitizer's heap bears no preemption"

// Runs `body(seed)` over and over in several threads that may go anywhere, while they are shaken.
void shaken(const std::function<bool(unsigned)>& body) {
  constexpr unsigned kProcessors = 4, kThreads = 3;
  const inside::World world({.processors = kProcessors});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> rounds{0}, wrong{0}, ended{0};
  struct Own {
    std::function<void()> run;
    static void KDPC_NTAPI call(void* context) { static_cast<Own*>(context)->run(); }
  };
  std::vector<std::unique_ptr<Own>> threads;
  Switches switches;
  {
    const Shaker shaker(kProcessors);
    for (unsigned index = 0; index < kThreads; ++index) {
      threads.push_back(std::make_unique<Own>(Own{[&, index] {
        for (unsigned turn = index; !stop; turn += kThreads) {
          if constexpr (live::signals::kPolled) Machine::window();
          if (!body(turn)) ++wrong;
          ++rounds;
        }
        ++ended;
      }}));
      EXPECT_TRUE(job::post("shaken", Own::call, threads.back().get(), ProcessorSet::first(kProcessors)));
      host::job_posted(index % kProcessors);
    }
    host::run_until([] { return host::now() > duration(); }, 600 * kSecond);
    stop = true;
    EXPECT_EQ(host::run_until([&] { return ended == kThreads; }, 60 * kSecond).how, host::Ended::ConditionMet);
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(rounds, 100u);
  EXPECT_GT(switches.preemptions, 100u);
  EXPECT_GT(switches.migrations, 10u);
  std::printf("%llu rounds, %llu preemptions, %llu migrations\n", static_cast<unsigned long long>(rounds),
              static_cast<unsigned long long>(switches.preemptions), static_cast<unsigned long long>(switches.migrations));
}

}  // namespace

TEST(LiveThreads, TheHeapBearsIt) {
  NEEDS_THE_HEAP;
  shaken([](unsigned seed) {
    std::vector<std::unique_ptr<std::vector<unsigned>>> blocks;
    for (unsigned index = 0; index < 50; ++index) {
      blocks.push_back(std::make_unique<std::vector<unsigned>>((seed * 7919 + index * 104729) % 3000 + 1, seed + index));
      if (index % 3 == 0) blocks[index / 2].reset();
    }
    for (unsigned index = 0; index < blocks.size(); ++index)
      if (blocks[index] != nullptr)
        for (const unsigned value : *blocks[index])
          if (value != seed + index) return false;
    return true;
  });
}

TEST(LiveThreads, StreamsOfTheirOwnBearIt) {
  NEEDS_THE_HEAP;
  shaken([](unsigned seed) {
    std::ostringstream stream;
    for (unsigned index = 0; index < 20; ++index) stream << seed + index << ' ' << 1.5 * index << ';';
    char text[64];
    std::snprintf(text, sizeof text, "%u %.3f", seed, seed / 8.0);
    std::istringstream back(stream.str());
    unsigned first = 0;
    back >> first;
    return first == seed && std::strtod(std::strchr(text, ' '), nullptr) == seed / 8.0;
  });
}

TEST(LiveThreads, ExceptionsInFlightBearIt) {
  NEEDS_THE_HEAP;
  shaken([](unsigned seed) {
    const auto thrower = [](auto& self, unsigned depth, unsigned value) -> void {
      const std::string guard(depth, 'x');  // something to unwind
      if (depth == 0) throw std::runtime_error(std::to_string(value));
      self(self, depth - 1, value);
    };
    try {
      try {
        thrower(thrower, 10, seed);
      } catch (const std::runtime_error& first) {
        if (first.what() != std::to_string(seed)) return false;
        try {
          thrower(thrower, 5, seed + 1);
        } catch (const std::runtime_error& second) {
          if (second.what() != std::to_string(seed + 1)) return false;
        }
        throw;
      }
    } catch (const std::exception& again) {
      return again.what() == std::to_string(seed) && std::uncaught_exceptions() == 0;
    }
    return false;
  });
}

TEST(LiveThreads, ErrnoIsTheirOwn) {
  shaken([](unsigned seed) {
    errno = static_cast<int>(seed);
    for (volatile int turn = 0; turn < 20000; turn = turn + 1) {
    }
    return errno == static_cast<int>(seed);
  });
}

TEST(LiveThreads, RegistersAreTheirOwn) {
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "this processor has no AVX";
  shaken([](unsigned seed) {
    alignas(32) std::uint32_t given[4][8], back[4][8];
    for (unsigned vector = 0; vector < 4; ++vector)
      for (unsigned lane = 0; lane < 8; ++lane) given[vector][lane] = seed * 31 + vector * 8 + lane;
    std::uint64_t count = 20000, general = seed;
    asm volatile(
        "vmovdqa 0(%[given]), %%ymm0\n vmovdqa 32(%[given]), %%ymm7\n vmovdqa 64(%[given]), %%ymm8\n vmovdqa 96(%[given]), %%ymm15\n"
        "1: dec %[count]\n jnz 1b\n"
        "vmovdqa %%ymm0, 0(%[back])\n vmovdqa %%ymm7, 32(%[back])\n vmovdqa %%ymm8, 64(%[back])\n vmovdqa %%ymm15, 96(%[back])\n"
        : [count] "+r"(count), [general] "+r"(general)
        : [given] "r"(given), [back] "r"(back)
        : "xmm0", "xmm7", "xmm8", "xmm15", "memory", "cc");
    return std::memcmp(given, back, sizeof given) == 0 && general == seed;
  });
}

}  // namespace kdpc
