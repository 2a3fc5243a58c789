// A .drv as the linker made it, loaded without a machine: where it lies, its own C runtime, and the edge hook's promise to the machine.
#include <dlfcn.h>
#include <execinfo.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/fixed_places.h"
#include "wdk/driver_image.h"

namespace {

using DriverEntryRoutine = std::int32_t __attribute__((ms_abi)) (void*, void*);

std::int64_t* const edge_budget = reinterpret_cast<std::int64_t*>(kdpc::kWorldBase);  // the first word of the World
int edges_entered = 0;
std::vector<void*> seen_from_the_edge;

}  // namespace

// Takes the place of the machine's for drivers this program loads.
extern "C" __attribute__((ms_abi)) void KdpcEdge() {
  if (++edges_entered == 1) {
    void* frames[64];
    seen_from_the_edge.assign(frames, frames + backtrace(frames, 64));
  }
  *edge_budget = 100;
}

namespace {

class DriverRuntime : public ::testing::Test {
 protected:
  void SetUp() override {
    void* const page = mmap(edge_budget, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    ASSERT_EQ(page, edge_budget);
    *edge_budget = INT64_MAX;
    edges_entered = 0;
    path_ = std::string(KDPC_TEST_DRIVERS) + "/runtime_checks.drv";
    image_ = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(image_, nullptr) << dlerror();
    driver_entry_ = reinterpret_cast<DriverEntryRoutine*>(dlsym(image_, "DriverEntry"));
    ASSERT_NE(driver_entry_, nullptr);
  }
  void TearDown() override {
    if (image_) dlclose(image_);
    munmap(edge_budget, 4096);
  }

  std::string path_;
  void* image_ = nullptr;
  DriverEntryRoutine* driver_entry_ = nullptr;
};

TEST_F(DriverRuntime, LiesWhereItWasLinked) {
  const auto image = kdpc::read_driver_image(path_, [](std::string_view) { return true; });
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(driver_entry_), image->entry);
}

TEST_F(DriverRuntime, KeepsItsNamesToItself) {
  EXPECT_EQ(dlsym(image_, "___chkstk_ms"), nullptr);
  EXPECT_EQ(dlsym(image_, "memcpy"), nullptr);
  EXPECT_EQ(dlsym(image_, "__sanitizer_cov_trace_pc"), nullptr);
}

TEST_F(DriverRuntime, HoldsTheCFunctionsADriverUses) { EXPECT_EQ(driver_entry_(nullptr, nullptr), 0) << "the number of a check in runtime_checks.c"; }

TEST_F(DriverRuntime, EveryEdgeIsPaidForAndTheMachineIsEnteredWhenTheBudgetIsSpent) {
  int turns = 1000;
  EXPECT_EQ(driver_entry_(&turns, nullptr), 0);
  EXPECT_EQ(edges_entered, 0);
  EXPECT_LT(*edge_budget, INT64_MAX - 1000);

  turns = 1000;
  *edge_budget = 0;
  EXPECT_EQ(driver_entry_(&turns, nullptr), 0);
  EXPECT_GE(edges_entered, 10);  // at the first edge, and after every hundred and one since
}

TEST_F(DriverRuntime, ABacktraceFromAnEdgeCrossesTheDriver) {
  *edge_budget = 0;
  ASSERT_EQ(driver_entry_(nullptr, nullptr), 0);
  const auto lies_in_the_driver = [&](void* address) {
    Dl_info info{};
    return dladdr(address, &info) && info.dli_fname == path_;
  };
  const auto begin = seen_from_the_edge.begin(), end = seen_from_the_edge.end();
  const auto driver = std::find_if(begin, end, lies_in_the_driver);
  ASSERT_NE(driver, end);
  EXPECT_NE(std::find_if_not(driver, end, lies_in_the_driver), end);  // who called the driver
}

}  // namespace
