// The example driver hello, whole: loaded, started with its resources, interrupted, asked, removed, unloaded.
#include <gmock/gmock.h>
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/io/hello_driver.h"
#include "tests/io/pulse_board.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::counts_of;
using test::kHello;
using test::PulseBoard;

void trigger(lab::Machine& m) {
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\Device\\Hello"), STATUS_SUCCESS);
    KDPC_EXPECT(file.control(IOCTL_HELLO_TRIGGER).ok());
    file.close();
  });
}

KDPC_TEST(Hello, CountsWhatItsDeviceDoes) {
  RULE("PNP-1");
  PulseBoard board({{"pulse"}});
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(kHello, why)) << why;
  EXPECT_FALSE(board.is_enabled(0));
  ASSERT_TRUE(m.start_device("pulse", "hello", why)) << why;
  EXPECT_TRUE(board.is_enabled(0));
  EXPECT_THAT(m.device_names("hello"), testing::ElementsAre("\\Device\\Hello"));

  trigger(m);
  trigger(m);
  const HELLO_COUNTS counts = counts_of(m);
  EXPECT_EQ(counts.Interrupts, 2u);
  EXPECT_EQ(counts.Dpcs, 2u);

  ASSERT_TRUE(m.remove_device("pulse", why)) << why;
  EXPECT_FALSE(board.is_enabled(0));
  EXPECT_TRUE(m.device_names("hello").empty());
  ASSERT_TRUE(m.unload_driver("hello", why)) << why;
  EXPECT_TRUE(m.debug_lines().empty()) << m.debug_lines().front().text;
}

KDPC_TEST(Hello, IsCompletedByTheBusBeforeItConnects) {
  RULE("PNP-1");
  PulseBoard board({{"pulse"}});
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(kHello, why)) << why;
  ASSERT_TRUE(m.start_device("pulse", "hello", why)) << why;
  // START reached the bus (a second irp-sent of the same request) before the interrupt was connected.
  Nanoseconds reached_bus = 0;
  for (const auto& event : m.events("irp-sent", {{"major", IRP_MJ_PNP}, {"minor", IRP_MN_START_DEVICE}})) reached_bus = event.time;
  EXPECT_EQ(m.count("irp-sent", {{"major", IRP_MJ_PNP}, {"minor", IRP_MN_START_DEVICE}}), 2u);
  ASSERT_EQ(m.count("interrupt-connected"), 1u);
  EXPECT_GE(m.events("interrupt-connected").front().time, reached_bus);
}

KDPC_TEST(Hello, CanBeLoadedTwiceFromTheSameFile) {
  PulseBoard board({{"pulse"}});
  m.attach(board);
  std::string why;
  for (int time = 0; time < 2; ++time) {
    ASSERT_TRUE(m.load_driver(kHello, why)) << why;
    ASSERT_TRUE(m.start_device("pulse", "hello", why)) << why;
    trigger(m);
    EXPECT_EQ(counts_of(m).Interrupts, 1u);
    ASSERT_TRUE(m.unload_driver("hello", why)) << why;  // removes the device first
  }
}

KDPC_TEST(Hello, SurvivesHavingItsDevicePulledOut) {
  RULE("PNP-1");
  PulseBoard board({{"pulse"}});
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(kHello, why)) << why;
  ASSERT_TRUE(m.start_device("pulse", "hello", why)) << why;
  ASSERT_TRUE(m.surprise_remove_device("pulse", why)) << why;
  EXPECT_EQ(m.count("interrupt-connected", {{"connected", 0}}), 1u);
  EXPECT_EQ(m.events("register").back()["write"], 1u);  // the attempt to quiet it was made, and nobody answered
  ASSERT_TRUE(m.unload_driver("hello", why)) << why;
}

KDPC_TEST(Hello, IsNotRemovedWhileAnApplicationHasItOpen) {
  PulseBoard board({{"pulse"}});
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(kHello, why)) << why;
  ASSERT_TRUE(m.start_device("pulse", "hello", why)) << why;
  static lab::DeviceFile file;
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(file.open("\\\\.\\Hello"), STATUS_SUCCESS); });
  EXPECT_FALSE(m.remove_device("pulse", why));
  EXPECT_EQ(why, "pulse: removing a device that an application has open failed with STATUS_DEVICE_BUSY (0x80000011)");
  m.on(0, PASSIVE_LEVEL, [] { file.close(); });
  EXPECT_TRUE(m.remove_device("pulse", why)) << why;
}

}  // namespace
}  // namespace kdpc
