// The bridge to QEMU's devices: enumeration, interrupt lines, virtual time, shared memory, sound, failures, repeatability.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "devices/qtest/qemu_board.h"

namespace {

using kdpc::Nanoseconds;
using kdpc::qtest::PciFunction;
using kdpc::qtest::QemuBoard;
using kdpc::qtest::QemuConfig;

constexpr Nanoseconds kMillisecond = 1'000'000;

// The machine's side of a board: a clock that the test moves, and a log of what the board did.
class Bench final : public kdpc::BoardHost {
 public:
  explicit Bench(const QemuConfig& config) {
    auto started = QemuBoard::start(config);
    if (!started) {
      error = started.error().what;
      return;
    }
    board = std::move(started).value();
    board->attach(*this);
  }

  Nanoseconds now() const override { return now_; }
  void set_line(unsigned line, bool asserted) override {
    level[line] = asserted;
    pending.push_back(fmt::format("line {} {}", line, asserted ? "up" : "down"));
  }
  void send_message(std::uint16_t) override { ADD_FAILURE() << "no device here sends messages"; }
  void fail(std::string what) override { failures.push_back(std::move(what)); }

  // Runs to `until`, over line changes.
  void run_to(Nanoseconds until) {
    while (now_ < until) step(until);
  }
  // Runs until `line` is asserted; false: not before `limit`.
  bool run_until_line(int line, Nanoseconds limit) {
    while (!level[static_cast<unsigned>(line)] && now_ < limit) step(limit);
    return level[static_cast<unsigned>(line)];
  }
  // Lines that changed since the last call, with the time at which they did; also those that changed within register accesses.
  std::vector<std::string> take_log() {
    stamp();
    return std::exchange(log, {});
  }

  std::unique_ptr<QemuBoard> board;
  std::string error;
  std::array<bool, 24> level{};
  std::vector<std::string> log;
  std::vector<std::string> failures;

 private:
  void step(Nanoseconds until) {
    stamp();
    const Nanoseconds reached = board->advance_to(until);
    EXPECT_GE(reached, now_);
    EXPECT_LE(reached, until);
    now_ = reached;
    stamp();
  }
  void stamp() {
    for (const std::string& entry : pending) log.push_back(fmt::format("{} {}", now_, entry));
    pending.clear();
  }

  Nanoseconds now_ = 0;
  std::vector<std::string> pending;
};

// --- edu: QEMU's teaching device, whose interrupt status is set by register 0x60 and cleared by 0x64 ------------------------------------------

constexpr std::uint64_t kEduStatus = 0x24;
constexpr std::uint64_t kEduRaise = 0x60;
constexpr std::uint64_t kEduAcknowledge = 0x64;

QemuConfig two_edus() {
  QemuConfig config;
  config.devices = {{.driver = "edu", .name = "first", .options = "", .slot = 0}, {.driver = "edu", .name = "second", .options = "", .slot = 8}};
  return config;
}

TEST(QemuBoard, FindsAFunctionWithItsRegistersAndLine) {
  Bench bench(two_edus());
  ASSERT_TRUE(bench.board) << bench.error;
  ASSERT_EQ(bench.board->devices().size(), 2U);
  kdpc::Device& edu = *bench.board->devices()[0];
  EXPECT_EQ(edu.name(), "first");
  ASSERT_EQ(edu.registers().size(), 1U);
  EXPECT_EQ(edu.registers()[0].space, kdpc::BusSpace::Memory);
  EXPECT_EQ(edu.registers()[0].base, 0xe0000000U);
  EXPECT_EQ(edu.registers()[0].size, 0x100000U);
  EXPECT_EQ(edu.read(0, 0, 4), 0x010000edU);  // its identification register
  edu.write(0, 4, 4, 0x12345678);
  EXPECT_EQ(edu.read(0, 4, 4), 0xedcba987U);  // its "liveness check" answers the complement
  EXPECT_EQ(edu.read(0, 0x100000, 4), 0xffffffffU);  // outside the range: nothing answers

  PciFunction& function = *bench.board->find("first");
  EXPECT_EQ(function.read_config(0, 4), 0x11e81234U);
  EXPECT_EQ(function.read_config(0x10, 4), 0xe0000000U);
  EXPECT_EQ(function.read_config(0x3c, 1), static_cast<unsigned>(edu.line()));
  function.write_config(0x3c, 1, 99);
  EXPECT_EQ(function.read_config(0x3c, 1), 99U);
}

TEST(QemuBoard, RaisesAndLowersALineThatTwoFunctionsShare) {
  Bench bench(two_edus());
  ASSERT_TRUE(bench.board) << bench.error;
  kdpc::Device& first = *bench.board->devices()[0];
  kdpc::Device& second = *bench.board->devices()[1];
  ASSERT_EQ(first.line(), 20);
  ASSERT_EQ(second.line(), 20);

  first.write(0, kEduRaise, 4, 1);
  EXPECT_FALSE(bench.level[20]);  // posted: nobody looked yet
  bench.run_to(100);
  EXPECT_TRUE(bench.level[20]);
  second.write(0, kEduRaise, 4, 2);
  EXPECT_EQ(first.read(0, kEduStatus, 4), 1U);
  EXPECT_EQ(second.read(0, kEduStatus, 4), 2U);

  bench.run_to(200);
  first.write(0, kEduAcknowledge, 4, 1);
  EXPECT_TRUE(bench.level[20]);  // the other one still asserts it
  bench.run_to(307);
  second.write(0, kEduAcknowledge, 4, 2);
  EXPECT_FALSE(bench.level[20]);  // an acknowledging write is not posted (Q.B-3)
  EXPECT_EQ(bench.take_log(), (std::vector<std::string>{"0 line 20 up", "307 line 20 down"}));
}

// edu copies 4 bytes from guest memory to its buffer 100 ms after the command, counted from the last full millisecond.
TEST(QemuBoard, StopsAtTheTimeALineChanges) {
  for (const Nanoseconds start : {Nanoseconds{0}, Nanoseconds{5}, Nanoseconds{12'345'677}}) {
    Bench bench(two_edus());
    ASSERT_TRUE(bench.board) << bench.error;
    kdpc::Device& edu = *bench.board->devices()[0];
    const kdpc::DmaMemory memory = bench.board->dma();
    std::memcpy(memory.host + 0x1000, "kdpc", 4);
    bench.run_to(start);
    constexpr std::uint64_t kDmaSource = 0x80, kDmaDestination = 0x88, kDmaCount = 0x90, kDmaCommand = 0x98, kBuffer = 0x40000;
    const auto transfer = [&](std::uint64_t from, std::uint64_t to, std::uint64_t command) {
      edu.write(0, kDmaSource, 8, from);
      edu.write(0, kDmaDestination, 8, to);
      edu.write(0, kDmaCount, 8, 4);
      edu.write(0, kDmaCommand, 8, command | 1 | 4);  // start, interrupt at the end
      const Nanoseconds due = bench.now() / kMillisecond * kMillisecond + 100 * kMillisecond;
      ASSERT_TRUE(bench.run_until_line(20, due + 150 * kMillisecond));
      EXPECT_EQ(bench.now(), due);
      EXPECT_EQ(edu.read(0, kEduStatus, 4), 0x100U);
      edu.write(0, kEduAcknowledge, 4, 0x100);
      EXPECT_FALSE(bench.level[20]);
    };
    transfer(memory.physical + 0x1000, kBuffer, 0);
    transfer(kBuffer, memory.physical + 0x2000, 2);
    EXPECT_EQ(std::memcmp(memory.host + 0x2000, "kdpc", 4), 0);
  }
}

TEST(QemuBoard, ReachesEveryNanosecondExactlyAndNeverGoesBack) {
  Bench bench(two_edus());
  ASSERT_TRUE(bench.board) << bench.error;
  Nanoseconds until = 0;
  for (unsigned i = 0; i < 2000; ++i) {
    until += i * 7 % 23;
    EXPECT_EQ(bench.board->advance_to(until), until);
    EXPECT_EQ(bench.board->advance_to(until / 2), until);
  }
}

TEST(QemuBoard, PostsMoreWritesThanFitIntoTheSocket) {
  Bench bench(two_edus());
  ASSERT_TRUE(bench.board) << bench.error;
  kdpc::Device& edu = *bench.board->devices()[0];
  for (std::uint32_t i = 0; i < 5000; ++i) edu.write(0, 4, 4, i);
  EXPECT_EQ(edu.read(0, 4, 4), ~std::uint32_t{4999});
}

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
    card_.write(kBusMaster, 0x2c, 4, 2);  // out of cold reset
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
  static constexpr std::size_t kDescriptors = 0;      // offsets in DMA memory
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

// --- what goes wrong --------------------------------------------------------------------------------------------------------------------------

TEST(QemuFailure, AMissingProgramNamesThePackage) {
  QemuConfig config = two_edus();
  config.program = "/nonexistent/qemu";
  const auto started = QemuBoard::start(config);
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().what.find("qemu-system-xen"), std::string::npos) << started.error().what;
  EXPECT_NE(started.error().what.find("/nonexistent/qemu"), std::string::npos);
}

TEST(QemuFailure, AnUnknownDeviceIsRefusedInQemusWords) {
  QemuConfig config;
  config.devices = {{.driver = "no-such-card", .name = "card", .options = "", .slot = 0}};
  const auto started = QemuBoard::start(config);
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().what.find("exit status 1"), std::string::npos) << started.error().what;
  EXPECT_NE(started.error().what.find("no-such-card"), std::string::npos) << started.error().what;
}

TEST(QemuFailure, AProgramThatIsNotQemuIsReported) {
  QemuConfig config;
  config.program = "/bin/false";
  const auto started = QemuBoard::start(config);
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().what.find("exit status 1"), std::string::npos) << started.error().what;
}

TEST(QemuFailure, AKilledChildIsReportedOnceAndReadsAreAllOnes) {
  Bench bench(two_edus());
  ASSERT_TRUE(bench.board) << bench.error;
  kdpc::Device& edu = *bench.board->devices()[0];
  bench.run_to(kMillisecond);
  ::kill(bench.board->child_pid(), SIGKILL);
  EXPECT_EQ(edu.read(0, 0, 4), 0xffffffffU);
  EXPECT_EQ(edu.read(0, 0, 1), 0xffU);
  edu.write(0, kEduRaise, 4, 1);
  EXPECT_EQ(bench.board->advance_to(2 * kMillisecond), 2 * kMillisecond);
  ASSERT_EQ(bench.failures.size(), 1U);
  EXPECT_EQ(bench.failures[0], "QEMU died: killed by signal 9 (Killed)");
}

// A transfer beyond its buffer makes edu stop the whole of QEMU.
TEST(QemuFailure, AModelThatAbortsIsReportedWithItsLastWords) {
  Bench bench(two_edus());
  ASSERT_TRUE(bench.board) << bench.error;
  kdpc::Device& edu = *bench.board->devices()[0];
  edu.write(0, 0x80, 8, 0x100000);
  edu.write(0, 0x88, 8, 0x10);
  edu.write(0, 0x90, 8, 4);
  edu.write(0, 0x98, 8, 1);
  bench.run_to(200 * kMillisecond);
  ASSERT_EQ(bench.failures.size(), 1U);
  EXPECT_NE(bench.failures[0].find("killed by signal 6 (Aborted)"), std::string::npos) << bench.failures[0];
  EXPECT_NE(bench.failures[0].find("EDU"), std::string::npos) << bench.failures[0];
}

TEST(QemuFailure, AChildThatDoesNotAnswerIsEndedAndReported) {
  QemuConfig config = two_edus();
  config.reply_timeout = std::chrono::milliseconds(200);
  Bench bench(config);
  ASSERT_TRUE(bench.board) << bench.error;
  ::kill(bench.board->child_pid(), SIGSTOP);
  EXPECT_EQ(bench.board->advance_to(kMillisecond), kMillisecond);
  ASSERT_EQ(bench.failures.size(), 1U);
  EXPECT_EQ(bench.failures[0], "QEMU did not answer for 200 ms of host time and was ended");
  EXPECT_EQ(bench.board->child_pid(), 0);
}

TEST(QemuFailure, TooManyDevicesOrABadSlotAreRefused) {
  QemuConfig config;
  for (int i = 0; i < 22; ++i) config.devices.push_back({.driver = "edu", .name = fmt::format("edu{}", i), .options = "", .slot = 0});
  EXPECT_FALSE(QemuBoard::start(config).ok());
  config = two_edus();
  config.devices[0].slot = 8;
  EXPECT_FALSE(QemuBoard::start(config).ok());
  config.devices[0].slot = 31;
  EXPECT_FALSE(QemuBoard::start(config).ok());
}

}  // namespace
