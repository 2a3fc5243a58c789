// NT threads that are preempted and migrated between any two instructions keep what is theirs: registers, errno, the heap's caches, exceptions in flight, the
// streams of the C++ library.
#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kernel/bugcheck.h"
#include "kernel/dpc.h"
#include "kernel/wait.h"
#include "machine/live/lock.h"
#include "machine/sanitizer.h"
#include "tests/machine/inside.h"
#include "tests/machine/polled.h"

namespace kdpc {

namespace {

using inside::kSecond;
using inside::on;
using inside::start;

constexpr std::uint8_t kVector = 0x52;  // level 5

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
      inside::connect(kVector, service, this, ProcessorSet::first(processors_));
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

// A sanitizer has a heap of its own, which lets in no machine: whoever was preempted or frozen in there would keep its locks from all others. So with one, what
// allocates is not disturbed, and what lies in between is.
struct InTheHeap {
#ifdef KDPC_ASAN
  live::Undisturbed undisturbed{Irql::Synch};
#else
  InTheHeap() {}
#endif
};

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
          look_if_polled();
          if (!body(turn)) ++wrong;
          ++rounds;
        }
        ++ended;
      }}));
      EXPECT_TRUE(job::post("shaken", Own::call, threads.back().get(), ProcessorSet::first(kProcessors)));
      host::job_posted(index % kProcessors);
    }
    // Longer where the host is busy.
    const auto enough = [&] { return rounds > 100 && switches.preemptions > 100 && switches.migrations > 10; };
    const host::Outcome shaking = host::run_until([&] { return host::now() > inside::stress_duration(700) && enough(); }, 600 * kSecond);
    EXPECT_EQ(shaking.how, host::Ended::ConditionMet) << (shaking.report ? shaking.report->sentence : "");
    stop = true;
    const host::Outcome outcome = host::run_until([&] { return ended == kThreads; }, 60 * kSecond);
    EXPECT_EQ(outcome.how, host::Ended::ConditionMet) << (outcome.report ? outcome.report->sentence : "");
  }
  EXPECT_EQ(wrong, 0u);
  std::printf("%llu rounds, %llu preemptions, %llu migrations\n", static_cast<unsigned long long>(rounds),
              static_cast<unsigned long long>(switches.preemptions), static_cast<unsigned long long>(switches.migrations));
}

}  // namespace

TEST(LiveThreads, TheHeapBearsIt) {
  shaken([](unsigned seed) {
    std::vector<std::unique_ptr<std::vector<unsigned>>> blocks;
    for (unsigned index = 0; index < 50; ++index) {
      const InTheHeap heap;
      blocks.push_back(std::make_unique<std::vector<unsigned>>((seed * 7919 + index * 104729) % 3000 + 1, seed + index));
      if (index % 3 == 0) blocks[index / 2].reset();
    }
    bool right = true;
    for (unsigned index = 0; index < blocks.size(); ++index)
      if (blocks[index] != nullptr)
        for (const unsigned value : *blocks[index]) right = right && value == seed + index;
    const InTheHeap heap;
    blocks = decltype(blocks)();
    return right;
  });
}

TEST(LiveThreads, StreamsOfTheirOwnBearIt) {
  shaken([](unsigned seed) {
    std::optional<std::istringstream> back;
    {
      const InTheHeap heap;
      std::ostringstream stream;
      for (unsigned index = 0; index < 20; ++index) stream << seed + index << ' ' << 1.5 * index << ';';
      back.emplace(stream.str());
    }
    char text[64];
    std::snprintf(text, sizeof text, "%u %.3f", seed, seed / 8.0);
    unsigned first = 0;
    *back >> first;
    const InTheHeap heap;
    back.reset();
    return first == seed && std::strtod(std::strchr(text, ' '), nullptr) == seed / 8.0;
  });
}

TEST(LiveThreads, ExceptionsInFlightBearIt) {
  shaken([](unsigned seed) {
    std::optional<InTheHeap> heap;  // while an exception is made or freed
    const auto thrower = [&heap](auto& self, unsigned depth, unsigned value) -> void {
      const std::string guard(depth, 'x');  // something to unwind
      if (depth == 0) {
        heap.emplace();
        throw std::runtime_error(std::to_string(value));
      }
      self(self, depth - 1, value);
    };
    bool right = false;
    try {
      try {
        thrower(thrower, 10, seed);
      } catch (const std::runtime_error& first) {
        heap.reset();
        right = first.what() == std::to_string(seed);
        try {
          thrower(thrower, 5, seed + 1);
        } catch (const std::runtime_error& second) {
          heap.reset();
          right = right && second.what() == std::to_string(seed + 1);
          heap.emplace();
        }
        heap.reset();
        throw;
      }
    } catch (const std::exception& again) {
      right = right && again.what() == std::to_string(seed) && std::uncaught_exceptions() == 0;
      heap.emplace();
    }
    heap.reset();
    return right;
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

namespace {

constexpr unsigned kRegisters = 4, kLanes = 16;  // of each, as much as the widest has

// What only this thread has goes into registers, and comes back after it has been shaken for a while: the first `lanes` of each.
template <class Keep>
bool keeps(unsigned seed, unsigned lanes, const Keep& keep) {
  alignas(64) std::uint32_t given[kRegisters][kLanes], back[kRegisters][kLanes];
  for (unsigned index = 0; index < kRegisters; ++index)
    for (unsigned lane = 0; lane < kLanes; ++lane) given[index][lane] = seed * 31 + index * kLanes + lane;
  keep(given, back);
  for (unsigned index = 0; index < kRegisters; ++index)
    if (std::memcmp(given[index], back[index], lanes * sizeof(std::uint32_t)) != 0) return false;
  return true;
}

// clang-format off
#define KEEP(move, registers)                                                                               \
  [](const auto& given, auto& back) {                                                                       \
    std::uint64_t count = 20000;                                                                            \
    asm volatile(move "   0(%[given]), %%" registers "0\n"  move "  64(%[given]), %%" registers "7\n"       \
                 move " 128(%[given]), %%" registers "8\n"  move " 192(%[given]), %%" registers "15\n"      \
                 "1: dec %[count]\n jnz 1b\n"                                                               \
                 move " %%" registers "0,   0(%[back])\n"   move " %%" registers "7,   64(%[back])\n"       \
                 move " %%" registers "8, 128(%[back])\n"   move " %%" registers "15, 192(%[back])\n"       \
                 : [count] "+r"(count)                                                                      \
                 : [given] "r"(given), [back] "r"(back)                                                     \
                 : "xmm0", "xmm7", "xmm8", "xmm15", "memory", "cc");                                        \
  }
// clang-format on

}  // namespace

TEST(LiveThreads, GeneralRegistersAreTheirOwn) {
  shaken([](unsigned seed) {
    std::uint64_t count = 20000, general = seed;
    asm volatile("1: dec %[count]\n jnz 1b\n" : [count] "+r"(count), [general] "+r"(general) : : "cc");
    return general == seed;
  });
}

TEST(LiveThreads, VectorRegistersAreTheirOwn) {
  shaken([](unsigned seed) { return keeps(seed, 4, KEEP("movdqa", "xmm")); });
  if (__builtin_cpu_supports("avx")) shaken([](unsigned seed) { return keeps(seed, 8, KEEP("vmovdqa", "ymm")); });
  if (__builtin_cpu_supports("avx512f")) shaken([](unsigned seed) { return keeps(seed, 16, KEEP("vmovdqa32", "zmm")); });
}

// It belongs to the pthread, and a signal's handler that ends on another one than it began on gives that one's back.
TEST(LiveThreads, TheStackForFaultsIsThatOfTheProcessorTheyAreOn) {
  shaken([](unsigned) {
    for (volatile int turn = 0; turn < 20000; turn = turn + 1) {
    }
    const Irql previous = raise_here(Irql::Dispatch);
    stack_t stack{};
    const bool right = ::sigaltstack(nullptr, &stack) == 0 && stack.ss_sp == reinterpret_cast<void*>(live::here().alternate_stack) &&
                       stack.ss_size >= 64 * 1024 && stack.ss_flags == 0;
    lower_here(previous);
    return right;
  });
}

TEST(LiveThreads, AnOverflowAfterAMigrationIsNamed) {
  const auto number_here = [] {
    const Irql previous = raise_here(Irql::Dispatch);
    const unsigned number = Machine::here().number;
    lower_here(previous);
    return number;
  };
  constexpr unsigned kProcessors = 4;
  for (int round = 0; round < 5; ++round) {
    const inside::World world({.processors = kProcessors});
    const Shaker shaker(kProcessors);
    std::function<void()> moves = [&] {
      for (const unsigned first = number_here(); number_here() == first;) {
      }
      inside::overflow_the_stack();
    };
    EXPECT_TRUE(job::post(
        "moves", [](void* context) KDPC_NTAPI { (*static_cast<std::function<void()>*>(context))(); }, &moves, ProcessorSet::first(kProcessors)));
    host::job_posted(0);
    const host::Outcome outcome = host::run_until([] { return false; }, 20 * kSecond);
    ASSERT_EQ(outcome.how, host::Ended::Bugcheck);
    EXPECT_EQ(outcome.report->code, stop::UnexpectedKernelModeTrap);
    EXPECT_EQ(outcome.report->parameters.p1, 8u);
    EXPECT_NE(std::string(outcome.report->sentence).find("thread"), std::string::npos);
  }
}

}  // namespace kdpc
