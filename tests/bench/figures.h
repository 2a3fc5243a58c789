// What a benchmark program says: what it has measured, and which figures are to be made of that. tools/bench (./dev bench, kdpc bench) runs every
// program several times, in rounds of all of them, so that a slow minute meets ours, the floors and the peers alike; takes medians; and judges.
//
// Absolute times differ by half between two minutes of a shared machine; ratios within one run do not. The benchmarks themselves are Google
// Benchmark's.
#pragma once
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kdpc::bench {

// One measurement set against another. `against` is a result of the same program, or PROGRAM/RESULT of another one (floors/cache_line,
// peer-asio/stream); best_peer/RESULT is the least that any peer has there.
struct Figure {
  const char* id;
  const char* what;  // for the table
  const char* ours;
  const char* against;
  std::optional<double> goal = {};  // of ours / against; none: for information
  const char* unit = "ns";
  bool more_is_better = false;
  const char* machine = nullptr;  // judged on this one only
};

inline Figure on_live(Figure figure) {
  figure.machine = "live";
  return figure;
}

// The least that something can cost, for the table of floors.
struct Floor {
  const char* result;
  const char* what;
};

// Where a benchmark leaves its result when that is not the time of its loop. A benchmark with several results leaves each in a counter of its
// name; they are then called BENCHMARK.COUNTER.
inline constexpr const char* kResult = "result";

// By percentile, of sorted values.
inline double percentile(const std::vector<double>& sorted, double percent) {
  const double place = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double above = sorted[std::min(below + 1, sorted.size() - 1)];
  return sorted[below] + (place - static_cast<double>(below)) * (above - sorted[below]);
}

class Collector final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const std::string& name = run.run_name.function_name;
      if (run.error_occurred) {
        errors_[name] = run.error_message;
        continue;
      }
      if (run.run_type != Run::RT_Iteration) continue;
      // The thread's own processor time: what other programs take of a shared machine is not the benchmark's.
      if (run.counters.empty()) results_[name].push_back(run.cpu_accumulated_time * 1e9 / static_cast<double>(run.iterations));
      for (const auto& [counter, value] : run.counters) results_[counter == kResult ? name : name + "." + counter].push_back(value);
    }
  }
  const std::map<std::string, std::vector<double>>& results() const { return results_; }
  const std::map<std::string, std::string>& errors() const { return errors_; }

 private:
  std::map<std::string, std::vector<double>> results_;
  std::map<std::string, std::string> errors_;
};

struct Arguments {
  bool json = false;
  bool quick = false;    // only to see that everything runs
  bool at_once = false;  // all rounds in one run of the program
  std::string rounds = "1";
  std::vector<std::string> words;
};

inline Arguments parse(int argc, char** argv) {
  Arguments arguments;
  arguments.words = {argv[0], "--benchmark_min_time=0.05"};
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--json") {
      arguments.json = true;
    } else if (word == "--quick") {
      arguments.quick = true;
      arguments.words.emplace_back("--benchmark_min_time=0.005");
    } else if (word.starts_with("--rounds=")) {
      arguments.rounds = word.substr(word.find('=') + 1);
    } else {
      arguments.words.emplace_back(word);
    }
  }
  return arguments;
}

// Runs all registered benchmarks once and writes what they found to standard output, as lines or, with --json, as a document. `more` goes into the
// document too. The exit code says only whether they ran.
inline int run(Arguments arguments, const std::vector<Figure>& figures, const std::vector<Floor>& floors, nlohmann::ordered_json more = {}) {
  std::string machine = std::filesystem::path(arguments.words[0]).extension().string();
  if (!machine.empty()) machine.erase(0, 1);
  if (arguments.at_once) {
    arguments.words.push_back("--benchmark_repetitions=" + arguments.rounds);
    arguments.words.emplace_back("--benchmark_enable_random_interleaving=true");
  }
  std::vector<char*> pointers;
  for (std::string& word : arguments.words) pointers.push_back(word.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;
  Collector found;
  benchmark::RunSpecifiedBenchmarks(&found);

  if (!arguments.json) {
    for (const auto& [name, values] : found.results()) fmt::print("{:<32} {:>14.2f}\n", name, values.front());
    for (const auto& [name, error] : found.errors()) fmt::print("{:<32} {}\n", name, error);
    return 0;
  }
  nlohmann::ordered_json document = {
      {"results", found.results()}, {"errors", found.errors()}, {"figures", nlohmann::json::array()}, {"at_once", arguments.at_once}};
  for (const Figure& figure : figures) {
    if (figure.machine != nullptr && figure.machine != machine) continue;
    document["figures"].push_back({{"id", machine.empty() ? figure.id : machine + "." + figure.id},
                                   {"machine", machine},
                                   {"what", figure.what},
                                   {"unit", figure.unit},
                                   {"ours", figure.ours},
                                   {"against", figure.against},
                                   {"goal", figure.goal ? nlohmann::ordered_json(*figure.goal) : nlohmann::ordered_json()},
                                   {"more_is_better", figure.more_is_better}});
  }
  for (const Floor& floor : floors) document["floors"].push_back({{"result", floor.result}, {"what", floor.what}});
  if (!more.is_null()) document.update(more);
  fmt::print("{}\n", document.dump(2));
  return 0;
}

inline int run(int argc, char** argv, const std::vector<Figure>& figures, const std::vector<Floor>& floors = {}) {
  return run(parse(argc, argv), figures, floors);
}

// For a program that takes long to prepare what it measures, and sets it against nothing of other programs: it has its rounds by itself.
inline int run_at_once(int argc, char** argv, const std::vector<Figure>& figures) {
  Arguments arguments = parse(argc, argv);
  arguments.at_once = true;
  return run(arguments, figures, {});
}

}  // namespace kdpc::bench
