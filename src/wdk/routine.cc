#include "wdk/routine.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::wdk {

namespace {

constexpr RoutineRow kRows[] = {
#define ROUTINE(name, lowest, highest, subcode, rule, ddi_rule) {#name, Irql::lowest, Irql::highest, subcode, rule, ddi_rule},
#include "wdk/routines.def"
#undef ROUTINE
};

void refuse(const RoutineRow& row, Irql level, const void* object) {
  const bool too_high = level > row.highest;
  const char* sentence =
      too_high ? "A routine was called above the highest IRQL it allows." : "A routine was called below the lowest IRQL it requires.";
  switch (sys().options.irql_checks) {
    case Options::IrqlChecks::Strict:
      bug_check(stop::DriverVerifierDetectedViolation, {row.subcode, as_parameter(level), as_parameter(object), 0}, sentence, row.rule);
    case Options::IrqlChecks::Checked:
      bug_check(too_high ? stop::IrqlNotLessOrEqual : stop::IrqlNotGreaterOrEqual,
                {as_parameter(level), as_parameter(too_high ? row.highest : row.lowest), as_parameter(object), 0}, sentence, row.rule);
    case Options::IrqlChecks::Free: return;
  }
}

}  // namespace

const RoutineRow& row_of(RoutineId id) { return kRows[static_cast<unsigned>(id)]; }

bool is_exported(std::string_view name) {
  for (const RoutineRow& row : kRows)
    if (name == row.name) return true;
  return false;
}

void enter_routine(RoutineId id, void* caller, const void* object) {
  Machine::observe(RoutineEntered{static_cast<std::uint16_t>(id), caller});
  const RoutineRow& row = row_of(id);
  if (const Irql level = Machine::irql(); level < row.lowest || level > row.highest) refuse(row, level, object);
  Machine::window();
}

}  // namespace kdpc::wdk
