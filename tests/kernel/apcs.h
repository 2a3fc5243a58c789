// APCs that say who they are and where they run.
#pragma once
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/steps.h"

namespace kdpc::test {

inline KAPC apcs[4];
inline PKTHREAD target;
inline PKTHREAD ran_in;
inline KIRQL kernel_level, normal_level;

// The kernel routine notes a capital letter, the normal one a small one: the APC's context or first argument.
inline VOID NTAPI kernel_routine(PKAPC Apc, PKNORMAL_ROUTINE* NormalRoutine, PVOID*, PVOID* SystemArgument1, PVOID*) {
  KDPC_EXPECT_EQ(Apc->Inserted, FALSE);
  KDPC_EXPECT(Apc >= &apcs[0] && Apc <= &apcs[3]);
  kernel_level = KeGetCurrentIrql();
  ran_in = KeGetCurrentThread();
  KDPC_EXPECT((*NormalRoutine == nullptr) == (Apc->NormalContext == nullptr));
  note(*static_cast<const char*>(*SystemArgument1));
}
inline VOID NTAPI normal_routine(PVOID NormalContext, PVOID, PVOID SystemArgument2) {
  normal_level = KeGetCurrentIrql();
  KDPC_EXPECT_EQ(SystemArgument2, &target);
  note(*static_cast<const char*>(NormalContext));
}

inline void special(KAPC& apc, PKTHREAD thread, PKKERNEL_ROUTINE routine = kernel_routine) {
  KeInitializeApc(&apc, thread, OriginalApcEnvironment, routine, nullptr, nullptr, KernelMode, nullptr);
}
inline void normal(KAPC& apc, PKTHREAD thread, const char* letter = "n", PKNORMAL_ROUTINE routine = normal_routine) {
  KeInitializeApc(&apc, thread, OriginalApcEnvironment, kernel_routine, nullptr, routine, KernelMode, const_cast<char*>(letter));
}
inline BOOLEAN insert(KAPC& apc, const char* letter = "S") { return KeInsertQueueApc(&apc, const_cast<char*>(letter), &target, IO_NO_INCREMENT); }

}  // namespace kdpc::test
