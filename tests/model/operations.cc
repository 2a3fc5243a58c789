#include "tests/model/operations.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <span>

#include "lab/settings.h"

namespace kdpc::model {

namespace {

constexpr std::uint8_t kLow = 0, kApc = 1, kDispatch = 2, kHigh = 15;
constexpr std::int64_t kMillisecond = 10'000;  // 100 ns

// splitmix64
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }
  std::uint64_t below(std::uint64_t bound) { return (next() >> 32) * bound >> 32; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
  }
  bool once_in(std::uint64_t n) { return below(n) == 0; }
  template <class T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[below(choices.size())];
  }

 private:
  std::uint64_t state_;
};

void draw_options(Program& program, Random& random) {
  auto& set = program.settings;
  using Text = const char*;
  if (random.once_in(3)) set["profile"] = random.of<Text>({"strict", "checked", "free", "nt52", "win7", "win10"});
  const auto maybe = [&](Text name, std::initializer_list<Text> values) {
    if (random.once_in(2)) set[name] = random.of<Text>(values);
  };
  maybe("irql_checks", {"strict", "checked", "free"});
  maybe("depth_compare", {"greater_or_equal", "greater"});
  maybe("remote_ipi", {"microsoft", "idle_only", "react_os"});
  maybe("medium_high_remote", {"immediate", "as_medium"});
  maybe("idle_low_medium", {"wake", "wait"});
  maybe("threaded_dpc", {"enabled", "disabled"});
  maybe("remove_semantics", {"exact", "pre_vista_sp1"});
  maybe("timer_dpc", {"direct", "queued"});
  maybe("untargeted_timer", {"current", "processor_zero"});
  maybe("timer_table", {"per_cpu", "global"});
  maybe("delay", {"exact", "from_tick"});
  maybe("quantum", {"classic", "cycles"});
  maybe("idle_ticks", {"all", "timekeeper_only"});
  maybe("latched_chain", {"full_pass", "last_claims"});
  const auto maybe_number = [&](Text name, std::int64_t least, std::int64_t most) {
    if (random.once_in(2)) set[name] = std::to_string(random.between(least, most));
  };
  maybe_number("dpc_queue_depth", 1, 6);
  maybe_number("minimum_dpc_rate", 0, 5);
  maybe_number("adjust_dpc_threshold", 1, 20);
  maybe_number("ideal_dpc_rate", 1, 20);
  maybe_number("quantum_reset", 1, 18);
  // Time limits are no business of the model.
  for (Text name : {"dpc_time_limit", "dpc_watchdog_period", "clock_watchdog_ticks", "storm_dispatches"}) set[name] = "0";
  take_options(program);
}

struct Weight {
  Kind kind;
  unsigned weight;
};

// Of what scripts are made. What is illegal where it comes to be performed is passed over.
constexpr Weight kInThreads[] = {
    {Kind::Stall, 160},        {Kind::InsertDpc, 160},      {Kind::RemoveDpc, 20},
    {Kind::RemoveDpcEx, 8},    {Kind::SetImportance, 30},   {Kind::SetTarget, 20},
    {Kind::SetTargetEx, 15},   {Kind::InitializeDpc, 12},   {Kind::Raise, 60},
    {Kind::Lower, 110},        {Kind::SetTimer, 60},        {Kind::SetCoalescableTimer, 8},
    {Kind::CancelTimer, 20},   {Kind::ReadTimer, 8},        {Kind::InitializeTimer, 6},
    {Kind::SetEvent, 50},      {Kind::ResetEvent, 15},      {Kind::PulseEvent, 15},
    {Kind::ReadEvent, 8},      {Kind::WaitForOne, 70},      {Kind::WaitForAny, 25},
    {Kind::WaitForAll, 25},    {Kind::Delay, 25},           {Kind::Flush, 6},
    {Kind::SetPriority, 20},   {Kind::Interrupt, 30},       {Kind::QueryTime, 6},
    {Kind::QueryTickCount, 6}, {Kind::QueryExecuting, 6},   {Kind::ReleaseSemaphore, 20},
    {Kind::SignalAndWait, 15}, {Kind::SetBasePriority, 10}, {Kind::SetIdealProcessor, 10},
    {Kind::SetAffinity, 10},   {Kind::RevertAffinity, 8},   {Kind::SetActive, 8},
    {Kind::SetResolution, 8},  {Kind::SetSystemTime, 6},    {Kind::QuerySystemTime, 5},
};
constexpr Weight kInRoutines[] = {
    {Kind::Return, 300},        {Kind::Stall, 120},           {Kind::InsertDpc, 130},         {Kind::RemoveDpc, 20},        {Kind::RemoveDpcEx, 8},
    {Kind::SetImportance, 25},  {Kind::SetTarget, 15},        {Kind::SetTargetEx, 10},        {Kind::InitializeDpc, 10},    {Kind::Raise, 30},
    {Kind::Lower, 40},          {Kind::SetTimer, 40},         {Kind::SetCoalescableTimer, 6}, {Kind::CancelTimer, 15},      {Kind::ReadTimer, 6},
    {Kind::InitializeTimer, 4}, {Kind::SetEvent, 60},         {Kind::ResetEvent, 10},         {Kind::PulseEvent, 12},       {Kind::ReadEvent, 6},
    {Kind::WaitForOne, 15},     {Kind::SetPriority, 12},      {Kind::Interrupt, 20},          {Kind::QueryTime, 5},         {Kind::QueryTickCount, 5},
    {Kind::QueryExecuting, 8},  {Kind::ReleaseSemaphore, 20}, {Kind::SetBasePriority, 6},     {Kind::SetIdealProcessor, 6}, {Kind::SetActive, 5},
    {Kind::SetSystemTime, 4},   {Kind::QuerySystemTime, 4},
};

// The kinds of which one program's scripts are made, each as often as it weighs. Half of the programs do without some of them: what is left comes
// together in ways that it otherwise would not.
class Mix {
 public:
  Mix(std::span<const Weight> weights, Random& random) {
    const bool all = random.once_in(2);
    for (const Weight& weight : weights)
      if (all || weight.kind == Kind::Return || weight.kind == Kind::Stall || !random.once_in(3))
        kinds_.insert(kinds_.end(), weight.weight, weight.kind);
  }
  Kind draw(Random& random) const { return kinds_[random.below(kinds_.size())]; }

 private:
  std::vector<Kind> kinds_;
};

// Long past or not; often at a tick, so that it is sometimes just now.
std::int64_t draw_absolute(Random& random) {
  return kAbsolute + (random.once_in(2) ? random.between(0, 2000) * kMillisecond : random.between(0, 128) * kClockIncrement);
}

std::int64_t draw_due(Random& random) {
  switch (random.below(10)) {
    case 0: return 0;
    case 1: return draw_absolute(random);
    case 2: return -1;
    case 3:
    case 4: return -random.between(1, 15 * kMillisecond);
    default: return -random.between(1, 90 * kMillisecond);
  }
}

std::int64_t draw_limit(Random& random, bool in_routine) {
  if (in_routine || random.once_in(5)) return 0;
  if (random.once_in(25)) return kForEver;
  if (random.once_in(8)) return draw_absolute(random);
  return -random.between(1, 60 * kMillisecond);
}

std::uint8_t draw(Random& random, unsigned bound) { return static_cast<std::uint8_t>(random.below(bound)); }

std::uint8_t draw_level(Random& random) { return random.once_in(3) ? kApc : draw(random, kHigh + 1u); }

Operation draw_operation(const Program& program, Random& random, const Mix& mix, bool in_routine) {
  Operation operation;
  operation.kind = mix.draw(random);
  switch (operation.kind) {
    case Kind::Stall:
      if (const std::uint64_t length = random.below(100); length < 60) {
        operation.time = random.between(1, 50);
      } else if (length < (in_routine ? 97u : 90u)) {
        operation.time = random.between(50, 2000);
      } else {
        operation.time = random.between(2000, 40'000);
      }
      break;
    case Kind::InsertDpc:
      operation.object = draw(random, program.dpcs);
      operation.value = draw(random, 200);
      operation.other = draw(random, 200);
      break;
    case Kind::RemoveDpc: operation.object = draw(random, program.dpcs); break;
    case Kind::RemoveDpcEx:
      operation.object = draw(random, program.dpcs);
      operation.value = draw(random, 2);
      break;
    case Kind::SetImportance:
      operation.object = draw(random, program.dpcs);
      operation.value = draw(random, 4);
      break;
    case Kind::SetTarget:
    case Kind::SetTargetEx:
      operation.object = draw(random, program.dpcs);
      operation.value = draw(random, program.processors + (random.once_in(8) ? 3u : 0u));
      break;
    case Kind::InitializeDpc:
      operation.object = draw(random, program.dpcs);
      operation.value = random.once_in(4) ? 1 : 0;
      operation.other = draw(random, 200);
      break;
    case Kind::Raise: operation.value = random.once_in(2) ? kDispatch : draw_level(random); break;
    case Kind::Lower: operation.value = random.once_in(2) ? kLow : random.once_in(2) ? kDispatch : draw_level(random); break;
    case Kind::SetCoalescableTimer:
    case Kind::SetTimer:
      operation.object = draw(random, program.timers);
      operation.other = random.once_in(3) ? kNone : draw(random, program.dpcs);
      operation.time = draw_due(random);
      if (random.once_in(3)) operation.period = static_cast<std::uint32_t>(random.between(1, 70));
      break;
    case Kind::CancelTimer:
    case Kind::ReadTimer: operation.object = draw(random, program.timers); break;
    case Kind::InitializeTimer:
      operation.object = draw(random, program.timers);
      operation.value = draw(random, 2);
      break;
    case Kind::SetEvent:
    case Kind::PulseEvent:
      operation.object = draw(random, program.events);
      operation.value = random.once_in(2) ? std::uint8_t{0} : draw(random, 7);
      break;
    case Kind::ResetEvent:
    case Kind::ReadEvent: operation.object = draw(random, program.events); break;
    case Kind::ReleaseSemaphore:
      operation.object = draw(random, program.semaphores);
      operation.value = random.once_in(2) ? std::uint8_t{0} : draw(random, 7);
      operation.other = static_cast<std::uint8_t>(random.between(1, 3));
      break;
    case Kind::SignalAndWait:
      operation.object = draw(random, program.events);
      operation.value = draw(random, 7);
      operation.other = draw(random, program.waitables());
      operation.time = draw_limit(random, in_routine);
      break;
    case Kind::WaitForOne:
      operation.object = draw(random, program.waitables());
      operation.time = draw_limit(random, in_routine);
      break;
    case Kind::WaitForAny:
    case Kind::WaitForAll: {
      // Different ones.
      const unsigned all = program.waitables();
      const unsigned first = draw(random, all);
      operation.object = static_cast<std::uint8_t>(first);
      operation.other = static_cast<std::uint8_t>((first + 1) % all);
      if (random.once_in(2)) operation.third = static_cast<std::uint8_t>((first + 2) % all);
      operation.time = draw_limit(random, in_routine);
      break;
    }
    case Kind::Delay:
      operation.time = random.once_in(4) ? 0 : random.once_in(8) ? draw_absolute(random) : -random.between(1, 50 * kMillisecond);
      break;
    case Kind::SetPriority:
      operation.object = draw(random, static_cast<unsigned>(program.threads.size()));
      operation.value = static_cast<std::uint8_t>(random.once_in(6) ? random.between(16, 31) : random.between(1, 15));
      break;
    case Kind::SetBasePriority:
      operation.object = draw(random, static_cast<unsigned>(program.threads.size()));
      operation.value = static_cast<std::uint8_t>(random.once_in(6) ? random.between(-18, 18) : random.between(-7, 7));
      break;
    case Kind::SetIdealProcessor:
      operation.object = draw(random, static_cast<unsigned>(program.threads.size()));
      operation.value = draw(random, program.processors + 1);
      break;
    case Kind::SetAffinity: operation.value = static_cast<std::uint8_t>(1 + random.below((1u << program.processors) - 1)); break;
    case Kind::SetActive:
      if (!program.sources.empty()) operation.object = draw(random, static_cast<unsigned>(program.sources.size()));
      operation.value = random.once_in(3) ? 0 : 1;
      break;
    case Kind::SetResolution:
      operation.value = draw(random, 2);
      operation.time = random.between(5'000, 200'000);
      break;
    case Kind::SetSystemTime: operation.time = random.between(-200 * kMillisecond, 200 * kMillisecond); break;
    case Kind::Interrupt:
      if (!program.sources.empty()) operation.object = draw(random, static_cast<unsigned>(program.sources.size()));
      operation.time = random.once_in(2) ? random.between(1, 20) : random.between(1, 3000);
      break;
    case Kind::Return:
    case Kind::Flush:
    case Kind::QueryTime:
    case Kind::QueryTickCount:
    case Kind::QuerySystemTime:
    case Kind::RevertAffinity:
    case Kind::QueryExecuting: break;
  }
  return operation;
}

// Some devices on a few vectors, alone or several on one.
void draw_sources(Program& program, Random& random) {
  const auto count = static_cast<unsigned>(random.between(0, kMaxSources));
  while (program.sources.size() < count) {
    SourcePlan plan{};
    plan.vector = static_cast<std::uint8_t>(random.between(3, 11) << 4 | random.between(1, 3));
    plan.level = random.once_in(2);
    plan.affinity = 1 + random.below((std::uint64_t{1} << program.processors) - 1);
    const auto taken = [&](const SourcePlan& other) { return other.vector == plan.vector; };
    if (std::any_of(program.sources.begin(), program.sources.end(), taken)) continue;
    const std::uint64_t together = std::min<std::uint64_t>(random.below(3) + 1, count - program.sources.size());
    plan.shared = together > 1;
    for (std::uint64_t i = 0; i < together; ++i) {
      const int level = plan.vector >> 4;
      plan.synchronize_irql = static_cast<std::uint8_t>(random.once_in(3) ? random.between(level, kHigh - 2) : level);
      plan.claims = !random.once_in(4);
      program.sources.push_back(plan);
    }
  }
}

}  // namespace

void take_options(Program& program) {
  auto options = lab::options_from(program.settings);
  if (!options) {
    std::fputs(options.error().what.c_str(), stderr);
    std::abort();
  }
  program.options = *options;
}

Program generate(std::uint64_t seed, unsigned processors, unsigned steps) {
  Random random(seed * 8 + processors);
  Program program;
  program.seed = seed;
  program.processors = processors;
  draw_options(program, random);
  program.dpcs = static_cast<unsigned>(random.between(3, kMaxDpcs));
  program.timers = static_cast<unsigned>(random.between(3, kMaxTimers));
  program.events = static_cast<unsigned>(random.between(2, kMaxEvents));
  program.semaphores = static_cast<unsigned>(random.between(1, kMaxSemaphores));
  const auto threads = static_cast<unsigned>(random.between(1, std::min(kMaxPlannedThreads, 2 * processors + 2)));
  const std::uint64_t everywhere = (std::uint64_t{1} << processors) - 1;
  for (unsigned i = 0; i < threads; ++i) {
    ThreadPlan plan{};
    plan.priority = static_cast<std::uint8_t>(random.once_in(2)   ? random.between(8, 10)
                                              : random.once_in(3) ? random.between(16, 30)
                                                                  : random.between(1, 15));
    if (random.once_in(2)) {
      plan.affinity = everywhere;
    } else {
      plan.affinity = std::uint64_t{1} << random.below(processors);
      if (random.once_in(3)) plan.affinity |= std::uint64_t{1} << random.below(processors);
    }
    do plan.ideal = draw(random, processors);
    while ((plan.affinity >> plan.ideal & 1) == 0);
    program.threads.push_back(plan);
  }
  draw_sources(program, random);
  const Mix in_threads(kInThreads, random), in_routines(kInRoutines, random);
  const auto fill = [&](std::size_t size, bool in_routine) {
    std::vector<Operation>& script = program.scripts.emplace_back();
    script.reserve(size);
    while (script.size() < size) script.push_back(draw_operation(program, random, in_routine ? in_routines : in_threads, in_routine));
  };
  for (unsigned i = 0; i < threads; ++i) fill(2 * steps / threads, false);
  for (unsigned i = 0; i < program.dpcs; ++i) fill(2 * steps / program.dpcs, true);
  for (std::size_t i = 0; i < program.sources.size(); ++i) fill(steps / program.sources.size(), true);
  return program;
}

bool is_legal(const Operation& operation, Where where, unsigned irql, unsigned entry, const Program& program) {
  const Options& options = program.options;
  const bool in_thread = where == Where::Thread;
  const bool unchecked = options.irql_checks == Options::IrqlChecks::Free && in_thread;  // IRQL-6
  switch (operation.kind) {
    case Kind::Return: return !in_thread;
    case Kind::Stall:
    case Kind::InsertDpc:
    case Kind::RemoveDpc:
    case Kind::RemoveDpcEx:
    case Kind::SetImportance:
    case Kind::SetTarget:
    case Kind::SetTargetEx:
    case Kind::InitializeDpc:
    case Kind::QueryTime:
    case Kind::QueryTickCount:
    case Kind::QuerySystemTime: return true;
    case Kind::Interrupt: return operation.object < program.sources.size();
    case Kind::QueryExecuting: return irql >= kDispatch;
    case Kind::Raise: return operation.value >= irql || unchecked;
    case Kind::Lower: return (operation.value <= irql && operation.value >= entry) || unchecked;
    case Kind::SetTimer:
    case Kind::SetCoalescableTimer:
    case Kind::CancelTimer:
    case Kind::ReadTimer:
    case Kind::InitializeTimer:
    case Kind::SetEvent:
    case Kind::ResetEvent:
    case Kind::PulseEvent:
    case Kind::ReadEvent:
    case Kind::ReleaseSemaphore:
    case Kind::SetPriority:
    case Kind::SetBasePriority:
    case Kind::SetIdealProcessor:
    case Kind::SetSystemTime: return irql <= kDispatch;
    case Kind::SetActive: return irql <= kDispatch && operation.object < program.sources.size();
    case Kind::WaitForOne:
    case Kind::WaitForAny:
    case Kind::WaitForAll:
      if (operation.time == 0) return irql <= kDispatch && (in_thread || where == Where::Dpc);
      return in_thread && irql < kDispatch;
    case Kind::SignalAndWait:
    case Kind::SetAffinity:
    case Kind::RevertAffinity:
    case Kind::SetResolution:
    case Kind::Delay: return in_thread && irql < kDispatch;
    case Kind::Flush: return in_thread && irql == kLow;
  }
  return false;
}

}  // namespace kdpc::model
