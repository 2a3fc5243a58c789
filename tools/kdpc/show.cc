#include "tools/kdpc/show.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "tools/kdpc/pause.h"
#include "tools/kdpc/pipe_memory.h"
#include "tools/kdpc/session.h"
#include "trace/text_trace.h"
#include "view/views.h"

namespace kdpc::tool {
namespace {

// One view after the other, an empty line in between.
std::string all_views(const std::vector<std::string>& views, const std::function<std::string(const std::string&)>& show) {
  std::string text;
  for (const std::string& view : views) text += (text.empty() ? "" : "\n") + show(view);
  return text;
}

Result<std::string> views_of(const view::Memory& memory, const std::vector<MappedFile>& files, const std::vector<std::string>& views,
                             bool introduce) {
  Symbols symbols(files);
  const auto world = view::World::open({memory, symbols});
  if (!world) return world.error();
  if (introduce) {
    const auto time = world->time();
    fmt::print(stderr, "kdpc: a World of the machine {}, {} processor{}{}\n", world->machine(), world->processors(),
               world->processors() == 1 ? "" : "s", time ? ", at " + text_of_time(*time) : "");
  }
  return all_views(views, [&](const std::string& line) { return *view::show(*world, line); });
}

ExitCode show_core(const ShowArguments& arguments) {
  const auto memory = view::CoreMemory::open(arguments.core);
  if (!memory) return refuse({ExitCode::BadInput, memory.error().what});
  const auto text = views_of(**memory, (*memory)->files(), arguments.views, true);
  if (!text) return refuse({ExitCode::BadInput, fmt::format("{}: {}", arguments.core, text.error().what)});
  fmt::print("{}", *text);
  return ExitCode::AsExpected;
}

ExitCode show_through_pipe(const ShowArguments& arguments) {
  const PipeMemory memory;
  const auto text = views_of(memory, memory.files(), arguments.views, false);
  memory.say(text ? *text : text.error().what + '\n');
  return text ? ExitCode::AsExpected : ExitCode::BadInput;
}

ExitCode show_run(const ShowArguments& arguments) {
  Stops stops;
  std::optional<EventExpression> expression;
  if (!arguments.until.empty()) {
    auto parsed = EventExpression::parse(arguments.until);
    if (!parsed) return refuse({ExitCode::BadInput, "--until: " + parsed.error().what});
    expression = std::move(*parsed);
    stops.expression = &*expression;
  }
  if (!arguments.at.empty() && !(stops.time = nanoseconds_of(arguments.at)))
    return refuse({ExitCode::BadInput, fmt::format("--at: '{}' is no time; write a number and ns, us, ms or s, as in 12.5ms", arguments.at)});

  std::string shown;
  bool stopped = false;
  const auto look = [&](lab::Machine& machine) { shown = all_views(arguments.views, [&](const std::string& line) { return machine.view(line); }); };
  RunArguments run;
  run.scenario = arguments.scenario;
  run.driver_folders = arguments.driver_folders;
  Session session(run, [&] { return stopped; },
                  {.stops = &stops,
                   .stopped =
                       [&](lab::Machine& machine, std::uint64_t number, const Stamp& stamp, const Event&) {
                         stopped = true;
                         const auto events = machine.last_events(1);
                         fmt::print(stderr, "kdpc: stopped at {}, event {}:{}\n", text_of_time(stamp.time), number,
                                    events.empty() ? "" : events.front());
                         look(machine);
                         return Pause::Then::End;
                       },
                   .at_end =
                       [&](lab::Machine& machine, std::uint64_t, const std::string& how) {
                         if (stopped) return;
                         look(machine);
                         fmt::print(stderr, "kdpc: the run has ended at {}{}\n", text_of_time(machine.now()), how.empty() ? "" : ": " + how);
                       }});
  for (const auto step : {&Session::check, &Session::start, &Session::perform})
    if (const auto refusal = (session.*step)()) return refuse(*refusal);
  fmt::print("{}", shown);
  const bool wanted = !arguments.at.empty() || !arguments.until.empty();
  if (!wanted || stopped) return ExitCode::AsExpected;
  return refuse({ExitCode::Finding, "the run has ended before that; this is its end"});
}

}  // namespace

ExitCode show(const ShowArguments& arguments) {
  for (const std::string& line : arguments.views)
    if (const auto well = view::check(line); !well) return refuse({ExitCode::BadInput, well.error().what});
  if (arguments.over_pipe) return show_through_pipe(arguments);
  return arguments.core.empty() ? show_run(arguments) : show_core(arguments);
}

}  // namespace kdpc::tool
