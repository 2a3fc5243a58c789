#include <fmt/format.h>

#include <iterator>

#include "view/analysis.h"
#include "view/views.h"

namespace kdpc::view {

namespace {

std::string irql_name(unsigned irql) {
  if (irql == 0) return "PASSIVE_LEVEL";
  return irql >= 3 && irql <= 11 ? "device level" : std::string(name_of_level(irql));
}

// The frames of whoever asked for the end: how a run is ended says nothing about why.
void add_stack(const World& world, const BugcheckReport& report, Analysis& analysis) {
  bool placed = false;
  for (const std::uintptr_t frame : report.frames) {
    if (frame == 0) break;
    const Symbol symbol = world.symbol(frame, Symbols::Meaning::ReturnAddress);
    if (symbol.image == "nt" && symbol.function == "kdpc::bug_check") {
      analysis.stack.clear();
      continue;
    }
    if (symbol.image == "nt" && symbol.function == "kdpc::entry::thread_begins") break;
    analysis.stack.push_back({frame, symbol.text()});
    if (placed || symbol.image.empty() || symbol.image == "nt") continue;
    placed = true;
    analysis.place = symbol.text();
    analysis.image = symbol.image;
    analysis.function = symbol.function;
  }
}

void add_parameters(const World& world, const BugcheckReport& report, Analysis& analysis) {
  const std::uint64_t parameters[] = {report.parameters.p1, report.parameters.p2, report.parameters.p3, report.parameters.p4};
  for (std::size_t i = 0; i < std::size(parameters); ++i) {
    analysis.parameters[i] = parameters[i];
    const Symbol symbol = world.symbol(parameters[i]);
    if (symbol.image.empty() || symbol.image == "nt" || symbol.function.empty()) continue;
    analysis.parameter_places[i] = symbol.text();
    if (!analysis.place.empty()) continue;
    analysis.place = symbol.text();
    analysis.image = symbol.image;
    analysis.function = symbol.function;
  }
}

}  // namespace

std::string text_of(const Analysis& analysis) {
  const StopMeaning meaning = meaning_of(analysis.code, analysis.parameters[0]);
  const std::string stars(80, '*');
  std::string text =
      fmt::format("{0}\n*{1:^78}*\n{0}\n\n{2} ({3:x})\n{4}\n", stars, "Bugcheck Analysis", analysis.name, analysis.code, meaning.about);
  text += "Arguments:\n";
  for (std::size_t i = 0; i < 4; ++i) {
    text += fmt::format("Arg{}: {:016x}, {}", i + 1, analysis.parameters[i], meaning.parameters[i]);
    text += analysis.parameter_places[i].empty() ? "\n" : fmt::format(" It is {}.\n", analysis.parameter_places[i]);
  }
  text += fmt::format("\nHERE:       {}\n", analysis.sentence);
  if (!analysis.rule.empty()) text += fmt::format("RULE:       {}\n", analysis.rule);
  text += fmt::format("PLACE:      {}\n", analysis.place);
  text += fmt::format("PROCESSOR:  {} at IRQL {} ({})\n", analysis.processor, analysis.irql, irql_name(analysis.irql));
  text += fmt::format("THREAD:     {}{}\n", analysis.thread, analysis.borrowed ? ", borrowed: what ran is not this thread's own code" : "");
  text += "\nSTACK_TEXT:\n";
  for (std::size_t i = 0; i < analysis.stack.size(); ++i) {
    text += fmt::format("{:02x} {:016x} {}\n", i, analysis.stack[i].address, analysis.stack[i].text);
    std::size_t last = i;
    while (last + 1 < analysis.stack.size() && analysis.stack[last + 1].address == analysis.stack[i].address) ++last;
    if (last < i + 2) continue;
    text += fmt::format("   and {} times more, to {:02x}\n", last - i, last);
    i = last;
  }
  text +=
      fmt::format("\nFAILURE_BUCKET_ID:  {:#x}_{}!{}\n", analysis.code, analysis.image, analysis.function.empty() ? "unknown" : analysis.function);
  return text;
}

std::string analyze(const World& world, const Request&) {
  const BugcheckReport& report = world.system().bugcheck;
  if (report.code == 0)
    return "There was no bug check: the run has not ended with one.\n"
           "At the event 'bugchecked' it is not recorded yet: 'continue' goes on to the end of the run, and 'kdpc show' without --until shows "
           "that.\n";
  Analysis analysis;
  analysis.code = report.code;
  analysis.name = name_of_stop(report.code);
  analysis.sentence = world.memory().text(reinterpret_cast<std::uintptr_t>(report.sentence));
  analysis.rule = world.memory().text(reinterpret_cast<std::uintptr_t>(report.rule));
  analysis.processor = report.processor;
  analysis.irql = static_cast<unsigned>(report.irql);
  add_stack(world, report, analysis);
  add_parameters(world, report, analysis);
  if (analysis.place.empty()) analysis.place = "0x0";
  const auto processor = world.processor(std::min<unsigned>(report.processor, world.processors() - 1));
  const auto thread = world.read<Thread>(processor->current_thread);
  const bool idle = processor->current_thread == processor->idle_thread;
  analysis.thread = fmt::format("{}{}{}", report.thread,
                                thread && thread->id == report.thread
                                    ? fmt::format(" \"{}\"", std::string_view(thread->name, ::strnlen(thread->name, sizeof thread->name)))
                                    : "",
                                idle ? " (idle)" : "");
  analysis.borrowed = report.irql >= Irql::Dispatch && processor->active_dpc != nullptr;
  return text_of(analysis);
}

}  // namespace kdpc::view
