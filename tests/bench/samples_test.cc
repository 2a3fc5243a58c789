// What the benchmarks make of what they have measured.
#include <gtest/gtest.h>

#include "stamps.h"

namespace kdpc::bench {
namespace {

TEST(Samples, APercentileLiesBetweenTheTwoValuesBesideIt) {
  const std::vector<double> sorted = {10, 20, 30, 40};
  EXPECT_DOUBLE_EQ(percentile(sorted, 0), 10);
  EXPECT_DOUBLE_EQ(percentile(sorted, 50), 25);
  EXPECT_DOUBLE_EQ(percentile(sorted, 100), 40);
  EXPECT_DOUBLE_EQ(percentile({7}, 99), 7);
}

TEST(Samples, TheyAreSortedAndMayBeNegative) {
  Samples samples(8);
  for (const std::uint64_t end : {130u, 110u, 90u}) samples.add(100, end);
  EXPECT_EQ(samples.sorted(), (std::vector<double>{-10, 10, 30}));  // the counters of two processors need not be in step
}

TEST(Samples, WhatDoesNotFitIsLeftOut) {
  Samples samples(2);
  for (std::uint64_t end = 1; end <= 3; ++end) samples.add(0, end);
  EXPECT_EQ(samples.sorted(), (std::vector<double>{1, 2}));
}

// Between two looks at the clock each, as the host may take the processor away at any of these lines.
TEST(Stamps, TheyPassAsTimeDoes) {
  using Clock = std::chrono::steady_clock;
  const auto before_first = Clock::now();
  const std::uint64_t first = stamp();
  const auto after_first = Clock::now();
  spin_for(std::chrono::milliseconds(5));
  const auto before_last = Clock::now();
  const std::uint64_t last = stamp();
  const auto after_last = Clock::now();
  const std::chrono::duration<double, std::nano> stamped(static_cast<double>(last - first) * nanoseconds_per_tick());
  EXPECT_GE(stamped, (before_last - after_first) * 0.98);
  EXPECT_LE(stamped, (after_last - before_first) * 1.02);
  EXPECT_GE(after_last - before_first, std::chrono::milliseconds(5) * 0.98);
}

// A benchmark's own processor time, the result it leaves instead, or several by name.
TEST(Collector, ResultsAreNamedByBenchmarkAndCounter) {
  using Run = benchmark::BenchmarkReporter::Run;
  Run plain, result, several, broken;
  plain.run_name.function_name = "plain";
  plain.iterations = 4;
  plain.cpu_accumulated_time = 20e-9;
  result.run_name.function_name = "result";
  result.counters[kResult] = 7;
  several.run_name.function_name = "several";
  several.counters["p50"] = 1;
  several.counters["p99"] = 2;
  broken.run_name.function_name = "broken";
  broken.error_occurred = true;
  broken.error_message = "why";
  Collector collector;
  collector.ReportRuns({plain, result, several, broken});
  const std::map<std::string, std::vector<double>> expected = {{"plain", {5}}, {"result", {7}}, {"several.p50", {1}}, {"several.p99", {2}}};
  ASSERT_EQ(collector.results().size(), expected.size());
  for (const auto& [name, values] : expected) {
    ASSERT_TRUE(collector.results().contains(name)) << name;
    EXPECT_NEAR(collector.results().at(name).front(), values.front(), 1e-6) << name;
  }
  EXPECT_EQ(collector.errors(), (std::map<std::string, std::string>{{"broken", "why"}}));
}

}  // namespace
}  // namespace kdpc::bench
