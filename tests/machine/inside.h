// Sends lambdas into the bare machine, without the lab: for the tests of the machine itself.
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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
