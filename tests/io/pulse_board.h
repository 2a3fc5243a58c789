// A board for tests: devices that do nothing but interrupt.
//
// Registers of each, 32 bits: 0 status (bit 0: it interrupts; writing 1 ends that), 4 enable, 8 trigger, 12 how often it was triggered.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kdpc/device.h"

namespace kdpc::test {

class PulseBoard : public Board {
 public:
  static constexpr std::uint64_t kFirstBase = 0xF000'0000;

  struct Wish {
    std::string name;
    int line = 0;
    std::uint64_t pulse_after = kNever;  // triggers itself once, so long after it was enabled
    MessageOffer::Kind kind = MessageOffer::Kind::None;
    unsigned messages = 0;
  };
  explicit PulseBoard(const std::vector<Wish>& wishes, bool level = true) : level_(level), states_(wishes.size()) {
    for (const Wish& wish : wishes) {
      pulses_.push_back(std::make_unique<Pulse>(*this, wish, kFirstBase + 0x1000 * pulses_.size(), states_[pulses_.size()]));
      devices_.push_back(pulses_.back().get());
      if (wish.line >= static_cast<int>(lines_)) lines_ = static_cast<unsigned>(wish.line) + 1;
      pulses_.back()->first_message = messages_;
      messages_ += wish.messages;
    }
  }

  void attach(BoardHost& host) override { host_ = &host; }
  std::span<Device* const> devices() override { return devices_; }
  unsigned lines() const override { return lines_; }
  bool line_is_level(unsigned) const override { return level_; }
  bool line_is_passive(unsigned) const override { return passive_; }
  void make_passive() { passive_ = true; }  // before it is attached
  unsigned messages() const override { return messages_; }
  Nanoseconds next_event() const override {
    Nanoseconds earliest = kNever;
    for (const auto& pulse : pulses_)
      if (pulse->state.due < earliest) earliest = pulse->state.due;
    return earliest;
  }
  Nanoseconds advance_to(Nanoseconds until) override {
    const Nanoseconds next = next_event();
    if (next > until) return until;
    for (const auto& pulse : pulses_)
      if (pulse->state.due == next) pulse->state.due = kNever, pulse->trigger();
    return next;
  }
  DmaMemory dma() const override { return dma_; }
  std::span<std::byte> state() override { return std::as_writable_bytes(std::span(states_)); }
  bool can_rewind() const override { return true; }
  void use_memory(DmaMemory memory) { dma_ = memory; }

  // As if the hardware did it.
  void trigger(unsigned device) { pulses_[device]->trigger(); }
  void send(unsigned device, unsigned message) { host_->send_message(pulses_[device]->first_message + message); }
  unsigned granted(unsigned device) const { return pulses_[device]->granted; }
  bool is_enabled(unsigned device) const { return pulses_[device]->state.enabled; }

 private:
  // What a checkpoint copies, of all devices in one piece.
  struct State {
    bool status = false, enabled = false;
    std::uint64_t triggers = 0;
    Nanoseconds due = kNever;
  };

  struct Pulse : Device {
    Pulse(PulseBoard& its_board, const Wish& its_wish, std::uint64_t base, State& its_state)
        : board(its_board), wish(its_wish), range{BusSpace::Memory, base, 16}, state(its_state) {}
    std::string_view name() const override { return wish.name; }
    std::span<const RegisterRange> registers() const override { return {&range, 1}; }
    int line() const override { return wish.line; }
    MessageOffer messages() const override { return {wish.kind, wish.messages, first_message}; }
    void grant_messages(unsigned count) override { granted = count; }
    std::uint64_t read(unsigned, std::uint64_t offset, unsigned) override {
      return offset == 0 ? state.status : offset == 4 ? state.enabled : offset == 12 ? state.triggers : 0;
    }
    void write(unsigned, std::uint64_t offset, unsigned, std::uint64_t value) override {
      if (offset == 0 && (value & 1) != 0) state.status = false;
      if (offset == 4) {
        state.enabled = (value & 1) != 0;
        if (state.enabled && wish.pulse_after != kNever) state.due = board.host_->now() + wish.pulse_after;
      }
      board.settle(wish.line);
      if (offset == 8) trigger();
    }
    void trigger() {
      ++state.triggers;
      state.status = true;
      board.settle(wish.line);
    }
    PulseBoard& board;
    Wish wish;
    RegisterRange range;
    State& state;
    unsigned first_message = 0, granted = 0;
  };

  // A line is asserted while any of its devices interrupts.
  void settle(int line) {
    bool asserted = false;
    for (const auto& pulse : pulses_) asserted = asserted || (pulse->wish.line == line && pulse->state.status && pulse->state.enabled);
    if (line >= 0) host_->set_line(static_cast<unsigned>(line), asserted);
  }

  bool level_;
  bool passive_ = false;
  BoardHost* host_ = nullptr;
  std::vector<State> states_;
  std::vector<std::unique_ptr<Pulse>> pulses_;
  std::vector<Device*> devices_;
  unsigned lines_ = 0, messages_ = 0;
  DmaMemory dma_;
};

}  // namespace kdpc::test
