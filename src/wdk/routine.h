// What every export does first: record the caller, state RoutineEntered, check the IRQL for the profile, and be a window.
//
// routines.def is the one table of exports. A routine missing there does not compile, because its first line names its row:
//
//   BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, …) { KDPC_ROUTINE(KeInsertQueueDpc); … }
#pragma once
#include <cstdint>
#include <string_view>

#include "kernel/irql.h"

namespace kdpc::wdk {

enum class RoutineId : std::uint16_t {
#define ROUTINE(name, lowest, highest, subcode, rule, ddi_rule) name,
#include "wdk/routines.def"
#undef ROUTINE
  Count
};

struct RoutineRow {
  const char* name;
  Irql lowest;
  Irql highest;
  std::uint16_t subcode;  // of bug check 0xC4 when called outside [lowest, highest] (SEMANTICS IRQL-7); 0xE5 is the generic one
  const char* rule;       // SEMANTICS
  const char* ddi_rule;   // the DDI compliance rule, or ""
};

const RoutineRow& row_of(RoutineId id);
// The table, for tests and the fidelity page.
inline constexpr unsigned kRoutineCount = static_cast<unsigned>(RoutineId::Count);
// Is there an export of this name?
bool is_exported(std::string_view name);

// `object` is the second bug check parameter after the IRQL, where the sub-code has one, and `last` the third.
void enter_routine(RoutineId id, void* caller, const void* object, std::uint64_t last = 0);

}  // namespace kdpc::wdk

#define KDPC_ROUTINE_ON(routine, object) ::kdpc::wdk::enter_routine(::kdpc::wdk::RoutineId::routine, __builtin_return_address(0), object)
#define KDPC_ROUTINE_WITH(routine, object, last) \
  ::kdpc::wdk::enter_routine(::kdpc::wdk::RoutineId::routine, __builtin_return_address(0), object, last)
#define KDPC_ROUTINE(routine) KDPC_ROUTINE_ON(routine, nullptr)
