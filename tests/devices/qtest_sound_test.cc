// A QEMU sound card played by polling: what it plays arrives, a late refill is heard as exactly the silence it must be, and runs are repeatable.
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/devices/test_host.h"

namespace {

using kdpc::Nanoseconds;
using kdpc::qtest::Bench;
using kdpc::qtest::kMillisecond;
using kdpc::qtest::QemuConfig;

// --- AC97: a sound card played by polling -----------------------------------------------------------------------------------------------------

constexpr unsigned kFramesPerBuffer = 480;  // 10 ms
constexpr unsigned kOutstanding = 4;

using Samples = std::vector<std::int16_t>;  // left, right, left …

// A tone in which no sample is zero, so that zeros are silence.
Samples tone(unsigned frames) {
  Samples samples;
  for (unsigned i = 0; i < frames; ++i) {
    for (const double hertz : {440.0, 1000.0}) {
      const auto value = static_cast<std::int16_t>(std::lround(12000 * std::sin(2 * 3.14159265358979 * hertz * i / 48000)));
      samples.push_back(value == 0 ? std::int16_t{1} : value);
    }
  }
  return samples;
}

Samples read_wav(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  Samples samples(bytes.size() > 44 ? (bytes.size() - 44) / 2 : 0);
  std::memcpy(samples.data(), bytes.data() + 44, samples.size() * 2);
  return samples;
}

class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "kdpc, qtest XXXXXX").string();  // a comma has to survive, too
    if (::mkdtemp(name.data()) != nullptr) path = name;
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

QemuConfig sound_card(const std::filesystem::path& wav, std::chrono::microseconds period) {
  QemuConfig config;
  config.outputs.push_back({.id = "sound", .path = wav.string(), .timer_period = period});
  config.devices = {{.driver = "AC97", .name = "ac97", .options = "audiodev=sound", .slot = 0}};
  return config;
}

// The least that plays: 32 descriptors, of which four are ahead of the card at any time.
class Player {
 public:
  Player(Bench& bench, const Samples& source) : bench_(bench), card_(*bench.board->devices()[0]), memory_(bench.board->dma()), source_(source) {}

  // Plays the source; before the service of interrupt number `late_at` lets `lateness` pass.
  void play(unsigned late_at, Nanoseconds lateness) {
    card_.write(kBusMaster, 0x2c, 4, 2);                         // out of cold reset
    ASSERT_EQ(card_.read(kBusMaster, 0x30, 4) & 0x100, 0x100U);  // primary codec ready
    card_.write(kMixer, 0x00, 2, 0);
    card_.write(kMixer, 0x02, 2, 0);  // master and PCM volume: 0 dB, not muted
    card_.write(kMixer, 0x18, 2, 0);
    card_.write(kBusMaster, 0x1b, 1, 2);  // reset the channel
    ASSERT_EQ(card_.read(kBusMaster, 0x1b, 1), 0U);
    card_.write(kBusMaster, 0x10, 4, memory_.physical);
    while (next_ < kOutstanding) fill();
    card_.write(kBusMaster, 0x15, 1, next_ - 1);
    card_.write(kBusMaster, 0x1b, 1, 0x11);  // run, interrupt on completion

    const unsigned buffers = static_cast<unsigned>(source_.size() / (2 * kFramesPerBuffer));
    const Nanoseconds limit = bench_.now() + (buffers * 10 + 1000) * kMillisecond;
    for (unsigned interrupt = 0; done_ + kOutstanding < buffers; ++interrupt) {
      ASSERT_TRUE(bench_.run_until_line(card_.line(), limit));
      if (interrupt == late_at) bench_.run_to(bench_.now() + lateness);
      service(buffers);
    }
    bench_.run_to(bench_.now() + 100 * kMillisecond);
  }

 private:
  static constexpr unsigned kMixer = 0;
  static constexpr unsigned kBusMaster = 1;
  static constexpr std::size_t kDescriptors = 0;  // offsets in DMA memory
  static constexpr std::size_t kBuffers = 0x1000;
  static constexpr std::size_t kBytesPerBuffer = kFramesPerBuffer * 4;

  void fill() {
    const unsigned slot = next_ % 32;
    const std::size_t buffer = kBuffers + slot * kBytesPerBuffer;
    std::memcpy(memory_.host + buffer, source_.data() + std::size_t{next_} * kFramesPerBuffer * 2, kBytesPerBuffer);
    const std::uint32_t descriptor[2] = {static_cast<std::uint32_t>(memory_.physical + buffer), kFramesPerBuffer * 2 | 0x80000000U};
    std::memcpy(memory_.host + kDescriptors + slot * 8, descriptor, 8);
    ++next_;
  }

  void service(unsigned buffers) {
    const auto status = static_cast<unsigned>(card_.read(kBusMaster, 0x16, 2));
    card_.write(kBusMaster, 0x16, 2, status & 0x1c);
    const auto current = static_cast<unsigned>(card_.read(kBusMaster, 0x14, 1));
    done_ += (current + 32 - done_ % 32) % 32;
    if ((status & 1) != 0) done_ = next_;  // halted: the last one is done as well
    while (next_ < done_ + kOutstanding && next_ < buffers) fill();
    card_.write(kBusMaster, 0x15, 1, (next_ - 1) % 32);
    bench_.log.push_back(fmt::format("{} status {:#x} current {} next {}", bench_.now(), status, current, next_));
  }

  Bench& bench_;
  kdpc::Device& card_;
  kdpc::DmaMemory memory_;
  const Samples& source_;
  unsigned next_ = 0;  // buffers handed to the card
  unsigned done_ = 0;  // buffers it has finished
};

struct Recording {
  Samples samples;
  std::vector<std::string> log;
};

Recording record(const Samples& source, std::chrono::microseconds period, unsigned late_at = ~0U, Nanoseconds lateness = 0) {
  Scratch scratch;
  const std::filesystem::path wav = scratch.path / "out.wav";
  Bench bench(sound_card(wav, period));
  EXPECT_TRUE(bench.board) << bench.error;
  if (!bench.board) return {};
  Player(bench, source).play(late_at, lateness);
  EXPECT_TRUE(bench.failures.empty()) << bench.failures.front();
  const auto ended = bench.board->end();
  EXPECT_TRUE(ended.ok()) << ended.error().what;
  return {read_wav(wav), bench.take_log()};
}

// What lies between leading and trailing silence.
Samples trimmed(const Samples& samples) {
  const auto sound = [](std::int16_t value) { return value != 0; };
  const auto first = std::find_if(samples.begin(), samples.end(), sound);
  const auto last = std::find_if(samples.rbegin(), samples.rend(), sound).base();
  return first < last ? Samples(first, last) : Samples{};
}

TEST(QemuSound, ReachesTheWavFileSampleForSample) {
  const Samples source = tone(100 * kFramesPerBuffer);
  const Recording recording = record(source, std::chrono::microseconds(500));
  EXPECT_TRUE(trimmed(recording.samples) == source) << trimmed(recording.samples).size() << " samples of " << source.size();
}

TEST(QemuSound, ALateRefillIsAGapOfLatenessLessSlack) {
  const Samples source = tone(60 * kFramesPerBuffer);
  struct Case {
    Nanoseconds late;
    unsigned shortest_gap, longest_gap;  // frames
  };
  for (const Case& expected : {Case{25 * kMillisecond, 0, 0}, Case{35 * kMillisecond, 235, 265}, Case{45 * kMillisecond, 715, 745}}) {
    const Samples heard = trimmed(record(source, std::chrono::microseconds(100), 20, expected.late).samples);
    ASSERT_GE(heard.size(), source.size());
    const std::size_t gap = heard.size() - source.size();
    EXPECT_GE(gap / 2, expected.shortest_gap);
    EXPECT_LE(gap / 2, expected.longest_gap);
    // Before and after the one silence the sound is whole.
    const std::size_t begin = static_cast<std::size_t>(std::find(heard.begin(), heard.end(), 0) - heard.begin());
    Samples joined(heard.begin(), heard.begin() + static_cast<std::ptrdiff_t>(begin));
    joined.insert(joined.end(), heard.begin() + static_cast<std::ptrdiff_t>(begin + gap), heard.end());
    EXPECT_TRUE(joined == source);
  }
}

TEST(QemuSound, TwoRunsAreEqual) {
  const Samples source = tone(60 * kFramesPerBuffer);
  const Recording first = record(source, std::chrono::microseconds(250), 20, 37'123'457);
  const Recording second = record(source, std::chrono::microseconds(250), 20, 37'123'457);
  EXPECT_FALSE(first.log.empty());
  EXPECT_EQ(first.log, second.log);
  EXPECT_TRUE(first.samples == second.samples);
}

// A measurement, to be asked for with --gtest_also_run_disabled_tests.
TEST(QemuSound, DISABLED_VirtualSecondsPerSecond) {
  const Samples source = tone(500 * kFramesPerBuffer);
  for (const int period : {100, 250, 500, 1000}) {
    const auto begun = std::chrono::steady_clock::now();
    record(source, std::chrono::microseconds(period));
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begun;
    fmt::print("timer-period {} us: {:.1f} virtual seconds per second\n", period, 5.1 / wall.count());
  }
}

}  // namespace
