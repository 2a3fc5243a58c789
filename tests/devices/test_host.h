// What the tests of the bridge to QEMU share: a machine's side of a board.
#pragma once
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "devices/qtest/qemu_board.h"

namespace kdpc::qtest {

inline constexpr Nanoseconds kMillisecond = 1'000'000;

// A clock that the test moves, and a log of what the board did.
class Bench final : public BoardHost {
 public:
  explicit Bench(const QemuConfig& config) {
    auto started = QemuBoard::start(config);
    if (!started) {
      error = started.error().what;
      return;
    }
    board = std::move(started).value();
    board->attach(*this);
  }

  Nanoseconds now() const override { return now_; }
  void set_line(unsigned line, bool asserted) override {
    level[line] = asserted;
    pending.push_back(fmt::format("line {} {}", line, asserted ? "up" : "down"));
  }
  void send_message(unsigned message) override {
    ++messages;
    pending.push_back(fmt::format("message {}", message));
  }
  void fail(std::string what) override { failures.push_back(std::move(what)); }

  // Runs to `until`, over line changes.
  void run_to(Nanoseconds until) {
    while (now_ < until) step(until);
  }
  // Runs until `line` is asserted; false: not before `limit`.
  bool run_until_line(int line, Nanoseconds limit) {
    while (!level[static_cast<unsigned>(line)] && now_ < limit) step(limit);
    return level[static_cast<unsigned>(line)];
  }
  // Lines that changed since the last call, with the time at which they did; also those that changed within register accesses.
  std::vector<std::string> take_log() {
    stamp();
    return std::exchange(log, {});
  }

  std::unique_ptr<QemuBoard> board;
  std::string error;
  std::array<bool, 24> level{};
  unsigned messages = 0;  // how many have come
  std::vector<std::string> log;
  std::vector<std::string> failures;

 private:
  void step(Nanoseconds until) {
    stamp();
    const Nanoseconds reached = board->advance_to(until);
    EXPECT_GE(reached, now_);
    EXPECT_LE(reached, until);
    now_ = reached;
    stamp();
  }
  void stamp() {
    for (const std::string& entry : pending) log.push_back(fmt::format("{} {}", now_, entry));
    pending.clear();
  }

  Nanoseconds now_ = 0;
  std::vector<std::string> pending;
};

}  // namespace kdpc::qtest
