// What is compared: after every operation its result, who performed it where and when, and everything that can be observed of the machine.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kdpc::model {

// A routine that begins is a step too: its result is what it was given.
inline constexpr std::uint32_t kBegins = ~std::uint32_t{0};

struct Step {
  std::uint64_t time;  // ns
  std::uint16_t script;
  std::uint8_t processor, irql;
  std::uint32_t index;  // of the operation in its script, or kBegins
  std::int64_t result;
  std::uint64_t digest;  // of all that can be observed
  bool operator==(const Step&) const = default;
};

inline std::int64_t begins_with(std::uint64_t context, std::uint64_t argument1, std::uint64_t argument2) {
  return static_cast<std::int64_t>((context * 1'000'003 + argument1) * 1'000'003 + argument2);
}

// The two ways to look at a machine. Kernel and model call add() with the same names in the same order.
class Digest {
 public:
  void add(const char*, std::size_t, std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9E3779B97F4A7C15;
    hash_ ^= hash_ >> 29;
  }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0;
};

struct Observed {
  const char* what;
  std::size_t whose;
  std::uint64_t value;
};
class Listing {
 public:
  void add(const char* what, std::size_t whose, std::uint64_t value) { items.push_back({what, whose, value}); }
  std::vector<Observed> items;
};

// How threads are named: the program's by their numbers, a processor's idle and DPC threads by these.
inline constexpr std::uint64_t kTimerOfThread = 0x400, kStartTimer = 0x500;
inline constexpr std::uint64_t kNobody = 0xff, kIdleThread = 0x100, kDpcThread = 0x200, kStranger = 0x300;

// What kernel and model were given alike when the first operation began.
struct Beginning {
  std::uint64_t now = 0;          // ns
  std::uint64_t clock_epoch = 0;  // ns
  std::uint64_t interrupt_time = 0, tick_count = 0, system_time_offset = 0;
  struct OfProcessor {
    std::uint32_t inserted;
    std::uint64_t next_clock, next_tick, last_clock;
    int dpc_thread_quantum;
  };
  std::vector<OfProcessor> processors;
  struct OfThread {
    unsigned processor;
    int quantum;
    std::int64_t uncharged;
  };
  std::vector<OfThread> threads;
  std::vector<unsigned> waiting;  // threads, in the order in which they wait for the first timer
  std::uint64_t start_due = 0;    // of that timer, in processor 0's table
};

// The virtual cost of anything is zero, but an IPI travels for so long; so each instant is a sequence of whole actions (model.h).
inline constexpr std::uint64_t kIpiLatency = 700;          // ns
inline constexpr std::int64_t kStart = -100'000;           // 100 ns: the first timer, which all threads wait for
inline constexpr std::uint64_t kPatience = 2'000'000'000;  // ns: a run in which nothing was performed for so long is over

}  // namespace kdpc::model
