// Cards of our own, modelled after public descriptions: for tests and scenarios that need no QEMU.
//
//   cards::CardBoard board;
//   cards::SerialPort& port = board.add(cards::SerialPortWish{.name = "com1"});
//   board.add(cards::ConverterWish{.name = "adc"});                     // the same line as com1
//   machine->attach(board);
//   port.send("hello");                                                 // what the far end of the line does
//
// Everything is called on the host context. A card's state is copied by checkpoints, with what its far end has sent and received.
#pragma once
#include <memory>

#include "kdpc/device.h"

namespace kdpc::cards {

enum class Parity : std::uint8_t { None, Odd, Even, Mark, Space };

// How characters are on the wire.
struct SerialFormat {
  unsigned baud = 115200;
  unsigned data_bits = 8;  // 5…8
  Parity parity = Parity::None;
  unsigned stop_half_bits = 2;  // 2, 3 or 4
};

// A 16550A, its line, and who is at the other end of it. Errors come about as on a real line: each side samples what the other sends with its
// own rate and format.
struct SerialPortWish {
  std::string name = "com1";
  BusSpace space = BusSpace::Port;
  std::uint64_t base = 0x3F8;        // eight registers of a byte each
  int line = 0;                      // of the board; cards with the same number share it
  unsigned clock = 1'843'200;        // Hz; a sixteenth of it, divided by the divisor latch, is the baud rate
  bool out2_gates_interrupt = true;  // as PCs are wired
  SerialFormat far = {};             // what the far end speaks
  Nanoseconds gap = 0;               // that it leaves between two characters
  bool obeys_rts = false;            // it does not begin a character while RTS is off
  bool waits_for_room = false;  // … nor while the chip has no clock or no room, as behind the ports of virtual machines: nothing overruns, all waits
  // Live machine only: what can be read from this is what the far end sends, and what it hears is written to it: a pty's master, a socket. It stays the
  // caller's, is made non-blocking, and is open until the machine or the board is destroyed. -1: send() says what is sent.
  int descriptor = -1;
};

class SerialPort {
 public:
  // What is wrong with a character the far end is to send.
  enum class Defect : std::uint8_t { None, Parity, StopBit };
  // What came to the far end.
  struct Received {
    std::uint8_t byte = 0;
    bool parity_error = false, framing_error = false, is_break = false;
    Nanoseconds when = 0;
  };
  // A character the far end has sent and nobody will ever read: there was no room when it was complete.
  struct Overrun {
    std::size_t number = 0;  // of the characters sent, from 0
    Nanoseconds when = 0;
  };
  enum Lines : std::uint8_t { kCts = 0x10, kDsr = 0x20, kRing = 0x40, kCarrier = 0x80 };

  virtual ~SerialPort() = default;
  // The far end sends these behind what it is sending already, and not before `when`. Not with a descriptor, which has all it sends.
  virtual void send(std::string_view bytes, Nanoseconds when = 0, Defect defect = Defect::None) = 0;
  virtual void send_break(Nanoseconds length) = 0;
  virtual void set_modem_lines(unsigned lines) = 0;  // of Lines; at first all but the ring
  virtual void speak(const SerialFormat& format) = 0;
  virtual std::size_t left_to_send() const = 0;  // also what has no end yet; not what is still in a descriptor
  virtual std::vector<Received> received() const = 0;
  virtual std::string received_text() const = 0;
  virtual std::vector<Overrun> overruns() const = 0;
  virtual bool data_terminal_ready() const = 0;
  virtual bool request_to_send() const = 0;
  virtual bool sees_break() const = 0;
};

// A measuring card: told to convert, it is busy for a while, then has a sample and asks for an interrupt until that is taken back.
//
//   0 control   bit 0: interrupt when done          8 status   bit 0: done, write one to clear; bit 1: busy
//   4 command   write a channel 0…7: convert it     12 data    the sample, 16 bits
struct ConverterWish {
  std::string name = "adc";
  std::uint64_t base = 0xFE00'0000;  // 16 bytes of memory
  int line = 0;
  Nanoseconds conversion = 50'000;
  std::uint64_t dead_after = kNever;   // so many conversions: from then on none is ever done
  std::uint64_t stuck_after = kNever;  // so many conversions: from then on what it asks for cannot be taken back
};

class Converter {
 public:
  virtual ~Converter() = default;
  virtual std::uint64_t conversions() const = 0;  // that are done
  // The sample of the n-th conversion, from 0.
  static std::uint16_t sample(unsigned channel, std::uint64_t conversion) {
    return static_cast<std::uint16_t>(channel << 13 | (conversion * 37 & 0x1FFF));
  }
};

// A card that interrupts by itself, for drivers whose interrupt path is to be tried: pulses come at times that are exact, and each leaves a value.
//
//    0 control  bit 0: enabled, and its pulses begin; without it nothing happens here and it does not interrupt; bit 1: interrupts are masked
//    4 status   bit 0: there was a pulse, write one to clear
//    8 count    pulses so far         12 data   the value of the last one
//   16 doorbell write a number: a pulse that many microseconds later, 0: at once; eight can be under way, and one more is lost
//   20 ring     write where in memory its ring begins, a multiple of 32, 0: nowhere     24 missed   pulses whose record was the driver's still
//
// A card with a ring writes a record for each pulse, from the first to the last of the ring and then anew, before the pulse is there. A record has eight words of 32
// bits: done, which is the pulse's count, or 0, and then the record is the card's; the length of what follows, in bytes; one to six words, value() and up. The driver
// writes 0 when it has read them.
//
// With messages, each pulse sends the next of those that were granted; while they are masked it is kept and sent afterwards. Without, its line is
// asserted while a pulse is there, and neither masked nor disabled.
struct PulseWish {
  std::string name = "pulse";
  std::uint64_t base = 0xFE80'0000;  // 32 bytes of memory
  int line = 0;
  unsigned messages = 0;         // 1, 2, 4, 8 or 16; 0: it has its line only
  Nanoseconds first = 100'000;   // after it was enabled
  Nanoseconds period = 100'000;  // between one and the next
  std::uint64_t count = kNever;  // of those by itself, each time it is enabled
  // Adversity.
  // So many times, in the middle between two pulses, it interrupts and there is nothing: its line has fallen again. A mask loses that, and keeps a message.
  std::uint64_t spurious = 0;
  std::uint64_t duplicate = 0;        // so many messages are sent twice
  std::uint64_t dead_after = kNever;  // so many pulses: the last still interrupts, and then all of it reads as all ones
  // So many pulses: the last can still be cleared; as soon as there is one more, status cannot. Masked or disabled it is quiet all the same.
  std::uint64_t stuck_after = kNever;
  // Between a pulse, which can be seen at once, and its interrupt. Eight can be under way, and one more is lost. A line stays down if status was cleared
  // meanwhile; a message comes all the same.
  Nanoseconds late = 0;
  std::uint64_t lost = 0;   // so many pulses can be seen, and do not interrupt: the next one's interrupt, or enabling anew, has to do for them
  std::uint64_t storm = 0;  // so many times the next pulse is there as soon as one is cleared: its line does not fall
  unsigned records = 0;     // of its ring, in the board's memory; 0: it has none
  // So many records come in pieces: the length and half of the words; the other half; done, and the pulse. What comes with the first piece already:
  enum class Early : std::uint8_t {
    Nothing,
    Interrupt,  // the pulse, and again with the last piece
    Done,       // the pulse, and done: the last piece comes without a word
  } early = Early::Nothing;
  std::uint64_t torn = 0;
  Nanoseconds piece = 1'000;  // between one and the next
};

class Pulse {
 public:
  virtual ~Pulse() = default;
  virtual std::uint64_t pulses() const = 0;
  // What the n-th pulse leaves as data, from 0, and how many words of a record.
  static constexpr unsigned words(std::uint64_t pulse) { return static_cast<unsigned>(1 + pulse % 6); }
  static constexpr std::uint32_t value(std::uint64_t pulse) { return static_cast<std::uint32_t>(37 * (pulse + 1)); }
};

// A sound card: an AC '97 controller of Intel's, with a codec that plays 48000 frames a second, two samples of 16 bits each. It reads descriptors and samples from
// the board's memory (Board::dma) by itself. src/devices/ac97.cc says what of it there is.
struct SoundCardWish {
  std::string name = "sound";
  std::uint64_t base = 0xD000;  // ports: 256 of the mixer, and behind them 64 of the bus master
  int line = 0;
};

class SoundCard {
 public:
  virtual ~SoundCard() = default;
  // Left, right, left …, before any volume; silence where it was to play and had nothing.
  virtual std::vector<std::int16_t> played() const = 0;
};

// All its cards on one bus. Cards are added before it is attached.
class CardBoard : public Board {
 public:
  static constexpr unsigned kMostCards = 16;
  explicit CardBoard(bool level = true);
  ~CardBoard() override;
  SerialPort& add(const SerialPortWish& wish);
  Converter& add(const ConverterWish& wish);
  Pulse& add(const PulseWish& wish);
  SoundCard& add(const SoundCardWish& wish);

  void attach(BoardHost& host) override;
  std::span<Device* const> devices() override;
  unsigned lines() const override;
  bool line_is_level(unsigned line) const override;
  unsigned messages() const override;
  DmaMemory dma() const override;
  Nanoseconds next_event() const override;
  Nanoseconds advance_to(Nanoseconds until) override;
  unsigned sources() const override;  // the cards
  unsigned source_of(const Device& device) const override;
  Nanoseconds next_event_of(unsigned source) const override;
  Nanoseconds advance_source(unsigned source, Nanoseconds until) override;
  bool pull_out(const Device& device) override;
  std::span<std::byte> state() override;
  bool can_rewind() const override { return true; }

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace kdpc::cards
