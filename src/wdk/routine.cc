#include "wdk/routine.h"

#include <array>

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "kernel/threaded_dpc.h"
#include "this_machine.h"

namespace kdpc::wdk {

namespace {

// NT's names of the levels that limit a routine.
#define LEVEL_Passive "PASSIVE_LEVEL"
#define LEVEL_Apc "APC_LEVEL"
#define LEVEL_Dispatch "DISPATCH_LEVEL"
#define LEVEL_Device "the lowest device level"
#define LEVEL_Synch "SYNCH_LEVEL"
#define LEVEL_Clock "CLOCK_LEVEL"
#define LEVEL_Ipi "IPI_LEVEL"
#define LEVEL_High "HIGH_LEVEL"

// What a bug check says, by routine; the sentences must be there before one happens.
struct Sentences {
  const char* too_high;
  const char* too_low;
};
constexpr Sentences kSentences[] = {
#define ROUTINE(name, lowest, highest, subcode, rule, ddi_rule)                \
  {#name " was called above " LEVEL_##highest ", the highest IRQL it allows.", \
   #name " was called below " LEVEL_##lowest ", the lowest IRQL it requires."},
#include "wdk/routines.def"
#undef ROUTINE
};

constexpr RoutineRow kRows[] = {
#define ROUTINE(name, lowest, highest, subcode, rule, ddi_rule) {#name, Irql::lowest, Irql::highest, subcode, rule, ddi_rule},
#include "wdk/routines.def"
#undef ROUTINE
};

// What they do is nothing to anybody else, nor is what others do to them, but for the memory that the driver gives them, of which they tell; and clocks go on
// by themselves. Where memory comes from makes no difference.
constexpr RoutineId kApart[] = {
    RoutineId::KeGetCurrentIrql,
    RoutineId::KeGetCurrentThread,
    RoutineId::KeGetCurrentProcessorNumber,
    RoutineId::KeGetCurrentProcessorNumberEx,
    RoutineId::KeQueryActiveProcessorCount,
    RoutineId::KeQueryActiveProcessorCountEx,
    RoutineId::KeQueryMaximumProcessorCount,
    RoutineId::KeQueryMaximumProcessorCountEx,
    RoutineId::KeQueryActiveProcessors,
    RoutineId::KeGetProcessorNumberFromIndex,
    RoutineId::KeGetProcessorIndexFromNumber,
    RoutineId::KeIsExecutingDpc,
    RoutineId::KeAreApcsDisabled,
    RoutineId::KeAreAllApcsDisabled,
    RoutineId::KeStallExecutionProcessor,
    RoutineId::KeQueryInterruptTime,
    RoutineId::KeQueryInterruptTimePrecise,
    RoutineId::KeQueryUnbiasedInterruptTime,
    RoutineId::KeQueryUnbiasedInterruptTimePrecise,
    RoutineId::KeQuerySystemTime,
    RoutineId::KeQuerySystemTimePrecise,
    RoutineId::KeQueryTickCount,
    RoutineId::KeQueryTimeIncrement,
    RoutineId::KeQueryPerformanceCounter,
    RoutineId::ExGetPreviousMode,
    RoutineId::ExIsProcessorFeaturePresent,
    RoutineId::PsGetCurrentThreadId,
    RoutineId::ExAllocatePool,
    RoutineId::ExAllocatePool2,
    RoutineId::ExAllocatePoolWithTag,
    RoutineId::ExFreePool,
    RoutineId::ExFreePoolWithTag,
    RoutineId::IoAllocateIrp,
    RoutineId::IoAllocateMdl,
    RoutineId::IoAllocateWorkItem,
    RoutineId::DbgPrint,
    RoutineId::DbgPrintEx,
    RoutineId::vDbgPrintEx,
    RoutineId::KdpcPagedCode,
    RoutineId::RtlCompareMemory,
    RoutineId::RtlInitAnsiString,
    RoutineId::RtlInitString,
    RoutineId::RtlInitUnicodeString,
    RoutineId::RtlCopyUnicodeString,
    RoutineId::RtlCompareUnicodeString,
    RoutineId::RtlEqualUnicodeString,
    RoutineId::_vsnprintf,
    RoutineId::_vsnwprintf,
};

constexpr auto kIsApart = [] {
  std::array<bool, kRoutineCount> is_apart{};
  for (const RoutineId id : kApart) is_apart[static_cast<unsigned>(id)] = true;
  return is_apart;
}();

bool is_raise(const RoutineRow& row) { return row.subcode == 0x30; }

// Of all that Driver Verifier finds, a checked build asserts the raises and the spin locks (IRQL-7).
bool is_asserted_by_checked_builds(const RoutineRow& row) {
  return is_raise(row) || row.subcode == 0x40 || row.subcode == 0x41 || row.subcode == 0x42;
}

void refuse(RoutineId id, Irql level, const void* object, std::uint64_t last) {
  const RoutineRow& row = row_of(id);
  const bool too_high = level > row.highest;
  const Sentences& sentences = kSentences[static_cast<unsigned>(id)];
  const char* sentence = too_high ? sentences.too_high : sentences.too_low;
  switch (sys().options.irql_checks) {
    case Options::IrqlChecks::Strict:
      if (id == RoutineId::KdpcPagedCode) sentence = "Code that calls itself pageable, with PAGED_CODE(), was reached above APC_LEVEL.";
      bug_check(stop::DriverVerifierDetectedViolation, {row.subcode, as_parameter(level), as_parameter(object), last}, sentence, row.rule);
    case Options::IrqlChecks::Checked:
      if (!is_asserted_by_checked_builds(row)) return;
      bug_check(too_high && !is_raise(row) ? stop::IrqlNotLessOrEqual : stop::IrqlNotGreaterOrEqual,
                {as_parameter(level), as_parameter(too_high ? row.highest : row.lowest), as_parameter(object), is_raise(row) ? 1u : 0u}, sentence,
                row.rule);
    case Options::IrqlChecks::Free: return;
  }
}

// It runs at Passive, but keeps to what is allowed at Dispatch, where it runs when threaded DPCs are disabled. NT itself would not notice.
void refuse_in_threaded_dpc(const RoutineRow& row, Irql level, const void* object) {
  if (sys().options.irql_checks != Options::IrqlChecks::Strict || !threaded_dpc::running_here()) return;
  bug_check(stop::DriverVerifierDetectedViolation, {row.subcode, as_parameter(level), as_parameter(object), 0},
            "A threaded DPC called a routine that is not allowed at DISPATCH_LEVEL, where it too may have to run.", "THR-1");
}

}  // namespace

const RoutineRow& row_of(RoutineId id) { return kRows[static_cast<unsigned>(id)]; }

bool is_exported(std::string_view name) {
  for (const RoutineRow& row : kRows)
    if (name == row.name) return true;
  return false;
}

void enter_routine(RoutineId id, void* caller, const void* object, std::uint64_t last) {
  Machine::observe(RoutineEntered{static_cast<std::uint16_t>(id), caller, object, kIsApart[static_cast<unsigned>(id)]});
  const RoutineRow& row = row_of(id);
  if (const Irql level = Machine::irql(); level < row.lowest || level > row.highest) {
    refuse(id, level, object, last);
  } else if (row.highest < Irql::Dispatch) {
    refuse_in_threaded_dpc(row, level, object);
  }
  Machine::window();
}

}  // namespace kdpc::wdk
