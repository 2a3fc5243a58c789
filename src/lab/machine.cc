#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "kdpc/explore.h"
#include "kdpc/lab.h"
#include "kernel/dpc.h"
#include "kernel/job.h"
#include "kernel/system.h"
#include "kernel/thread.h"
#include "kernel/timer.h"
#include "lab/checks.h"
#include "lab/races.h"
#include "lab/running.h"
#include "lab/settings.h"
#include "lab/stops.h"
#include "machine/host.h"
#include "trace/event_log.h"
#include "trace/symbols.h"
#include "trace/text_trace.h"
#include "trace/trace_hash.h"
#include "wdk/routine.h"

namespace kdpc::lab {

namespace {

Machine* the_machine = nullptr;

}  // namespace

struct Task::State {
  std::function<void()> body;
  Irql level = Irql::Passive;
  std::string name;
  std::atomic<bool> done{false};

  // On the thread's own stack, in the machine.
  static void KDPC_NTAPI run(void* context) {
    State& state = *static_cast<State*>(context);
    const Irql before = state.level == Irql::Passive ? Irql::Passive : raise_for_driver(state.level);
    try {
      state.body();
    } catch (...) {
      leave_note({.expression = "an exception left a lambda that was given to on() or start()", .file = "lab", .line = 0});
    }
    const Irql after = current_irql();
    if (after != state.level)
      leave_note({.expression = "a lambda that was given to on() or start() returned at another IRQL than it was called at",
                  .file = "lab",
                  .line = 0,
                  .values = {static_cast<unsigned>(after), static_cast<unsigned>(state.level)}});
    if (after > before) lower_for_driver(before);
    state.done = true;
  }
};

bool Task::done() const { return state_ != nullptr && state_->done; }

struct Machine::Parts {
  Config config;
  Options options;
  Symbols symbols;
  EventText text{symbols};
  EventLog log;
  TraceHash hash;
  std::unique_ptr<rules::Rules> checks;   // null: none
  std::unique_ptr<race::Detector> races;  // null: not looked for
  Outcome outcome;
  std::vector<std::shared_ptr<Task::State>> tasks;  // a thread may still be inside one after nobody holds its handle

  Parts(const Config& its_config, const Options& its_options) : config(its_config), options(its_options), log(its_config.remember_events) {
    text.name_routines([](std::uint16_t routine) -> const char* {
      return routine < wdk::kRoutineCount ? wdk::row_of(static_cast<wdk::RoutineId>(routine)).name : nullptr;
    });
  }

  // What it says of addresses, with names.
  Finding with_names(Finding finding) {
    finding.sentence = with_names(finding.sentence);
    for (Party& party : finding.parties) {
      party.role = with_names(party.role);
      party.text = with_names(party.text);
    }
    return finding;
  }

  // The newest of those that could have ended the run in this way.
  std::optional<Finding> last_finding(Ended how) {
    if (checks == nullptr) return {};
    const auto severity = how == Ended::Bugcheck ? rules::Severity::Stop : rules::Severity::Error;
    const auto& all = checks->findings();
    for (auto found = all.rbegin(); found != all.rend(); ++found)
      if (rules::row_of(found->rule).severity == severity) return with_names(lab::describe(*found, symbols));
    return {};
  }

  // The machine's explanation with names instead of addresses: of a frame ("  at 0x… image+offset") the place, of other things what they are.
  std::string with_names(const std::string& raw) {
    std::string named;
    std::size_t done = 0;
    for (std::size_t at = raw.find("0x"); at != std::string::npos; at = raw.find("0x", done)) {
      const std::size_t end = std::min(raw.find_first_not_of("0123456789abcdef", at + 2), raw.size());
      const std::uintptr_t address = std::strtoull(raw.c_str() + at, nullptr, 16);
      named.append(raw, done, at - done);
      if (named.ends_with("\n  at ")) {
        named += symbols.find(address, Symbols::Meaning::ReturnAddress).text();
        done = std::min(raw.find('\n', end), raw.size());
      } else {
        named += is_number(address) ? raw.substr(at, end - at) : text.address(address);
        done = end;
      }
    }
    return named.append(raw, done);
  }
};

bool is_simulated() { return host::facts_are_complete(); }

std::unique_ptr<Machine> Machine::create(const Config& config, std::string& why) {
  if (the_machine != nullptr || host::exists()) {
    why = "there is a machine in this process already; a process has one at a time";
    return nullptr;
  }
  if (config.processors < 1 || config.processors > kMaxProcessors) {
    why = fmt::format("a machine has 1 to {} processors, not {}", kMaxProcessors, config.processors);
    return nullptr;
  }
  if (config.simulated_only != nullptr && !is_simulated()) {
    why = fmt::format("this needs the simulated machine: it {}", config.simulated_only);
    return nullptr;
  }
  auto options = options_from(config.options);
  auto costs = costs_from(config.costs);
  auto limits = limits_from(config.checks);
  if (!options || !costs || !limits) {
    why = !options ? options.error().what : !costs ? costs.error().what : limits.error().what;
    return nullptr;
  }
  auto parts = std::make_unique<Parts>(config, *options);
  const auto created = host::create(
      {.processors = config.processors, .options = *options, .costs = *costs, .memory = config.memory, .idle = static_cast<host::Idle>(config.idle)});
  if (!created) {
    why = created.error().what;
    return nullptr;
  }
  if (config.remember_events != 0) host::add_sink(parts->log);
  if (config.hash) host::add_sink(parts->hash);
  if (config.checks.on && host::facts_are_complete()) {
    parts->checks = make_checks(config.processors, *limits);
    host::add_sink(*parts->checks);
  }
  if (config.checks.races != Checks::Races::Off && host::facts_are_complete()) {
    parts->races = make_race_detector(config.processors, config.checks);
    host::add_sink(*parts->races);
  }
  std::unique_ptr<Machine> machine(new Machine(std::move(parts)));
  if (is_simulated()) machine->attach_hands();
  return machine;
}

Machine::Machine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) { the_machine = this; }

Machine::~Machine() {
  host::remove_sink(parts_->hash);
  host::remove_sink(parts_->log);
  if (parts_->checks != nullptr) host::remove_sink(*parts_->checks);
  if (parts_->races != nullptr) host::remove_sink(*parts_->races);
  host::destroy();
  the_machine = nullptr;
}

Machine* Machine::current() { return the_machine; }

bool Machine::run_until(const std::function<bool()>& condition, Duration limit) {
  if (parts_->outcome.over()) return false;
  const std::function<bool()>& interrupted = parts_->config.interrupted;
  bool met = false;
  const auto met_or_interrupted = [&] { return (met = condition()) || interrupted(); };
  host::Outcome ended;
  {
    const Running running;
    ended = host::run_until(condition && interrupted ? met_or_interrupted : condition, limit.nanoseconds);
  }
  if (ended.how == host::Ended::ConditionMet && interrupted && !met) ended.how = host::Ended::TimeLimit;
  Outcome& outcome = parts_->outcome;
  outcome.how = static_cast<Ended>(ended.how);
  outcome.text = parts_->with_names(ended.text);
  if (ended.report) outcome.bugcheck = describe(*ended.report, parts_->symbols);
  if ((outcome.how == Ended::Finding && outcome.text.empty()) || outcome.how == Ended::Bugcheck) outcome.finding = parts_->last_finding(outcome.how);
  return ended.how == host::Ended::ConditionMet;
}

static_assert(static_cast<int>(Idle::Spin) == static_cast<int>(host::Idle::Spin) &&
              static_cast<int>(Idle::Block) == static_cast<int>(host::Idle::Block));
static_assert(static_cast<int>(Ended::Finding) == static_cast<int>(host::Ended::Finding) &&
              static_cast<int>(Ended::Bugcheck) == static_cast<int>(host::Ended::Bugcheck) &&
              static_cast<int>(Ended::Quiescent) == static_cast<int>(host::Ended::Quiescent));

bool Machine::run_for(Duration time) {
  run_until({}, time);  // no condition: time passes even when nothing is left to happen
  return !parts_->outcome.over();
}

Task Machine::start(unsigned processor, Level irql, std::function<void()> body, const ThreadOptions& options) {
  Task task;
  task.state_ = std::make_shared<Task::State>();
  Task::State& state = *task.state_;
  state.body = std::move(body);
  state.level = static_cast<Irql>(irql.value);
  state.name = options.name;
  if (processor >= processors() || irql.value > static_cast<unsigned>(Irql::High) || options.priority < 1 || options.priority > kHighPriority) {
    leave_note({.expression = "on() or start() was asked for a processor, level or priority that does not exist",
                .file = "lab",
                .line = 0,
                .values = {processor, unsigned{irql.value}}});
    return {};
  }
  parts_->tasks.push_back(task.state_);
  const auto post = [&] {
    return job::post(state.name.c_str(), &Task::State::run, &state, ProcessorSet::only(processor), static_cast<std::uint8_t>(options.priority));
  };
  // All slots are taken: earlier tasks get the time they need to leave theirs.
  bool posted = post();
  if (!posted) run_until([&] { return posted = post(); }, options.limit);
  if (posted) host::job_posted(processor);
  return task;
}

bool Machine::on(unsigned processor, Level irql, std::function<void()> body, const ThreadOptions& options) {
  if (parts_->outcome.over()) return false;
  const Task task = start(processor, irql, std::move(body), options);
  if (task.state_ == nullptr) return false;
  run_until([&] { return task.done(); }, options.limit);
  if (!task.done() && !parts_->outcome.over()) {
    did_not_end();
    leave_note({.expression = parts_->outcome.how == Ended::Quiescent ? "on(): the lambda has not returned, and nothing is left to happen"
                                                                      : "on(): the lambda has not returned within its limit",
                .file = "lab",
                .line = 0});
  }
  return task.done();
}

bool Machine::set_system_time(std::uint64_t time) {
  return on(0, 0, [time] { timer::set_system_time(time); }, {.name = "time", .priority = kHighPriority});
}

struct Machine::Mark {
  host::Checkpoint* machine;
  Outcome outcome;
  std::vector<std::pair<std::shared_ptr<Task::State>, bool>> tasks;  // true: done
  std::shared_ptr<Devices> devices;
};

void Machine::ForgetMark::operator()(Mark* mark) const {
  host::discard(mark->machine);
  delete mark;
}

Machine::MarkHandle Machine::mark(std::string& why) {
  const auto made = host::checkpoint();
  if (!made) return why = made.error().what, nullptr;
  MarkHandle mark(new Mark{*made, parts_->outcome, {}, copy_of(devices_)});
  for (const auto& task : parts_->tasks) mark->tasks.emplace_back(task, task->done);
  return mark;
}

void Machine::rewind(const Mark& mark) {
  host::restore(*mark.machine);
  parts_->outcome = mark.outcome;
  parts_->tasks.clear();
  for (const auto& [task, done] : mark.tasks) {
    task->done = done;
    parts_->tasks.push_back(task);
  }
  devices_ = copy_of(mark.devices);
}

Nanoseconds Machine::now() const { return host::now(); }
const Outcome& Machine::outcome() const { return parts_->outcome; }
std::vector<Finding> Machine::findings() const {
  std::vector<Finding> findings;
  if (parts_->checks != nullptr)
    for (const rules::Finding& found : parts_->checks->findings()) findings.push_back(parts_->with_names(describe(found, parts_->symbols)));
  if (parts_->races != nullptr)
    for (const race::Race& race : parts_->races->races())
      if (race.verdict == race::Verdict::Certain || parts_->config.checks.races == Checks::Races::Suspected)
        findings.push_back(parts_->with_names(describe(race, parts_->symbols)));
  return findings;
}
std::size_t Machine::certain_races() const {
  if (parts_->races == nullptr) return 0;
  const auto is_certain = [](const race::Race& race) { return race.verdict == race::Verdict::Certain && race.kind != race::Kind::BenignLooking; };
  return static_cast<std::size_t>(std::count_if(parts_->races->races().begin(), parts_->races->races().end(), is_certain));
}

std::vector<std::pair<Machine::Step, Machine::Step>> Machine::suspected_races() const {
  std::vector<std::pair<Step, Step>> suspected;
  if (parts_->races == nullptr) return suspected;
  for (const race::Race& race : parts_->races->races())
    if (race.verdict == race::Verdict::Potential && race.kind != race::Kind::BenignLooking) {
      const bool is_devices = race.first.acting == race::Acting::Device;  // which has no step to be held at
      const race::Side &held = is_devices ? race.second : race.first, &other = is_devices ? race.first : race.second;
      suspected.push_back({{held.processor, held.step}, {other.processor, other.step}});
    }
  return suspected;
}
const Config& Machine::config() const { return parts_->config; }
Settings Machine::options() const { return settings_of(parts_->options); }

unsigned Machine::add_line(bool level) { return host::add_line(level); }
void Machine::assert_line(unsigned line) { host::set_line(line, true); }
void Machine::deassert_line(unsigned line) { host::set_line(line, false); }
bool Machine::insert_dpc(_KDPC* dpc, void* argument1, void* argument2) {
  return host::insert_dpc(*reinterpret_cast<Dpc*>(dpc), argument1, argument2);
}
void Machine::send_message(unsigned vector, unsigned processor) { host::raise_message(static_cast<std::uint8_t>(vector), processor); }

namespace {

bool passes(const Event& event, std::string_view name, const Machine::Filter& filter) {
  if (!name.empty() && name_of(event) != name) return false;
  std::size_t matched = 0;
  if (!filter.empty())
    each_field(event, [&](std::string_view field, const FieldValue& value) {
      const auto wanted = filter.find(std::string(field));
      if (wanted != filter.end() && wanted->second == value.bits) ++matched;
    });
  return matched == filter.size();
}

}  // namespace

std::vector<EventRecord> Machine::events(std::string_view name, const Filter& filter) const {
  std::vector<EventRecord> records;
  parts_->log.for_each([&](const EventLog::Entry& entry) {
    if (!passes(entry.event, name, filter)) return;
    const std::string_view event_name = name_of(entry.event);
    EventRecord record{entry.stamp.time, entry.stamp.processor, entry.stamp.irql, entry.stamp.thread, std::string(event_name), {}};
    each_field(entry.event, [&](std::string_view field, const FieldValue& value) {
      record.fields.push_back({std::string(field), value.bits, parts_->text.field(event_name, field, value)});
    });
    records.push_back(std::move(record));
  });
  return records;
}

std::size_t Machine::count(std::string_view name, const Filter& filter) const {
  std::size_t count = 0;
  parts_->log.for_each([&](const EventLog::Entry& entry) { count += passes(entry.event, name, filter) ? 1 : 0; });
  return count;
}

std::uint64_t Machine::events_forgotten() const { return parts_->log.first(); }
std::uint64_t Machine::events_lost() const { return host::facts_lost(); }
void Machine::forget_events() { parts_->log.forget(); }

std::vector<DebugLine> Machine::debug_lines() const {
  std::vector<DebugLine> lines;
  parts_->log.each<DebugPrinted>([&](const Stamp& stamp, const DebugPrinted& printed) {
    std::string text(printed.text, printed.length);
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    lines.push_back({stamp.time, stamp.processor, stamp.irql, std::move(text)});
  });
  return lines;
}

ProcessorState Machine::processor_state(unsigned number) const {
  const Processor& its = processor(number);
  ProcessorState state;
  state.number = number;
  state.irql = static_cast<unsigned>(host::irql_of_processor(number));
  state.thread = its.current_thread->id;
  state.thread_name.assign(its.current_thread->name, ::strnlen(its.current_thread->name, sizeof its.current_thread->name));
  state.idle = its.idle;
  state.dpc_routine_active = its.dpc_routine_active;
  state.dpc_depth = its.dpcs.depth();
  state.dpc_count = its.dpcs.inserted();
  state.maximum_dpc_queue_depth = its.maximum_dpc_queue_depth;
  state.dpc_request_rate = its.dpc_request_rate;
  state.interrupts = its.interrupt_count;
  state.unexpected_interrupts = its.unexpected_interrupts;
  state.kernel_ticks = its.kernel_ticks;
  state.dpc_ticks = its.dpc_ticks;
  state.interrupt_ticks = its.interrupt_ticks;
  state.idle_ticks = its.idle_ticks;
  return state;
}

unsigned Machine::processors() const { return parts_->config.processors; }

namespace {

// The last `count` of those of which tells(event) is true.
template <class Predicate>
std::vector<std::string> last_lines(const EventLog& log, EventText& text, std::size_t count, Predicate&& tells) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t number = log.end(); number > log.first() && numbers.size() < count;)
    if (tells(log[--number].event)) numbers.push_back(number);
  std::vector<std::string> lines;
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) lines.push_back(text.line(log[*number].stamp, log[*number].event));
  return lines;
}

bool is_of_the_kernels_own_locks(const Event& event) {
  return std::visit(
      [](const auto& fact) {
        using Fact = std::remove_cvref_t<decltype(fact)>;
        if constexpr (std::is_same_v<Fact, LockAcquired> || std::is_same_v<Fact, LockReleased> || std::is_same_v<Fact, LockInitialized>) {
          return fact.kind == LockKind::System;
        } else {
          return std::is_same_v<Fact, OrderAcquired> || std::is_same_v<Fact, OrderReleased>;
        }
      },
      event);
}

}  // namespace

std::vector<std::string> Machine::last_events(std::size_t count) const {
  return last_lines(parts_->log, parts_->text, count, [](const Event&) { return true; });
}
std::vector<std::string> Machine::last_events_that_tell(std::size_t count) const {
  return last_lines(parts_->log, parts_->text, count, [](const Event& event) { return !is_of_the_kernels_own_locks(event); });
}

std::uint64_t Machine::trace_hash() const { return parts_->hash.value(); }
Place Machine::place_of(std::uintptr_t address) const { return lab::place_of(parts_->symbols.find(address)); }

void Machine::add_sink(EventSink& sink) { host::add_sink(sink); }
void Machine::remove_sink(EventSink& sink) { host::remove_sink(sink); }
const EventLog& Machine::log() const { return parts_->log; }
Symbols& Machine::symbols() const { return parts_->symbols; }

}  // namespace kdpc::lab
