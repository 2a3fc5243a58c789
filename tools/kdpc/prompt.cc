#include "tools/kdpc/prompt.h"

#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "machine/host.h"
#include "tools/kdpc/lines.h"
#include "tools/kdpc/near_name.h"
#include "trace/event_log.h"
#include "trace/fields.h"
#include "trace/text_trace.h"
#include "view/views.h"

namespace kdpc::tool {

namespace {

constexpr std::size_t kEventsShown = 10;

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// "step 3": 3; "step": 1.
std::optional<std::uint64_t> count_of(const std::vector<std::string>& words, std::uint64_t otherwise) {
  if (words.size() == 1) return otherwise;
  std::uint64_t count = 0;
  const std::string& word = words[1];
  const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), count);
  if (words.size() > 2 || failed != std::errc() || end != word.data() + word.size() || count == 0) return {};
  return count;
}

std::string help() {
  return "  step [N]             to the next event, or the one N after this\n"
         "  continue             to the next event that --break-if means; also c, g\n"
         "  back [N]             to the event before this one, or N before, by running again from the beginning\n"
         "  events [N]           the last N events, up to this one\n"
         "  help, quit           also q\n" +
         view::help();
}

}  // namespace

void Prompt::begins() {
  going_back_ = false;
  over_ = false;
}

Pause::Then Prompt::stopped(lab::Machine& machine, std::uint64_t number, const Stamp& stamp, const Event& event) {
  was_there_ = true;
  number_ = number;
  say(fmt::format("event {}{}\n", number, machine.last_events(1).empty() ? "" : machine.last_events(1).front()));
  if (remembered_ && stops_.number && (remembered_->time != stamp.time || remembered_->event != name_of(event)))
    say(fmt::format("This run is another one: at that number the first had a {} at {}.\n", remembered_->event, text_of_time(remembered_->time)));
  remembered_.reset();
  stops_.number.reset();
  return talk(machine) == Go::On ? Pause::Then::GoOn : Pause::Then::End;
}

void Prompt::ended(lab::Machine& machine, std::uint64_t last, const std::string& how) {
  if (left_ || going_back_) return;
  was_there_ = true;
  number_ = last;
  over_ = true;
  say(fmt::format("The run has ended behind event {}: {}\n", last, how));
  talk(machine);
}

Prompt::Go Prompt::talk(lab::Machine& machine) {
  for (;;) {
    std::fflush(out_);
    const auto line = read_line("kdpc> ", out_);
    const Go go = line ? obey(machine, *line) : obey(machine, "quit");
    if (go != Go::Stay) return go;
  }
}

Prompt::Go Prompt::obey(lab::Machine& machine, const std::string& line) {
  const std::vector<std::string> words = words_of(line);
  if (words.empty() || words[0].starts_with('#')) return Go::Stay;
  const std::string& word = words[0];
  if (view::is_view(word)) {
    say(machine.view(line));
    return Go::Stay;
  }
  const bool takes_count = word == "step" || word == "back" || word == "events";
  const auto count = count_of(words, word == "events" ? kEventsShown : 1);
  if (takes_count && !count) {
    say(fmt::format("'{}' takes a number of events\n", word));
  } else if (word == "step") {
    return step(*count);
  } else if (word == "back") {
    return back(machine, *count);
  } else if (word == "events") {
    const auto lines = machine.last_events(static_cast<std::size_t>(*count));
    for (const std::string& event : lines) say(event + '\n');
  } else if (word == "continue" || word == "c" || word == "g") {
    stops_.expression_after = number_;
    return Go::On;
  } else if (word == "quit" || word == "q") {
    left_ = true;
    return Go::Leave;
  } else if (word == "help") {
    say(help());
  } else {
    std::vector<std::string> known = {"step", "continue", "back", "events", "help", "quit"};
    for (std::string& name : view::names()) known.push_back(std::move(name));
    say(fmt::format("there is no '{}' here{}\n", word, suggestion(word, known)));
  }
  return Go::Stay;
}

Prompt::Go Prompt::step(std::uint64_t count) {
  if (over_) {
    say("The run has ended: there is no next event. 'back' goes to earlier ones.\n");
    return Go::Stay;
  }
  stops_.number = number_ + count;
  stops_.expression_after = number_ + count;
  return Go::On;
}

Prompt::Go Prompt::back(const lab::Machine& machine, std::uint64_t count) {
  if (!host::facts_are_complete()) {
    say("This machine runs in real time, which does not come back: only a run on the simulated machine can be repeated.\n");
    return Go::Stay;
  }
  if (count >= number_) {
    say(fmt::format("There are only {} events before this one.\n", number_ - 1));
    return Go::Stay;
  }
  const EventLog& log = machine.log();
  if (count < log.end() - log.first()) {
    const EventLog::Entry& then = log[log.end() - 1 - count];
    remembered_ = {then.stamp.time, std::string(name_of(then.event))};
  }
  stops_.number = number_ - count;
  stops_.expression_after = *stops_.number;
  going_back_ = true;
  return Go::Leave;
}

}  // namespace kdpc::tool
