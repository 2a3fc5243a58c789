#include "tools/kdpc/session.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>

#include "tools/kdpc/driver_files.h"
#include "tools/kdpc/near_name.h"

namespace kdpc::tool {
namespace {

namespace fs = std::filesystem;

// Lateness is looked for among this many audio DPCs: those that waited longest.
constexpr std::size_t kWorstKept = 1024;
constexpr std::size_t kEventsRemembered = 100'000;  // for the last events before a bad end
// The card reads up to 21.3 ms ahead of what is heard, and what is heard is written when it is played.
constexpr std::uint64_t kTailNs = 50'000'000;
constexpr std::uint64_t kLineShortestNs = 50'000;  // shorter waits of an ISR cost a serial line nothing
constexpr std::uint64_t kSliceNs = 10'000'000;     // so often an idle run looks whether it is interrupted

// Of the frames in a machine's explanation, lines "  at bad!Wait+0x3c (bad.c:15)", the first that is in a driver.
std::string first_place_in(const std::string& explanation) {
  constexpr std::string_view kFrame = "\n  at ";
  for (std::size_t at = explanation.find(kFrame); at != std::string::npos; at = explanation.find(kFrame, at + 1)) {
    const std::string line = explanation.substr(at + kFrame.size(), explanation.find('\n', at + 1) - at - kFrame.size());
    if (!line.starts_with("lib") && line.find('!') != std::string::npos) return line;
  }
  return {};
}

std::string sentence_of(const lab::Finding& finding) {
  return fmt::format("Finding {} in {}: {}", finding.id, finding.place.text(), finding.sentence);
}

}  // namespace

void DebugLines::event(const Stamp& stamp, const Event& event) {
  const auto* const printed = std::get_if<DebugPrinted>(&event);
  if (printed == nullptr || lines_.size() >= kMost) return;
  std::string text(printed->text, printed->length);
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  lines_.push_back({stamp.time, stamp.processor, stamp.irql, std::move(text)});
}

Session::~Session() {
  pause_.reset();
  machine_.reset();
  pty_.reset();
  board_.reset();
  cards_ = {};
  std::error_code failed;
  if (folder_is_temporary_) fs::remove_all(folder_, failed);
}

std::optional<Refusal> Session::check() {
  auto scenario = read_scenario(arguments_.scenario);
  if (!scenario) return Refusal{ExitCode::BadInput, scenario.error().what};
  scenario_ = std::move(scenario).value();

  if (scenario_.workload)
    if (auto refusal = read_workload_files(scenario_, files_)) return refusal;
  const Variant variant = scenario_.config.checks.races == lab::Checks::Races::Off ? Variant::Plain : Variant::Check;
  if (auto refusal = find_driver_files(scenario_, arguments_.driver_folders, variant)) return refusal;
  if (scenario_.needs_qemu())
    if (const std::string why = why_no_qemu(qemu_program()); !why.empty()) return Refusal{ExitCode::HostLacks, why};
  return check_folder();
}

std::optional<Refusal> Session::check_folder() {
  std::error_code failed;
  if (!arguments_.out.empty()) {
    folder_ = arguments_.out;
    fs::create_directories(folder_, failed);
    const std::string why = failed ? failed.message() : "it is a file";
    if (!fs::is_directory(folder_, failed))
      return Refusal{ExitCode::BadInput, fmt::format("the folder {} for the results cannot be made: {}", folder_.string(), why)};
    for (const char* const old : {"out.wav", "received.bin", "heard.bin", "report.json", "report.txt", "trace.txt"})
      fs::remove(folder_ / old, failed);
  } else {
    std::string name = (fs::temp_directory_path(failed) / "kdpc-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return Refusal{ExitCode::HostLacks, fmt::format("no temporary folder can be made as {}", name)};
    folder_ = name;
    folder_is_temporary_ = true;
  }
  if (!arguments_.trace) return {};
  if (folder_is_temporary_) {
    trace_file_ = {stderr, [](std::FILE*) { return 0; }};
  } else {
    trace_file_.reset(std::fopen((folder_ / "trace.txt").c_str(), "w"));
    if (trace_file_ == nullptr) return Refusal{ExitCode::BadInput, fmt::format("{} cannot be written", (folder_ / "trace.txt").string())};
  }
  return {};
}

std::optional<Refusal> Session::start() {
  if (scenario_.needs_qemu()) {
    auto board = start_board(scenario_, folder_ / "out.wav");
    if (!board) return Refusal{ExitCode::HostLacks, board.error().what};
    board_ = std::move(board).value();
  }
  lab::Config config = scenario_.config;
  config.remember_events = kEventsRemembered;
  config.interrupted = interrupted_;
  if (arguments_.keep_going) config.checks.keep_going = true;
  std::string why;
  machine_ = lab::Machine::create(config, why);
  if (machine_ == nullptr) return Refusal{ExitCode::HostLacks, fmt::format("{}: there is no machine: {}", scenario_.file.string(), why)};

  latency_ = std::make_unique<Latency>(machine_->processors(), kWorstKept);
  const auto is_watched = [this](std::uintptr_t routine) { return routine - worked_driver_ < worked_driver_size_; };
  latency_->watch(is_watched);
  const bool uses_line = scenario_.workload && scenario_.workload->uses_line();
  waits_ = uses_line ? std::make_unique<ChainWaits>(machine_->processors(), is_watched, kLineShortestNs)
                     : std::make_unique<ChainWaits>(machine_->processors(), is_watched);
  machine_->add_sink(*latency_);
  machine_->add_sink(*waits_);
  machine_->add_sink(debug_lines_);
  if (trace_file_ != nullptr) {
    trace_ = std::make_unique<EventTape>(machine_->symbols(), trace_file_.get());
    machine_->add_sink(*trace_);
  }
  if (onlooker_.stops != nullptr)
    pause_ = std::make_unique<Pause>(*machine_, *onlooker_.stops, [this](std::uint64_t number, const Stamp& stamp, const Event& event) {
      return onlooker_.stopped(*machine_, number, stamp, event);
    });
  if (board_ != nullptr) machine_->attach(*board_);
  if (const DeviceWanted* const line = scenario_.serial_line(); line != nullptr && line->far_end_is_pty) {
    auto pty = PtyFarEnd::make();
    if (!pty) return Refusal{ExitCode::HostLacks, fmt::format("{}: {}", line->position.text(), pty.error().what)};
    pty_ = std::move(pty).value();
  }
  cards_ = make_cards(scenario_, pty_ != nullptr ? pty_->machines_side() : -1);
  if (cards_.board != nullptr) machine_->attach(*cards_.board);
  return {};
}

void Session::say(Verdict verdict, const std::string& sentence) {
  if (verdict_) return;
  verdict_ = verdict;
  sentence_ = sentence;
}

bool Session::ended_early() {
  if (verdict_) return true;
  const lab::Outcome& outcome = machine_->outcome();
  const auto with_text = [&](Verdict verdict, const std::string& sentence) {
    explanation_ = outcome.text;
    const std::string where = first_place_in(outcome.text);
    say(verdict, where.empty() ? sentence : fmt::format("{} It is in {}.", sentence, where));
  };
  if (outcome.bugcheck) {
    const lab::Bugcheck& stop = *outcome.bugcheck;
    say(Verdict::Bugcheck, fmt::format("Bug check {} ({:#x}) in {}: {}", stop.name, stop.code, stop.place.text(), stop.sentence));
    explanation_ = outcome.text;
  } else if (outcome.how == lab::Ended::Finding && outcome.finding) {
    say(Verdict::Finding, sentence_of(*outcome.finding));
  } else if (outcome.how == lab::Ended::Deadlock) {
    with_text(Verdict::Deadlock, "Deadlock: nobody can ever go on.");
  } else if (outcome.how == lab::Ended::NoProgress) {
    with_text(Verdict::NoProgress, "No progress: code ran on without any point at which time could pass.");
  } else if (outcome.how == lab::Ended::HostFailure) {
    with_text(Verdict::DeviceDied, "A device died in the middle of the run.");
  } else if (interrupted_()) {
    say(Verdict::Interrupted,
        fmt::format("Interrupted after {:.3f} s of virtual time; what there is, is reported.", static_cast<double>(machine_->now()) / 1e9));
  }
  return verdict_.has_value();
}

void Session::work() {
  if (!scenario_.workload) {
    idle();
  } else if (scenario_.workload->uses_line()) {
    use_line();
  } else {
    play();
  }
}

std::optional<Refusal> Session::perform() {
  for (const DriverWanted& wanted : scenario_.drivers) {
    if (auto refusal = load(wanted)) return refusal;
    if (ended_early()) break;
  }
  if (!ended_early()) work();
  ended_early();
  onlooker_sees_the_end();
  if (!ended_early()) unload();
  return {};
}

void Session::onlooker_sees_the_end() {
  if (onlooker_.at_end) onlooker_.at_end(*machine_, pause_ == nullptr ? 0 : pause_->number(), verdict_ ? sentence_ : "");
}

std::optional<Refusal> Session::load(const DriverWanted& wanted) {
  const auto image = map_driver(wanted);
  if (!image) return Refusal{ExitCode::BadInput, image.error().what};
  const DeviceWanted* const worked_on = scenario_.worked_on();
  const bool is_worked_with = !wanted.device.empty() && worked_on != nullptr && wanted.device == worked_on->name;
  if (is_worked_with) {
    worked_driver_ = reinterpret_cast<std::uintptr_t>((*image)->base);
    worked_driver_size_ = (*image)->size;
  }

  std::string why;
  const bool well = load_and_start(*machine_, wanted, why, loaded_);
  if (!well && !ended_early()) {
    if (machine_->outcome().how == lab::Ended::TimeLimit) {
      say(Verdict::TimeLimit, fmt::format("The driver {} has not returned from starting after {:.3f} s of virtual time.", wanted.name,
                                          static_cast<double>(machine_->now()) / 1e9));
    } else if (machine_->outcome().how == lab::Ended::Quiescent) {
      say(Verdict::Stuck, fmt::format("Stuck: the driver {} waits while it is started, and nothing will ever happen again.", wanted.name));
    } else {
      say(Verdict::DriverRefused, fmt::format("A driver refused to run: {}", why));
    }
    explanation_ = machine_->outcome().text;
  }
  if (!well || !is_worked_with || !scenario_.workload || !scenario_.workload->opens.empty()) return {};
  const std::vector<std::string> names = machine_->device_names(wanted.name);
  if (!names.empty()) scenario_.workload->opens = names.front();
  return {};
}

std::optional<lab::Task> Session::start_application(Application& application, const char* of_what) {
  const WorkloadWanted& workload = *scenario_.workload;
  if (workload.opens.empty()) {
    say(Verdict::Application,
        fmt::format("The application found no device to open: no driver of the {} has made one with a name (workload.opens says which).", of_what));
    return {};
  }
  return machine_->start(workload.processor, lab::Level(0),
                         [&application, waits = waits_.get()] {
                           application.run();
                           waits->application_is(0);
                         },
                         {.name = "application", .priority = workload.priority});
}

void Session::finish_application(const lab::Task& task, const Application& application, const std::function<std::string()>& how_far) {
  bool named = false;
  machine_->run_until(
      [&] {
        if (!named && application.thread != 0) {
          waits_->application_is(application.thread);
          named = true;
        }
        write_trace();
        return task.done();
      },
      scenario_.time_limit_ns);
  if (ended_early()) return;
  if (task.done()) {
    if (application.failed_at != nullptr) return say_what_was_refused(application);
    machine_->run_for(kTailNs);
    return;
  }
  explanation_ = machine_->outcome().text;
  if (machine_->outcome().how == lab::Ended::Quiescent) {
    say(Verdict::Stuck, fmt::format("Stuck: nothing will ever happen again, and the application waits; {}.", how_far()));
  } else {
    say(Verdict::TimeLimit, fmt::format("The time limit of {:.3f} ms has passed, and the application is not done; {}.",
                                        static_cast<double>(scenario_.time_limit_ns) / 1e6, how_far()));
  }
}

void Session::say_what_was_refused(const Application& application) {
  if (application.status == STATUS_OBJECT_NAME_NOT_FOUND) {
    std::vector<std::string> names;
    for (const std::string& driver : loaded_)
      for (std::string& name : machine_->device_names(driver)) names.push_back(std::move(name));
    explanation_ = names.empty() ? "The drivers have made no device that has a name." : "The drivers' devices: " + enumerated(names);
  }
  say(Verdict::Application,
      fmt::format("The application's device {} refused {}: {}", application.opens, application.failed_at, lab::status_text(application.status)));
}

// The far end begins when the port is open. What it has to say is said on the host, between two steps of the run.
void Session::use_line() {
  terminal_ = terminal_for(*scenario_.workload, files_);
  const std::optional<lab::Task> task = start_application(terminal_, "serial line");
  if (!task) return;
  machine_->run_until([&] { return terminal_.ready || task->done(); }, scenario_.time_limit_ns);
  if (terminal_.ready) pty_ != nullptr ? pty_->begin(files_.to_receive) : cards_.line->send(files_.to_receive);
  finish_application(*task, terminal_, [this] { return fmt::format("{} of {} bytes were received", terminal_.received, files_.to_receive.size()); });
}

void Session::play() {
  player_ = player_for(*scenario_.workload, files_);
  const std::optional<lab::Task> task = start_application(player_, "sound device");
  if (!task) return;
  finish_application(*task, player_, [this] {
    return fmt::format("{:.3f} of {:.3f} s of sound were taken", static_cast<double>(player_.frames_taken) / files_.recording->rate,
                       static_cast<double>(files_.recording->frames.size()) / files_.recording->rate);
  });
}

void Session::idle() {
  const std::uint64_t end = machine_->now() + scenario_.duration_ns;
  while (machine_->now() < end && !ended_early()) {
    machine_->run_for(std::min(kSliceNs, end - machine_->now()));
    write_trace();
  }
}

// What a driver leaves behind when it goes is a finding too. One that cannot go stays.
void Session::unload() {
  std::string why;
  for (auto name = loaded_.rbegin(); name != loaded_.rend() && !ended_early(); ++name) {
    if (machine_->unload_driver(*name, why) || ended_early()) continue;
    const lab::Outcome& outcome = machine_->outcome();
    if (outcome.how == lab::Ended::Quiescent)
      say(Verdict::Stuck, fmt::format("Stuck: the driver {} waits while it is removed, and nothing will ever happen again.", *name));
    if (outcome.how == lab::Ended::TimeLimit)
      say(Verdict::TimeLimit, fmt::format("The driver {} has not come to an end of its removal after {:.3f} s of virtual time.", *name,
                                          static_cast<double>(machine_->now()) / 1e9));
    explanation_ = outcome.text;
  }
  ended_early();
}

}  // namespace kdpc::tool
