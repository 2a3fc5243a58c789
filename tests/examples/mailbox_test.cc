// The example driver mailbox: reads pending in a cancel-safe queue, a timer's DPC that ends them, a remove lock.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"

namespace kdpc {
namespace {

std::string driver(const char* name) { return std::string(KDPC_TEST_DRIVERS) + "/" + name + ".drv"; }

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
