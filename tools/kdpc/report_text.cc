// The report for people: verdict first, the culprit by name, then the evidence.
#include <fmt/format.h>

#include <algorithm>

#include "tools/kdpc/report.h"

namespace kdpc::tool {
namespace {

constexpr std::size_t kMostDropouts = 20;  // a line each
constexpr std::size_t kMostDelays = 6;
constexpr std::size_t kMostDebugLines = 60;
constexpr std::uint64_t kShortest = 1000;  // ns: shorter waits explain nothing

std::string milliseconds(std::uint64_t nanoseconds) { return fmt::format("{:.3f} ms", static_cast<double>(nanoseconds) / 1e6); }
// A length of time, in the unit that shows it.
std::string length(std::uint64_t nanoseconds) {
  constexpr std::uint64_t kShort = 100'000;
  return nanoseconds < kShort ? fmt::format("{:.3f} us", static_cast<double>(nanoseconds) / 1e3) : milliseconds(nanoseconds);
}
double microseconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; }

std::string kind_of(const Dropout& dropout) {
  std::string kind;
  const auto add = [&kind](std::size_t frames, std::string_view what) {
    if (frames != 0) kind += fmt::format("{}{} frames {}", kind.empty() ? "" : ", ", frames, what);
  };
  add(dropout.silent, "of silence");
  add(dropout.foreign, "of other sound");
  add(dropout.lost, "never heard");
  return kind;
}

std::string delays_text(const std::vector<Delay>& delays, bool before_allowed) {
  std::string text;
  std::size_t shown = 0;
  std::uint64_t rest = 0;
  for (const Delay& delay : delays) {
    if (delay.before_allowed != before_allowed) continue;
    if (delay.nanoseconds < kShortest || shown == kMostDelays) {
      rest += delay.nanoseconds;
      continue;
    }
    ++shown;
    const std::string whom = delay.name.routine.empty() && delay.name.driver.empty() ? delay.kind : delay.kind + " " + delay.name.place();
    text += fmt::format("      {:>12}  {}\n", length(delay.nanoseconds), whom);
  }
  if (shown != 0 && rest >= kShortest) text += fmt::format("      {:>12}  others\n", length(rest));
  return text;
}

std::string text_of(const LateChain& chain) {
  std::string text;
  const auto step = [&text](std::uint64_t at, std::string_view what) { text += fmt::format("  {:>16}  {}\n", milliseconds(at), what); };
  if (chain.interrupt_wait_ns != 0) {
    text += fmt::format("  the card asked, and its ISR did not begin for {}\n", length(chain.interrupt_wait_ns));
    text += delays_text(chain.interrupt_delays, false);
  }
  step(chain.queued_ns, fmt::format("queued to processor {} by {}", chain.processor, chain.queued_by));
  text += delays_text(chain.delays, true);
  step(chain.allowed_ns, fmt::format("allowed, after {}", length(chain.allowed_ns - chain.queued_ns)));
  text += delays_text(chain.delays, false);
  step(chain.began_ns, fmt::format("started, after another {}", length(chain.began_ns - chain.allowed_ns)));
  if (chain.ended_ns != 0) step(chain.ended_ns, fmt::format("done, having run {}", length(chain.ended_ns - chain.began_ns)));
  if (chain.application_wait_ns != 0) {
    text += fmt::format("  the application could run, and did not for {}\n", length(chain.application_wait_ns));
    text += delays_text(chain.application_delays, false);
  }
  return text;
}

std::string sound_text(const Report& report) {
  const Sound& sound = *report.sound;
  std::string text;
  if (!sound.dropouts.empty()) {
    text += "\nDrop-outs: what the sound card played, against the source, frame by frame\n";
    text += "      in the source   when played        length  what\n";
    std::size_t shown = 0;
    for (const DropoutReport& each : sound.dropouts) {
      if (shown++ == kMostDropouts) {
        text += fmt::format("  … and {} more\n", sound.dropouts.size() - kMostDropouts);
        break;
      }
      text += fmt::format("  {:>14.3f} ms {:>10.3f} ms {:>10.3f} ms  {}{}\n", each.source_ms, each.played_ms, each.length_ms, kind_of(each.dropout),
                          each.culprit ? fmt::format("; {}", report.culprits[*each.culprit].name.text()) : "");
    }
  }
  const DropoutReport* worst = nullptr;
  for (const DropoutReport& each : sound.dropouts)
    if (each.chain && (worst == nullptr || each.length_ms > worst->length_ms)) worst = &each;
  if (worst != nullptr) {
    text += fmt::format("\nWhy the {:.3f} ms at {:.3f} ms: the way of {}\n", worst->length_ms, worst->source_ms, worst->chain->victim.place());
    text += text_of(*worst->chain);
  } else if (report.longest_wait) {
    text += fmt::format("\nThe longest wait of an audio DPC, {}: {}\n", length(report.longest_wait->began_ns - report.longest_wait->queued_ns),
                        report.longest_wait->victim.place());
    text += text_of(*report.longest_wait);
  }
  text += fmt::format("\nSound: {}, {:.3f} s at {} Hz; {} of {} frames equal, after a start-up latency of {:.3f} ms\n", sound.source,
                      sound.milliseconds(sound.source_frames) / 1000, sound.rate, sound.alignment.equal, sound.source_frames,
                      sound.milliseconds(sound.alignment.startup));
  return text;
}

std::string line_text(const LineReport& line) {
  std::string text;
  if (!line.losses.empty()) {
    text += "\nOverruns: what the far end has sent, and the chip had no room for\n";
    text += "    bytes from    count         when lost    ISR waited  for whom\n";
    std::size_t shown = 0;
    for (const LineLoss& loss : line.losses) {
      if (shown++ == kMostDropouts) {
        text += fmt::format("  … and {} more\n", line.losses.size() - kMostDropouts);
        break;
      }
      text += fmt::format("  {:>12} {:>8} {:>17} {:>13}  {}\n", loss.first_byte, loss.bytes, milliseconds(loss.began_ns),
                          loss.isr_waited_ns != 0 ? length(loss.isr_waited_ns) : "-", loss.culprit ? loss.culprit->place() : "");
    }
  }
  if (!line.source.empty())
    text += fmt::format("\nLine: {}, {} bytes at {} baud; {} received, {} lost in the chip, {} later\n", line.source, line.source_bytes, line.baud,
                        line.received_bytes, line.lost_in_chip, line.lost_later);
  if (line.has_counts)
    text += fmt::format("The driver counts {} overruns of the chip, each of one byte or more, and {} bytes for which it had no room itself\n",
                        line.counted_chip_overruns, line.counted_ring_overruns);
  return text;
}

std::string routines_text(const std::vector<RoutineFigures>& routines) {
  if (routines.empty()) return {};
  std::size_t width = 10;
  for (const RoutineFigures& figures : routines) width = std::max(width, figures.name.text().size());
  std::string text = fmt::format(
      "\nISRs and DPCs, microseconds; own time, without interrupts nested inside; the longest wait is from request or queueing to start\n"
      "  {:<12} {:<{}}   p    count        longest          total   longest wait\n",
      "", "routine", width);
  bool any_too_long = false;
  for (const RoutineFigures& figures : routines) {
    text += fmt::format("  {:<12} {:<{}} {:>3} {:>8} {:>14.3f} {:>14.3f} {:>14.3f}{}\n", figures.kind, figures.name.text(), width, figures.processor,
                        figures.count, microseconds(figures.longest_ns), microseconds(figures.total_ns), microseconds(figures.longest_wait_ns),
                        figures.longer_than_advised ? "  !" : "");
    any_too_long |= figures.longer_than_advised;
  }
  if (any_too_long)
    text += fmt::format("  !  longer than Microsoft advises: {} us for an ISR, {} us for a DPC\n", kAdvisedIsrNs / 1000, kAdvisedDpcNs / 1000);
  return text;
}

std::string debug_text(const std::vector<lab::DebugLine>& lines) {
  if (lines.empty()) return {};
  std::string text = "\nWhat the drivers printed\n";
  const std::size_t first = lines.size() > kMostDebugLines ? lines.size() - kMostDebugLines : 0;
  if (first != 0) text += fmt::format("  … {} earlier lines are in the report's JSON\n", first);
  for (std::size_t i = first; i < lines.size(); ++i)
    text += fmt::format("  {:>16}  p{} irql {:<2}  {}\n", milliseconds(lines[i].time), lines[i].processor, lines[i].irql, lines[i].text);
  return text;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::Clean: return "clean";
    case Verdict::Dropouts: return "dropouts";
    case Verdict::LostBytes: return "lost-bytes";
    case Verdict::Bugcheck: return "bugcheck";
    case Verdict::Finding: return "finding";
    case Verdict::Deadlock: return "deadlock";
    case Verdict::NoProgress: return "no-progress";
    case Verdict::Stuck: return "stuck";
    case Verdict::TimeLimit: return "time-limit";
    case Verdict::DeviceDied: return "device-died";
    case Verdict::DriverRefused: return "driver-refused";
    case Verdict::Application: return "application-refused";
    case Verdict::Interrupted: return "interrupted";
  }
  return "?";
}

std::string RoutineName::text() const {
  if (routine.empty()) return driver;
  return driver.empty() ? routine : driver + "!" + routine;
}

std::string RoutineName::place() const { return file.empty() ? text() : fmt::format("{} ({}:{})", text(), file, line); }

std::string to_text(const Report& report) {
  std::string text = fmt::format("{}\n", report.sentence);
  for (const Expectation& each : report.expectations)
    if (!each.met) text += fmt::format("Not as expected: {} is {}, expected {}\n", each.name, each.actual, each.wanted);
  for (const std::string& warning : report.warnings) text += "Warning: " + warning + "\n";
  if (!report.stop_text.empty()) text += "\n" + report.stop_text;
  for (const lab::Finding& finding : report.findings) text += "\n" + finding.report();
  if (!report.explanation.empty()) text += "\n" + report.explanation + (report.explanation.ends_with('\n') ? "" : "\n");
  if (report.sound) text += sound_text(report);
  if (report.line) text += line_text(*report.line);
  text += routines_text(report.routines);
  text += debug_text(report.debug_lines);
  if (!report.last_events.empty()) {
    text += "\nThe last events, without those of the kernel's own locks\n";
    for (const std::string& line : report.last_events) text += "  " + line + "\n";
  }
  if (!report.processor_table.empty()) text += "\nThe processors\n" + report.processor_table;
  for (const Expectation& each : report.expectations)
    if (each.met) text += fmt::format("\nAs expected: {} is {} (expected {})", each.name, each.actual, each.wanted);
  const double seconds = static_cast<double>(report.virtual_ns) / 1e9;
  const std::string processors = fmt::format("{} processor{} ({})", report.processors, report.processors == 1 ? "" : "s", report.machine);
  if (report.machine == "live") return text + fmt::format("\n{}, {:.3f} s of real time\n", processors, seconds);
  text += fmt::format("\n{}, {:.3f} virtual seconds in {:.3f} s{}; trace hash {:016x}\n", processors, seconds, report.wall_seconds,
                      report.wall_seconds > 0 ? fmt::format(" ({:.1f} to 1)", seconds / report.wall_seconds) : "", report.trace_hash);
  return text;
}

}  // namespace kdpc::tool
