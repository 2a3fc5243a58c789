#include "tools/kdpc/culprits.h"

#include <fmt/format.h>

#include <algorithm>

namespace kdpc::tool {
namespace {

// What is heard lags behind what the card has read by up to 1024 frames; what it has read, behind the driver by what is buffered.
// The card looks for new sound once in a timer period, and a clock tick may lie between two steps of the way.
constexpr double kInexactNs = 1e6;
constexpr std::uint64_t kReadAheadNs = 22'000'000;

std::string kind_text(Holder::What what) {
  switch (what) {
    case Holder::What::Isr: return "ISR";
    case Holder::What::Dpc: return "DPC";
    case Holder::What::TimerDpc: return "timer DPC";
    case Holder::What::Synchronized: return "synchronized routine";
    case Holder::What::ClockInterrupt: return "clock interrupt";
    case Holder::What::IpiInterrupt: return "IPI";
    case Holder::What::RaisedThread: return "thread at raised IRQL in";
    case Holder::What::NobodyAsked: return "threads: no drain was requested";
    case Holder::What::Idle: return "waking from idle";
    case Holder::What::Drain: return "DPC dispatching";
  }
  return "?";
}

bool has_routine(Holder::What what) {
  return what == Holder::What::Isr || what == Holder::What::Dpc || what == Holder::What::TimerDpc || what == Holder::What::Synchronized ||
         what == Holder::What::RaisedThread;
}

std::string text_of(const Holder& holder, const Namer& name) {
  return has_routine(holder.what) && holder.routine != 0 ? kind_text(holder.what) + " " + name(holder.routine).text() : kind_text(holder.what);
}

void longest_first(std::vector<Delay>& delays) {
  std::stable_sort(delays.begin(), delays.end(), [](const Delay& left, const Delay& right) { return left.nanoseconds > right.nanoseconds; });
}

LateChain chain_of(const DpcRun& run, const Namer& name) {
  LateChain chain;
  chain.victim = name(run.routine);
  chain.processor = run.processor;
  chain.queued_by = fmt::format("{} on processor {}", text_of(run.queued_by, name), run.queued_on);
  chain.queued_ns = run.queued;
  chain.allowed_ns = run.allowed;
  chain.began_ns = run.began;
  chain.ended_ns = std::max(run.ended, run.began);
  for (const Wait& wait : run.waits)
    chain.delays.push_back({kind_text(wait.whom.what),
                            has_routine(wait.whom.what) && wait.whom.routine != 0 ? name(wait.whom.routine) : RoutineName{}, wait.nanoseconds,
                            wait.masked});
  longest_first(chain.delays);
  return chain;
}

std::vector<Delay> delays_of(const ChainWait& wait, const Namer& name) {
  std::vector<Delay> delays;
  for (const auto& [occupant, nanoseconds] : wait.occupants) {
    const bool has_name = occupant.kind && occupant.routine != 0;
    delays.push_back(
        {occupant.kind ? tool::kind_text(*occupant.kind) : "a thread", has_name ? name(occupant.routine) : RoutineName{}, nanoseconds, false});
  }
  return delays;
}

struct Times {
  std::uint64_t from, to;
  bool meet(std::uint64_t began, std::uint64_t ended) const { return began <= to && ended >= from; }
};

// The longest wait that touches these times.
const DpcRun* longest_of(const std::vector<DpcRun>& runs, const Times& times) {
  const DpcRun* longest = nullptr;
  for (const DpcRun& run : runs)
    if (times.meet(run.queued, run.began) && (longest == nullptr || run.began - run.queued > longest->began - longest->queued)) longest = &run;
  return longest;
}

const ChainWait* longest_of(const std::vector<ChainWait>* waits, ChainWait::Who who, const Times& times) {
  const ChainWait* longest = nullptr;
  if (waits == nullptr) return nullptr;
  for (const ChainWait& wait : *waits)
    if (wait.who == who && times.meet(wait.began, wait.ended) && (longest == nullptr || wait.ended - wait.began > longest->ended - longest->began))
      longest = &wait;
  return longest;
}

// Who can be named and was waited for longest, if all that waiting is long enough to explain this much silence.
const Delay* blamed(const LateChain& chain, double length_ms) {
  const std::uint64_t dpc = chain.began_ns - chain.queued_ns;
  const std::uint64_t longest = std::max({dpc, chain.interrupt_wait_ns, chain.application_wait_ns});
  if (static_cast<double>(longest) + kInexactNs < length_ms * 1e6) return nullptr;
  const std::vector<Delay>* delays = &chain.delays;
  if (chain.application_wait_ns > dpc && chain.application_wait_ns >= chain.interrupt_wait_ns) {
    delays = &chain.application_delays;
  } else if (chain.interrupt_wait_ns > dpc) {
    delays = &chain.interrupt_delays;
  }
  for (const Delay& delay : *delays)
    if (!delay.name.routine.empty() || !delay.name.driver.empty()) return &delay;
  return nullptr;
}

}  // namespace

std::string kind_text(ActivityKind kind) {
  switch (kind) {
    case ActivityKind::Isr: return "ISR";
    case ActivityKind::Dpc: return "DPC";
    case ActivityKind::TimerDpc: return "timer DPC";
    case ActivityKind::SynchronizedRoutine: return "synchronized routine";
    case ActivityKind::ClockInterrupt: return "clock interrupt";
    case ActivityKind::IpiInterrupt: return "IPI";
    case ActivityKind::WorkItem: return "work item";
    case ActivityKind::DriverRoutine: return "driver routine";
    case ActivityKind::ThreadedDpc: return "threaded DPC";
    case ActivityKind::BroadcastRoutine: return "broadcast routine";
  }
  return "?";
}

void find_culprits(Report& report, const LatenessEvidence& evidence, const std::vector<RoutineLatency>& routines, const Namer& name) {
  const Times ever{0, ~std::uint64_t{0}};
  if (const DpcRun* const longest = longest_of(evidence.audio_dpcs, ever)) report.longest_wait = chain_of(*longest, name);
  if (!report.sound) return;

  for (DropoutReport& each : report.sound->dropouts) {
    // The gap was heard at `heard`. What made it happened at most that much earlier as sound was buffered, and the gap ended with it.
    const auto nanoseconds = [](double milliseconds) { return static_cast<std::uint64_t>(milliseconds * 1e6); };
    const std::uint64_t heard = evidence.started_ns + nanoseconds(each.played_ms);
    const std::uint64_t before = evidence.buffered_ns + kReadAheadNs;
    const Times times{heard > before ? heard - before : 0, heard + nanoseconds(each.length_ms) + kReadAheadNs};
    const DpcRun* const run = longest_of(evidence.audio_dpcs, times);
    if (run == nullptr) continue;
    LateChain chain = chain_of(*run, name);
    if (const ChainWait* const wait = longest_of(evidence.waits, ChainWait::Who::Interrupt, times)) {
      chain.interrupt_wait_ns = wait->ended - wait->began;
      chain.interrupt_delays = delays_of(*wait, name);
    }
    if (const ChainWait* const wait = longest_of(evidence.waits, ChainWait::Who::Application, times)) {
      chain.application_wait_ns = wait->ended - wait->began;
      chain.application_delays = delays_of(*wait, name);
    }
    if (const Delay* const delay = blamed(chain, each.length_ms)) {
      auto culprit = std::find_if(report.culprits.begin(), report.culprits.end(),
                                  [&](const Culprit& known) { return known.name.text() == delay->name.text() && known.kind == delay->kind; });
      if (culprit == report.culprits.end()) culprit = report.culprits.insert(culprit, {delay->kind, delay->name, chain.processor, 0, 0, 0});
      culprit->delayed_ns = std::max(culprit->delayed_ns, delay->nanoseconds);
      ++culprit->dropouts;
    }
    each.chain = std::move(chain);
  }

  std::stable_sort(report.culprits.begin(), report.culprits.end(), [](const Culprit& left, const Culprit& right) {
    return left.dropouts != right.dropouts ? left.dropouts > right.dropouts : left.delayed_ns > right.delayed_ns;
  });
  for (Culprit& culprit : report.culprits)
    for (const RoutineLatency& routine : routines)
      if (kind_text(routine.kind) == culprit.kind && name(routine.routine).text() == culprit.name.text())
        culprit.ran_ns = std::max(culprit.ran_ns, routine.exclusive.longest());
  for (DropoutReport& each : report.sound->dropouts) {
    const Delay* const delay = each.chain ? blamed(*each.chain, each.length_ms) : nullptr;
    for (std::size_t i = 0; delay != nullptr && i < report.culprits.size(); ++i)
      if (report.culprits[i].name.text() == delay->name.text() && report.culprits[i].kind == delay->kind) each.culprit = i;
  }
}

}  // namespace kdpc::tool
