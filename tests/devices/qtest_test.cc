// The bridge to QEMU's devices: enumeration, interrupt lines and messages, virtual time, shared memory, failures.
#include <signal.h>

#include <cstring>

#include "tests/devices/test_host.h"

namespace {

using kdpc::Nanoseconds;
using kdpc::qtest::Bench;
using kdpc::qtest::kMillisecond;
using kdpc::qtest::PciFunction;
using kdpc::qtest::QemuBoard;
using kdpc::qtest::QemuConfig;

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
  EXPECT_EQ(edu.read(0, 4, 4), 0xedcba987U);         // its "liveness check" answers the complement
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

TEST(QemuBoard, KnowsAllKindsOfRegisterRangesAndAccessories) {
  QemuConfig config;
  config.devices = {{.driver = "e1000e", .name = "nic", .options = "", .slot = 5},
                    {.driver = "intel-hda", .name = "sound", .options = "", .slot = 0},
                    {.driver = "hda-output", .name = "", .options = "audiodev=silent", .slot = 0}};
  config.arguments = {"-audiodev", "none,id=silent"};
  Bench bench(config);
  ASSERT_TRUE(bench.board) << bench.error;
  ASSERT_EQ(bench.board->devices().size(), 2U);
  kdpc::Device& nic = *bench.board->devices()[0];
  ASSERT_EQ(nic.registers().size(), 4U);
  EXPECT_EQ(nic.registers()[1].base, 0xe0020000U);
  EXPECT_EQ(nic.registers()[2].space, kdpc::BusSpace::Port);
  EXPECT_EQ(nic.registers()[2].base, 0xc000U);
  EXPECT_EQ(nic.registers()[2].size, 32U);
  EXPECT_EQ(nic.registers()[3].base, 0xe0040000U);
  EXPECT_EQ(nic.line(), 21);
  nic.write(2, 0, 4, 8);  // its pair of ports selects the status register
  EXPECT_EQ(nic.read(2, 4, 4), nic.read(0, 8, 4));

  kdpc::Device& sound = *bench.board->devices()[1];
  EXPECT_EQ(sound.line(), 20);
  EXPECT_EQ(sound.read(0, 3, 1), 1U);  // version 1.0
  sound.write(0, 8, 4, 1);             // out of reset, whereupon codecs report themselves
  EXPECT_EQ(sound.read(0, 0xe, 2), 1U);
}

// --- messages ---------------------------------------------------------------------------------------------------------------------------------

TEST(QemuMessages, AFunctionThatWasGrantedItsMessageSendsItInsteadOfRaisingItsLine) {
  Bench bench(two_edus());
  ASSERT_TRUE(bench.board) << bench.error;
  EXPECT_EQ(bench.board->messages(), 2U);
  kdpc::Device& first = *bench.board->devices()[0];
  kdpc::Device& second = *bench.board->devices()[1];
  ASSERT_EQ(first.messages().kind, kdpc::MessageOffer::Kind::Msi);
  EXPECT_EQ(first.messages().count, 1U);
  EXPECT_EQ(second.messages().first, 1U);
  second.grant_messages(1);

  first.write(0, kEduRaise, 4, 1);
  bench.run_to(100);
  EXPECT_TRUE(bench.level[20]);
  first.write(0, kEduAcknowledge, 4, 1);
  EXPECT_FALSE(bench.level[20]);
  bench.take_log();

  bench.run_to(200);
  second.write(0, kEduRaise, 4, 1);
  EXPECT_EQ(second.read(0, kEduStatus, 4), 1U);  // by then it has been sent
  EXPECT_EQ(bench.messages, 1U);
  bench.run_to(300);
  second.write(0, kEduAcknowledge, 4, 1);
  second.write(0, kEduRaise, 4, 1);
  bench.run_to(400);
  EXPECT_EQ(bench.take_log(), (std::vector<std::string>{"200 message 1", "300 message 1"}));

  second.write(0, kEduAcknowledge, 4, 1);
  second.grant_messages(0);
  second.write(0, kEduRaise, 4, 1);
  bench.run_to(500);
  EXPECT_TRUE(bench.level[20]);
  EXPECT_EQ(bench.messages, 2U);
}

TEST(QemuMessages, AMessageOnTheWayStopsTheTime) {
  Bench bench(two_edus());
  ASSERT_TRUE(bench.board) << bench.error;
  kdpc::Device& edu = *bench.board->devices()[0];
  edu.grant_messages(1);
  edu.write(0, 0x80, 8, bench.board->dma().physical);
  edu.write(0, 0x88, 8, 0x40000);
  edu.write(0, 0x90, 8, 4);
  edu.write(0, 0x98, 8, 1 | 4);  // a transfer of 100 ms, with an interrupt at its end
  bench.run_to(150 * kMillisecond);
  EXPECT_EQ(bench.take_log(), (std::vector<std::string>{"100000000 message 0"}));
}

// The network card's five messages, each with an address of its own. Its register IVAR says which cause sends which.
TEST(QemuMessages, MsiXMessagesAreToldApart) {
  QemuConfig config;
  config.devices = {{.driver = "edu", .name = "first", .options = "", .slot = 0}, {.driver = "e1000e", .name = "nic", .options = "", .slot = 0}};
  for (const unsigned granted : {5U, 1U}) {
    Bench bench(config);
    ASSERT_TRUE(bench.board) << bench.error;
    kdpc::Device& nic = *bench.board->devices()[1];
    ASSERT_EQ(nic.messages().kind, kdpc::MessageOffer::Kind::MsiX);
    ASSERT_EQ(nic.messages().count, 5U);
    ASSERT_EQ(nic.messages().first, 1U);  // after edu's
    nic.grant_messages(granted);
    constexpr unsigned kCauseSet = 0xc8, kMaskSet = 0xd0, kVectors = 0xe4;
    constexpr std::uint32_t kOther = 1U << 24;
    nic.write(0, kVectors, 4, (8U | 3U) << 16);  // "other" causes: message 3, valid
    nic.write(0, kMaskSet, 4, kOther);
    nic.write(0, kCauseSet, 4, kOther);
    bench.run_to(kMillisecond);
    EXPECT_EQ(bench.take_log(), (std::vector<std::string>{fmt::format("0 message {}", granted == 5 ? 1 + 3 : 1)}));
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

TEST(QemuFailure, ASoundFileThatCannotBeWrittenIsRefused) {
  QemuConfig config;
  config.outputs = {{.id = "sound", .path = "/nonexistent/out.wav"}};
  const auto started = QemuBoard::start(config);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().what, "the sound file /nonexistent/out.wav cannot be written: No such file or directory");
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
