// A machine's side of a CardBoard, with a clock that the test moves.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "devices/uart16550.h"

namespace kdpc::cards {

inline constexpr Nanoseconds kMicrosecond = 1000;
inline constexpr Nanoseconds kMillisecond = 1'000'000;

class CardBench final : public BoardHost {
 public:
  explicit CardBench(CardBoard& board) : board_(board) { board.attach(*this); }

  Nanoseconds now() const override { return now_; }
  void set_line(unsigned line, bool asserted) override {
    rises[line] += asserted && !level[line];
    level[line] = asserted;
  }
  void send_message(unsigned message) override { messages.push_back(message); }
  void dma_accessed(const std::byte* at, std::size_t size, bool write) override { dma.push_back({at, size, write}); }
  void fail(std::string what) override { ADD_FAILURE() << what; }

  void run_for(Nanoseconds time) { run_to(now_ + time); }
  void run_to(Nanoseconds until) {
    while (now_ < until) now_ = board_.advance_to(until);
  }
  bool run_until_line(unsigned line, Nanoseconds limit) {
    const Nanoseconds end = now_ + limit;
    while (!level[line] && now_ < end) now_ = board_.advance_to(end);
    return level[line];
  }
  std::uint64_t read(unsigned device, std::uint64_t offset, unsigned width = 1) { return board_.devices()[device]->read(0, offset, width); }
  void write(unsigned device, std::uint64_t offset, std::uint64_t value, unsigned width = 1) {
    board_.devices()[device]->write(0, offset, width, value);
  }

  struct Dma {
    const std::byte* at;
    std::size_t size;
    bool write;
    bool operator==(const Dma&) const = default;
  };
  bool level[16] = {};
  unsigned rises[16] = {};
  std::vector<unsigned> messages;  // that were sent
  std::vector<Dma> dma;            // what cards have read and written by themselves

 private:
  CardBoard& board_;
  Nanoseconds now_ = 0;
};

// One serial port, and its registers by name.
struct PortBench {
  using U = Uart16550;
  explicit PortBench(const SerialPortWish& wish = {}) : port(board.add(wish)), host(board) {}

  std::uint8_t read(unsigned reg) { return static_cast<std::uint8_t>(host.read(0, reg)); }
  void write(unsigned reg, unsigned value) { host.write(0, reg, value); }
  void set_divisor(unsigned divisor, unsigned line_control) {
    write(U::kLineControl, line_control | 0x80);
    write(0, divisor & 0xFF);
    write(1, divisor >> 8);
    write(U::kLineControl, line_control);
  }
  // 115200, 8 data bits, no parity, one stop bit; FIFOs with this trigger level; interrupts that are wanted, OUT2 set.
  void start(unsigned enable, unsigned fifo_control = 0xC7) {
    set_divisor(1, 0x03);
    write(U::kFifoControl, fifo_control);
    write(U::kModemControl, U::kDtr | U::kRts | U::kOut2);
    write(U::kInterruptEnable, enable);
  }
  std::uint8_t cause() { return read(U::kIdentification) & 0x0F; }
  std::string take_all() {
    std::string text;
    while ((read(U::kLineStatus) & U::kDataReady) != 0) text += static_cast<char>(read(U::kData));
    return text;
  }

  CardBoard board;
  SerialPort& port;
  CardBench host;
};

// Start, eight data bits and one stop bit at 115200.
inline constexpr Nanoseconds kCharacter = 86'806;

}  // namespace kdpc::cards
