// Our UART and QEMU's are given the same: what drivers read, and the interrupt, must be the same.
//
// In loop-back, where both need no far end, and with time for everything to come to rest after each step: QEMU's transmitter takes no time. Left out is
// what the two are known to see differently: QEMU keeps no changes of modem lines in loop-back, sends eight bits whatever the word length is, reads
// zero from an empty FIFO, and empties FIFOs also by a control word without the enabling bit.
#include <cstdint>

#include "tests/devices/card_bench.h"
#include "tests/devices/test_host.h"

namespace kdpc::cards {
namespace {

using U = Uart16550;

constexpr Nanoseconds kRest = 40 * kCharacter * 3;

class Pair {
 public:
  Pair() : ours_(SerialPortWish{.out2_gates_interrupt = false}), qemu_(config()) {}
  bool works() const { return qemu_.board != nullptr; }
  const std::string& why() const { return qemu_.error; }

  void write(unsigned reg, unsigned value) {
    log_ += fmt::format("write {} {:#04x}\n", reg, value);
    ours_.write(reg, value);
    qemu_.board->devices()[0]->write(0, reg, 1, value);
    rest();
  }
  unsigned read(unsigned reg, unsigned mask = 0xFF) {
    const unsigned mine = ours_.read(reg) & mask, its = static_cast<unsigned>(qemu_.board->devices()[0]->read(0, reg, 1)) & mask;
    log_ += fmt::format("read  {} {:#04x}\n", reg, mine);
    EXPECT_EQ(mine, its) << "register " << reg << " after\n" << log_;
    rest();
    return mine;
  }
  const std::string& log() const { return log_; }

 private:
  static qtest::QemuConfig config() {
    qtest::QemuConfig config;
    config.devices = {{.driver = "pci-serial", .name = "uart", .options = "chardev=nobody", .slot = 0}};
    config.arguments = {"-chardev", "null,id=nobody"};
    return config;
  }
  void rest() {
    now_ += kRest;
    ours_.host.run_to(now_);
    qemu_.run_to(now_);
    const auto line = static_cast<unsigned>(qemu_.board->devices()[0]->line());
    EXPECT_EQ(ours_.host.level[0], qemu_.level[line]) << "the interrupt after\n" << log_;
  }

  PortBench ours_;
  qtest::Bench qemu_;
  Nanoseconds now_ = 0;
  std::string log_;
};

TEST(UartAndQemus, GiveTheSameAnswersToTheSameSteps) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Pair pair;
    ASSERT_TRUE(pair.works()) << pair.why();
    std::uint64_t state = seed * 0x9e3779b97f4a7c15;
    const auto pick = [&](unsigned count) {
      state = state * 6364136223846793005 + 1442695040888963407;
      return static_cast<unsigned>((state >> 33) % count);
    };
    pair.write(U::kLineControl, 0x83);
    pair.write(0, 1 + pick(3));
    pair.write(1, 0);
    pair.write(U::kLineControl, 0x03);
    pair.write(U::kModemControl, U::kLoop);
    for (int step = 0; step < 150 && !testing::Test::HasFailure(); ++step) {
      switch (pick(12)) {
        case 0:
        case 1:
        case 2:
        case 3: pair.write(U::kData, pick(256)); break;
        case 4: pair.write(U::kInterruptEnable, pick(8)); break;
        case 5: pair.write(U::kFifoControl, pick(4) == 0 ? 0 : 0x01 | (pick(4) == 0 ? pick(256) & 0xC6 : pick(4) << 6)); break;
        case 6: pair.write(U::kModemControl, U::kLoop | pick(16)); break;
        case 7:
          if ((pair.read(U::kLineStatus) & U::kDataReady) != 0) pair.read(U::kData);
          break;
        case 8: pair.read(U::kIdentification); break;
        case 9: pair.read(U::kLineStatus); break;
        case 10: pair.read(U::kModemStatus, 0xF0); break;
        case 11: pair.read(pick(2) == 0 ? U::kInterruptEnable : U::kModemControl); break;
      }
    }
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace kdpc::cards
