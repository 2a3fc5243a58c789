// DbgPrint and assertions. What Windows would filter (DEFAULT at INFO level, since Vista) is shown, unless the option debug_filter says otherwise.
#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/format.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

// A level below 32 is one bit, above it is a mask itself.
bool is_shown(ULONG level) {
  const Options& options = sys().options;
  if (options.debug_filter == Options::DebugFilter::All) return true;
  const ULONG bits = level < 32 ? ULONG{1} << level : level & ~ULONG{DPFLTR_MASK};
  return (bits & options.debug_mask) != 0;
}

ULONG print(ULONG level, const char* text, __builtin_ms_va_list arguments) {
  char line[wdk::kDebugPrintLimit + 1];
  const wdk::Formatted formatted = wdk::format(line, sizeof line, text, arguments);
  if (const Irql irql = current_irql(); formatted.wide && irql > Irql::Passive && sys().options.irql_checks != Options::IrqlChecks::Free)
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(irql), as_parameter(text), 0},
              "DbgPrint was given a wide-character conversion above PASSIVE_LEVEL: it would touch pageable tables.", "DBG-1");
  if (is_shown(level)) Machine::observe(DebugPrinted{line, static_cast<std::uint32_t>(formatted.length)});
  return STATUS_SUCCESS;
}

}  // namespace

extern "C" {

// It takes no time, as it does nothing on Windows, where it is right.
VOID NTAPI KdpcPagedCode() {
  if (Machine::irql() > Irql::Apc) KDPC_ROUTINE(KdpcPagedCode);
}

ULONG NTAPI DbgPrint(PCSTR Format, ...) {
  KDPC_ROUTINE(DbgPrint);
  __builtin_ms_va_list arguments;
  __builtin_ms_va_start(arguments, Format);
  const ULONG result = print(DPFLTR_INFO_LEVEL, Format, arguments);
  __builtin_ms_va_end(arguments);
  return result;
}

ULONG NTAPI DbgPrintEx(ULONG, ULONG Level, PCSTR Format, ...) {
  KDPC_ROUTINE(DbgPrintEx);
  __builtin_ms_va_list arguments;
  __builtin_ms_va_start(arguments, Format);
  const ULONG result = print(Level, Format, arguments);
  __builtin_ms_va_end(arguments);
  return result;
}

ULONG NTAPI vDbgPrintEx(ULONG, ULONG Level, PCSTR Format, __builtin_ms_va_list arglist) {
  KDPC_ROUTINE(vDbgPrintEx);
  return print(Level, Format, arglist);
}

NTSTATUS NTAPI DbgQueryDebugFilterState(ULONG, ULONG Level) {
  KDPC_ROUTINE(DbgQueryDebugFilterState);
  return is_shown(Level) ? TRUE : FALSE;
}

// NT breaks into a debugger, which then may go on. Nobody is there to ask: the fact is shown, and the driver goes on.
VOID NTAPI DbgBreakPoint() {
  KDPC_ROUTINE(DbgBreakPoint);
  static constexpr char kText[] = "*** DbgBreakPoint was reached; the driver goes on.\n";
  Machine::observe(DebugPrinted{kText, sizeof kText - 1});
}

VOID NTAPI RtlAssert(PVOID VoidFailedAssertion, PVOID VoidFileName, ULONG LineNumber, PSTR) {
  KDPC_ROUTINE(RtlAssert);
  // The text is read later, on the host, where nobody survives a bad one.
  const auto* text = static_cast<const volatile char*>(VoidFailedAssertion);
  while (text != nullptr && *text != 0) ++text;
  // STATUS_ASSERTION_FAILURE reaches the debugger, or without one ends as an unhandled kernel exception.
  bug_check(stop::KmodeExceptionNotHandled,
            {static_cast<ULONG>(STATUS_ASSERTION_FAILURE), as_parameter(VoidFailedAssertion), as_parameter(VoidFileName), LineNumber},
            static_cast<const char*>(VoidFailedAssertion), "an assertion of the driver");
}

DECLSPEC_NORETURN VOID NTAPI RtlFailFast(ULONG Code) {
  bug_check(stop::KernelSecurityCheckFailure, {Code, 0, 0, 0}, "A list that a driver uses is corrupt.", "INI-4");
}

}  // extern "C"
