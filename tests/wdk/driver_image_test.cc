// What read_driver_image() promises, on drivers built for it (tests/drivers/image_*.c) and on files that are none.
#include "wdk/driver_image.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace kdpc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool only_the_edge(std::string_view name) { return name == "KdpcEdge"; }

std::string driver(const std::string& name) { return std::string(KDPC_TEST_DRIVERS) + "/" + name + ".drv"; }

Result<DriverImage> read(const std::string& name) { return read_driver_image(driver(name), only_the_edge); }

TEST(DriverImage, DescribesADriver) {
  const auto image = read("image_good");
  ASSERT_TRUE(image.ok()) << image.error().what;
  EXPECT_THAT(image->missing_exports, IsEmpty());
  EXPECT_EQ(image->build_id.size(), 40u);
  EXPECT_GT(image->entry, image->link_base);
  EXPECT_LT(image->entry, image->link_base + image->size);
}

TEST(DriverImage, EveryDriverHasABaseOfItsOwnAboveTheWorld) {
  const auto one = read("image_good"), other = read("image_missing_exports");
  ASSERT_TRUE(one.ok() && other.ok());
  for (const auto* image : {&one.value(), &other.value()}) {
    EXPECT_GE(image->link_base, 0x410000000000u);
    EXPECT_LT(image->link_base, 0x520000000000u);
    EXPECT_EQ(image->link_base % 0x1000000, 0u);
  }
  EXPECT_NE(one->link_base, other->link_base);
}

TEST(DriverImage, WritableRangesHoldInitialisedAndZeroedData) {
  const auto image = read("image_good");
  ASSERT_TRUE(image.ok());
  ASSERT_EQ(image->writable.size(), 1u);
  const auto& range = image->writable.front();
  EXPECT_GE(range.address, image->link_base);
  EXPECT_LE(range.address + range.size, image->link_base + image->size);
  EXPECT_GE(range.size, range.file_size + 64);  // at least the driver's `zeroed`
}

TEST(DriverImage, NamesAllMissingExportsAtOnce) {
  const auto image = read("image_missing_exports");
  ASSERT_TRUE(image.ok());
  EXPECT_THAT(image->missing_exports, ElementsAre("NtKdpcFirstMissing", "NtKdpcSecondMissing"));
  EXPECT_THAT(missing_exports_error(*image).what, AllOf(HasSubstr("2 routines"), HasSubstr("NtKdpcFirstMissing, NtKdpcSecondMissing")));
}

TEST(DriverImage, ADriverBringsItsOwnRuntime) {
  const auto image = read_driver_image(driver("image_good"), [](std::string_view) { return false; });
  ASSERT_TRUE(image.ok());
  EXPECT_THAT(image->missing_exports, ElementsAre("KdpcEdge"));  // neither ___chkstk_ms nor memcpy nor the coverage hook
}

TEST(DriverImage, WithoutDriverEntryItIsNoDriver) {
  const auto image = read("image_without_entry");
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().what, AllOf(HasSubstr("image_without_entry.drv"), HasSubstr("DriverEntry")));
}

TEST(DriverImage, OtherFilesAreRefusedWithAReason) {
  const std::string path = ::testing::TempDir() + "not_a_driver.drv";
  const auto refusal = [&](const char* content) {
    std::ofstream(path) << content;
    const auto image = read_driver_image(path, only_the_edge);
    return image.ok() ? std::string() : image.error().what;
  };
  EXPECT_THAT(refusal("MZ\x90"), HasSubstr("Windows image"));
  EXPECT_THAT(refusal("once upon a time"), HasSubstr("is not an ELF file"));
  EXPECT_THAT(refusal(""), HasSubstr("is not an ELF file"));

  const auto absent = read_driver_image("/nowhere/x.drv", only_the_edge);
  ASSERT_FALSE(absent.ok());
  EXPECT_THAT(absent.error().what, AllOf(HasSubstr("/nowhere/x.drv"), HasSubstr("No such file")));
}

TEST(DriverImage, AHostLibraryIsNoDriver) {
  Dl_info info{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&read_driver_image), &info), 0);
  const auto image = read_driver_image(info.dli_fname, only_the_edge);
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().what, HasSubstr("was linked with"));
}

}  // namespace
}  // namespace kdpc
