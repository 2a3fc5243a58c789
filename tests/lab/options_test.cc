// Every option, in both its readings (SEMANTICS 14.1): the table says which test shows what, and the tests that are nowhere else are here. The page
// about scenarios lists the same options and profiles.
#include <wdm.h>

#include <fstream>
#include <set>
#include <sstream>

#include "kdpc/test.h"
#include "lab/profiles.h"
#include "lab/settings.h"

using namespace std::chrono_literals;
using namespace kdpc::test;
namespace lab = kdpc::lab;

namespace {

// -- the table ------------------------------------------------------------------------------------------------------------------------------

struct Shown {
  const char* option;
  const char* value;
  const char* file;  // below tests/
  const char* test;  // Suite, Name
};

// The default first. A test of another value names it in its `.options`, except for those that try several machines.
constexpr Shown kShown[] = {
    {"irql_checks", "strict", "lab/options_test.cc", "IrqlChecks, EachProfileHasItsOwnWordForEachMistake"},
    {"irql_checks", "checked", "kernel/irql_test.cc", "Irql, ACheckedBuildStopsWithItsOwnCodes"},
    {"irql_checks", "free", "kernel/irql_test.cc", "Irql, AFreeBuildLowersAndRaisesAsItIsTold"},
    {"depth_compare", "greater_or_equal", "kernel/drain_test.cc", "DpcRemote, TheFourthLowDpcReachesTheDefaultDepth"},
    {"depth_compare", "greater", "kernel/drain_test.cc", "DpcRemote, WithTheOtherReadingTheFifthExceedsIt"},
    {"remote_ipi", "microsoft", "kernel/drain_test.cc", "DpcRemote, ABusyTargetIsInterruptedForMediumHighAndHighOnly"},
    {"remote_ipi", "idle_only", "kernel/drain_test.cc", "DpcRemote, UnderTheOldRuleABusyTargetIsNotInterrupted"},
    {"remote_ipi", "react_os", "lab/options_test.cc", "RemoteIpi, OfReactOsIsForHighAndForDeepQueues"},
    {"medium_high_remote", "immediate", "kernel/drain_test.cc", "DpcRemote, ABusyTargetIsInterruptedForMediumHighAndHighOnly"},
    {"medium_high_remote", "as_medium", "kernel/drain_test.cc", "DpcRemote, MediumHighAsMediumIsAnOption"},
    {"idle_low_medium", "wake", "kernel/drain_test.cc", "DpcRemote, AnIdleTargetIsWokenForEveryImportance"},
    {"idle_low_medium", "wait", "kernel/idle_ticks_test.cc", "IdleTicks, OfAllProcessorsBoundTheWaitOfADeferredDpcByOneTick"},
    {"threaded_dpc", "enabled", "kernel/threaded_dpc_test.cc", "ThreadedDpc, RunsAtPassiveInAThreadOfTheHighestPriorityOnItsProcessor"},
    {"threaded_dpc", "disabled", "kernel/threaded_dpc_test.cc", "ThreadedDpc, WithTheOptionDisabledTheyAreOrdinaryOnes"},
    {"remove_semantics", "exact", "kernel/dpc_remove_test.cc", "DpcRemove, TrueIsExact"},
    {"remove_semantics", "pre_vista_sp1", "kernel/dpc_remove_test.cc", "DpcRemove, BeforeVistaSp1ItMayStillRunOnce"},
    {"watchdog_action", "violation", "lab/options_test.cc", "Tunables, TheWatchdogPeriodIs7680Ticks"},
    {"watchdog_action", "vista", "kernel/watchdog_options_test.cc", "WatchdogAction, OnVistaTheCodeIsTheOlderOne"},
    {"watchdog_action", "windows_7", "kernel/watchdog_options_test.cc", "WatchdogAction, OnWindows7ItPrintsAndAllowsTwiceTheTime"},
    {"timer_dpc", "direct", "kernel/timer_dpc_test.cc", "TimerDpc, IsCalledFromTheExpiryItselfAndItsImportanceIsIgnored"},
    {"timer_dpc", "queued", "kernel/timer_dpc_test.cc", "TimerDpc, IsQueuedByOptionAndThenImportanceDecides"},
    {"untargeted_timer", "current", "kernel/timer_dpc_test.cc", "TimerTable, OfAnUntargetedTimerIsTheOneOfTheProcessorThatSetIt"},
    {"untargeted_timer", "processor_zero", "kernel/timer_dpc_test.cc", "TimerTable, OfAnUntargetedTimerCanBeProcessorZerosByOption"},
    {"timer_table", "per_cpu", "kernel/timer_table_test.cc", "TimerConcurrency, OneTablePerProcessorKeepsThePeriodicDpcToItself"},
    {"timer_table", "global", "kernel/timer_table_test.cc", "TimerConcurrency, InTheGlobalTableAnotherProcessorTakesTheNextExpiry"},
    {"quantum", "classic", "kernel/quantum_test.cc", "Quantum, InTicksAThreadPaysForTheWholeTickThatFindsIt"},
    {"quantum", "cycles", "kernel/quantum_test.cc", "Quantum, InCyclesAThreadPaysForWhatItHasRun"},
    {"idle_ticks", "all", "kernel/idle_ticks_test.cc", "IdleTicks, OfAllProcessorsBoundTheWaitOfADeferredDpcByOneTick"},
    {"idle_ticks", "timekeeper_only", "kernel/idle_ticks_test.cc", "IdleTicks, OfTheTimekeeperOnlyLeaveADeferredDpcWaitingUntilSomethingElseWakes"},
    {"delay", "exact", "kernel/coalescing_test.cc", "TimerAccuracy, ADelayCountsFromTheExactTime"},
    {"delay", "from_tick", "kernel/coalescing_test.cc", "TimerAccuracy, ADelayThatCountsFromTheTickAsBeforeWindows8MayBeEarly"},
    {"latched_chain", "full_pass", "kernel/interrupt_chain_test.cc", "Chain, OnALatchedVectorWholePassesAreMadeUntilOneFindsNothing"},
    {"latched_chain", "last_claims", "kernel/interrupt_chain_test.cc", "Chain, WithLastClaimsTheLastAnswerDecides"},
    {"connect_interrupt_ex", "vista", "io/connect_test.cc", "Connect, EveryVersionConnectsAndDisconnects"},
    {"connect_interrupt_ex", "nt52", "io/connect_test.cc", "Connect, BeforeVistaOnlyTheFullySpecifiedVersionIsKnown"},
    {"message_lock", "per_message", "io/message_test.cc", "Messages, TwoMessagesOfOneDeviceRunOnTwoProcessorsAtOnce"},
    {"message_lock", "shared", "io/message_test.cc", "Messages, WithASharedLockTheyExcludeEachOther"},
    {"wait_check", "entry", "kernel/wait_test.cc", "WaitAtDispatch, IsRefusedAtEntryEvenIfItWouldNotBlock"},
    {"wait_check", "late", "kernel/wait_test.cc", "WaitAtDispatch, IsRefusedOnlyWhenItBlocksByOption"},
    {"debug_filter", "all", "wdk/rtl_more_test.cc", "DebugFilter, EverythingIsShownByDefault"},
    {"debug_filter", "windows", "wdk/rtl_more_test.cc", "DebugFilter, AsWindowsErrorsOnly"},
    {"debug_mask", "1", "wdk/rtl_more_test.cc", "DebugFilter, AsWindowsErrorsOnly"},
    {"debug_mask", "8", "wdk/rtl_more_test.cc", "DebugFilter, TheMaskLetsMoreThrough"},
    {"dpc_queue_depth", "4", "kernel/drain_test.cc", "DpcRemote, TheFourthLowDpcReachesTheDefaultDepth"},
    {"dpc_queue_depth", "2", "lab/options_test.cc", "Tunables, TheQueueDepthDecidesWhichLowDpcAsksForADrain"},
    {"minimum_dpc_rate", "3", "lab/options_test.cc", "Tunables, AColdProcessorDrainsLowDpcsAtOnce"},
    {"minimum_dpc_rate", "0", "kernel/drain_test.cc", "DpcDrain, AnIdleProcessorDrainsItsDeferredDpcs"},
    {"adjust_dpc_threshold", "20", "lab/options_test.cc", "Tunables, TheDepthClimbsAfterTwentyQuietTicks"},
    {"adjust_dpc_threshold", "5", "lab/options_test.cc", "Tunables, TheDepthClimbsAfterAsManyQuietTicksAsOneLikes"},
    {"ideal_dpc_rate", "20", "lab/options_test.cc", "Tunables, TheDepthClimbsAfterTwentyQuietTicks"},
    {"ideal_dpc_rate", "0", "lab/options_test.cc", "Tunables, WithAnIdealRateOfZeroTheDepthNeverFalls"},
    {"dpc_time_limit", "1280", "kernel/watchdog_test.cc", "DpcWatchdog, TheDefaultLimitIs1280Ticks"},
    {"dpc_time_limit", "3", "kernel/watchdog_test.cc", "DpcWatchdog, ADpcThatExceedsItsAllotmentIsStoppedWithTheCountAndTheLimit"},
    {"dpc_watchdog_period", "7680", "lab/options_test.cc", "Tunables, TheWatchdogPeriodIs7680Ticks"},
    {"dpc_watchdog_period", "20", "kernel/dpc_test.cc", "DpcInsert, ADpcThatAlwaysRequeuesItselfMeetsTheCumulativeWatchdog"},
    {"clock_watchdog_ticks", "64", "kernel/watchdog_options_test.cc", "ClockWatchdog, AProcessorThatTakesNoClockInterruptIsFoundByAnother"},
    {"clock_watchdog_ticks", "4", "kernel/watchdog_options_test.cc", "ClockWatchdog, TheLimitIsAnOption"},
    {"ipi_time_limit_ms", "1000", "lab/options_test.cc", "Tunables, AProcessorHasASecondToTakeAnIpi"},
    {"ipi_time_limit_ms", "5", "kernel/generic_call_test.cc", "IpiGenericCall, AProcessorThatTakesNoIpiIsFound"},
    {"yield_budget_us", "100", "kernel/watchdog_options_test.cc", "ShouldYield, WhenADpcHasUsedItsBudget"},
    {"yield_budget_us", "1000", "kernel/watchdog_options_test.cc", "ShouldYield, TheBudgetIsAnOption"},
    {"storm_dispatches", "30000", "lab/options_test.cc", "Storm, IsThirtyThousandDispatchesWithin55Ticks"},
    {"storm_dispatches", "300", "kernel/interrupt_test.cc", "Interrupt, ALineThatNobodyQuietsIsAStorm"},
    {"storm_ticks", "55", "lab/options_test.cc", "Storm, OfSlowInterruptsIsSeenWithinTheTicks"},
    {"storm_ticks", "5", "lab/options_test.cc", "Storm, OfSlowInterruptsIsNoneIfTheTicksAreFewer"},
    {"quantum_reset", "6", "kernel/thread_test.cc", "Quantum, OfTwoTicksIsSharedRoundRobin"},
    {"quantum_reset", "18", "kernel/thread_test.cc", "Quantum, CanBeLonger"},
};

std::string text_of(const std::string& file) {
  std::ifstream stream(file);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

TEST(OptionTable, EveryValueOfEveryOptionIsShownByATestThatExists) {
  std::set<std::pair<std::string, std::string>> shown;
  for (const Shown& row : kShown) {
    shown.emplace(row.option, row.value);
    const std::string text = text_of(std::string(KDPC_SOURCE_DIR "/tests/") + row.file);
    const auto head = text.find("TEST(" + std::string(row.test));
    ASSERT_NE(head, std::string::npos) << row.file << ": there is no test " << row.test;
    std::string definition = text.substr(head, text.find(") {", head) - head);
    const auto defaults = lab::settings_of({});
    ASSERT_TRUE(defaults.contains(row.option)) << row.option;
    if (defaults.at(row.option) == row.value) continue;
    EXPECT_NE(definition.find(std::string("{\"") + row.option + "\", \"" + row.value + "\"}"), std::string::npos)
        << row.file << ": " << row.test << " does not set " << row.option << " = " << row.value;
  }
  for (const lab::OptionRow& option : lab::option_table()) {
    EXPECT_TRUE(shown.contains({option.name, option.default_value})) << option.name << " = " << option.default_value;
    std::stringstream choices(option.choices);
    unsigned others = 0;
    for (std::string choice; std::getline(choices >> std::ws, choice, ',');)
      if (choice != option.default_value) EXPECT_TRUE(shown.contains({option.name, choice})) << option.name << " = " << choice;
    for (const auto& [name, value] : shown) others += name == option.name && value != option.default_value ? 1 : 0;
    EXPECT_GE(others, 1u) << option.name;
  }
}

// -- the page -------------------------------------------------------------------------------------------------------------------------------

// The cells of the table rows between two headings.
std::vector<std::vector<std::string>> rows_below(const std::string& page, const std::string& heading) {
  std::vector<std::vector<std::string>> rows;
  std::stringstream lines(page.substr(page.find("\n" + heading + "\n") + heading.size() + 2));
  for (std::string line; std::getline(lines, line) && !line.starts_with("#");) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::stringstream row(line.substr(2));
    for (std::string cell; std::getline(row, cell, '|');) {
      cell.erase(cell.find_last_not_of(' ') + 1);
      cell.erase(0, cell.find_first_not_of(' '));
      cells.push_back(cell);
    }
    rows.push_back(cells);
  }
  return rows;
}

TEST(OptionPage, ListsAllOptionsWithTheirValuesInOrder) {
  const auto rows = rows_below(text_of(KDPC_SOURCE_DIR "/docs/scenarios.md"), "## Options");
  const auto options = lab::option_table();
  for (std::size_t index = 0; index < std::max(rows.size(), options.size()); ++index) {
    ASSERT_LT(index, rows.size()) << "not in docs/scenarios.md: " << options[index].name;
    ASSERT_LT(index, options.size()) << "no option: " << rows[index][0];
    const lab::OptionRow& option = options[index];
    ASSERT_EQ(rows[index].size(), 4u) << option.name;
    EXPECT_EQ(rows[index][0], "`" + option.name + "`");
    EXPECT_EQ(rows[index][1], option.choices.empty() ? option.default_value : option.choices) << option.name;
    EXPECT_FALSE(rows[index][2].empty() || rows[index][3].empty()) << option.name;
  }
}

TEST(OptionPage, ListsAllProfilesWithWhatTheyChange) {
  const auto rows = rows_below(text_of(KDPC_SOURCE_DIR "/docs/scenarios.md"), "## Profiles");
  const auto& profiles = lab::profiles();
  ASSERT_EQ(rows.size(), profiles.size());
  for (std::size_t index = 0; index < rows.size(); ++index) {
    EXPECT_EQ(rows[index][0], "`" + std::string(profiles[index].name) + "`");
    std::string changes;
    for (const auto& [name, value] : profiles[index].settings) changes += (changes.empty() ? "" : ", ") + name + " = " + value;
    EXPECT_EQ(rows[index][1], changes.empty() ? "nothing" : changes) << rows[index][0];
  }
}

// -- profiles -------------------------------------------------------------------------------------------------------------------------------

TEST(Profile, IsTheDefaultsAndWhatItChanges) {
  for (const lab::Profile& profile : lab::profiles()) {
    const auto options = lab::options_from({{"profile", std::string(profile.name)}});
    ASSERT_TRUE(options.ok()) << profile.name;
    auto expected = lab::settings_of({});
    for (const auto& [name, value] : profile.settings) {
      ASSERT_TRUE(expected.contains(name)) << profile.name << ": " << name;
      EXPECT_NE(expected[name], value) << profile.name << ": " << name << " is the default already";
      expected[name] = value;
    }
    EXPECT_EQ(lab::settings_of(*options), expected) << profile.name;
  }
  EXPECT_EQ(lab::settings_of(*lab::options_from({{"profile", "strict"}})), lab::settings_of({}));
}

TEST(Profile, IsOverriddenBySingleOptions) {
  const auto options = lab::options_from({{"profile", "win7"}, {"quantum", "classic"}, {"dpc_time_limit", "77"}});
  ASSERT_TRUE(options.ok());
  const auto settings = lab::settings_of(*options);
  EXPECT_EQ(settings.at("quantum"), "classic");
  EXPECT_EQ(settings.at("dpc_time_limit"), "77");
  EXPECT_EQ(settings.at("idle_ticks"), "timekeeper_only");
}

TEST(Profile, ThatDoesNotExistIsAnErrorThatListsThoseThatDo) {
  const auto options = lab::options_from({{"profile", "win11"}});
  ASSERT_FALSE(options.ok());
  EXPECT_EQ(options.error().what, "there is no profile named 'win11'; the profiles are strict, checked, free, nt52, win7, win10");
}

void stall_thirty_seconds_in_a_dpc() {
  static KDPC dpc;
  KeInitializeDpc(
      &dpc, +[](PKDPC, PVOID, PVOID, PVOID) NTAPI { KeStallExecutionProcessor(30'000'000); }, nullptr);
  KeInsertQueueDpc(&dpc, nullptr, nullptr);
}

KDPC_TEST(Profile, OfWindows10HasADpcWatchdog, .options = {{"profile", "win10"}}) {
  m.on(0, PASSIVE_LEVEL, stall_thirty_seconds_in_a_dpc, {.limit = 60s});
  EXPECT_BUGCHECK(0x133, 0);
}

KDPC_TEST(Profile, OfWindows7HasOneThatOnlyPrints, .options = {{"profile", "win7"}}) {
  m.on(0, PASSIVE_LEVEL, stall_thirty_seconds_in_a_dpc, {.limit = 60s});
  EXPECT_NO_FINDINGS();
  EXPECT_EQ(m.debug_lines().size(), 1u);
}

KDPC_TEST(Profile, OfServer2003HasNone, .options = {{"profile", "nt52"}}) {
  m.on(0, PASSIVE_LEVEL, stall_thirty_seconds_in_a_dpc, {.limit = 60s});
  EXPECT_NO_FINDINGS();
  EXPECT_EQ(m.debug_lines().size(), 0u);
}

KDPC_TEST(Profile, OfServer2003HasOneTimerTable, .processors = 2, .options = {{"profile", "nt52"}}) {
  static KTIMER timer;
  static KDPC dpc;
  static volatile ULONG ran_on = 99;
  m.on(1, PASSIVE_LEVEL, [] {
    KeInitializeTimer(&timer);
    KeInitializeDpc(
        &dpc, +[](PKDPC, PVOID, PVOID, PVOID) NTAPI { ran_on = KeGetCurrentProcessorNumber(); }, nullptr);
    LARGE_INTEGER due;
    due.QuadPart = -200'000;
    KeSetTimer(&timer, due, &dpc);
  });
  m.run_for(50ms);
  EXPECT_EQ(ran_on, 0u);  // set by processor 1, but processor 0's clock is the first to look
}

// -- irql_checks: IRQL-7 ------------------------------------------------------------------------------------------------------------------------

KSPIN_LOCK lock;
KEVENT event;
KTIMER timer;
KDPC dpc;

struct Stop {
  std::uint32_t code = 0;  // 0: none
  std::uint64_t p1 = 0;
};

struct Mistake {
  const char* name;
  unsigned level;
  void (*make)();
  Stop strict, checked, free;
};

const Mistake kMistakes[] = {
    {"KeRaiseIrql to lower", DISPATCH_LEVEL, [] { KfRaiseIrql(APC_LEVEL), KfRaiseIrql(DISPATCH_LEVEL); }, {0xC4, 0x30}, {0x9, DISPATCH_LEVEL}, {}},
    {"KeLowerIrql to higher",
     PASSIVE_LEVEL,
     [] {
       KeLowerIrql(DISPATCH_LEVEL);
       KeLowerIrql(PASSIVE_LEVEL);
     },
     {0xC4, 0x31},
     {0xA, PASSIVE_LEVEL},
     {}},
    {"KeLowerIrql below DISPATCH in a DPC",
     PASSIVE_LEVEL,
     [] {
       KeInitializeDpc(
           &dpc,
           +[](PKDPC, PVOID, PVOID, PVOID) NTAPI {
             KeLowerIrql(PASSIVE_LEVEL);
             KfRaiseIrql(DISPATCH_LEVEL);
           },
           nullptr);
       KeInsertQueueDpc(&dpc, nullptr, nullptr);
     },
     {0xC4, 0x31},
     {},
     {}},
    {"KeAcquireSpinLock above DISPATCH",
     5,
     [] {
       const KIRQL old = KeAcquireSpinLockRaiseToDpc(&lock);
       KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);  // NT's store drops the level
       KDPC_EXPECT_EQ(old, 5);
       KeReleaseSpinLock(&lock, old);
     },
     {0xC4, 0x42},
     {0xA, 5},
     {}},
    {"KeAcquireSpinLockAtDpcLevel below DISPATCH",
     PASSIVE_LEVEL,
     [] {
       KeAcquireSpinLockAtDpcLevel(&lock);
       KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
     },
     {0xC4, 0x40},
     {0x9, PASSIVE_LEVEL},
     {}},
    {"KeReleaseSpinLockFromDpcLevel below DISPATCH",
     PASSIVE_LEVEL,
     [] {
       const KIRQL old = KeAcquireSpinLockRaiseToDpc(&lock);
       KeLowerIrql(old);
       KeReleaseSpinLockFromDpcLevel(&lock);
       KDPC_EXPECT(lock == 0);
     },
     {0xC4, 0x41},
     {0x9, PASSIVE_LEVEL},
     {}},
    {"KeReleaseSpinLock not at DISPATCH",
     PASSIVE_LEVEL,
     [] {
       const KIRQL old = KeAcquireSpinLockRaiseToDpc(&lock);
       KeLowerIrql(old);
       KeReleaseSpinLock(&lock, old);
       KDPC_EXPECT(lock == 0);
     },
     {0xC4, 0x32},
     {},
     {}},
    {"KeSetEvent above DISPATCH", 5, [] { KeSetEvent(&event, 0, FALSE); }, {0xC4, 0x80}, {}, {}},
    {"KeEnterCriticalRegion above APC", DISPATCH_LEVEL, [] { KeEnterCriticalRegion(), KeLeaveCriticalRegion(); }, {0xC4, 0x11A}, {}, {}},
    {"a kernel API at a wrong IRQL", 5, [] { KeCancelTimer(&timer); }, {0xC4, 0xE5}, {}, {}},
    {"paged pool above APC", DISPATCH_LEVEL, [] { ExAllocatePoolWithTag(PagedPool, 16, 1); }, {0xC4, 1}, {0xC2, 8}, {0xC2, 8}},
    {"nonpaged pool above DISPATCH", 5, [] { ExAllocatePoolWithTag(NonPagedPoolNx, 16, 1); }, {0xC4, 2}, {0xC2, 8}, {0xC2, 8}},
};

TEST(IrqlChecks, EachProfileHasItsOwnWordForEachMistake) {
  RULE("IRQL-7");
  RULE("IRQL-8");
  for (const Mistake& mistake : kMistakes) {
    const std::pair<const char*, Stop> cases[] = {{"strict", mistake.strict}, {"checked", mistake.checked}, {"free", mistake.free}};
    for (const auto& [profile, expected] : cases) {
      SCOPED_TRACE(std::string(mistake.name) + ", " + profile);
      std::string why;
      lab::take_notes();
      const auto machine = lab::Machine::create({.options = {{"profile", profile}}}, why);
      ASSERT_NE(machine, nullptr) << why;
      machine->on(0, PASSIVE_LEVEL, [] {
        KeInitializeSpinLock(&lock);
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        KeInitializeTimer(&timer);
      });
      machine->on(0, mistake.level, mistake.make);
      const auto& stop = machine->outcome().bugcheck;
      EXPECT_EQ(stop ? stop->code : 0, expected.code) << machine->outcome().report();
      if (stop && expected.code != 0) EXPECT_EQ(stop->parameters[0], expected.p1);
      for (const lab::Note& note : lab::take_notes()) ADD_FAILURE_AT(note.file, note.line) << note.expression;
    }
  }
}

// -- remote_ipi: TAB-1 ----------------------------------------------------------------------------------------------------------------------

volatile bool release_it = false;
volatile int runs = 0;
VOID NTAPI count_run(PKDPC, PVOID, PVOID, PVOID) { runs = runs + 1; }
KDPC dpcs[8];

void prepare_for_one(PKDPC its_dpc, KDPC_IMPORTANCE importance) {
  KeInitializeDpc(its_dpc, count_run, nullptr);
  KeSetImportanceDpc(its_dpc, importance);
  KeSetTargetProcessorDpc(its_dpc, 1);
}

KDPC_TEST(RemoteIpi, OfReactOsIsForHighAndForDeepQueues, .processors = 2, .options = {{"remote_ipi", "react_os"}}) {
  RULE("TAB-1");
  runs = 0;
  release_it = false;
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] {
    prepare_for_one(&dpcs[0], MediumHighImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);  // not even for an idle processor
    KeStallExecutionProcessor(1'000);
    KDPC_EXPECT_EQ(runs, 0);
    prepare_for_one(&dpcs[1], HighImportance);
    KeInsertQueueDpc(&dpcs[1], nullptr, nullptr);
    KeStallExecutionProcessor(1'000);
    KDPC_EXPECT_EQ(runs, 2);
  });
  auto busy = m.start(1, PASSIVE_LEVEL, [] {
    while (!release_it) KeStallExecutionProcessor(10);
  });
  m.run_for(1ms);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] {
    for (int index = 0; index < 4; ++index) {
      prepare_for_one(&dpcs[index], MediumHighImportance);
      KeInsertQueueDpc(&dpcs[index], nullptr, nullptr);
    }
  });
  const auto queued = m.events("dpc-queued", {{"routine", m.address_of(&count_run)}});
  ASSERT_EQ(queued.size(), 4u);
  for (int index = 0; index < 4; ++index) EXPECT_EQ(queued[index]["drain_requested"], index == 3 ? 1u : 0u) << index;
  release_it = true;
  m.run_until([&] { return busy.done(); }, 100ms);
}

// -- tunables: 3.3, 3.4 ---------------------------------------------------------------------------------------------------------------------

KDPC_TEST(Tunables, TheQueueDepthDecidesWhichLowDpcAsksForADrain, .processors = 2, .options = {{"dpc_queue_depth", "2"}}) {
  RULE("TAB-2");
  release_it = false;
  auto busy = m.start(1, PASSIVE_LEVEL, [] {
    while (!release_it) KeStallExecutionProcessor(10);
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] {
    for (int index = 0; index < 2; ++index) {
      prepare_for_one(&dpcs[index], LowImportance);
      KeInsertQueueDpc(&dpcs[index], nullptr, nullptr);
    }
  });
  const auto queued = m.events("dpc-queued", {{"routine", m.address_of(&count_run)}});
  ASSERT_EQ(queued.size(), 2u);
  EXPECT_EQ(queued[0]["drain_requested"], 0u);
  EXPECT_EQ(queued[1]["drain_requested"], 1u);
  release_it = true;
  m.run_until([&] { return busy.done(); }, 100ms);
}

KDPC_TEST(Tunables, AColdProcessorDrainsLowDpcsAtOnce) {
  RULE("ADP-3");
  runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpcs[0], count_run, nullptr);
    KeSetImportanceDpc(&dpcs[0], LowImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KDPC_EXPECT_EQ(runs, 1);
  });
}

// Three ticks find a DPC in the queue; then comes quiet. The depths after the three, and after so many quiet ticks.
std::pair<int, int> depths(lab::Machine& m, unsigned quiet_ticks) {
  m.run_for(1ms);
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpcs[0], count_run, nullptr);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KeStallExecutionProcessor(3 * 15'625);
  });
  const int after_three = m.processor_state(0).maximum_dpc_queue_depth;
  m.run_for(quiet_ticks * 15'625us);
  return {after_three, m.processor_state(0).maximum_dpc_queue_depth};
}

KDPC_TEST(Tunables, TheDepthClimbsAfterTwentyQuietTicks) {
  RULE("ADP-2");
  EXPECT_EQ(depths(m, 19), (std::pair{1, 1}));
  m.run_for(15'625us);
  EXPECT_EQ(m.processor_state(0).maximum_dpc_queue_depth, 2);
}

KDPC_TEST(Tunables, TheDepthClimbsAfterAsManyQuietTicksAsOneLikes, .options = {{"adjust_dpc_threshold", "5"}}) {
  RULE("ADP-2");
  EXPECT_EQ(depths(m, 5), (std::pair{1, 2}));
}

KDPC_TEST(Tunables, WithAnIdealRateOfZeroTheDepthNeverFalls, .options = {{"ideal_dpc_rate", "0"}}) {
  RULE("ADP-2");
  EXPECT_EQ(depths(m, 5), (std::pair{4, 4}));
}

KDPC_TEST(Tunables, TheWatchdogPeriodIs7680Ticks) {
  RULE("WDG-1");
  m.on(0, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(119'500'000); }, {.limit = 200s});
  EXPECT_NO_FINDINGS();
  m.on(0, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(120'500'000); }, {.limit = 200s});
  EXPECT_BUGCHECK(0x133, 1, 7680);
}

ULONG_PTR NTAPI nothing(ULONG_PTR context) { return context; }

KDPC_TEST(Tunables, AProcessorHasASecondToTakeAnIpi, .processors = 2) {
  RULE("IPI-2");
  auto deaf = m.start(1, HIGH_LEVEL, [] { KeStallExecutionProcessor(900'000); });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeIpiGenericCall(nothing, 0); });
  EXPECT_NO_FINDINGS();
  m.run_until([&] { return deaf.done(); }, 1s);
  m.start(1, HIGH_LEVEL, [] { KeStallExecutionProcessor(1'100'000); });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeIpiGenericCall(nothing, 0); });
  EXPECT_BUGCHECK(0x1DB);
}

// -- storms: INT-18 -------------------------------------------------------------------------------------------------------------------------

constexpr unsigned kVector = 0x51;
PKINTERRUPT interrupt;
ULONG isr_stalls = 0;
BOOLEAN NTAPI never_quiets(PKINTERRUPT, PVOID) {
  KeStallExecutionProcessor(isr_stalls);
  return TRUE;
}

std::uint64_t dispatches_of_a_stuck_line(lab::Machine& m, ULONG stall, std::chrono::milliseconds time) {
  isr_stalls = stall;
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, never_quiets, nullptr, nullptr, kVector, 5, 5, LevelSensitive, FALSE, 1, FALSE), STATUS_SUCCESS);
  });
  const unsigned line = m.add_line();
  m.assign_line(line, kVector);
  m.assert_line(line);
  m.run_for(time);
  return m.count("activity-began", {{"routine", m.address_of(&never_quiets)}});
}

KDPC_TEST(Storm, IsThirtyThousandDispatchesWithin55Ticks, .remember_events = 100'000) {
  RULE("INT-18");
  EXPECT_GT(dispatches_of_a_stuck_line(m, 0, 500ms), 1000u);
  EXPECT_BUGCHECK(0xF2);
  EXPECT_GT(m.processor_state(0).interrupts, 30'000u);
  EXPECT_LT(m.processor_state(0).interrupts, 30'100u);
}

KDPC_TEST(Storm, OfSlowInterruptsIsSeenWithinTheTicks, .options = {{"storm_dispatches", "300"}}) {
  RULE("INT-18");
  dispatches_of_a_stuck_line(m, 1'000, 2000ms);
  EXPECT_BUGCHECK(0xF2);
}

KDPC_TEST(Storm, OfSlowInterruptsIsNoneIfTheTicksAreFewer, .options = {{"storm_dispatches", "300"}, {"storm_ticks", "5"}}) {
  RULE("INT-18");
  EXPECT_GT(dispatches_of_a_stuck_line(m, 1'000, 1000ms), 900u);
  EXPECT_NO_FINDINGS();
}

}  // namespace
