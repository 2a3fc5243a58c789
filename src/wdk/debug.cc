// DbgPrint and assertions. What Windows would filter (DEFAULT at INFO level, since Vista) is shown: here the developer is always listening.
#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/format.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

ULONG print(const char* text, __builtin_ms_va_list arguments) {
  char line[wdk::kDebugPrintLimit + 1];
  const wdk::Formatted formatted = wdk::format(line, sizeof line, text, arguments);
  if (const Irql level = current_irql(); formatted.wide && level > Irql::Passive && sys().options.irql_checks != Options::IrqlChecks::Free)
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(level), as_parameter(text), 0},
              "DbgPrint was given a wide-character conversion above PASSIVE_LEVEL: it would touch pageable tables.", "DBG-1");
  Machine::observe(DebugPrinted{line, static_cast<std::uint32_t>(formatted.length)});
  return STATUS_SUCCESS;
}

}  // namespace

extern "C" {

ULONG NTAPI DbgPrint(PCSTR Format, ...) {
  KDPC_ROUTINE(DbgPrint);
  __builtin_ms_va_list arguments;
  __builtin_ms_va_start(arguments, Format);
  const ULONG result = print(Format, arguments);
  __builtin_ms_va_end(arguments);
  return result;
}

ULONG NTAPI DbgPrintEx(ULONG, ULONG, PCSTR Format, ...) {
  KDPC_ROUTINE(DbgPrintEx);
  __builtin_ms_va_list arguments;
  __builtin_ms_va_start(arguments, Format);
  const ULONG result = print(Format, arguments);
  __builtin_ms_va_end(arguments);
  return result;
}

ULONG NTAPI vDbgPrintEx(ULONG, ULONG, PCSTR Format, __builtin_ms_va_list arglist) {
  KDPC_ROUTINE(vDbgPrintEx);
  return print(Format, arglist);
}

// NT breaks into a debugger, which then may go on. Nobody is there to ask: the fact is shown, and the driver goes on.
VOID NTAPI DbgBreakPoint() {
  KDPC_ROUTINE(DbgBreakPoint);
  static constexpr char kText[] = "*** DbgBreakPoint was reached; the driver goes on.\n";
  Machine::observe(DebugPrinted{kText, sizeof kText - 1});
}

VOID NTAPI RtlAssert(PVOID VoidFailedAssertion, PVOID VoidFileName, ULONG LineNumber, PSTR) {
  KDPC_ROUTINE(RtlAssert);
  // STATUS_ASSERTION_FAILURE reaches the debugger, or without one ends as an unhandled kernel exception.
  bug_check(stop::KmodeExceptionNotHandled,
            {static_cast<ULONG>(STATUS_ASSERTION_FAILURE), as_parameter(VoidFailedAssertion), as_parameter(VoidFileName), LineNumber},
            static_cast<const char*>(VoidFailedAssertion), "an assertion of the driver");
}

DECLSPEC_NORETURN VOID NTAPI RtlFailFast(ULONG Code) {
  bug_check(stop::KernelSecurityCheckFailure, {Code, 0, 0, 0}, "A list that a driver uses is corrupt.", "INI-4");
}

}  // extern "C"
