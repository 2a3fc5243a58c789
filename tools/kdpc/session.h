// One run of a scenario: what is built, in the order in which it is built, and what it leaves to be judged.
//
//   check() --> start() --> perform() --> finish(), and a Report; each of the first three can be where it ends.
#pragma once
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "kdpc/lab.h"
#include "tools/kdpc/arguments.h"
#include "tools/kdpc/cards.h"
#include "tools/kdpc/chain_waits.h"
#include "tools/kdpc/driver_files.h"
#include "tools/kdpc/event_tape.h"
#include "tools/kdpc/pause.h"
#include "tools/kdpc/pty_far_end.h"
#include "tools/kdpc/report.h"
#include "tools/kdpc/scenario.h"
#include "tools/kdpc/sound_card.h"
#include "tools/kdpc/workload_files.h"
#include "trace/latency.h"

namespace kdpc::tool {

// What drivers printed, all of it, and not only what the log remembers.
class DebugLines : public EventSink {
 public:
  void event(const Stamp& stamp, const Event& event) override;
  std::vector<lab::DebugLine> take() { return std::move(lines_); }

 private:
  static constexpr std::size_t kMost = 10'000;
  std::vector<lab::DebugLine> lines_;
};

// Who wants to look at a run from inside it.
struct Onlooker {
  Stops* stops = nullptr;  // where it is to be stopped; null: nowhere
  std::function<Pause::Then(lab::Machine&, std::uint64_t number, const Stamp&, const Event&)> stopped = nullptr;
  // Behind the last event, before drivers are unloaded. `how`: of a bad end; empty: all was done.
  std::function<void(lab::Machine&, std::uint64_t last, const std::string& how)> at_end = nullptr;
};

class Session {
 public:
  Session(const RunArguments& arguments, const std::function<bool()>& interrupted, Onlooker onlooker = {})
      : arguments_(arguments), interrupted_(interrupted), onlooker_(std::move(onlooker)) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::optional<Refusal> check();    // reads what there is to read, and looks for what is needed
  std::optional<Refusal> start();    // the board and the machine
  std::optional<Refusal> perform();  // drivers, workload; a refusal is a driver file that is none
  Report finish();

  const Scenario& scenario() const { return scenario_; }

 private:
  std::optional<Refusal> check_folder();
  std::optional<Refusal> load(const DriverWanted& wanted);
  void write_trace() {
    if (trace_ != nullptr) trace_->write();
  }
  void play();
  void use_line();
  // In a thread of its own; none: it has no device of the driver's to open, and that was said.
  std::optional<lab::Task> start_application(Application& application, const char* of_what);
  // Runs until it is done and a little longer, or says why that was not so. `how_far` says how far it got.
  void finish_application(const lab::Task& task, const Application& application, const std::function<std::string()>& how_far);
  void say_what_was_refused(const Application& application);
  void work();
  void idle();
  void unload();
  void onlooker_sees_the_end();
  bool ended_early();  // and notes how
  void say(Verdict verdict, const std::string& sentence);
  void hear(Report& report);
  void hear_line(Report& report, const std::vector<RoutineLatency>& routines);
  std::vector<std::string> unread_settings() const;
  RoutineName name_of(std::uintptr_t routine);

  const RunArguments& arguments_;
  std::function<bool()> interrupted_;
  Onlooker onlooker_;
  Scenario scenario_;
  WorkloadFiles files_;
  std::filesystem::path folder_;  // of out.wav and the rest
  bool folder_is_temporary_ = false;

  // Destroyed from the last to the first: the machine goes before what it calls.
  Player player_;
  Terminal terminal_;
  std::unique_ptr<qtest::QemuBoard> board_;
  std::unique_ptr<PtyFarEnd> pty_;  // the far end of the line that is used; null: the card's own
  Cards cards_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> trace_file_{nullptr, &std::fclose};
  std::unique_ptr<Latency> latency_;
  std::unique_ptr<ChainWaits> waits_;
  DebugLines debug_lines_;
  std::unique_ptr<EventTape> trace_;
  std::unique_ptr<lab::Machine> machine_;
  std::unique_ptr<Pause> pause_;

  std::uintptr_t worked_driver_ = 0, worked_driver_size_ = 0;  // the image of the driver that the application uses
  std::unordered_map<std::uintptr_t, RoutineName> names_;
  std::vector<std::string> loaded_;
  std::optional<Verdict> verdict_;  // an end that is worse than drop-outs
  std::string sentence_;
  std::string explanation_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace kdpc::tool
