// Where code finds itself: processors, borrowed threads, APCs, and what it may print there. SEMANTICS 15.3.
#include <wdm.h>

#include <cstring>
#include <string>

#include "kdpc/test.h"
#include "kernel/system.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr unsigned kVector = 0x51;

// -- CTX-1: processors ----------------------------------------------------------------------------------------------------------------------

KDPC_TEST(Processors, AreCountedAndNumberedFromZeroInGroupZero, .processors = 4) {
  RULE("CTX-1");
  m.on(0, HIGH_LEVEL, [] {
    KDPC_EXPECT_EQ(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), 4u);
    KDPC_EXPECT_EQ(KeQueryActiveProcessorCountEx(0), 4u);
    KDPC_EXPECT_EQ(KeQueryActiveProcessorCountEx(1), 0u);
    KDPC_EXPECT_EQ(KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS), 4u);
    KDPC_EXPECT_EQ(KeQueryActiveGroupCount(), 1u);
    KDPC_EXPECT_EQ(KeQueryGroupAffinity(0), 15u);
    KAFFINITY active = 0;
    KDPC_EXPECT_EQ(KeQueryActiveProcessorCount(&active), 4u);
    KDPC_EXPECT_EQ(active, 15u);
    KDPC_EXPECT_EQ(KeQueryActiveProcessors(), 15u);
    for (ULONG index = 0; index < 4; ++index) {
      PROCESSOR_NUMBER number = {9, 9, 9};
      KDPC_EXPECT_EQ(KeGetProcessorNumberFromIndex(index, &number), STATUS_SUCCESS);
      KDPC_EXPECT(number.Group == 0 && number.Number == index && number.Reserved == 0);
      KDPC_EXPECT_EQ(KeGetProcessorIndexFromNumber(&number), index);
    }
    PROCESSOR_NUMBER number = {0, 4, 0};
    KDPC_EXPECT_EQ(KeGetProcessorNumberFromIndex(4, &number), STATUS_INVALID_PARAMETER);
    KDPC_EXPECT_EQ(KeGetProcessorIndexFromNumber(&number), ~0u);
  });
}

KDPC_TEST(Processors, TheCurrentOneIsKnownAtEveryLevel, .processors = 3) {
  RULE("CTX-1");
  for (unsigned processor = 0; processor < 3; ++processor)
    for (const unsigned level : {PASSIVE_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL})
      m.on(processor, level, [processor] {
        PROCESSOR_NUMBER number = {9, 9, 9};
        KDPC_EXPECT_EQ(KeGetCurrentProcessorNumberEx(&number), processor);
        KDPC_EXPECT(number.Group == 0 && number.Number == processor && number.Reserved == 0);
        KDPC_EXPECT_EQ(KeGetCurrentProcessorNumberEx(nullptr), processor);
        KDPC_EXPECT_EQ(KeGetCurrentProcessorNumber(), processor);
      });
}

// A thread that may run anywhere looks twice; in between a bound thread of higher priority wants its processor.
struct Looks {
  unsigned level;
  ULONG first, second;
} looks;
KEVENT bound_threads_go;
volatile bool looked = false;

VOID NTAPI look_twice(PVOID) {
  KIRQL old;
  KeRaiseIrql(static_cast<KIRQL>(looks.level), &old);
  looks.first = KeGetCurrentProcessorNumberEx(nullptr);
  KeSetEvent(&bound_threads_go, IO_NO_INCREMENT, FALSE);
  KeStallExecutionProcessor(1000);
  looks.second = KeGetCurrentProcessorNumberEx(nullptr);
  KeLowerIrql(old);
  looked = true;
}

void look_twice_at(kdpc::lab::Machine& m, unsigned level) {
  looks = {level, 9, 9};
  looked = false;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeEvent(&bound_threads_go, NotificationEvent, FALSE); });
  // The processor on which the thread starts is taken from it; the other one becomes free a little later.
  for (unsigned processor = 0; processor < 2; ++processor)
    m.start(processor, PASSIVE_LEVEL,
            [processor] {
              KeWaitForSingleObject(&bound_threads_go, Executive, KernelMode, FALSE, nullptr);
              while (looks.first == 9) KeStallExecutionProcessor(10);
              if (processor == looks.first) KeStallExecutionProcessor(5000);
            },
            {.priority = 12});
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle;
    KDPC_EXPECT_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, look_twice, nullptr), STATUS_SUCCESS);
    ZwClose(handle);
  });
  EXPECT_TRUE(m.run_until([] { return looked; }, within(1s)));
}

KDPC_TEST(Processors, BelowDispatchAThreadMayBeMovedBetweenTwoLooks, .processors = 2,
          .simulated_only = "asks for a state that lasts for milliseconds") {
  RULE("CTX-1");
  look_twice_at(m, PASSIVE_LEVEL);
  EXPECT_NE(looks.first, looks.second);
}

KDPC_TEST(Processors, AtDispatchTheNumberIsStable, .processors = 2) {
  RULE("CTX-1");
  look_twice_at(m, DISPATCH_LEVEL);
  EXPECT_EQ(looks.first, looks.second);
}

// -- CTX-2: the borrowed thread -------------------------------------------------------------------------------------------------------------

PKINTERRUPT interrupt;
KDPC dpc;
PKTHREAD in_isr, in_dpc;
volatile int runs = 0;

VOID NTAPI look_in_dpc(PKDPC, PVOID, PVOID, PVOID) {
  in_dpc = KeGetCurrentThread();
  KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), TRUE);
  runs = runs + 1;
}
BOOLEAN NTAPI look_in_isr(PKINTERRUPT, PVOID) {
  in_isr = KeGetCurrentThread();
  KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), TRUE);
  KeInsertQueueDpc(&dpc, nullptr, nullptr);
  return TRUE;
}

void connect(kdpc::lab::Machine& m) {
  runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, look_in_dpc, nullptr);
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, look_in_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE), STATUS_SUCCESS);
  });
}

KDPC_TEST(BorrowedThread, IsTheOneThatWasInterrupted) {
  RULE("CTX-2");
  static PKTHREAD interrupted;
  interrupted = nullptr;
  connect(m);
  auto task = m.start(0, PASSIVE_LEVEL, [] {
    interrupted = KeGetCurrentThread();
    while (runs == 0) KeStallExecutionProcessor(50);
  });
  EXPECT_TRUE(m.run_until([] { return interrupted != nullptr; }, within(1ms)));
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, within(1s)));
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(in_isr, interrupted);
  EXPECT_EQ(in_dpc, interrupted);
}

KDPC_TEST(BorrowedThread, IsTheIdleThreadOfAnIdleProcessor) {
  RULE("CTX-2");
  connect(m);
  EXPECT_TRUE(m.run_until([&] { return m.processor_state(0).idle; }, within(1ms)));
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(1s)));
  EXPECT_EQ(in_isr, reinterpret_cast<PKTHREAD>(kdpc::processor(0).idle_thread));
  EXPECT_EQ(in_dpc, in_isr);
}

KDPC_TEST(Apcs, AreAllDisabledFromApcLevelOn) {
  RULE("CTX-2");
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), FALSE); });
  for (unsigned level = APC_LEVEL; level <= HIGH_LEVEL; ++level) m.on(0, level, [] { KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), TRUE); });
}

KDPC_TEST(Apcs, ACriticalRegionDisablesTheNormalOnesOnlyAndNests) {
  RULE("CTX-2");
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), FALSE);
    KeEnterCriticalRegion();
    KeEnterCriticalRegion();
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), TRUE);
    KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), FALSE);
    KeLeaveCriticalRegion();
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), TRUE);
    KeLeaveCriticalRegion();
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), FALSE);
  });
}

// -- CTX-1: group affinity, processors that come --------------------------------------------------------------------------------------------

KDPC_TEST(GroupAffinity, MovesTheThreadAndRevertsToItsOwn, .processors = 4) {
  RULE("CTX-1");
  m.on(1, PASSIVE_LEVEL, [] {
    const auto here = [] { return KeGetCurrentProcessorNumberEx(nullptr); };
    GROUP_AFFINITY third = {KAFFINITY{1} << 3, 0, {}}, second = {KAFFINITY{1} << 2, 0, {}};
    GROUP_AFFINITY none = {99, 9, {}}, outer = {};
    KeSetSystemGroupAffinityThread(&third, &none);
    KDPC_EXPECT_EQ(here(), 3u);
    KDPC_EXPECT(none.Mask == 0 && none.Group == 0);
    KeSetSystemGroupAffinityThread(&second, &outer);
    KDPC_EXPECT_EQ(here(), 2u);
    KDPC_EXPECT_EQ(outer.Mask, third.Mask);
    KeRevertToUserGroupAffinityThread(&outer);
    KDPC_EXPECT_EQ(here(), 3u);
    KeRevertToUserGroupAffinityThread(&none);
    KDPC_EXPECT_EQ(here(), 1u);
  });
}

KDPC_TEST(GroupAffinity, ThatMakesNoSenseChangesNothing, .processors = 2) {
  RULE("CTX-1");
  m.on(1, PASSIVE_LEVEL, [] {
    for (GROUP_AFFINITY wrong : {GROUP_AFFINITY{1, 1, {}}, GROUP_AFFINITY{0, 0, {}}, GROUP_AFFINITY{5, 0, {}}, GROUP_AFFINITY{1, 0, {0, 1, 0}}}) {
      GROUP_AFFINITY previous = {77, 7, {}};
      KeSetSystemGroupAffinityThread(&wrong, &previous);
      KDPC_EXPECT_EQ(KeGetCurrentProcessorNumberEx(nullptr), 1u);
      KDPC_EXPECT(previous.Mask == 0 && previous.Group == 0);
    }
    KDPC_EXPECT_EQ(KeQueryMaximumGroupCount(), 1u);
  });
}

char changes[64];
int change_count;
NTSTATUS refusal;
VOID NTAPI processor_changes(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change, PNTSTATUS OperationStatus) {
  KDPC_EXPECT_EQ(Context, &change_count);
  KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
  KDPC_EXPECT(Change->ProcNumber.Group == 0 && Change->ProcNumber.Number == Change->NtNumber);
  changes[change_count++] = static_cast<char>("scf"[Change->State] - (Change->NtNumber != 0 ? 'a' - 'A' : 0));
  KDPC_EXPECT_EQ(Change->Status, Change->State == KeProcessorAddFailureNotify ? refusal : STATUS_SUCCESS);
  if (Change->NtNumber == 1 && Change->State == KeProcessorAddStartNotify) *OperationStatus = refusal;
}

void register_callback(kdpc::lab::Machine& m, ULONG flags, NTSTATUS status, const char* expected) {
  std::memset(changes, 0, sizeof changes);
  change_count = 0;
  refusal = status;
  m.on(0, PASSIVE_LEVEL, [flags] {
    PVOID handle = KeRegisterProcessorChangeCallback(processor_changes, &change_count, flags);
    KDPC_EXPECT_EQ(handle != nullptr, NT_SUCCESS(refusal));
    if (handle != nullptr) KeDeregisterProcessorChangeCallback(handle);
  });
  EXPECT_STREQ(changes, expected);
}

KDPC_TEST(ProcessorChange, TellsOfTheProcessorsThatAreThereIfAsked, .processors = 2) {
  RULE("CTX-1");
  register_callback(m, 0, STATUS_SUCCESS, "");
  register_callback(m, KE_PROCESSOR_CHANGE_ADD_EXISTING, STATUS_SUCCESS, "sScC");
}

KDPC_TEST(ProcessorChange, ThatIsRefusedIsTakenBackForThoseBefore, .processors = 2) {
  RULE("CTX-1");
  register_callback(m, KE_PROCESSOR_CHANGE_ADD_EXISTING, STATUS_INSUFFICIENT_RESOURCES, "sSf");
}

// -- CTX-3: floating point ------------------------------------------------------------------------------------------------------------------

XSTATE_SAVE saves[2];

KDPC_TEST(FloatingPoint, NeedsNothingSavedButAvxDoes) {
  RULE("CTX-3");
  for (const unsigned level : {PASSIVE_LEVEL, DISPATCH_LEVEL})
    m.on(0, level, [] {
      KFLOATING_SAVE save;
      KDPC_EXPECT_EQ(KeSaveFloatingPointState(&save), STATUS_SUCCESS);
      KDPC_EXPECT_EQ(KeRestoreFloatingPointState(&save), STATUS_SUCCESS);
      KDPC_EXPECT_EQ(KeSaveExtendedProcessorState(XSTATE_MASK_GSSE, &saves[0]), STATUS_SUCCESS);
      KDPC_EXPECT_EQ(KeSaveExtendedProcessorState(XSTATE_MASK_GSSE, &saves[1]), STATUS_SUCCESS);
      KDPC_EXPECT(saves[1].Prev == &saves[0] && saves[1].Thread == KeGetCurrentThread());
      KeRestoreExtendedProcessorState(&saves[1]);
      KeRestoreExtendedProcessorState(&saves[0]);
    });
}

KDPC_TEST(ExtendedState, RestoredInTheWrongOrderIsAFinding) {
  RULE("CTX-3");
  m.on(0, PASSIVE_LEVEL, [] {
    KeSaveExtendedProcessorState(XSTATE_MASK_GSSE, &saves[0]);
    KeSaveExtendedProcessorState(XSTATE_MASK_GSSE, &saves[1]);
    KeRestoreExtendedProcessorState(&saves[0]);
  });
  EXPECT_BUGCHECK(0x131);
}

KDPC_TEST(ExtendedState, RestoredAtAnotherLevelIsAFinding) {
  RULE("CTX-3");
  m.on(0, PASSIVE_LEVEL, [] {
    KeSaveExtendedProcessorState(XSTATE_MASK_GSSE, &saves[0]);
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeRestoreExtendedProcessorState(&saves[0]);
  });
  EXPECT_BUGCHECK(0x131);
}

KDPC_TEST(ExtendedState, RestoredByAnotherThreadIsAFinding) {
  RULE("CTX-3");
  m.on(0, PASSIVE_LEVEL, [] { KeSaveExtendedProcessorState(XSTATE_MASK_GSSE, &saves[0]); });
  m.on(0, PASSIVE_LEVEL, [] { KeRestoreExtendedProcessorState(&saves[0]); });
  EXPECT_BUGCHECK(0x131);
}

KDPC_TEST(ExtendedState, SavedAboveDispatchIsAFinding) {
  RULE("CTX-3");
  m.on(0, 5, [] { KeSaveExtendedProcessorState(XSTATE_MASK_GSSE, &saves[0]); });
  EXPECT_BUGCHECK(0xC4, 0xE5, 5, &saves[0]);
}

// -- DBG-1: DbgPrint ------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(DebugPrint, IsLegalInAnIsrAndSaysWhereItWas) {
  RULE("DBG-1");
  m.on(0, 5, [] { KDPC_EXPECT_EQ(DbgPrint("at %s level %d of %#x\n", "device", 5, 0x51), static_cast<ULONG>(STATUS_SUCCESS)); });
  const auto lines = m.debug_lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].text, "at device level 5 of 0x51");
  EXPECT_EQ(lines[0].irql, 5u);
}

KDPC_TEST(DebugPrint, OfWideTextIsForPassiveLevel) {
  RULE("DBG-1");
  static const WCHAR text[] = {'w', 'i', 'd', 'e', 0};
  m.on(0, PASSIVE_LEVEL, [] { DbgPrint("%ws %S %lc %C\n", text, text, 'x', 'y'); });
  ASSERT_EQ(m.debug_lines().size(), 1u);
  EXPECT_EQ(m.debug_lines()[0].text, "wide wide x y");
}

// Every wide conversion is refused above Passive, and its format is the third parameter.
void expect_refused_above_passive(kdpc::lab::Machine& m, const char* format) {
  static const WCHAR text[] = {'w', 0};
  static const UNICODE_STRING counted = {2, 4, const_cast<PWSTR>(text)};
  const bool is_character = std::string_view(format).find_first_of("cC") != std::string_view::npos;
  const bool is_counted = std::string_view(format).find('Z') != std::string_view::npos;
  m.on(0, APC_LEVEL, [=] {
    if (is_character) {
      DbgPrint(format, 'x');
    } else if (is_counted) {
      DbgPrint(format, &counted);
    } else {
      DbgPrint(format, text);
    }
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, APC_LEVEL, format, 0);
}

KDPC_TEST(DebugPrint, OfCapitalSAboveIsRefused) {
  RULE("DBG-1");
  expect_refused_above_passive(m, "%S");
}
KDPC_TEST(DebugPrint, OfCapitalCAboveIsRefused) {
  RULE("DBG-1");
  expect_refused_above_passive(m, "%C");
}
KDPC_TEST(DebugPrint, OfLongSAboveIsRefused) {
  RULE("DBG-1");
  expect_refused_above_passive(m, "%ls");
}
KDPC_TEST(DebugPrint, OfWideSAboveIsRefused) {
  RULE("DBG-1");
  expect_refused_above_passive(m, "%ws");
}
KDPC_TEST(DebugPrint, OfLongCAboveIsRefused) {
  RULE("DBG-1");
  expect_refused_above_passive(m, "%lc");
}
KDPC_TEST(DebugPrint, OfWideCAboveIsRefused) {
  RULE("DBG-1");
  expect_refused_above_passive(m, "%wc");
}
KDPC_TEST(DebugPrint, OfCountedUnicodeAboveIsRefused) {
  RULE("DBG-1");
  expect_refused_above_passive(m, "%wZ");
}

KDPC_TEST(DebugPrint, OnAFreeBuildNobodyChecks, .options = {{"irql_checks", "free"}}) {
  RULE("DBG-1");
  static const WCHAR text[] = {'w', 0};
  m.on(0, DISPATCH_LEVEL, [] { DbgPrint("%ws\n", text); });
  EXPECT_EQ(m.debug_lines().size(), 1u);
}

KDPC_TEST(DebugPrint, TransmitsAtMost512BytesACall) {
  RULE("DBG-1");
  static char text[701];
  std::memset(text, 'a', 700);
  m.on(0, PASSIVE_LEVEL, [] { DbgPrint("%s", text); });
  ASSERT_EQ(m.debug_lines().size(), 1u);
  EXPECT_EQ(m.debug_lines()[0].text, std::string(512, 'a'));
}

KDPC_TEST(DebugPrint, PrintsNoFloatingPoint) {
  RULE("DBG-1");
  m.on(0, PASSIVE_LEVEL, [] { DbgPrint("<%f|%d>\n", 1.5, 7); });
  ASSERT_EQ(m.debug_lines().size(), 1u);
  EXPECT_EQ(m.debug_lines()[0].text.find("1.5"), std::string::npos);
}

}  // namespace
