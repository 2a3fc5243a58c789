// Every option, in both its readings (SEMANTICS 14.1): the table says which test shows what. The page about scenarios lists the same options and
// profiles; and what a profile is.
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
    {"irql_checks", "strict", "lab/option_values_test.cc", "IrqlChecks, EachProfileHasItsOwnWordForEachMistake"},
    {"irql_checks", "checked", "kernel/irql_test.cc", "Irql, ACheckedBuildStopsWithItsOwnCodes"},
    {"irql_checks", "free", "kernel/irql_test.cc", "Irql, AFreeBuildLowersAndRaisesAsItIsTold"},
    {"depth_compare", "greater_or_equal", "kernel/drain_test.cc", "DpcRemote, TheFourthLowDpcReachesTheDefaultDepth"},
    {"depth_compare", "greater", "kernel/drain_test.cc", "DpcRemote, WithTheOtherReadingTheFifthExceedsIt"},
    {"remote_ipi", "microsoft", "kernel/drain_test.cc", "DpcRemote, ABusyTargetIsInterruptedForMediumHighAndHighOnly"},
    {"remote_ipi", "idle_only", "kernel/drain_test.cc", "DpcRemote, UnderTheOldRuleABusyTargetIsNotInterrupted"},
    {"remote_ipi", "react_os", "lab/option_values_test.cc", "RemoteIpi, OfReactOsIsForHighAndForDeepQueues"},
    {"medium_high_remote", "immediate", "kernel/drain_test.cc", "DpcRemote, ABusyTargetIsInterruptedForMediumHighAndHighOnly"},
    {"medium_high_remote", "as_medium", "kernel/drain_test.cc", "DpcRemote, MediumHighAsMediumIsAnOption"},
    {"idle_low_medium", "wake", "kernel/drain_test.cc", "DpcRemote, AnIdleTargetIsWokenForEveryImportance"},
    {"idle_low_medium", "wait", "kernel/idle_ticks_test.cc", "IdleTicks, OfAllProcessorsBoundTheWaitOfADeferredDpcByOneTick"},
    {"threaded_dpc", "enabled", "kernel/threaded_dpc_test.cc", "ThreadedDpc, RunsAtPassiveInAThreadOfTheHighestPriorityOnItsProcessor"},
    {"threaded_dpc", "disabled", "kernel/threaded_dpc_test.cc", "ThreadedDpc, WithTheOptionDisabledTheyAreOrdinaryOnes"},
    {"remove_semantics", "exact", "kernel/dpc_remove_race_test.cc", "DpcRemove, TrueIsExact"},
    {"remove_semantics", "pre_vista_sp1", "kernel/dpc_remove_race_test.cc", "DpcRemove, BeforeVistaSp1ItMayStillRunOnce"},
    {"watchdog_action", "violation", "lab/option_values_test.cc", "Tunables, TheWatchdogPeriodIs7680Ticks"},
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
    {"page_trim", "on", "kernel/pageable_test.cc", "Pageable, AtDispatchReadingPagedPoolIsABugCheck"},
    {"page_trim", "off", "kernel/pageable_test.cc", "Pageable, WithTheOptionOffItIsAlwaysThere"},
    {"wait_check", "entry", "kernel/wait_test.cc", "WaitAtDispatch, IsRefusedAtEntryEvenIfItWouldNotBlock"},
    {"wait_check", "late", "kernel/wait_test.cc", "WaitAtDispatch, IsRefusedOnlyWhenItBlocksByOption"},
    {"debug_filter", "all", "wdk/rtl_more_test.cc", "DebugFilter, EverythingIsShownByDefault"},
    {"debug_filter", "windows", "wdk/rtl_more_test.cc", "DebugFilter, AsWindowsErrorsOnly"},
    {"debug_mask", "1", "wdk/rtl_more_test.cc", "DebugFilter, AsWindowsErrorsOnly"},
    {"debug_mask", "8", "wdk/rtl_more_test.cc", "DebugFilter, TheMaskLetsMoreThrough"},
    {"dpc_queue_depth", "4", "kernel/drain_test.cc", "DpcRemote, TheFourthLowDpcReachesTheDefaultDepth"},
    {"dpc_queue_depth", "2", "lab/option_values_test.cc", "Tunables, TheQueueDepthDecidesWhichLowDpcAsksForADrain"},
    {"minimum_dpc_rate", "3", "lab/option_values_test.cc", "Tunables, AColdProcessorDrainsLowDpcsAtOnce"},
    {"minimum_dpc_rate", "0", "kernel/drain_test.cc", "DpcDrain, AnIdleProcessorDrainsItsDeferredDpcs"},
    {"adjust_dpc_threshold", "20", "lab/option_values_test.cc", "Tunables, TheDepthClimbsAfterTwentyQuietTicks"},
    {"adjust_dpc_threshold", "5", "lab/option_values_test.cc", "Tunables, TheDepthClimbsAfterAsManyQuietTicksAsOneLikes"},
    {"ideal_dpc_rate", "20", "lab/option_values_test.cc", "Tunables, TheDepthClimbsAfterTwentyQuietTicks"},
    {"ideal_dpc_rate", "0", "lab/option_values_test.cc", "Tunables, WithAnIdealRateOfZeroTheDepthNeverFalls"},
    {"dpc_time_limit", "1280", "kernel/watchdog_test.cc", "DpcWatchdog, TheDefaultLimitIs1280Ticks"},
    {"dpc_time_limit", "3", "kernel/watchdog_test.cc", "DpcWatchdog, ADpcThatExceedsItsAllotmentIsStoppedWithTheCountAndTheLimit"},
    {"dpc_watchdog_period", "7680", "lab/option_values_test.cc", "Tunables, TheWatchdogPeriodIs7680Ticks"},
    {"dpc_watchdog_period", "20", "kernel/dpc_test.cc", "DpcInsert, ADpcThatAlwaysRequeuesItselfMeetsTheCumulativeWatchdog"},
    {"clock_watchdog_ticks", "64", "kernel/watchdog_options_test.cc", "ClockWatchdog, AProcessorThatTakesNoClockInterruptIsFoundByAnother"},
    {"clock_watchdog_ticks", "4", "kernel/watchdog_options_test.cc", "ClockWatchdog, TheLimitIsAnOption"},
    {"ipi_time_limit_ms", "1000", "lab/option_values_test.cc", "Tunables, AProcessorHasASecondToTakeAnIpi"},
    {"ipi_time_limit_ms", "5", "kernel/generic_call_test.cc", "IpiGenericCall, AProcessorThatTakesNoIpiIsFound"},
    {"yield_budget_us", "100", "kernel/watchdog_options_test.cc", "ShouldYield, WhenADpcHasUsedItsBudget"},
    {"yield_budget_us", "1000", "kernel/watchdog_options_test.cc", "ShouldYield, TheBudgetIsAnOption"},
    {"storm_dispatches", "30000", "lab/option_values_test.cc", "Storm, IsThirtyThousandDispatchesWithin55Ticks"},
    {"storm_dispatches", "300", "kernel/interrupt_test.cc", "Interrupt, ALineThatNobodyQuietsIsAStorm"},
    {"storm_ticks", "55", "lab/option_values_test.cc", "Storm, OfSlowInterruptsIsSeenWithinTheTicks"},
    {"storm_ticks", "5", "lab/option_values_test.cc", "Storm, OfSlowInterruptsIsNoneIfTheTicksAreFewer"},
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

}  // namespace
