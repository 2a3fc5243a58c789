// Addresses get names, files and lines: in this program, in libraries, and in drivers that are loaded later.
#include "trace/symbols.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

using namespace kdpc;

extern "C" int a_function_with_a_line(int x) { return x + 1; }
int the_line_before = __LINE__ - 1;

namespace somewhere {
struct Thing {
  int method(const char*) const { return 4; }
};
template <class T>
struct Box {
  int method(T) const { return 5; }
};
}  // namespace somewhere

TEST(Symbols, NamesAFunctionOfThisProgramWithFileAndLine) {
  Symbols symbols;
  const Symbol& symbol = symbols.find(reinterpret_cast<std::uintptr_t>(&a_function_with_a_line));
  EXPECT_EQ(symbol.function, "a_function_with_a_line");
  EXPECT_EQ(symbol.offset, 0u);
  EXPECT_TRUE(symbol.image.starts_with("symbols_test")) << symbol.image;
  EXPECT_TRUE(symbol.file.ends_with("symbols_test.cc")) << symbol.file;
  EXPECT_EQ(symbol.line, the_line_before);
  EXPECT_NE(symbol.text().find("!a_function_with_a_line (trace/symbols_test.cc:"), std::string::npos) << symbol.text();
}

TEST(Symbols, DemanglesWithoutParameters) {
  Symbols symbols;
  int (somewhere::Thing::*method)(const char*) const = &somewhere::Thing::method;
  std::uintptr_t address = 0;
  std::memcpy(&address, &method, sizeof address);
  EXPECT_EQ(symbols.find(address).function, "somewhere::Thing::method");
  int (somewhere::Box<somewhere::Box<int>>::*of_template)(somewhere::Box<int>) const = &somewhere::Box<somewhere::Box<int>>::method;
  std::memcpy(&address, &of_template, sizeof address);
  EXPECT_EQ(symbols.find(address).function, "somewhere::Box<>::method");
}

// As a mangled type name, "d" is double.
extern "C" {
extern int d;
int d = 1;
}
TEST(Symbols, LeavesCNamesAlone) {
  Symbols symbols;
  EXPECT_EQ(symbols.find(reinterpret_cast<std::uintptr_t>(&d)).function, "d");
}

TEST(Symbols, AReturnAddressBelongsToTheCallBeforeIt) {
  Symbols symbols;
  const auto start = reinterpret_cast<std::uintptr_t>(&a_function_with_a_line);
  EXPECT_EQ(symbols.find(start + 1, Symbols::Meaning::ReturnAddress).function, "a_function_with_a_line");
  EXPECT_EQ(symbols.find(start + 1, Symbols::Meaning::ReturnAddress).offset, 1u);
  EXPECT_NE(symbols.find(start, Symbols::Meaning::ReturnAddress).function, "a_function_with_a_line");
}

TEST(Symbols, NamesData) {
  Symbols symbols;
  EXPECT_EQ(symbols.find(reinterpret_cast<std::uintptr_t>(&the_line_before)).function, "the_line_before");
}

TEST(Symbols, KnowsWhatItDoesNotKnow) {
  Symbols symbols;
  const auto heap = std::make_unique<int>();
  EXPECT_TRUE(symbols.find(reinterpret_cast<std::uintptr_t>(heap.get())).image.empty());
  EXPECT_TRUE(symbols.find(0).image.empty());
  EXPECT_EQ(symbols.find(0x1234).text(), "0x1234");
}

TEST(Symbols, FindsADriverThatIsLoadedLater) {
  Symbols symbols;
  symbols.find(reinterpret_cast<std::uintptr_t>(&a_function_with_a_line));  // the list of images has been read
  void* driver = ::dlopen(KDPC_TEST_DRIVERS "/image_good.drv", RTLD_LAZY | RTLD_LOCAL);
  ASSERT_NE(driver, nullptr) << ::dlerror();
  const auto entry = reinterpret_cast<std::uintptr_t>(::dlsym(driver, "DriverEntry"));
  const Symbol& symbol = symbols.find(entry);
  EXPECT_EQ(symbol.image, "image_good");
  EXPECT_EQ(symbol.function, "DriverEntry");
  EXPECT_TRUE(symbol.file.ends_with("image_good.c")) << symbol.file;
  EXPECT_GT(symbol.line, 0);
  ::dlclose(driver);
  EXPECT_EQ(symbols.find(entry).function, "DriverEntry");  // remembered
}

TEST(Symbols, KnowsADriverStillAfterAnotherWasLoaded) {
  Symbols symbols;
  const auto load = [](const char* path) {
    void* driver = ::dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    EXPECT_NE(driver, nullptr) << ::dlerror();
    return driver;
  };
  const auto entry_of = [](void* driver) { return reinterpret_cast<std::uintptr_t>(::dlsym(driver, "DriverEntry")); };
  void* const first = load(KDPC_TEST_DRIVERS "/image_good.drv");
  EXPECT_EQ(symbols.find(entry_of(first)).function, "DriverEntry");
  void* const second = load(KDPC_TEST_DRIVERS "/lock_user.drv");
  EXPECT_EQ(symbols.find(entry_of(second)).image, "lock_user");
  const Symbol& symbol = symbols.find(entry_of(first) + 1);  // one that was not asked for before
  EXPECT_EQ(symbol.image, "image_good");
  EXPECT_EQ(symbol.function, "DriverEntry");
  EXPECT_GT(symbol.line, 0);
  ::dlclose(second);
  ::dlclose(first);
}
