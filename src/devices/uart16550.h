// A 16550A UART after its public data sheet: the chip alone, without bus, line or far end. Somebody calls it at the right times.
//
//   written --> [THR or 16 bytes] --> shift register --(one character time)--> sent --> the line, or the receiver in loop-back
//   received --> [RBR or 16 bytes, each with its errors] --> read
//
// The interrupt is a level: it is asserted while any enabled cause stands. IIR names the most urgent: line status, received data or time-out,
// transmitter empty, modem status.
//
// Not here: DMA mode (its pins end nowhere on a PC), and the delay of one character that the FIFO's first transmitter-empty indication can have.
#pragma once
#include <algorithm>
#include <optional>

#include "kdpc/cards.h"

namespace kdpc::cards {

// -- the line --------------------------------------------------------------------------------------------------------------------------------

// A character as it is on the wire, lowest bit first, from the start bit on; behind it the line is idle, that is 1, or 0 in a break.
struct Wave {
  std::uint32_t bits = ~0u;
  std::uint64_t bit_ps = 0;  // picoseconds
};
struct Sampled {
  std::uint8_t byte = 0;
  bool parity_error = false, framing_error = false, is_break = false;
};
std::uint64_t bit_ps(std::uint64_t baud_times_16_clock, unsigned divisor);  // 0: the divisor is 0, and nothing moves
Wave wave_of(const SerialFormat& format, std::uint64_t bit_ps, std::uint8_t byte, SerialPort::Defect defect = SerialPort::Defect::None);
Wave break_wave(std::uint64_t bit_ps);
// What a receiver of this format makes of it, in the middle of each of its own bits.
Sampled sample(const Wave& wave, const SerialFormat& format, std::uint64_t bit_ps);
Nanoseconds character_time(const SerialFormat& format, std::uint64_t bit_ps);

// -- the chip --------------------------------------------------------------------------------------------------------------------------------

class Uart16550 {
 public:
  static constexpr unsigned kFifo = 16;
  // Registers; 0 and 1 are the divisor latch while LCR says so.
  enum Register : unsigned { kData, kInterruptEnable, kIdentification, kLineControl, kModemControl, kLineStatus, kModemStatus, kScratch };
  static constexpr unsigned kFifoControl = kIdentification;  // written
  enum LineStatus : std::uint8_t {
    kDataReady = 0x01,
    kOverrunError = 0x02,
    kParityError = 0x04,
    kFramingError = 0x08,
    kBreak = 0x10,
    kHoldingEmpty = 0x20,
    kTransmitterEmpty = 0x40,
    kErrorInFifo = 0x80,
  };
  enum Enable : std::uint8_t { kReceived = 0x1, kHoldingEmptied = 0x2, kLineStatusChanged = 0x4, kModemStatusChanged = 0x8 };
  enum Identification : std::uint8_t { kNone = 0x01, kModem = 0x00, kHolding = 0x02, kReceivedData = 0x04, kLine = 0x06, kTimeout = 0x0C };
  enum ModemControl : std::uint8_t { kDtr = 0x01, kRts = 0x02, kOut1 = 0x04, kOut2 = 0x08, kLoop = 0x10 };

  // Every byte of it that a checkpoint must copy.
  struct State {
    struct Character {
      std::uint8_t byte, errors;  // errors: of LineStatus
    };
    Character received[kFifo] = {};  // oldest first
    std::uint8_t sending[kFifo] = {};
    unsigned received_count = 0, sending_count = 0;
    std::uint8_t interrupt_enable = 0, fifo_control = 0, line_control = 0, modem_control = 0, scratch = 0;
    std::uint16_t divisor = 0;
    std::uint8_t line_errors = 0;  // not yet read from LSR
    std::uint8_t pins = 0;         // modem inputs, as in MSR
    std::uint8_t modem_deltas = 0;
    Wave shifting_wave;  // as it was when the character began: the driver may change the format meanwhile
    bool shifting = false;
    bool holding_emptied = false;  // the cause of the interrupt
    bool timed_out = false;
    Nanoseconds shifted_at = kNever;  // when the shift register is empty
    Nanoseconds times_out_at = kNever;
  };
  Uart16550(State& state, unsigned clock) : state_(state), clock_(clock) {}

  std::uint8_t read(unsigned reg, Nanoseconds now);
  void write(unsigned reg, std::uint8_t value, Nanoseconds now);

  bool interrupts() const { return identification() != kNone; }
  unsigned outputs() const { return (state_.modem_control & kLoop) != 0 ? 0 : state_.modem_control & 0x0F; }  // of ModemControl
  bool is_breaking() const { return (state_.line_control & 0x40) != 0 && !loops(); }
  SerialFormat format() const;
  std::uint64_t bit_ps() const { return cards::bit_ps(clock_, state_.divisor); }

  // A character is complete. False: there was no room, and one is lost.
  bool receive(const Sampled& character, Nanoseconds now);
  bool has_room() const { return state_.received_count < room(); }
  void set_pins(unsigned lines);

  Nanoseconds next_event() const { return std::min(state_.shifted_at, state_.times_out_at); }
  // Does what is due now: the character that was sent on the line, if one was.
  std::optional<Wave> advance(Nanoseconds now);
  bool loops() const { return (state_.modem_control & kLoop) != 0; }
  bool uses_fifos() const { return (state_.fifo_control & 1) != 0; }

 private:
  unsigned room() const { return uses_fifos() ? kFifo : 1; }
  unsigned trigger() const;
  std::uint8_t identification() const;
  std::uint8_t line_status() const;
  std::uint8_t modem_lines() const;
  std::uint8_t take_received(Nanoseconds now);
  std::uint8_t take_line_status();
  void reveal_errors();
  void write_fifo_control(std::uint8_t value);
  void set_divisor(unsigned divisor, Nanoseconds now);
  void hold(std::uint8_t byte, Nanoseconds now);
  void shift_next(Nanoseconds now);
  void forget_received();
  void note_modem_changes(std::uint8_t before);
  Nanoseconds in_four_characters(Nanoseconds now) const;

  State& state_;
  unsigned clock_;
};

}  // namespace kdpc::cards
