// From what a session leaves to its report: what was heard is compared, the culprits are looked for, the expectations are judged.
#include <fmt/format.h>

#include <algorithm>

#include <fstream>

#include "tools/kdpc/culprits.h"
#include "tools/kdpc/line_report.h"
#include "tools/kdpc/near_name.h"
#include "tools/kdpc/session.h"
#include "tools/kdpc/stop_text.h"

namespace kdpc::tool {
namespace {

constexpr std::size_t kLastEvents = 40;

// "/a/b/drivers/hog/hog.c": the folder and the file say enough.
std::string short_path(const std::string& path) {
  const std::filesystem::path whole(path);
  return whole.has_parent_path() ? (whole.parent_path().filename() / whole.filename()).string() : path;
}

std::string number(double value) { return fmt::format("{:.3f}", value); }

// The library is the kernel and its I/O manager.
std::string driver_name(const std::string& image) { return image.starts_with("libkdpc") ? "nt" : image; }

std::string dropouts_sentence(const Report& report, const std::string& what) {
  const Sound& sound = *report.sound;
  std::string sentence = fmt::format("{} drop-out{}, {} ms in all, while {} was played.", sound.dropouts.size(),
                                     sound.dropouts.size() == 1 ? "" : "s", number(sound.total_ms), what);
  if (report.culprits.empty()) return sentence + " Nobody was in the way of the sound's interrupts, DPCs and application for that long.";
  const Culprit& culprit = report.culprits.front();
  const DropoutReport* worst = nullptr;
  for (const DropoutReport& each : sound.dropouts)
    if (each.culprit == 0U && (worst == nullptr || each.length_ms > worst->length_ms)) worst = &each;
  sentence += fmt::format("\nThe culprit is {}: its {} {} kept processor {} for up to {} ms.", culprit.name.driver, culprit.kind,
                          culprit.name.place(), culprit.processor, number(static_cast<double>(culprit.ran_ns) / 1e6));
  if (worst == nullptr || !worst->chain) return sentence;
  const LateChain& chain = *worst->chain;
  return sentence + fmt::format("\nBecause of it {} waited {} ms: {} ms until it was allowed to run, {} ms more until it started; it ran {} ms.",
                                chain.victim.text(), number(static_cast<double>(chain.began_ns - chain.queued_ns) / 1e6),
                                number(static_cast<double>(chain.allowed_ns - chain.queued_ns) / 1e6),
                                number(static_cast<double>(chain.began_ns - chain.allowed_ns) / 1e6),
                                number(static_cast<double>(chain.ended_ns - chain.began_ns) / 1e6));
}

// "a file", and of what was lost.
std::string line_sentence(const Report& report) {
  const LineReport& line = *report.line;
  const auto file_name = [](const std::string& path) { return std::filesystem::path(path).filename().string(); };
  std::string sentence;
  if (!line.source.empty() && line.is_garbled) {
    sentence = fmt::format("What was received is not what {} says.", file_name(line.source));
  } else if (!line.source.empty() && line.lost() != 0) {
    sentence = fmt::format("{} of {} bytes were lost while {} was received at {} baud: {} in the chip, in {} place{}; {} later.", line.lost(),
                           line.source_bytes, file_name(line.source), line.baud, line.lost_in_chip, line.losses.size(),
                           line.losses.size() == 1 ? "" : "s", line.lost_later);
  } else if (!line.source.empty()) {
    sentence = fmt::format("Clean: {} was received at {} baud, every one of its {} bytes.", file_name(line.source), line.baud, line.source_bytes);
  }
  if (!line.send_source.empty())
    sentence += fmt::format("{}{} was sent, and the far end {}.", sentence.empty() ? "" : "\n", file_name(line.send_source),
                            line.is_heard_whole ? fmt::format("has heard every one of its {} bytes", line.send_bytes)
                                                : fmt::format("has heard {} bytes, which are not its {}", line.heard_bytes, line.send_bytes));
  if (line.lost_in_chip == 0) return sentence;
  if (report.culprits.empty()) return sentence + "\nNobody was in the way of the port's interrupts for that long.";
  const Culprit& culprit = report.culprits.front();
  std::uint64_t waited = 0;
  for (const LineLoss& loss : line.losses) waited = std::max(waited, loss.isr_waited_ns);
  return sentence + fmt::format(
                        "\nThe culprit is {}: its {} {} kept processor {} for up to {} ms."
                        "\nBecause of it {} waited {} ms, and the chip has room for what comes in {} ms.",
                        culprit.name.driver, culprit.kind, culprit.name.place(), culprit.processor, number(static_cast<double>(culprit.ran_ns) / 1e6),
                        line.isr.text(), number(static_cast<double>(waited) / 1e6), number(static_cast<double>(line.fifo_ns) / 1e6));
}

void judge(Report& report, const Scenario& scenario) {
  const Expectations& expect = scenario.expect;
  const bool complete = report.verdict == Verdict::Clean || report.verdict == Verdict::Dropouts || report.verdict == Verdict::LostBytes;
  const auto add = [&](std::string name, std::string wanted, std::string actual, bool met) {
    report.expectations.push_back({std::move(name), std::move(wanted), std::move(actual), met});
  };
  const auto add_culprit = [&] {
    if (!expect.culprit) return;
    const std::string actual = report.culprits.empty() ? "none" : report.culprits.front().name.driver;
    // The report calls a driver by its file; a scenario may call it otherwise.
    const auto named =
        std::find_if(scenario.drivers.begin(), scenario.drivers.end(), [&](const DriverWanted& driver) { return driver.name == *expect.culprit; });
    add("culprit", *expect.culprit, actual, actual == (named == scenario.drivers.end() ? *expect.culprit : named->file.stem().string()));
  };
  if (report.line && complete) {
    const LineReport& line = *report.line;
    const Range none{0, 0, false, "0"};
    const Range& lost = expect.lost_bytes ? *expect.lost_bytes : none;
    if (!line.source.empty())
      add("lost_bytes", lost.text, line.is_garbled ? "something else" : fmt::format("{}", line.lost()),
          !line.is_garbled && lost.has(static_cast<double>(line.lost())));
    if (!line.send_source.empty())
      add("heard_bytes", fmt::format("{}", line.send_bytes), line.is_heard_whole ? fmt::format("{}", line.heard_bytes) : "something else",
          line.is_heard_whole);
    add_culprit();
  }
  if (report.sound && complete) {
    const Sound& sound = *report.sound;
    const Range none{0, 0, false, "0"};
    const Range& dropouts = expect.dropouts ? *expect.dropouts : none;
    if (expect.dropouts || !expect.total_ms)
      add("dropouts", dropouts.text, fmt::format("{}", sound.dropouts.size()), dropouts.has(static_cast<double>(sound.dropouts.size())));
    if (expect.total_ms) add("total_ms", expect.total_ms->text, number(sound.total_ms), expect.total_ms->has(sound.total_ms));
    add_culprit();
  }
  if (expect.bugcheck)
    add("bugcheck", *expect.bugcheck, report.bugcheck ? report.bugcheck->name : "none",
        report.bugcheck && is_this_stop(*expect.bugcheck, *report.bugcheck));

  if (expect.finding) {
    std::string actual = "none";
    for (const lab::Finding& each : report.findings)
      if (!each.advice && (actual == "none" || each.id == *expect.finding)) actual = each.id;
    for (const lab::Finding& each : report.findings)
      if (each.id == *expect.finding) actual = each.id;  // advice, if it is what was asked for
    add("finding", *expect.finding, actual, actual == *expect.finding);
  }

  const bool all_met = std::all_of(report.expectations.begin(), report.expectations.end(), [](const Expectation& each) { return each.met; });
  const bool ended_as_expected =
      complete || (report.verdict == Verdict::Bugcheck && expect.bugcheck) || (report.verdict == Verdict::Finding && expect.finding);
  report.exit_code = report.verdict == Verdict::Interrupted ? ExitCode::Interrupted
                     : all_met && ended_as_expected         ? ExitCode::AsExpected
                                                            : ExitCode::Finding;
}

}  // namespace

// A parameter that no driver ever looked at, with the name that was meant, perhaps. A driver that was stopped early may not have come to it.
std::vector<std::string> Session::unread_settings() const {
  std::vector<std::string> warnings;
  for (const DriverWanted& driver : scenario_.drivers) {
    if (std::find(loaded_.begin(), loaded_.end(), driver.name) == loaded_.end()) continue;
    const lab::SettingsUse use = machine_->settings_use(driver.name);
    for (const std::string& setting : use.unread) {
      const std::string_view near = nearest(setting, use.missed);
      const std::string hint = !near.empty()        ? fmt::format("; did you mean '{}'?", near)
                               : use.missed.empty() ? ""
                                                    : fmt::format("; it has asked in vain for {}", enumerated(use.missed));
      warnings.push_back(fmt::format("{}: the parameter {} was never read by the driver {}{}", driver.position.text(), setting, driver.name, hint));
    }
  }
  return warnings;
}

RoutineName Session::name_of(std::uintptr_t routine) {
  const auto [at, is_new] = names_.try_emplace(routine);
  if (is_new) {
    const lab::Place place = machine_->place_of(routine);
    at->second = {driver_name(place.image), place.function, short_path(place.file), place.line};
    for (const std::string_view noise : {"kdpc::", "(anonymous namespace)::"})
      for (std::size_t found; (found = at->second.routine.find(noise)) != std::string::npos;) at->second.routine.erase(found, noise.size());
    if (place.function.empty())
      at->second.routine = fmt::format("{}+{:#x}", place.image.empty() ? "" : place.image, place.image.empty() ? routine : place.offset);
  }
  return at->second;
}

// Compares what the card has played, QEMU's in a file, with what it was given.
void Session::hear(Report& report) {
  Sound sound;
  sound.source = scenario_.workload->play.string();
  sound.rate = files_.recording->rate;
  sound.source_frames = files_.recording->frames.size();
  std::vector<Frame> played;
  if (cards_.sound != nullptr) {
    played = frames_of(*cards_.sound);
    if (!folder_is_temporary_) write_recording(folder_ / "out.wav", sound.rate, played);
  } else if (auto wav = read_recording(folder_ / "out.wav")) {
    played = std::move(wav->frames);
  }
  sound.played_frames = played.size();
  sound.alignment = align(files_.recording->frames, played, player_.period_frames);
  for (const Dropout& dropout : sound.alignment.dropouts)
    sound.dropouts.push_back(
        {dropout, sound.milliseconds(dropout.source_frame), sound.milliseconds(dropout.played_frame), sound.milliseconds(dropout.frames()), {}, {}});
  sound.total_ms = sound.milliseconds(sound.alignment.frames_missed());
  report.sound = std::move(sound);
}

// Compares what the application has received, and what the far end has heard, with what was sent.
void Session::hear_line(Report& report, const std::vector<RoutineLatency>& routines) {
  const WorkloadWanted& workload = *scenario_.workload;
  LineReport line;
  line.baud = workload.baud;
  line.has_counts = terminal_.has_counts;
  line.counted_chip_overruns = terminal_.chip_overruns;
  line.counted_ring_overruns = terminal_.ring_overruns;
  const std::string_view received(terminal_.room.data(), terminal_.received);
  const std::string heard = pty_ != nullptr && !workload.send.empty() ? pty_->heard(files_.to_send.size()) : cards_.line->received_text();
  line.source = workload.receive.string();
  if (!workload.send.empty()) {
    line.send_source = workload.send.string();
    line.send_bytes = files_.to_send.size();
    line.heard_bytes = heard.size();
    line.is_heard_whole = heard == files_.to_send;
  }
  for (const RoutineLatency& routine : routines)
    if (routine.kind == ActivityKind::Isr && routine.routine - worked_driver_ < worked_driver_size_) line.isr = name_of(routine.routine);
  report.line = std::move(line);
  constexpr unsigned kFifo = 16, kBitsOfCharacter = 10;
  const LineEvidence evidence{files_.to_receive, received, cards_.line->overruns(), &waits_->waits(),
                              std::uint64_t{1'000'000'000} * kFifo * kBitsOfCharacter / workload.baud};
  find_losses(report, evidence, routines, [this](std::uintptr_t routine) { return name_of(routine); });
  if (folder_is_temporary_) return;
  if (!workload.receive.empty()) std::ofstream(folder_ / "received.bin", std::ios::binary) << received;
  if (!workload.send.empty()) std::ofstream(folder_ / "heard.bin", std::ios::binary) << heard;
}

Report Session::finish() {
  ended_early();
  write_trace();
  Report report;
  report.title = scenario_.title;
  report.scenario = scenario_.file.string();
  report.trace_hash = machine_->trace_hash();
  report.virtual_ns = machine_->now();
  report.processors = machine_->processors();
  report.machine = scenario_.machine;
  report.options = machine_->options();
  report.drivers = loaded_;
  report.debug_lines = debug_lines_.take();
  report.warnings = scenario_.warnings();
  for (std::string& warning : unread_settings()) report.warnings.push_back(std::move(warning));
  if (const std::uint64_t lost = machine_->events_lost(); lost != 0)
    report.warnings.push_back(fmt::format("{} events came too fast and are missing in every number of this report", lost));
  report.explanation = explanation_;
  const bool bad_end = verdict_ && *verdict_ != Verdict::Interrupted && *verdict_ != Verdict::DriverRefused;
  if (bad_end) {
    report.last_events = machine_->last_events_that_tell(kLastEvents);
    report.processor_table = machine_->processor_table();
  }
  if (const auto& stop = machine_->outcome().bugcheck) {
    report.bugcheck = stop;
    const lab::ProcessorState state = machine_->processor_state(stop->processor);
    report.stop_text = stop_text(*stop, {fmt::format("{} \"{}\"{}", stop->thread, state.thread_name, state.idle ? " (idle)" : ""),
                                         waits_->inside_an_activity(stop->processor)});
  }
  // The file is complete when QEMU has ended.
  std::string incomplete;
  if (board_ != nullptr)
    if (const auto ended = board_->end(); !ended) incomplete = ended.error().what;
  report.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();

  report.findings = machine_->findings();
  const auto error = std::find_if(report.findings.begin(), report.findings.end(), [](const lab::Finding& each) { return !each.advice; });

  const Namer name = [this](std::uintptr_t routine) { return name_of(routine); };
  const std::vector<RoutineLatency> routines = latency_->routines();
  for (const RoutineLatency& each : routines) {
    if (each.kind != ActivityKind::Isr && each.kind != ActivityKind::Dpc && each.kind != ActivityKind::TimerDpc &&
        each.kind != ActivityKind::ThreadedDpc)
      continue;
    const std::uint64_t advised = each.kind == ActivityKind::Isr ? kAdvisedIsrNs : kAdvisedDpcNs;
    report.routines.push_back({kind_text(each.kind), name_of(each.routine), each.processor, each.inclusive.count(), each.claimed,
                               each.exclusive.longest(), each.exclusive.total(), each.inclusive.longest(), each.delay.longest(),
                               scenario_.machine == "sim" && each.exclusive.longest() > advised});
  }
  std::stable_sort(report.routines.begin(), report.routines.end(), [](const RoutineFigures& left, const RoutineFigures& right) {
    const bool left_is_isr = left.kind == "ISR", right_is_isr = right.kind == "ISR";
    return left_is_isr != right_is_isr ? left_is_isr : left.total_ns > right.total_ns;
  });

  const bool uses_line = scenario_.workload && scenario_.workload->uses_line();
  if (scenario_.workload && (!verdict_ || *verdict_ == Verdict::Interrupted)) uses_line ? hear_line(report, routines) : hear(report);
  LatenessEvidence evidence;
  evidence.audio_dpcs = latency_->worst();
  evidence.waits = &waits_->waits();
  evidence.started_ns = player_.began_ns;
  if (scenario_.workload && !uses_line)
    evidence.buffered_ns = static_cast<std::uint64_t>(scenario_.workload->period_ms * 1e6 * 2 * (scenario_.workload->outstanding + 4));
  find_culprits(report, evidence, routines, name);

  const std::string what = scenario_.workload ? scenario_.workload->play.filename().string() : "";
  if (verdict_) {
    report.verdict = *verdict_;
    report.sentence = sentence_;
  } else if (error != report.findings.end()) {  // the run went on after it
    report.verdict = Verdict::Finding;
    report.sentence = fmt::format("Finding {} in {}: {}", error->id, error->place.text(), error->sentence);
  } else if (report.line) {
    const LineReport& line = *report.line;
    report.sentence = line_sentence(report);
    if (line.lost() != 0 || line.is_garbled || !line.is_heard_whole) report.verdict = Verdict::LostBytes;
  } else if (report.sound && !report.sound->dropouts.empty()) {
    report.verdict = Verdict::Dropouts;
    report.sentence = dropouts_sentence(report, what);
  } else if (report.sound) {
    report.sentence = fmt::format("Clean: {} was played without a drop-out, every one of its {} frames.", what, report.sound->source_frames);
  } else {
    report.sentence = fmt::format("Clean: {:.3f} s of {} time have passed, and nothing went wrong.", static_cast<double>(report.virtual_ns) / 1e9,
                                  report.machine == "live" ? "real" : "virtual");
  }
  if (!incomplete.empty()) report.explanation += (report.explanation.empty() ? "" : "\n") + incomplete;
  judge(report, scenario_);
  return report;
}

}  // namespace kdpc::tool
