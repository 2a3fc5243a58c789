// Every export keeps to its range of levels: called above it, or below, with arguments that mean nothing, it stops before it does anything with them.
// SEMANTICS IRQL-4, IRQL-7.
#include "wdk/routine.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <wdm.h>

#include "kdpc/test.h"

namespace {

using kdpc::Irql;
using kdpc::lab::Machine;
using namespace kdpc::wdk;

using AnyRoutine = ULONG64 NTAPI(ULONG64, ULONG64, ULONG64, ULONG64, ULONG64, ULONG64, ULONG64, ULONG64, ULONG64, ULONG64);

struct Call {
  unsigned routine;
  Irql level;
  const RoutineRow& row() const { return row_of(static_cast<RoutineId>(routine)); }
};
std::string name_of_call(const ::testing::TestParamInfo<Call>& info) {
  return std::string(info.param.row().name) + (info.param.level > info.param.row().highest ? "_above" : "_below");
}

// The lowest level above the range, and the highest below.
std::vector<Call> forbidden_calls() {
  std::vector<Call> calls;
  for (unsigned routine = 0; routine < kRoutineCount; ++routine) {
    const RoutineRow& row = row_of(static_cast<RoutineId>(routine));
    if (row.highest < Irql::High) calls.push_back({routine, static_cast<Irql>(static_cast<unsigned>(row.highest) + 1)});
    if (row.lowest > Irql::Passive) calls.push_back({routine, static_cast<Irql>(static_cast<unsigned>(row.lowest) - 1)});
  }
  return calls;
}

// Pool has stop codes of its own, which come first (IRQL-7).
bool is_pool(std::string_view name) { return name.starts_with("ExAllocatePool") || name.starts_with("ExFreePool"); }

class RoutineLevels : public ::testing::TestWithParam<Call> {};

TEST_P(RoutineLevels, AreKept) {
  RULE("IRQL-4");
  const RoutineRow& row = GetParam().row();
  kdpc::test::Session session({}, __FILE__, __LINE__);
  Machine& m = *session.machine();
  static AnyRoutine* routine;
  routine = reinterpret_cast<AnyRoutine*>(::dlsym(RTLD_DEFAULT, row.name));
  ASSERT_NE(routine, nullptr);
  // What is released from a handle is named with the stop: the handle must be there.
  static KLOCK_QUEUE_HANDLE handle;
  static ULONG64 first;
  first = std::string_view(row.name).starts_with("KeReleaseInStackQueued") ? reinterpret_cast<ULONG64>(&handle) : 0;
  m.on(0, static_cast<unsigned>(GetParam().level), [] { routine(first, 0, 0, 0, 0, 0, 0, 0, 0, 0); });
  EXPECT_BUGCHECK(0xC4);
  ASSERT_TRUE(m.outcome().bugcheck);
  if (is_pool(row.name)) return;
  EXPECT_EQ(m.outcome().bugcheck->parameters[0], row.subcode);
  EXPECT_EQ(m.outcome().bugcheck->parameters[1], static_cast<unsigned>(GetParam().level));
  if (std::string_view(row.name) != "KdpcPagedCode") EXPECT_THAT(m.outcome().report(), ::testing::HasSubstr(std::string(row.name) + " was called"));
}

INSTANTIATE_TEST_SUITE_P(Every, RoutineLevels, ::testing::ValuesIn(forbidden_calls()), name_of_call);

}  // namespace
