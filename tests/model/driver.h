// The driver that performs a Program on the kernel: its objects, its devices, and what it leaves for the host.
#pragma once
#include <wdm.h>

#include <algorithm>
#include <span>
#include <vector>

#include "kdpc/device.h"
#include "kernel/thread.h"
#include "tests/model/operations.h"
#include "tests/model/steps.h"

namespace kdpc::model {

// The sources of interrupts, one line each.
class SourceBoard : public Board {
 public:
  explicit SourceBoard(const Program& program) : program_(program) {
    std::fill(std::begin(due_), std::end(due_), kNever);
    std::fill(std::begin(active_), std::end(active_), true);
  }
  void attach(BoardHost& host) override { host_ = &host; }
  std::span<Device* const> devices() override { return {}; }
  unsigned lines() const override { return static_cast<unsigned>(program_.sources.size()); }
  bool line_is_level(unsigned line) const override { return program_.sources[line].level; }
  Nanoseconds next_event() const override { return *std::min_element(std::begin(due_), std::end(due_)); }
  Nanoseconds advance_to(Nanoseconds until) override {
    for (unsigned line = 0; line < lines(); ++line) {
      if (due_[line] > until) continue;
      due_[line] = kNever;
      if (asserted_[line] || (!active_[line] && program_.sources[line].shared)) continue;
      asserted_[line] = true;
      host_->set_line(line, true);
    }
    return until;
  }

  void interrupt_at(unsigned line, Nanoseconds when) {
    if (due_[line] == kNever) due_[line] = when;
  }
  // Returns whether it was this one.
  bool quiet(unsigned line) {
    const bool was_asserted = asserted_[line];
    asserted_[line] = false;
    if (was_asserted) host_->set_line(line, false);
    return was_asserted;
  }
  // Whoever shares a vector keeps quiet while its routine is not called: nobody else would serve it.
  void set_active(unsigned line, bool active) { active_[line] = active; }
  bool is_asserted(unsigned line) const { return asserted_[line]; }

 private:
  const Program& program_;
  BoardHost* host_ = nullptr;
  Nanoseconds due_[kMaxSources];
  bool asserted_[kMaxSources] = {};
  bool active_[kMaxSources];
};

// The driver's objects, and what its routines leave for the host.
struct Driver {
  const Program* program = nullptr;
  KDPC dpcs[kMaxDpcs];
  KTIMER timers[kMaxTimers];
  KEVENT events[kMaxEvents];
  KSEMAPHORE semaphores[kMaxSemaphores];
  KTIMER start;
  Thread* threads[kMaxPlannedThreads];
  PKINTERRUPT interrupts[kMaxSources];
  SourceBoard* board = nullptr;
  std::uint64_t system_time_offset;
  std::vector<std::size_t> cursors;  // by script
  std::vector<Step> steps;
  std::size_t limit = 0;
  std::size_t list_step = 0;
  Listing listing;
  std::uint64_t last_step = 0;
  bool over = false;
  bool recording = false;
};

}  // namespace kdpc::model
