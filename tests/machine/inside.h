// Sends lambdas into the bare machine, without the lab: for the tests of the machine itself.
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/interrupt.h"
#include "kernel/job.h"
#include "kernel/system.h"
#include "machine/host.h"
#include "this_machine.h"

namespace kdpc::inside {

inline constexpr std::uint64_t kMillisecond = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

struct Body {
  std::function<void()> function;
  Irql level;
  bool done = false;

  static void KDPC_NTAPI run(void* pointer) {
    auto& body = *static_cast<Body*>(pointer);
    const Irql previous = raise_here(body.level);
    body.function();
    lower_here(previous);
    body.done = true;
  }
};
using Task = std::shared_ptr<Body>;

// Bodies live as long as the machine that runs them.
inline std::vector<Task>& tasks() {
  static std::vector<Task> all;
  return all;
}

// A machine from here to the end of the scope.
class World {
 public:
  explicit World(const host::Config& config = {}) {
    const auto created = host::create(config);
    if (!created) ADD_FAILURE() << created.error().what;
  }
  ~World() {
    host::destroy();
    tasks().clear();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
};

inline Task start(unsigned processor, Irql level, std::function<void()> function) {
  auto task = std::make_shared<Body>(Body{std::move(function), level});
  tasks().push_back(task);
  EXPECT_TRUE(job::post("test", &Body::run, task.get(), ProcessorSet::only(processor)));
  host::job_posted(processor);
  return task;
}

inline host::Outcome on(unsigned processor, Irql level, std::function<void()> function) {
  const Task task = start(processor, level, std::move(function));
  return host::run_until([&] { return task->done; }, 60 * kSecond);
}

// How long a test that shakes the machine does so; KDPC_STRESS_MS makes it longer, for those who look for what happens once a day.
inline std::uint64_t stress_duration(std::uint64_t milliseconds) {
  const char* wanted = std::getenv("KDPC_STRESS_MS");
  return (wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : milliseconds) * kMillisecond;
}

// In the machine: a message's interrupt at the level of its vector.
inline void connect(std::uint8_t vector, ServiceRoutine* routine, void* context, ProcessorSet processors) {
  InterruptSpec spec{};
  spec.routine = routine;
  spec.context = context;
  spec.vector = vector;
  spec.irql = spec.synchronize_irql = irql_of(vector);
  spec.trigger = Trigger::Latched;
  spec.processors = processors;
  Interrupt* interrupt = nullptr;
  EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
}

// A return address inside this small function is among the frames.
template <class Function>
bool names(const std::uintptr_t* frames, Function* function) {
  const auto start = reinterpret_cast<std::uintptr_t>(function);
  for (unsigned index = 0; frames[index] != 0; ++index)
    if (frames[index] >= start && frames[index] < start + 64) return true;
  return false;
}

// As deep as the stack: the address of each frame is used, so that no compiler makes a loop of it.
[[gnu::noinline]] inline unsigned long recurse(volatile unsigned long* above) {
  volatile unsigned long here[64];
  here[0] = above[0] + 1;
  if (here[0] == 0) return 0;  // never: for the compiler's peace of mind
  return recurse(here) + here[0];
}

inline void overflow_the_stack() {
  volatile unsigned long start = 0;
  recurse(&start);
}

// A frame to be named.
[[gnu::noinline]] inline void outermost_function_of_the_test(void (*function)()) {
  function();
  asm volatile("" ::: "memory");
}

// The order of everything that was stated, as text.
class Log : public EventSink {
 public:
  Log() { host::add_sink(*this); }
  ~Log() override { host::remove_sink(*this); }
  void event(const Stamp& stamp, const Event& event) override {
    std::string line = std::to_string(stamp.time) + " p" + std::to_string(stamp.processor) + " i" + std::to_string(stamp.irql) + " t" +
                       std::to_string(stamp.thread) + " ";
    std::visit(
        [&line](const auto& fact) {
          line += fact.name;
          fact.fields(Fields{line});
        },
        event);
    lines.push_back(std::move(line));
  }
  std::size_t mark() override { return lines.size(); }
  void rewind(std::size_t size) override { lines.resize(size); }
  std::vector<std::string> lines;

 private:
  struct Fields {
    std::string& line;
    template <class T>
    void operator()(const char* name, const T& value) const {
      if constexpr (std::is_same_v<T, Address>) {
        line += std::string(" ") + name + "=" + std::to_string(value.value);
      } else if constexpr (!std::is_pointer_v<T>) {
        line += std::string(" ") + name + "=" + std::to_string(static_cast<std::int64_t>(value));
      }
    }
  };
};

}  // namespace kdpc::inside
