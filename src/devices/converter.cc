#include "devices/card.h"

namespace kdpc::cards {

namespace {

enum Offset : std::uint64_t { kControl = 0, kCommand = 4, kStatus = 8, kSample = 12, kSize = 16 };
constexpr std::uint64_t kInterruptWhenDone = 1, kDone = 1, kBusy = 2;
constexpr std::uint64_t kChannels = 8;

class ConverterCard final : public Card, public Converter {
 public:
  ConverterCard(const ConverterWish& wish, CardState& state, CardHost& host)
      : wish_(wish), range_{BusSpace::Memory, wish.base, kSize}, state_(state.converter), host_(host) {}

  std::string_view name() const override { return wish_.name; }
  std::span<const RegisterRange> registers() const override { return {&range_, 1}; }
  int line() const override { return wish_.line; }
  std::uint64_t read(unsigned, std::uint64_t offset, unsigned) override {
    switch (offset) {
      case kControl: return state_.interrupts ? kInterruptWhenDone : 0;
      case kCommand: return state_.channel;
      case kStatus: return (state_.done ? kDone : 0) | (state_.busy ? kBusy : 0);
      case kSample: return state_.data;
      default: return 0;
    }
  }
  void write(unsigned, std::uint64_t offset, unsigned, std::uint64_t value) override {
    if (offset == kControl) state_.interrupts = (value & kInterruptWhenDone) != 0;
    if (offset == kStatus && (value & kDone) != 0 && state_.conversions <= wish_.stuck_after) state_.done = false;
    if (offset == kCommand && !state_.busy && value < kChannels) {
      state_.channel = static_cast<std::uint8_t>(value);
      state_.busy = true;
      state_.due = state_.conversions < wish_.dead_after ? host_.now() + wish_.conversion : kNever;
    }
    host_.settle();
  }
  bool interrupts() const override { return state_.done && state_.interrupts; }
  Nanoseconds next_event() const override { return state_.due; }
  void advance(Nanoseconds now) override {
    if (state_.due > now) return;
    state_.due = kNever;
    state_.busy = false;
    state_.done = true;
    state_.data = sample(state_.channel, state_.conversions++);
  }
  std::uint64_t conversions() const override { return state_.conversions; }

 private:
  ConverterWish wish_;
  RegisterRange range_;
  ConverterState& state_;
  CardHost& host_;
};

}  // namespace

std::unique_ptr<Card> make_converter(const ConverterWish& wish, CardState& state, CardHost& host, Converter*& converter) {
  auto made = std::make_unique<ConverterCard>(wish, state, host);
  converter = made.get();
  return made;
}

}  // namespace kdpc::cards
