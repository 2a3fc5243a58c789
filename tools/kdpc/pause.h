// A run that is stopped at a fact: at the moment it is stated, wherever that is, inside an ISR or with a lock held. Nothing of the run goes on meanwhile,
// and nothing of it notices: a run that was stopped a thousand times is the same run.
//
// Events are numbered from 1, in the order in which they are stated. The number is a place in the run, the same in every repetition of it.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

#include "kdpc/lab.h"
#include "machine/sink.h"
#include "tools/kdpc/event_expression.h"

namespace kdpc::tool {

// A thread with a stack of ordinary size that does something for whoever has a small one, and waits.
class Aside {
 public:
  Aside();
  ~Aside();
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
  void run(const std::function<void()>& what);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* what_ = nullptr;
  bool over_ = false;
  std::thread thread_;
};

// Where a run is to be stopped next. Whichever comes first.
struct Stops {
  std::optional<std::uint64_t> number;  // this event
  std::optional<std::uint64_t> time;    // the first event that is not before it, ns
  const EventExpression* expression = nullptr;
  std::uint64_t expression_after = 0;  // … but not up to this event
};

class Pause : public EventSink {
 public:
  enum class Then : std::uint8_t { GoOn, End };
  using Stopped = std::function<Then(std::uint64_t number, const Stamp& stamp, const Event& event)>;

  // A sink of the machine as long as it lives. `stopped` may look at the machine, and change `stops`.
  Pause(lab::Machine& machine, Stops& stops, Stopped stopped);
  ~Pause() override;
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;
  void event(const Stamp& stamp, const Event& event) override;
  std::uint64_t number() const { return number_; }  // of the last event
  bool has_ended_the_run() const { return ended_; }

 private:
  bool stops_at(const Stamp& stamp, const Event& event);
  const std::string& name_of(std::uintptr_t address);

  lab::Machine& machine_;
  Stops& stops_;
  Stopped stopped_;
  Aside aside_;
  EventExpression::Namer namer_;
  std::unordered_map<std::uintptr_t, std::string> names_;
  std::uint64_t number_ = 0;
  bool ended_ = false;
};

}  // namespace kdpc::tool
