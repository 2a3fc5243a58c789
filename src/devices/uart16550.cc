#include "devices/uart16550.h"

#include <algorithm>

namespace kdpc::cards {

namespace {

constexpr std::uint64_t kPicosecondsPerSecond = 1'000'000'000'000;
constexpr std::uint8_t kDivisorAccess = 0x80;
constexpr std::uint8_t kRingEnded = 0x04;  // the one delta that only one direction sets

std::uint8_t mask_of(const SerialFormat& format) { return static_cast<std::uint8_t>((1u << format.data_bits) - 1); }

bool parity_of(const SerialFormat& format, std::uint8_t byte) {
  const bool odd = (__builtin_popcount(byte & mask_of(format)) & 1) != 0;
  switch (format.parity) {
    case Parity::Odd: return !odd;
    case Parity::Even: return odd;
    case Parity::Mark: return true;
    default: return false;
  }
}

}  // namespace

std::uint64_t bit_ps(std::uint64_t baud_times_16_clock, unsigned divisor) { return 16 * kPicosecondsPerSecond / baud_times_16_clock * divisor; }

Wave wave_of(const SerialFormat& format, std::uint64_t its_bit_ps, std::uint8_t byte, SerialPort::Defect defect) {
  std::uint32_t bits = static_cast<std::uint32_t>(byte & mask_of(format)) << 1;
  unsigned next = format.data_bits + 1;
  if (format.parity != Parity::None) {
    const bool parity = parity_of(format, byte) != (defect == SerialPort::Defect::Parity);
    bits |= static_cast<std::uint32_t>(parity) << next++;
  }
  const unsigned stops = defect == SerialPort::Defect::StopBit ? next + 1 : next;  // from here on the line is idle
  return {bits | ~0u << stops, its_bit_ps};
}

Wave break_wave(std::uint64_t its_bit_ps) { return {0, its_bit_ps}; }

Sampled sample(const Wave& wave, const SerialFormat& format, std::uint64_t its_bit_ps) {
  const auto level = [&](unsigned bit) {
    const std::uint64_t at = (2 * bit + 1) * its_bit_ps / 2 / wave.bit_ps;
    return (wave.bits >> std::min<std::uint64_t>(at, 31) & 1) != 0;
  };
  Sampled sampled;
  bool any = false;
  for (unsigned bit = 0; bit < format.data_bits; ++bit)
    if (level(bit + 1)) sampled.byte |= static_cast<std::uint8_t>(1u << bit), any = true;
  unsigned next = format.data_bits + 1;
  if (format.parity != Parity::None) {
    const bool parity = level(next++);
    any |= parity;
    sampled.parity_error = parity != parity_of(format, sampled.byte);
  }
  sampled.framing_error = !level(next);
  sampled.is_break = sampled.framing_error && !any;
  return sampled;
}

Nanoseconds character_time(const SerialFormat& format, std::uint64_t its_bit_ps) {
  const unsigned half_bits = 2 * (1 + format.data_bits + (format.parity != Parity::None ? 1 : 0)) + format.stop_half_bits;
  return (half_bits * its_bit_ps / 2 + 999) / 1000;
}

SerialFormat Uart16550::format() const {
  const unsigned control = state_.line_control;
  SerialFormat format;
  format.baud = state_.divisor == 0 ? 0 : clock_ / 16 / state_.divisor;
  format.data_bits = 5 + (control & 3);
  format.stop_half_bits = (control & 4) == 0 ? 2 : format.data_bits == 5 ? 3 : 4;
  constexpr Parity kParities[] = {Parity::Odd, Parity::Even, Parity::Mark, Parity::Space};
  format.parity = (control & 8) == 0 ? Parity::None : kParities[control >> 4 & 3];
  return format;
}

unsigned Uart16550::trigger() const {
  constexpr unsigned kTriggers[] = {1, 4, 8, 14};
  return uses_fifos() ? kTriggers[state_.fifo_control >> 6] : 1;
}

Nanoseconds Uart16550::in_four_characters(Nanoseconds now) const {
  const std::uint64_t bit = bit_ps();
  return bit == 0 ? kNever : now + 4 * character_time(format(), bit);
}

// -- interrupts ------------------------------------------------------------------------------------------------------------------------------

std::uint8_t Uart16550::identification() const {
  const unsigned enabled = state_.interrupt_enable;
  if ((enabled & kLineStatusChanged) != 0 && state_.line_errors != 0) return kLine;
  if ((enabled & kReceived) != 0 && state_.timed_out) return kTimeout;
  if ((enabled & kReceived) != 0 && state_.received_count >= trigger()) return kReceivedData;
  if ((enabled & kHoldingEmptied) != 0 && state_.holding_emptied) return kHolding;
  if ((enabled & kModemStatusChanged) != 0 && state_.modem_deltas != 0) return kModem;
  return kNone;
}

// -- registers -------------------------------------------------------------------------------------------------------------------------------

std::uint8_t Uart16550::read(unsigned reg, Nanoseconds now) {
  const bool divisor = (state_.line_control & kDivisorAccess) != 0;
  switch (reg) {
    case kData: return divisor ? static_cast<std::uint8_t>(state_.divisor) : take_received(now);
    case kInterruptEnable: return divisor ? static_cast<std::uint8_t>(state_.divisor >> 8) : state_.interrupt_enable;
    case kIdentification: {
      const std::uint8_t cause = identification();
      if (cause == kHolding) state_.holding_emptied = false;  // told is enough
      return static_cast<std::uint8_t>(cause | (uses_fifos() ? 0xC0 : 0));
    }
    case kLineControl: return state_.line_control;
    case kModemControl: return state_.modem_control;
    case kLineStatus: return take_line_status();
    case kModemStatus: {
      const std::uint8_t status = modem_lines() | state_.modem_deltas;
      state_.modem_deltas = 0;
      return status;
    }
    case kScratch: return state_.scratch;
    default: return 0xFF;
  }
}

void Uart16550::write(unsigned reg, std::uint8_t value, Nanoseconds now) {
  const bool divisor = (state_.line_control & kDivisorAccess) != 0;
  switch (reg) {
    case kData:
      if (divisor) return set_divisor((state_.divisor & 0xFF00) | value, now);
      hold(value, now);
      break;
    case kInterruptEnable:
      if (divisor) return set_divisor((state_.divisor & 0x00FF) | value << 8, now);
      // Enabled while there is nothing to send, it interrupts at once: so drivers begin to send.
      if ((value & ~state_.interrupt_enable & kHoldingEmptied) != 0 && state_.sending_count == 0) state_.holding_emptied = true;
      state_.interrupt_enable = value & 0x0F;
      break;
    case kFifoControl: write_fifo_control(value); break;
    case kLineControl: state_.line_control = value; break;
    case kModemControl: {
      const std::uint8_t before = modem_lines();
      state_.modem_control = value & 0x1F;
      note_modem_changes(before);
      break;
    }
    case kScratch: state_.scratch = value; break;
    default: break;  // the status registers are written by factories only
  }
}

// Without a divisor there is no clock: what was begun then goes on now.
void Uart16550::set_divisor(unsigned divisor, Nanoseconds now) {
  state_.divisor = static_cast<std::uint16_t>(divisor);
  if (!state_.shifting || state_.shifted_at != kNever || divisor == 0) return;
  state_.shifting_wave.bit_ps = bit_ps();
  state_.shifted_at = now + character_time(format(), bit_ps());
}

void Uart16550::write_fifo_control(std::uint8_t value) {
  const bool changes = ((value ^ state_.fifo_control) & 1) != 0;
  state_.fifo_control = (value & 1) != 0 ? value & 0xC9 : 0;  // without the enabling bit the others are not taken
  if (changes || (value & 3) == 3) forget_received();
  if (changes || (value & 5) == 5) {
    state_.sending_count = 0;
    state_.holding_emptied = true;
  }
}

std::uint8_t Uart16550::line_status() const {
  std::uint8_t status = state_.line_errors;
  if (state_.received_count != 0) status |= kDataReady;
  if (state_.sending_count == 0) status |= kHoldingEmpty;
  if (state_.sending_count == 0 && !state_.shifting) status |= kTransmitterEmpty;
  if (uses_fifos() && std::any_of(state_.received, state_.received + state_.received_count, [](const auto& each) { return each.errors != 0; }))
    status |= kErrorInFifo;
  return status;
}

std::uint8_t Uart16550::take_line_status() {
  const std::uint8_t status = line_status();
  state_.line_errors = 0;
  if (state_.received_count != 0) state_.received[0].errors = 0;
  return status;
}

// -- receiver --------------------------------------------------------------------------------------------------------------------------------

// What is wrong with a character is told when it is the next to be read.
void Uart16550::reveal_errors() {
  if (state_.received_count != 0) state_.line_errors |= state_.received[0].errors;
}

std::uint8_t Uart16550::take_received(Nanoseconds now) {
  state_.timed_out = false;
  const std::uint8_t byte = state_.received[0].byte;  // of an empty FIFO whatever was there
  if (state_.received_count == 0) return byte;
  std::copy(state_.received + 1, state_.received + state_.received_count, state_.received);
  --state_.received_count;
  state_.times_out_at = uses_fifos() && state_.received_count != 0 ? in_four_characters(now) : kNever;
  reveal_errors();
  return byte;
}

void Uart16550::forget_received() {
  state_.received_count = 0;
  state_.timed_out = false;
  state_.times_out_at = kNever;
}

bool Uart16550::receive(const Sampled& character, Nanoseconds now) {
  if (uses_fifos()) state_.times_out_at = in_four_characters(now);
  std::uint8_t errors = 0;
  if (character.parity_error) errors |= kParityError;
  if (character.framing_error) errors |= kFramingError;
  if (character.is_break) errors = kBreak | kFramingError;
  const bool fits = state_.received_count < room();
  if (!fits) {
    state_.line_errors |= kOverrunError;
    if (uses_fifos()) return false;  // the FIFO keeps what it has
    state_.received_count = 0;       // without one the new character takes the old one's place
  }
  state_.received[state_.received_count++] = {character.byte, errors};
  if (state_.received_count == 1) reveal_errors();
  return fits;
}

// -- transmitter -----------------------------------------------------------------------------------------------------------------------------

void Uart16550::hold(std::uint8_t byte, Nanoseconds now) {
  state_.holding_emptied = false;
  if (state_.sending_count == room()) {
    if (uses_fifos()) return;  // full: it is lost
    state_.sending_count = 0;
  }
  state_.sending[state_.sending_count++] = byte;
  if (!state_.shifting) shift_next(now);
}

void Uart16550::shift_next(Nanoseconds now) {
  const std::uint64_t bit = bit_ps();
  state_.shifting_wave = wave_of(format(), bit, state_.sending[0]);
  std::copy(state_.sending + 1, state_.sending + state_.sending_count, state_.sending);
  --state_.sending_count;
  state_.shifting = true;
  state_.shifted_at = bit == 0 ? kNever : now + character_time(format(), bit);
  if (state_.sending_count == 0) state_.holding_emptied = true;
}

std::optional<Wave> Uart16550::advance(Nanoseconds now) {
  if (state_.times_out_at <= now) {
    state_.times_out_at = kNever;
    state_.timed_out = state_.received_count != 0;
  }
  if (state_.shifted_at > now) return {};
  const Wave sent = state_.shifting_wave;
  state_.shifting = false;
  state_.shifted_at = kNever;
  if (state_.sending_count != 0) shift_next(now);
  if (!loops()) return sent;
  receive(sample(sent, format(), bit_ps()), now);
  return {};
}

// -- modem -----------------------------------------------------------------------------------------------------------------------------------

// In loop-back the four outputs are the inputs.
std::uint8_t Uart16550::modem_lines() const {
  if (!loops()) return state_.pins;
  const unsigned outputs = state_.modem_control;
  return static_cast<std::uint8_t>(((outputs & kRts) != 0 ? SerialPort::kCts : 0) | ((outputs & kDtr) != 0 ? SerialPort::kDsr : 0) |
                                   ((outputs & kOut1) != 0 ? SerialPort::kRing : 0) | ((outputs & kOut2) != 0 ? SerialPort::kCarrier : 0));
}

void Uart16550::note_modem_changes(std::uint8_t before) {
  const std::uint8_t after = modem_lines();
  const auto changed = static_cast<std::uint8_t>((before ^ after) >> 4);
  const bool ring_ended = (before & ~after & SerialPort::kRing) != 0;
  state_.modem_deltas |= static_cast<std::uint8_t>((changed & ~kRingEnded) | (ring_ended ? kRingEnded : 0));
}

void Uart16550::set_pins(unsigned lines) {
  const std::uint8_t before = modem_lines();
  state_.pins = static_cast<std::uint8_t>(lines & 0xF0);
  note_modem_changes(before);
}

}  // namespace kdpc::cards
