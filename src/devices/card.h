// What the cards of a CardBoard have in common, and where their state lies: in one piece, for checkpoints.
#pragma once
#include "devices/uart16550.h"

namespace kdpc::cards {

// The other end of a serial line. What it has sent and received only grows; how far is state, so that a restored run goes over it again.
struct FarEndState {
  std::uint32_t to_send = 0, sent = 0, received = 0, overruns = 0;
  std::uint32_t latest = 0;      // of those sent, the last one that the chip has taken
  bool on_the_way = false;       // a character has begun
  bool swallowed = false;        // … while the chip was still busy with one, so it has not seen it begin
  Nanoseconds arrives = kNever;  // when the chip has all of it
  Nanoseconds free = 0;          // when the next may begin
  Nanoseconds chip_listens = 0;  // from then on the chip sees a start bit
  std::uint8_t lines = SerialPort::kCts | SerialPort::kDsr | SerialPort::kCarrier;
};

struct ConverterState {
  bool interrupts = false, done = false, busy = false;
  std::uint8_t channel = 0;
  std::uint16_t data = 0;
  std::uint64_t conversions = 0;
  Nanoseconds due = kNever;
};

struct CardState {
  Uart16550::State uart;
  FarEndState far;
  ConverterState converter;
};

class Card : public Device {
 public:
  virtual bool interrupts() const = 0;
  virtual Nanoseconds next_event() const = 0;
  virtual void advance(Nanoseconds now) = 0;  // does what is due
  virtual void attached(BoardHost&) {}
};

// What a card asks of its board.
class CardHost {
 public:
  virtual ~CardHost() = default;
  virtual Nanoseconds now() const = 0;
  virtual void settle() = 0;  // something that is asserted may have changed, outside of advance()
  // From outside: with the board to itself; then it is asked again when something will happen.
  virtual void enter(const std::function<void()>& work) = 0;
};

std::unique_ptr<Card> make_serial_port(const SerialPortWish& wish, CardState& state, CardHost& host, SerialPort*& port);
std::unique_ptr<Card> make_converter(const ConverterWish& wish, CardState& state, CardHost& host, Converter*& converter);

}  // namespace kdpc::cards
