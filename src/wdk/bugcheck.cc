#include "kernel/bugcheck.h"

#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;

extern "C" {

DECLSPEC_NORETURN VOID NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
                                          ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4) {
  bug_check(BugCheckCode, {BugCheckParameter1, BugCheckParameter2, BugCheckParameter3, BugCheckParameter4}, "The driver called KeBugCheckEx.", "");
}

DECLSPEC_NORETURN VOID NTAPI KeBugCheck(ULONG BugCheckCode) { bug_check(BugCheckCode, {}, "The driver called KeBugCheck.", ""); }

}  // extern "C"
