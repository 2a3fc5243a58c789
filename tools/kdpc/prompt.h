// The prompt of `kdpc run --break-if`: where a run has stopped, its views, and how to go on. Going back is running again from the beginning, up to an
// earlier event: on the simulated machine that is the same run.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>

#include "tools/kdpc/pause.h"

namespace kdpc::tool {

class Prompt {
 public:
  Prompt(const EventExpression& condition, std::FILE* out) : condition_(condition), out_(out) { stops_.expression = &condition_; }

  Stops& stops() { return stops_; }
  // A run begins, the first one or another.
  void begins();
  // In a run, at an event.
  Pause::Then stopped(lab::Machine& machine, std::uint64_t number, const Stamp& stamp, const Event& event);
  // Behind the last event of a run that has ended badly; `how` says it.
  void ended(lab::Machine& machine, std::uint64_t last, const std::string& how);

  bool wants_another_run() const { return going_back_; }
  bool has_left() const { return left_; }
  bool was_never_there() const { return !was_there_; }

 private:
  enum class Go : std::uint8_t { Stay, On, Leave };
  Go talk(lab::Machine& machine);
  Go obey(lab::Machine& machine, const std::string& line);
  Go step(std::uint64_t count);
  Go back(const lab::Machine& machine, std::uint64_t count);
  void say(const std::string& text) { std::fwrite(text.data(), 1, text.size(), out_); }

  const EventExpression& condition_;
  std::FILE* out_;
  Stops stops_;
  std::uint64_t number_ = 0;  // where it is
  bool over_ = false;         // behind the last event
  bool going_back_ = false;
  bool left_ = false;
  bool was_there_ = false;
  // Where it is going back to, as it was the first time.
  struct Memory {
    std::uint64_t time;
    std::string event;
  };
  std::optional<Memory> remembered_;
};

}  // namespace kdpc::tool
