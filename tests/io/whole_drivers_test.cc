// Two drivers as one writes them for Windows, compiled unchanged: pulsecard (PnP, StartIo, ISR and DPC, traces, message file, names in any case)
// and mailbox (reads pending in a cancel-safe queue, a timer's DPC, a remove lock).
#include <gmock/gmock.h>
#include <wdm.h>

#include <cstring>
#include <string>

#include "kdpc/test.h"
#include "tests/io/pulse_board.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::PulseBoard;
using testing::HasSubstr;

std::string driver(const char* name) { return std::string(KDPC_TEST_DRIVERS) + "/" + name + ".drv"; }

std::string name;  // of the device to open

struct PulseCard {
  explicit PulseCard(lab::Machine& machine) : m(machine), board({{"pulse"}}) {
    m.attach(board);
    EXPECT_TRUE(m.load_driver(driver("pulsecard"), why, {.settings = {{"Retries", std::uint64_t{5}}}})) << why;
    EXPECT_TRUE(m.start_device("pulse", "pulsecard", why)) << why;
    const auto names = m.device_names("pulsecard");
    EXPECT_EQ(names.size(), 1u);
    if (!names.empty()) name = names.front();
  }
  lab::Machine& m;
  PulseBoard board;
  std::string why;
};

KDPC_TEST(PulseCard, CompletesOneReadPerInterrupt) {
  PulseCard card(m);
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open(name), STATUS_SUCCESS);
    for (ULONG round = 1; round <= 3; ++round) {
      ULONG count = 0;
      KDPC_EXPECT_EQ(file.read(&count, sizeof count).status, STATUS_SUCCESS);
      KDPC_EXPECT_EQ(count, round);
    }
    ULONG counts[4] = {};
    lab::PendingIo pending[4];
    for (int i = 0; i < 4; ++i) pending[i] = file.begin_read(&counts[i], sizeof counts[i]);
    for (int i = 0; i < 4; ++i) KDPC_EXPECT_EQ(pending[i].finish().status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(counts[3], 7u);
    char small[2];
    KDPC_EXPECT_EQ(file.read(small, sizeof small).status, STATUS_BUFFER_TOO_SMALL);
    file.close();
  });
  EXPECT_TRUE(m.unload_driver("pulsecard", card.why)) << card.why;
  ASSERT_EQ(m.debug_lines().size(), 1u);  // nothing was left behind
  EXPECT_THAT(m.debug_lines()[0].text, HasSubstr("pulsecard writes to the error log: code 0x40070001"));
}

KDPC_TEST(PulseCard, SurvivesStoppingRefusalAndBeingPulledOut) {
  PulseCard card(m);
  EXPECT_TRUE(m.ask_to_remove_device("pulse", card.why)) << card.why;
  EXPECT_TRUE(m.stop_device("pulse", card.why)) << card.why;
  EXPECT_TRUE(m.start_device("pulse", "pulsecard", card.why)) << card.why;
  EXPECT_TRUE(m.sleep(card.why)) << card.why;
  EXPECT_TRUE(m.wake(card.why)) << card.why;
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    ULONG count = 0;
    KDPC_EXPECT_EQ(file.open(name), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(file.read(&count, sizeof count).status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_TRUE(m.surprise_remove_device("pulse", card.why)) << card.why;
  EXPECT_TRUE(m.unload_driver("pulsecard", card.why)) << card.why;
}

KDPC_TEST(PulseCard, ReadsCanBeCancelledWaitingOrCurrent) {
  PulseCard card(m);
  m.on(0, PASSIVE_LEVEL, [] {
    // The interrupt is kept away for a while, as by an interrupt handler of the same level elsewhere.
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open(name), STATUS_SUCCESS);
    ULONG counts[3] = {};
    lab::PendingIo pending[3];
    const KIRQL old = KeRaiseIrqlToDpcLevel();  // no DPC completes anything before it is lowered
    for (int i = 0; i < 3; ++i) pending[i] = file.begin_read(&counts[i], sizeof counts[i]);
    KDPC_EXPECT(pending[1].cancel());
    KDPC_EXPECT(pending[0].cancel());
    KeLowerIrql(old);
    KDPC_EXPECT_EQ(pending[0].finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(pending[1].finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(pending[2].finish().status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_TRUE(m.unload_driver("pulsecard", card.why)) << card.why;
}

constexpr std::uint32_t kPostEvery = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_WRITE_ACCESS);
constexpr std::uint32_t kCount = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_OUT_DIRECT, FILE_READ_ACCESS);

KDPC_TEST(Mailbox, ReadsWaitForLettersAndLettersForReads, .processors = 2) {
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("mailbox"), why)) << why;
  m.on(1, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\\\.\\Mailbox1"), STATUS_SUCCESS);
    char text[32] = {};
    lab::PendingIo waiting = file.begin_read(text, sizeof text);
    KDPC_EXPECT_EQ(file.write("hello", 5).information, 5u);
    KDPC_EXPECT_EQ(waiting.finish().information, 5u);
    KDPC_EXPECT_EQ(std::strcmp(text, "hello"), 0);
    for (int i = 0; i < 8; ++i) KDPC_EXPECT_EQ(file.write("kept", 4).status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(file.write("lost", 4).status, STATUS_BUFFER_OVERFLOW);
    ULONG kept = 0;
    KDPC_EXPECT_EQ(file.control(kCount, nullptr, 0, &kept, sizeof kept).status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(kept, 8u);
    KDPC_EXPECT_EQ(file.read(text, 2).information, 2u);
    file.close();
  });
  EXPECT_TRUE(m.unload_driver("mailbox", why)) << why;
  EXPECT_TRUE(m.debug_lines().empty()) << m.debug_lines().front().text;
}

KDPC_TEST(Mailbox, TheTimersDpcWritesLetters) {
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("mailbox"), why)) << why;
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\\\.\\Mailbox1"), STATUS_SUCCESS);
    const ULONG period = 50;
    KDPC_EXPECT_EQ(file.control(kPostEvery, &period, sizeof period).status, STATUS_SUCCESS);
    for (int i = 0; i < 3; ++i) {
      char text[32] = {};
      const lab::IoResult result = file.read(text, sizeof text);
      KDPC_EXPECT_EQ(result.information, 6u);
      KDPC_EXPECT_EQ(text[5], '0' + i);
    }
    file.close();
  });
  EXPECT_TRUE(m.unload_driver("mailbox", why)) << why;
}

KDPC_TEST(Mailbox, WhatIsStillWaitingIsCancelledOrGoesWithItsFile) {
  std::string why;
  ASSERT_TRUE(m.load_driver(driver("mailbox"), why)) << why;
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file, other;
    KDPC_EXPECT_EQ(file.open("\\\\.\\Mailbox1"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(other.open("\\\\.\\Mailbox1"), STATUS_SUCCESS);
    char first[8], second[8], third[8];
    lab::PendingIo one = file.begin_read(first, 8), two = file.begin_read(second, 8), three = other.begin_read(third, 8);
    KDPC_EXPECT(one.cancel());
    KDPC_EXPECT(!one.cancel());
    file.close();  // IRP_MJ_CLEANUP takes the second
    KDPC_EXPECT_EQ(one.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(two.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(other.write("x", 1).status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(three.finish().status, STATUS_SUCCESS);
    other.close();
  });
  EXPECT_TRUE(m.unload_driver("mailbox", why)) << why;
}

}  // namespace
}  // namespace kdpc
