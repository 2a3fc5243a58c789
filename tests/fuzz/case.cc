#include "tests/fuzz/case.h"

#include <fmt/format.h>

#include <cstring>
#include <iterator>

#include "kdpc/lab.h"
#include "machine/host.h"
#include "machine/sim/guard.h"
#include "tests/fuzz/draw.h"
#include "tests/fuzz/exports.h"
#include "tests/fuzz/pairs.h"
#include "tests/fuzz/stock.h"
#include "this_machine.h"

namespace kdpc::fuzz {

namespace {

using namespace std::chrono_literals;

constexpr int kMostCallsOfACase = 150;  // callbacks call again
constexpr unsigned kMostDepth = 4;

Stock the_stock;
Shared* shared_memory = nullptr;
Wish the_wish;
int calls_left = 0;
unsigned depth = 0;
Kind last_kind = Kind::Count;

bool is_allowed(const wdk::RoutineRow& row, Irql level) { return level >= row.lowest && level <= row.highest; }

// Mostly one that may be called at this level, and often one that takes what the last one took.
unsigned choose(Irql level) {
  Random& random = the_stock.random;
  if (the_wish.only >= 0 && random.chance(50)) return static_cast<unsigned>(the_wish.only);
  const bool any_level = random.chance(the_stock.wildness / 6);
  const bool same_kind = last_kind != Kind::Count && last_kind != Kind::Bytes && random.chance(40);
  for (unsigned tries = 0; tries < 200; ++tries) {
    const auto index = static_cast<unsigned>(random.below(wdk::kRoutineCount));
    if (!any_level && !is_allowed(wdk::row_of(static_cast<wdk::RoutineId>(index)), level)) continue;
    if (same_kind && tries < 150 && kExports[index].first != last_kind) continue;
    // Ends everything at once.
    const std::string_view name = kExports[index].name;
    if ((name.starts_with("KeBugCheck") || name == "RtlFailFast" || name == "ExRaiseStatus" || name == "RtlAssert") && !random.chance(10)) continue;
    // So does giving back what nobody has taken.
    if (((name.find("Release") != name.npos && name != "KeReleaseSemaphore") || name.find("Free") != name.npos || name.find("Leave") != name.npos ||
         name.find("Signal") != name.npos || name.find("Lower") != name.npos || name.find("Convert") != name.npos) &&
        !random.chance(the_wish.only >= 0        ? 100
                       : the_stock.wildness == 0 ? 1
                                                 : 15 + the_stock.wildness / 4))
      continue;
    return index;
  }
  return 0;
}

// What this frame of this thread has taken and has not given back yet.
struct Debt {
  GivingBack back;
  PKTHREAD thread;
  unsigned depth;
};
constexpr unsigned kMostDebts = 16;
Debt debts[kMostDebts];
unsigned debt_count = 0;

std::uint64_t perform(unsigned index, const std::uint64_t* values) {
  Shared& shared = *shared_memory;
  const Export& routine = kExports[index];
  Call spare;
  Call& told = shared.call_count < kMostCalls ? shared.calls[shared.call_count++] : spare;
  told = {static_cast<std::uint16_t>(index),
          static_cast<std::uint8_t>(current_irql()),
          static_cast<std::uint8_t>(routine.arguments),
          static_cast<std::uint8_t>(depth),
          false,
          {},
          0};
  std::memcpy(told.values, values, sizeof told.values);
  ++shared.of[index].calls;
  ++shared.alive;
  ++depth;
  const std::uint64_t result = routine.call(routine.routine, values);
  --depth;
  told.returned = true;
  told.result = result;
  ++shared.of[index].returned;
  return result;
}
// For the calls that lead to others.
template <class... A>
std::uint64_t call(wdk::RoutineId routine, A... arguments) {
  const std::uint64_t values[kMostArguments] = {to_word(arguments)...};
  return perform(static_cast<unsigned>(routine), values);
}

// The newest first. False: there is none.
bool give_back() {
  const PKTHREAD self = KeGetCurrentThread();  // others may run in this call, and not between the following lines
  if (debt_count == 0) return false;
  const Debt debt = debts[debt_count - 1];
  if (debt.thread != self || debt.depth != depth) return false;
  --debt_count;
  perform(debt.back.routine, debt.back.values.data());
  return true;
}
// At the end of a frame, most of the time.
void settle() {
  while (!the_stock.random.chance(the_stock.wildness / 4) && give_back()) {
  }
}

void call_one() {
  if (calls_left <= 0) return;
  --calls_left;
  if (the_stock.random.chance(30) && give_back()) return;
  const unsigned index = choose(current_irql());
  const Export& chosen = kExports[index];
  // Where no frame lives, and none will.
  constexpr std::uintptr_t kFromTheEnd = 4096;
  the_stock.stack_buffer = Machine::stack_limits().low + kFromTheEnd;
  the_stock.wanted_void = meaning_of_void(chosen.name);
  the_stock.wanted_word = meaning_of_word(chosen.name);
  std::uint64_t values[kMostArguments] = {};
  chosen.draw(the_stock, values);
  last_kind = chosen.first;
  const std::uint64_t result = perform(index, values);
  // Not what belongs to the system, and is somebody's: its types, its adapters.
  if (chosen.result != Kind::Count && chosen.result != Kind::Bytes && chosen.result != Kind::ObjectType && result != 0)
    the_stock.add(chosen.result, State::Good, reinterpret_cast<void*>(result));
  const PKTHREAD self = KeGetCurrentThread();
  if (const auto back = giving_back(index, values, result, the_stock.random); back && debt_count < kMostDebts)
    debts[debt_count++] = {*back, self, depth};
}

// -- ways in ---------------------------------------------------------------------------------------------------------------------------------

std::uint64_t NTAPI inside(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
  make_calls(1 + static_cast<unsigned>(the_stock.random.below(4)));
  return 0;
}
bool generic_call_synchronizes = false;
std::uint64_t NTAPI inside_generic_call(std::uint64_t, std::uint64_t, std::uint64_t done, std::uint64_t barrier) {
  make_calls(1 + static_cast<unsigned>(the_stock.random.below(4)));
  // On all processors or on none.
  if (generic_call_synchronizes) call(wdk::RoutineId::KeSignalCallDpcSynchronize, barrier);
  if (!the_stock.random.chance(the_stock.wildness / 4)) call(wdk::RoutineId::KeSignalCallDpcDone, done);
  return 0;
}
template <class T>
T as_callback() {
  return reinterpret_cast<T>(reinterpret_cast<void*>(&inside));
}

// Calls at the level of the body, or from somewhere else that is begun there. What is illegal at that level ends the case as it should.
void one_step() {
  Random& random = the_stock.random;
  const auto several = [&] { make_calls(1 + static_cast<unsigned>(random.below(5))); };
  // The level up to which each way is open.
  static constexpr Irql kHighest[] = {Irql::High, Irql::Dispatch, Irql::Synch,    Irql::Device, Irql::Dispatch, Irql::Apc,
                                      Irql::Apc,  Irql::Dispatch, Irql::Dispatch, Irql::Apc,    Irql::Apc};
  std::uint64_t way = random.below(16);
  if (way < std::size(kHighest) && current_irql() > kHighest[way] && !random.chance(the_stock.wildness / 6)) way = std::size(kHighest);
  switch (way) {
    case 0: {
      auto* dpc = static_cast<PKDPC>(the_stock.cell(sizeof(KDPC)));
      if (random.chance(80))
        KeInitializeDpc(dpc, as_callback<PKDEFERRED_ROUTINE>(), nullptr);
      else
        KeInitializeThreadedDpc(dpc, as_callback<PKDEFERRED_ROUTINE>(), nullptr);
      if (random.chance(50)) KeSetTargetProcessorDpc(dpc, static_cast<CCHAR>(random.below(4)));
      KeInsertQueueDpc(dpc, nullptr, nullptr);
      return;
    }
    case 1: {
      auto* timer = static_cast<PKTIMER>(the_stock.cell(sizeof(KTIMER)));
      auto* dpc = static_cast<PKDPC>(the_stock.cell(sizeof(KDPC)));
      KeInitializeTimer(timer);
      KeInitializeDpc(dpc, as_callback<PKDEFERRED_ROUTINE>(), nullptr);
      LARGE_INTEGER due;
      due.QuadPart = -static_cast<LONGLONG>(random.below(300'000));
      KeSetTimerEx(timer, due, static_cast<LONG>(random.below(20)), dpc);
      return;
    }
    case 2: KeIpiGenericCall(as_callback<PKIPI_BROADCAST_WORKER>(), 0); return;
    case 3:
      if (void* interrupt = the_stock.find(Kind::Interrupt))
        KeSynchronizeExecution(static_cast<PKINTERRUPT>(interrupt), as_callback<PKSYNCHRONIZE_ROUTINE>(), nullptr);
      return;
    case 4: {
      auto* lock = static_cast<PKSPIN_LOCK>(the_stock.cell(sizeof(KSPIN_LOCK)));
      const KIRQL before = KeAcquireSpinLockRaiseToDpc(lock);
      several();
      KeReleaseSpinLock(lock, before);
      return;
    }
    case 5:
      KeEnterCriticalRegion();
      several();
      KeLeaveCriticalRegion();
      return;
    case 6:
      KeEnterGuardedRegion();
      several();
      KeLeaveGuardedRegion();
      return;
    case 7: {
      auto* item = static_cast<PWORK_QUEUE_ITEM>(the_stock.cell(sizeof(WORK_QUEUE_ITEM)));
      ExInitializeWorkItem(item, as_callback<PWORKER_THREAD_ROUTINE>(), nullptr);
      ExQueueWorkItem(item, DelayedWorkQueue);
      return;
    }
    case 8: {
      auto* apc = static_cast<PKAPC>(the_stock.cell(sizeof(KAPC)));
      KeInitializeApc(apc, KeGetCurrentThread(), OriginalApcEnvironment, as_callback<PKKERNEL_ROUTINE>(), nullptr, nullptr, KernelMode, nullptr);
      KeInsertQueueApc(apc, nullptr, nullptr, 0);
      return;
    }
    case 9:
      generic_call_synchronizes = random.chance(50);
      call(wdk::RoutineId::KeGenericCallDpc, &inside_generic_call, nullptr);
      return;
    case 10: KeExpandKernelStackAndCallout(as_callback<PEXPAND_STACK_CALLOUT>(), nullptr, 4096); return;
    default: several(); return;
  }
}

End end_of(host::Ended how, bool met) {
  switch (how) {
    case host::Ended::ConditionMet: return End::Status;
    case host::Ended::TimeLimit: return met ? End::Status : End::Unfinished;
    case host::Ended::Quiescent: return End::Unfinished;
    case host::Ended::Bugcheck: return End::Bugcheck;
    case host::Ended::Finding: return End::Finding;
    case host::Ended::Deadlock: return End::Deadlock;
    default: return End::NoProgress;
  }
}

lab::Config draw_config(Random& random) {
  static constexpr const char* kProfiles[] = {"strict", "strict", "strict", "checked", "free", "nt52", "win7", "win10"};
  static constexpr const char* kOptions[][3] = {{"wait_check", "entry", "late"},
                                                {"timer_dpc", "direct", "queued"},
                                                {"untargeted_timer", "current", "processor_zero"},
                                                {"timer_table", "per_cpu", "global"},
                                                {"remove_semantics", "exact", "pre_vista_sp1"},
                                                {"threaded_dpc", "enabled", "disabled"},
                                                {"quantum", "classic", "cycles"},
                                                {"latched_chain", "full_pass", "last_claims"},
                                                {"message_lock", "per_message", "shared"},
                                                {"remote_ipi", "idle_only", "react_os"},
                                                {"dpc_time_limit", "0", "20"},
                                                {"dpc_watchdog_period", "0", "40"}};
  lab::Config config;
  config.processors = 1 + static_cast<unsigned>(random.below(4));
  config.options["profile"] = random.one_of(kProfiles);
  for (const auto& option : kOptions)
    if (random.chance(15)) config.options[option[0]] = option[1 + random.below(2)];
  config.memory = std::size_t{64} << 20;
  config.remember_events = random.chance(5) ? 1000 : 0;
  config.hash = random.chance(10);
  config.checks.on = random.chance(60);
  config.checks.keep_going = random.chance(40);
  return config;
}

}  // namespace

Stock& stock() { return the_stock; }

void make_calls(unsigned count) {
  if (depth >= kMostDepth) return;
  for (; count > 0; --count) call_one();
  settle();
}

End run_case(std::uint64_t seed, const Wish& wish, Shared& shared, std::string& said) {
  shared_memory = &shared;
  the_wish = wish;
  shared.call_count = 0;
  shared.setting[0] = 0;
  calls_left = kMostCallsOfACase;
  depth = 0;
  debt_count = 0;
  last_kind = Kind::Count;
  the_stock.begin(seed);
  Random& random = the_stock.random;
  const lab::Config config = draw_config(random);
  std::string setting = fmt::format("{} processors, checks {}", config.processors,
                                    !config.checks.on          ? "off"
                                    : config.checks.keep_going ? "keep going"
                                                               : "on");
  setting += fmt::format(", wildness {}", the_stock.wildness);
  for (const auto& [name, value] : config.options) setting += fmt::format(", {}={}", name, value);
  std::strncpy(shared.setting, setting.c_str(), sizeof shared.setting - 1);

  sim::guard::set_patience(600);
  std::string why;
  auto machine = lab::Machine::create(config, why);
  if (machine == nullptr) {
    said = why;
    return End::Count;
  }
  host::Outcome outcome;
  bool done = true;
  const auto run = [&](const std::function<bool()>& condition, std::uint64_t milliseconds) {
    outcome = host::run_until(condition, milliseconds * 1'000'000);
    done = !condition || condition();
    return outcome.how == host::Ended::ConditionMet || outcome.how == host::Ended::TimeLimit || outcome.how == host::Ended::Quiescent;
  };
  const lab::Task furnished = machine->start(0, PASSIVE_LEVEL, [] { furnish(the_stock); });
  bool goes_on = run([&] { return furnished.done(); }, 1'000) && done;
  std::vector<lab::Task> tasks;
  if (goes_on) {
    static constexpr unsigned kLevels[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const std::uint64_t count = 1 + random.below(3);
    for (std::uint64_t number = 0; number < count; ++number) {
      const unsigned steps = 1 + static_cast<unsigned>(random.below(8));
      tasks.push_back(machine->start(static_cast<unsigned>(random.below(config.processors)), random.one_of(kLevels),
                                     [steps] {
                                       for (unsigned step = 0; step < steps; ++step) one_step();
                                       settle();
                                     },
                                     {.priority = 1 + static_cast<unsigned>(random.below(31))}));
    }
    const auto all_done = [&] {
      for (const lab::Task& task : tasks)
        if (!task.done()) return false;
      return true;
    };
    for (unsigned slice = 0; slice < 3 && goes_on; ++slice) {
      if (random.chance(50)) machine->send_message(random.chance(50) ? 0x51 : 0x93, static_cast<unsigned>(random.below(config.processors)));
      goes_on = run(all_done, 20);
    }
    if (goes_on) goes_on = run(all_done, 1'500);
    const bool all = done;
    if (goes_on) goes_on = run({}, 100);  // timers, DPCs, work items
    done = all;
  } else {
    said = "the furniture";
  }
  const End end = end_of(outcome.how, done);
  if (wish.reports || end == End::NoProgress || random.chance(2)) {
    machine->run_until([] { return true; }, 0ms);  // a run that is over is described
    said += machine->outcome().report();
  }
  ++shared.ended[static_cast<unsigned>(end)];
  for (unsigned index = shared.call_count; index-- > 0;) {
    if (shared.calls[index].returned && index != 0 && end != End::Status) continue;
    ++shared.of[shared.calls[index].routine].ended[static_cast<unsigned>(end)];
    break;
  }
  return end;
}

}  // namespace kdpc::fuzz
