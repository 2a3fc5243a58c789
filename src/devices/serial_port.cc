// A UART with its line and its far end.
#include <algorithm>

#include "devices/card.h"
#include "devices/far_end.h"

namespace kdpc::cards {

namespace {

constexpr std::uint64_t kRegisters = 8;
constexpr std::uint64_t kPicosecondsPerSecond = 1'000'000'000'000;

class Port final : public Card, public SerialPort {
 public:
  Port(const SerialPortWish& wish, CardState& state, CardHost& host)
      : wish_(wish), range_{wish.space, wish.base, kRegisters}, far_(state.far), host_(host), uart_(state.uart, wish.clock) {
    uart_.set_pins(far_.lines);
    state.uart.modem_deltas = 0;  // they were there before the power was
  }

  // -- Device, Card
  void attached(BoardHost& host) override {
    if (wish_.descriptor < 0) return;
    descriptor_ = std::make_unique<FarEnd>(host, wish_.descriptor, [this] { far_end_goes_on(); });
  }
  std::string_view name() const override { return wish_.name; }
  std::span<const RegisterRange> registers() const override { return {&range_, 1}; }
  int line() const override { return wish_.line; }
  std::uint64_t read(unsigned, std::uint64_t offset, unsigned width) override {
    std::uint64_t value = 0;
    const bool may_send = far_end_may_send();
    for (unsigned byte = 0; byte < width; ++byte)
      value |= static_cast<std::uint64_t>(uart_.read(static_cast<unsigned>(offset) + byte, host_.now())) << 8 * byte;
    if (!may_send) far_end_goes_on();
    host_.settle();
    return value;
  }
  void write(unsigned, std::uint64_t offset, unsigned width, std::uint64_t value) override {
    const bool was_breaking = uart_.is_breaking(), may_send = far_end_may_send();
    for (unsigned byte = 0; byte < width; ++byte)
      uart_.write(static_cast<unsigned>(offset) + byte, static_cast<std::uint8_t>(value >> 8 * byte), host_.now());
    if (uart_.is_breaking() && !was_breaking) keep({0, false, true, true, host_.now()});
    if (!may_send) far_end_goes_on();
    host_.settle();
  }
  bool interrupts() const override { return uart_.interrupts() && (!wish_.out2_gates_interrupt || (uart_.outputs() & Uart16550::kOut2) != 0); }
  Nanoseconds next_event() const override { return std::min(uart_.next_event(), next_of_far_end()); }
  void advance(Nanoseconds now) override {
    if (const auto wave = uart_.advance(now); wave && !uart_.is_breaking()) take(*wave, now);
    if (far_.on_the_way && far_.arrives <= now) arrive(now);
    if (next_of_far_end() <= now && !far_.on_the_way) begin(now);
  }

  // -- SerialPort
  void send(std::string_view bytes, Nanoseconds when, Defect defect) override {
    host_.enter([&] {
      for (const char byte : bytes) add({static_cast<std::uint8_t>(byte), defect, 0, when});
    });
  }
  void send_break(Nanoseconds length) override {
    host_.enter([&] { add({0, Defect::None, length, 0}); });
  }
  void set_modem_lines(unsigned lines) override {
    host_.enter([&] {
      far_.lines = static_cast<std::uint8_t>(lines);
      uart_.set_pins(lines);
      host_.settle();
    });
  }
  void speak(const SerialFormat& format) override {
    host_.enter([&] { wish_.far = format; });
  }
  std::size_t left_to_send() const override {
    std::size_t left = 0;
    host_.enter([&] { left = (descriptor_ != nullptr ? descriptor_->left() : far_.to_send - far_.sent) + (far_.on_the_way ? 1 : 0); });
    return left;
  }
  std::vector<Received> received() const override { return {received_.begin(), received_.begin() + far_.received}; }
  std::string received_text() const override {
    std::string text;
    for (std::size_t i = 0; i < far_.received; ++i)
      if (!received_[i].is_break) text += static_cast<char>(received_[i].byte);
    return text;
  }
  std::vector<Overrun> overruns() const override { return {overruns_.begin(), overruns_.begin() + far_.overruns}; }
  bool data_terminal_ready() const override { return (uart_.outputs() & Uart16550::kDtr) != 0; }
  bool request_to_send() const override { return (uart_.outputs() & Uart16550::kRts) != 0; }
  bool sees_break() const override { return uart_.is_breaking(); }

 private:
  struct Outgoing {
    std::uint8_t byte;
    Defect defect;
    Nanoseconds break_length;  // 0: a character
    Nanoseconds not_before;
  };

  std::uint64_t far_bit_ps() const { return kPicosecondsPerSecond / wish_.far.baud; }

  void add(const Outgoing& outgoing) {
    outgoing_.resize(far_.to_send);  // what was sent after a checkpoint that came back never was
    outgoing_.push_back(outgoing);
    outgoing_.back().not_before = std::max(outgoing.not_before, host_.now());
    ++far_.to_send;
  }
  template <class T>
  static void append(std::vector<T>& all, std::uint32_t& count, const T& one) {
    all.resize(count);
    all.push_back(one);
    ++count;
  }
  void keep(const Received& received) {
    append(received_, far_.received, received);
    if (descriptor_ != nullptr && !received.is_break) descriptor_->put(received.byte);
  }

  bool far_end_may_send() const {
    return (!wish_.obeys_rts || request_to_send()) && (!wish_.waits_for_room || (uart_.bit_ps() != 0 && uart_.has_room()));
  }
  // Who has waited for that begins now, and not when it could first have begun.
  void far_end_goes_on() {
    if (far_end_may_send()) far_.free = std::max(far_.free, host_.now());
  }
  Nanoseconds next_of_far_end() const {
    if (far_.on_the_way) return far_.arrives;
    if ((descriptor_ != nullptr ? descriptor_->is_empty() : far_.sent == far_.to_send) || !far_end_may_send()) return kNever;
    return descriptor_ != nullptr ? far_.free : std::max(far_.free, outgoing_[far_.sent].not_before);
  }

  // The start bit.
  void begin(Nanoseconds now) {
    if (descriptor_ != nullptr) beginning_ = {descriptor_->take(), Defect::None, 0, 0};
    const Outgoing& outgoing = descriptor_ != nullptr ? beginning_ : outgoing_[far_.sent];
    ++far_.sent;
    const Nanoseconds length = outgoing.break_length != 0 ? outgoing.break_length : character_time(wish_.far, far_bit_ps());
    far_.free = now + length + wish_.gap;
    const std::uint64_t bit = uart_.bit_ps();
    far_.on_the_way = true;
    far_.swallowed = bit == 0 || now < far_.chip_listens;
    far_.arrives = far_.swallowed ? far_.free : now + character_time(uart_.format(), bit);
    if (!far_.swallowed) far_.chip_listens = far_.arrives;
    if (outgoing.break_length != 0) far_.chip_listens = std::max(far_.chip_listens, far_.free);  // and it has to see the line idle again
  }

  void arrive(Nanoseconds now) {
    far_.on_the_way = false;
    far_.arrives = kNever;
    const std::uint64_t bit = uart_.bit_ps();
    if (far_.swallowed || bit == 0 || uart_.loops()) return;
    const Outgoing& outgoing = descriptor_ != nullptr ? beginning_ : outgoing_[far_.sent - 1];
    const Wave wave = outgoing.break_length != 0 ? break_wave(far_bit_ps()) : wave_of(wish_.far, far_bit_ps(), outgoing.byte, outgoing.defect);
    // A full FIFO keeps what it has; without one the new character takes the old one's place.
    const bool fits = uart_.receive(sample(wave, uart_.format(), bit), now);
    if (!fits) append(overruns_, far_.overruns, Overrun{uart_.uses_fifos() ? far_.sent - 1 : far_.latest, now});
    far_.latest = far_.sent - 1;
  }

  // What the chip has sent, as the far end understands it.
  void take(const Wave& wave, Nanoseconds now) {
    const Sampled sampled = sample(wave, wish_.far, far_bit_ps());
    keep({sampled.byte, sampled.parity_error, sampled.framing_error, sampled.is_break, now});
  }

  SerialPortWish wish_;
  RegisterRange range_;
  FarEndState& far_;
  CardHost& host_;
  Uart16550 uart_;
  std::unique_ptr<FarEnd> descriptor_;  // null: send() says what is sent
  Outgoing beginning_ = {};             // from a descriptor
  std::vector<Outgoing> outgoing_;
  std::vector<Received> received_;
  std::vector<Overrun> overruns_;
};

}  // namespace

std::unique_ptr<Card> make_serial_port(const SerialPortWish& wish, CardState& state, CardHost& host, SerialPort*& port) {
  auto made = std::make_unique<Port>(wish, state, host);
  port = made.get();
  return made;
}

}  // namespace kdpc::cards
