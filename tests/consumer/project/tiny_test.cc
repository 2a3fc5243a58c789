// Enough to know that the headers are found, the library is linked and the driver was built.
#include <gtest/gtest.h>
#include <kdpc/device.h>

#include <fstream>

TEST(Consumer, FindsHeadersLibraryAndDriver) {
  EXPECT_EQ(kdpc::kNever, ~kdpc::Nanoseconds{0});
  EXPECT_TRUE(std::ifstream(TINY_DRIVER).good());
}
