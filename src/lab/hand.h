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

// Pulls one device out, once in a run. At that moment the card no longer answers, and interrupts no more; a thread of the PnP manager's sees to the rest.
class Hand final : public Board {
 public:
  // `pull_out`: on the host context, what the moment itself does.
  Hand(std::string_view device, std::function<void()> pull_out);

  // PnP knows the device from now on: it can be pulled out. Inside, by the thread that has announced it.
  void may_reach(io::PhysicalDevice& device) { state_.device = &device; }
  bool has_come() const { return state_.has_come; }
  const std::string& deed() const { return deed_; }  // "sound is pulled out"

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
  std::string deed_;
  std::function<void()> pull_out_;
  State state_;
};

}  // namespace lab
}  // namespace kdpc
