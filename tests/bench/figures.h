// What a benchmark program says: figures, each a median of ours, the median of a floor measured in the same run, their ratio and the goal for it.
//
// Absolute times differ by half between two minutes of a shared machine; ratios within one run do not. The benchmarks themselves are Google
// Benchmark's: repetitions in random order, so that no slow minute meets only one of two.
#pragma once
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kdpc::bench {

struct Figure {
  const char* id;
  const char* what;  // for the table
  const char* ours;  // names of benchmarks
  const char* against;
  double goal;  // of ours / against
  const char* unit = "ns";
  bool more_is_better = false;
};

// A benchmark whose result is not the time of its loop leaves it in this counter.
inline constexpr const char* kResult = "result";

class Collector final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) {
        std::fprintf(stderr, "%s: %s\n", run.run_name.function_name.c_str(), run.error_message.c_str());
        continue;
      }
      if (run.run_type != Run::RT_Iteration) continue;
      const auto counter = run.counters.find(kResult);
      const double value =
          counter != run.counters.end() ? double{counter->second} : run.real_accumulated_time * 1e9 / static_cast<double>(run.iterations);
      values_[run.run_name.function_name].push_back(value);
    }
  }
  // Sorted; empty: that benchmark has not run, or failed.
  std::vector<double> of(const char* name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return {};
    std::vector<double> values = found->second;
    std::sort(values.begin(), values.end());
    return values;
  }

 private:
  std::map<std::string, std::vector<double>> values_;
};

inline double median(const std::vector<double>& sorted) { return (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2; }

// Runs all benchmarks and writes the figures to standard output, as a table or, with --json, as a document. The exit code says only whether they
// ran: whether a goal is met is for people to judge.
inline int run(int argc, char** argv, const std::vector<Figure>& figures) {
  const std::string machine = std::filesystem::path(argv[0]).extension().string().substr(1);
  bool json = false;
  std::vector<std::string> words = {argv[0], "--benchmark_repetitions=7", "--benchmark_min_time=0.05", "--benchmark_enable_random_interleaving=true"};
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") {
      json = true;
    } else {
      words.emplace_back(argv[i]);
    }
  }
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;
  Collector results;
  benchmark::RunSpecifiedBenchmarks(&results);

  nlohmann::ordered_json document = {{"figures", nlohmann::ordered_json::array()}};
  bool complete = true;
  for (const Figure& figure : figures) {
    const std::vector<double> ours = results.of(figure.ours), against = results.of(figure.against);
    if (ours.empty() || against.empty()) {
      complete = false;
      continue;
    }
    const double ratio = median(ours) / median(against);
    const bool met = figure.more_is_better ? ratio >= figure.goal : ratio <= figure.goal;
    document["figures"].push_back({{"id", machine + "." + figure.id},
                                   {"machine", machine},
                                   {"what", figure.what},
                                   {"unit", figure.unit},
                                   {"ours", median(ours)},
                                   {"against", median(against)},
                                   {"ratio", ratio},
                                   {"goal", figure.goal},
                                   {"met", met},
                                   {"more_is_better", figure.more_is_better},
                                   {"floor", figure.against},
                                   {"repetitions", ours.size()},
                                   {"least", ours.front()},
                                   {"most", ours.back()}});
    if (!json)
      fmt::print("{:<28} {:>12.2f} {:>12.2f} {:>8.2f}  {} {:<6.2f} {:<4} {}, {}\n", machine + "." + figure.id, median(ours), median(against), ratio,
                 figure.more_is_better ? ">=" : "<=", figure.goal, met ? "yes" : "no", figure.unit, figure.what);
  }
  if (json) fmt::print("{}\n", document.dump(2));
  return complete ? 0 : 1;
}

}  // namespace kdpc::bench
