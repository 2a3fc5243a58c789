// The hand: what may come from outside at any time, and only where an order wants it (Board::kWhenever). To the machine it is a board that goes on.
#pragma once
#include <functional>
#include <string>

#include "kdpc/device.h"

namespace kdpc {
namespace io {
struct PhysicalDevice;
}

namespace lab {

// Does one thing, once in a run: a thread of the system's sees to it.
class Hand final : public Board {
 public:
  enum class Deed : std::uint8_t {
    PullsOut,        // one device. At that moment the card no longer answers, and interrupts no more: `pull_out`, on the host context
    SleepsAndWakes,  // the system
    Cancels,         // whatever applications have asked for; while they wait for something
  };
  explicit Hand(Deed deed);
  Hand(std::string_view device, std::function<void()> pull_out);

  // PnP knows the device from now on: it can be pulled out. Inside, by the thread that has announced it.
  void may_reach(io::PhysicalDevice& device) { state_.device = &device; }
  bool has_come() const { return state_.has_come; }
  Deed deed() const { return deed_; }
  const std::string& text() const { return text_; }  // "sound is pulled out"

  void attach(BoardHost&) override {}
  std::span<Device* const> devices() override { return {}; }
  unsigned lines() const override { return 0; }
  Nanoseconds next_event() const override;
  Nanoseconds advance_to(Nanoseconds until) override;
  std::span<std::byte> state() override { return std::as_writable_bytes(std::span(&state_, 1)); }
  bool can_rewind() const override { return true; }

 private:
  struct State {
    io::PhysicalDevice* device = nullptr;
    bool has_come = false;
  };
  bool may_come() const;

  const Deed deed_;
  const std::string text_;
  const std::function<void()> pull_out_;
  State state_;
};

}  // namespace lab
}  // namespace kdpc
