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

struct PulseState {
  static constexpr unsigned kDoorbells = 8, kMostLate = 8;
  bool enabled = false, masked = false, pending = false;
  bool asks = false;            // for a pending pulse, which has not lost its interrupt
  std::uint32_t granted = 0;    // messages
  std::uint32_t owed = 0;       // of them, by bit: kept while they are masked
  std::uint32_t value = 0;      // of the last pulse
  std::uint64_t pulses = 0;     // so far
  std::uint64_t by_itself = 0;  // … since it was enabled
  std::uint64_t glitches = 0;   // so far
  std::uint64_t twice = 0;      // messages so far
  std::uint64_t lost = 0;       // interrupts so far
  std::uint64_t stormed = 0;    // pulses so far
  Nanoseconds due = kNever;     // its next pulse by itself
  Nanoseconds glitch_due = kNever;
  Nanoseconds again = kNever;  // the last message once more
  std::uint32_t again_message = 0;
  Nanoseconds rings[kDoorbells] = {kNever, kNever, kNever, kNever, kNever, kNever, kNever, kNever};
  std::uint32_t ring = 0, record = 0;  // where it is, and the next one's number
  std::uint32_t missed = 0;
  std::uint64_t torn = 0;  // so far
  // Of the record that is being written.
  std::uint32_t piece = 0, piece_of = 0;  // the next piece, and where the record is
  std::uint64_t piece_pulse = 0;          // from 0
  Nanoseconds piece_due = kNever;
  // Interrupts under way.
  struct Late {
    Nanoseconds due = kNever;
    std::uint32_t message = 0;
  } late[kMostLate];
};

// Of a sound card. What it has played only grows, as at the far end of a line.
struct SoundState {
  struct Channel {
    std::uint32_t list = 0;     // of descriptors
    std::uint32_t address = 0;  // of the next sample
    std::uint16_t left = 0;     // samples of the current buffer
    std::uint16_t status = 1;   // halted
    std::uint8_t current = 0, last = 0, next = 0, control = 0;
    bool completion_interrupts = false;
    Nanoseconds since = 0;    // its samples are moved since then; at the end of all there was, when that was
    std::uint64_t moved = 0;  // so many
  } channels[3];
  std::uint16_t mixer[64] = {};
  std::uint32_t control = 0;
  bool semaphore = false;
  std::uint32_t played = 0;  // samples
};

struct CardState {
  Uart16550::State uart;
  FarEndState far;
  ConverterState converter;
  PulseState pulse;
  SoundState sound;
};

class Card : public Device {
 public:
  virtual bool interrupts() const = 0;
  virtual Nanoseconds next_event() const = 0;
  virtual void advance(Nanoseconds now) = 0;  // does what is due
  virtual void attached(BoardHost&) {}
  virtual void pulled_out() {}
};

// What a card asks of its board.
class CardHost {
 public:
  virtual ~CardHost() = default;
  virtual Nanoseconds now() const = 0;
  virtual void settle() = 0;  // something that is asserted may have changed, outside of advance()
  virtual void send_message(unsigned message) = 0;
  virtual void glitch(unsigned line) = 0;  // it is asserted for no time at all
  // What cards read and write by themselves, below 4 GiB. False: there is no memory, or not so much, and nothing is read or written.
  virtual bool read_memory(std::uint64_t physical, void* to, std::size_t size) = 0;
  virtual bool write_memory(std::uint64_t physical, const void* from, std::size_t size) = 0;
  // From outside: with the board to itself; then it is asked again when something will happen.
  virtual void enter(const std::function<void()>& work) = 0;
};

std::unique_ptr<Card> make_serial_port(const SerialPortWish& wish, CardState& state, CardHost& host, SerialPort*& port);
std::unique_ptr<Card> make_converter(const ConverterWish& wish, CardState& state, CardHost& host, Converter*& converter);
std::unique_ptr<Card> make_pulse(const PulseWish& wish, unsigned first_message, CardState& state, CardHost& host, Pulse*& pulse);
std::unique_ptr<Card> make_sound_card(const SoundCardWish& wish, CardState& state, CardHost& host, SoundCard*& card);

}  // namespace kdpc::cards
