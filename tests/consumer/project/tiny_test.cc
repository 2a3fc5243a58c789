// Enough to know that the headers are found, the library is linked and the driver was built.
#include <gtest/gtest.h>
#include <kdpc/device.h>
#include <kdpc/test.h>

#include <fstream>

TEST(Consumer, FindsHeadersLibraryAndDriver) {
  EXPECT_EQ(kdpc::kNever, ~kdpc::Nanoseconds{0});
  EXPECT_TRUE(std::ifstream(TINY_DRIVER).good());
}

EXPLORE_TEST(Consumer, LoadsItsDriverInAnyOrder, .processors = 2, .schedules = 50) {
  std::string why;
  EXPECT_TRUE(m.load_driver(TINY_DRIVER, why)) << why;
}
