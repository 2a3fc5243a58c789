// Our sound card and QEMU's are given the same: what drivers read, the interrupt, and what is heard must be the same.
//
// They are compared when both have come to rest: QEMU reads up to 21 ms ahead of what is heard, our card does not. Left out is where the two are known to
// differ. With QEMU a reset that is written to 2Ch is not kept there; 28h offers other rates than 48 kHz, which 2Ah has switched on; BDBAR has a bit 2; all bits
// of a mixer register that nobody has can be written, and so can those of a status; a byte of a register can be read alone only in a few; setting or clearing
// an interrupt enable later does not move the line, and clearing one request of two does not look at the other; "run" written once more goes on to the next
// buffer, and so does going on after a pause.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/devices/card_bench.h"
#include "tests/devices/test_host.h"

namespace kdpc::cards {
namespace {

constexpr unsigned kMixer = 0, kBusMaster = 1;
constexpr unsigned kOut = 0x10;  // the channel that plays
constexpr Nanoseconds kRest = 150 * kMillisecond;
using Samples = std::vector<std::int16_t>;

class Pair {
 public:
  Pair() : ours_(board_.add(SoundCardWish{})), host_(board_) {
    std::string name = (std::filesystem::temp_directory_path() / "kdpc-pair-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
    qtest::QemuConfig config;
    config.outputs.push_back({.id = "sound", .path = (folder_ / "out.wav").string()});
    config.devices = {{.driver = "AC97", .name = "sound", .options = "audiodev=sound", .slot = 0}};
    qemu_ = std::make_unique<qtest::Bench>(config);
    if (!works()) return;
    write(kBusMaster, 0x2C, 4, 2);  // out of cold reset
  }
  ~Pair() {
    qemu_.reset();
    std::filesystem::remove_all(folder_);
  }
  bool works() const { return qemu_->board != nullptr; }
  const std::string& why() const { return qemu_->error; }

  void write(unsigned range, unsigned offset, unsigned width, std::uint64_t value) {
    log_ += fmt::format("write {} {:#04x} {:#x}\n", range, offset, value);
    board_.devices()[0]->write(range, offset, width, value);
    qemu_->board->devices()[0]->write(range, offset, width, value);
  }
  std::uint64_t ours(unsigned range, unsigned offset) { return board_.devices()[0]->read(range, offset, 2); }
  std::uint64_t qemus(unsigned range, unsigned offset) { return qemu_->board->devices()[0]->read(range, offset, 2); }
  // Both, and that they are equal.
  std::uint64_t read(unsigned range, unsigned offset, unsigned width) {
    const std::uint64_t mine = board_.devices()[0]->read(range, offset, width), its = qemu_->board->devices()[0]->read(range, offset, width);
    EXPECT_EQ(mine, its) << "range " << range << " offset " << offset << " after\n" << log_;
    log_ += fmt::format("read  {} {:#04x} {:#x}\n", range, offset, mine);
    return mine;
  }
  void rest() {
    now_ += kRest;
    host_.run_to(now_);
    qemu_->run_to(now_);
    EXPECT_EQ(host_.level[0], qemu_->level[static_cast<unsigned>(qemu_->board->devices()[0]->line())]) << "the interrupt after\n" << log_;
  }
  // The same bytes at the same offset of what each can read.
  void put(std::size_t offset, const void* bytes, std::size_t size) {
    std::memcpy(board_.dma().host + offset, bytes, size);
    std::memcpy(qemu_->board->dma().host + offset, bytes, size);
  }
  void put_descriptor(unsigned number, std::size_t buffer, std::uint32_t length) {
    const std::uint32_t mine[] = {static_cast<std::uint32_t>(board_.dma().physical + buffer), length},
                        its[] = {static_cast<std::uint32_t>(qemu_->board->dma().physical + buffer), length};
    std::memcpy(board_.dma().host + std::size_t{8} * number, mine, sizeof mine);
    std::memcpy(qemu_->board->dma().host + std::size_t{8} * number, its, sizeof its);
  }
  void set_list() {
    board_.devices()[0]->write(kBusMaster, kOut, 4, board_.dma().physical);
    qemu_->board->devices()[0]->write(kBusMaster, kOut, 4, qemu_->board->dma().physical);
  }
  // Both at rest: all of the channel, and who asks.
  std::uint64_t compare() {
    rest();
    const std::uint64_t state = read(kBusMaster, kOut + 4, 4);
    read(kBusMaster, kOut + 8, 4);
    read(kBusMaster, 0x30, 4);
    return state;
  }
  Samples heard_of_ours() const { return without_silence(ours_.played()); }
  Samples heard_of_qemus() {
    EXPECT_TRUE(qemu_->board->end().ok());
    std::ifstream file(folder_ / "out.wav", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    Samples samples(bytes.size() > 44 ? (bytes.size() - 44) / 2 : 0);
    if (!samples.empty()) std::memcpy(samples.data(), bytes.data() + 44, samples.size() * 2);
    return without_silence(samples);
  }
  const std::string& log() const { return log_; }

 private:
  static Samples without_silence(Samples samples) {
    std::erase(samples, 0);
    return samples;
  }

  CardBoard board_;
  SoundCard& ours_;
  CardBench host_;
  std::filesystem::path folder_;
  std::unique_ptr<qtest::Bench> qemu_;
  Nanoseconds now_ = 0;
  std::string log_;
};

class Choice {
 public:
  explicit Choice(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15) {}
  unsigned below(unsigned count) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<unsigned>((state_ >> 33) % count);
  }

 private:
  std::uint64_t state_;
};

// Registers that both have, and that are written the same; other rates are switched off.
constexpr unsigned kOfBoth[] = {0x00, 0x02, 0x04, 0x06, 0x08, 0x0A, 0x0C, 0x0E, 0x10, 0x12, 0x14, 0x16, 0x18,
                                0x1A, 0x1C, 0x1E, 0x20, 0x22, 0x26, 0x28, 0x2C, 0x32, 0x34, 0x7C, 0x7E};
constexpr unsigned kIdentity = 0x28, kRates = 0x2A, kOtherRates = 9;

void compare_mixers(Pair& pair) {
  for (unsigned offset = 0; offset < 0x100; ++offset) {
    if (offset == kIdentity) continue;
    for (const unsigned width : {1U, 2U, 4U})
      if (offset % width == 0) pair.read(kMixer, offset, width);
  }
  EXPECT_EQ(pair.ours(kMixer, kIdentity) | kOtherRates, pair.qemus(kMixer, kIdentity));
}

TEST(SoundCardAndQemus, MixersAreTheSame) {
  Pair pair;
  ASSERT_TRUE(pair.works()) << pair.why();
  EXPECT_EQ(pair.ours(kMixer, kRates), 0U);
  EXPECT_EQ(pair.qemus(kMixer, kRates), kOtherRates);
  pair.write(kMixer, kRates, 2, 0);
  compare_mixers(pair);
  Choice choice(1);
  for (int step = 0; step < 300; ++step) {
    const unsigned offset = kOfBoth[choice.below(std::size(kOfBoth))];
    pair.write(kMixer, offset, 2, choice.below(0x10000));
    if (offset == 0 || choice.below(8) == 0) pair.write(kMixer, kRates, 2, 0);
    if (offset != kIdentity) pair.read(kMixer, offset, 2);
    if (step % 10 == 0) compare_mixers(pair);
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

TEST(SoundCardAndQemus, SemaphoresAreTheSame) {
  Pair pair;
  ASSERT_TRUE(pair.works()) << pair.why();
  EXPECT_EQ(pair.read(kBusMaster, 0x34, 1), 0U);
  EXPECT_EQ(pair.read(kBusMaster, 0x34, 1), 1U);
  pair.read(kMixer, 2, 2);
  EXPECT_EQ(pair.read(kBusMaster, 0x34, 1), 0U);
}

TEST(SoundCardAndQemus, ChannelsThatStandStillAreTheSame) {
  Pair pair;
  ASSERT_TRUE(pair.works()) << pair.why();
  Choice choice(2);
  for (int step = 0; step < 300; ++step) {
    const unsigned channel = 0x10 * choice.below(3);
    switch (choice.below(5)) {
      case 0: pair.write(kBusMaster, channel, 4, choice.below(0x10000) * 8); break;
      case 1: pair.write(kBusMaster, channel + 5, 1, choice.below(256)); break;
      case 2: pair.write(kBusMaster, channel + 6, choice.below(2) + 1, choice.below(32)); break;
      case 3: pair.write(kBusMaster, channel + 11, 1, choice.below(256) & ~3U); break;
      case 4: pair.write(kBusMaster, channel + 11, 1, choice.below(256) | 2U); break;
    }
    pair.read(kBusMaster, channel, 4);
    pair.read(kBusMaster, channel + 4, 1);
    pair.read(kBusMaster, channel + 5, 1);
    pair.read(kBusMaster, channel + 4, 4);
    pair.read(kBusMaster, channel + 6, 2);
    pair.read(kBusMaster, channel + 8, 2);
    pair.read(kBusMaster, channel + 8, 4);
    pair.read(kBusMaster, channel + 10, 1);
    pair.read(kBusMaster, channel + 11, 1);
    pair.read(kBusMaster, 0x30, 4);
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

// A driver's life: it is told of more buffers again and again, some of which ask for an interrupt, some of which are empty.
TEST(SoundCardAndQemus, WhatIsPlayedIsTheSameWithTheSameInterrupts) {
  constexpr unsigned kRoom = 1024;  // samples of a buffer
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Pair pair;
    ASSERT_TRUE(pair.works()) << pair.why();
    Choice choice(seed);
    for (const unsigned volume : {0x02U, 0x18U}) pair.write(kMixer, volume, 2, 0);
    Samples source;
    unsigned next = 0;
    std::int16_t sample = 0;
    const auto fill = [&] {
      Samples buffer(2 * choice.below(kRoom / 2));
      if (choice.below(6) == 0) buffer.clear();
      for (std::int16_t& one : buffer) one = ++sample == 0 ? ++sample : sample;
      source.insert(source.end(), buffer.begin(), buffer.end());
      const std::size_t at = 0x1000 + std::size_t{2} * kRoom * (next % 32);
      pair.put(at, buffer.data(), 2 * buffer.size());
      pair.put_descriptor(next % 32, at, static_cast<std::uint32_t>(buffer.size()) | (choice.below(2) == 0 ? 0x80000000U : 0));
      ++next;
    };
    pair.write(kBusMaster, kOut + 11, 1, 2);
    pair.set_list();
    for (int round = 0; round < 20; ++round) {
      for (unsigned count = 1 + choice.below(6); count != 0; --count) fill();
      pair.write(kBusMaster, kOut + 5, 1, (next - 1) % 32);
      if (round == 0) pair.write(kBusMaster, kOut + 11, 1, 1 | 4 * (seed % 2) | 0x10 * (seed / 2 % 2));
      const std::uint64_t state = pair.compare();
      EXPECT_EQ(state >> 16 & 1, 1U) << pair.log();
      pair.write(kBusMaster, kOut + 6, 2, 0x1C);
      pair.compare();
      ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
    EXPECT_TRUE(pair.heard_of_ours() == source) << pair.heard_of_ours().size() << " of " << source.size();
    EXPECT_TRUE(pair.heard_of_qemus() == source) << "QEMU's";
  }
}

}  // namespace
}  // namespace kdpc::cards
