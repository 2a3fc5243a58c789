// What a service routine must leave as it found it: its level, the mode of arithmetic; and exceptions in it (INT-19, INT-20).
#include <wdm.h>
#include <xmmintrin.h>

#include <chrono>

#include "kdpc/test.h"

namespace {

using namespace std::chrono_literals;
using namespace kdpc::test;

constexpr unsigned kVector = 0x51;
PKINTERRUPT interrupt;

BOOLEAN NTAPI return_raised(PKINTERRUPT, PVOID) {
  KfRaiseIrql(8);
  return TRUE;
}

void interrupt_once(kdpc::lab::Machine& m, PKSERVICE_ROUTINE routine) {
  static PKSERVICE_ROUTINE wanted;
  wanted = routine;
  m.on(0, PASSIVE_LEVEL, [] { IoConnectInterrupt(&interrupt, wanted, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE); });
  m.send_message(kVector);
  m.run_for(1ms);
}

KDPC_TEST(ServiceRoutine, AnIsrThatReturnsAtAnotherLevelIsABugCheck) {
  RULE("INT-13");
  RULE("INT-20");
  interrupt_once(m, return_raised);
  EXPECT_BUGCHECK(0xC4, 0x111, return_raised, 5, 8);
}

KDPC_TEST(ServiceRoutine, WithoutTheVerifierItIsAnUnexpectedIrql, .options = {{"irql_checks", "free"}}) {
  RULE("IRQL-7");
  interrupt_once(m, return_raised);
  EXPECT_BUGCHECK(0xC8, (8 << 16) | (5 << 8) | 3, return_raised, interrupt);
}

constexpr unsigned kRoundDown = 0x2000, kInexact = 0x20;

KDPC_TEST(ServiceRoutine, AnIsrThatChangesTheModeOfArithmeticIsABugCheck) {
  RULE("INT-20");
  constexpr auto round_down = [](PKINTERRUPT, PVOID) NTAPI -> BOOLEAN {
    _mm_setcsr(_mm_getcsr() | kRoundDown);
    return TRUE;
  };
  interrupt_once(m, round_down);
  EXPECT_BUGCHECK(0xC4, 0x110, static_cast<PKSERVICE_ROUTINE>(round_down));
  ASSERT_TRUE(m.outcome().bugcheck);
  const auto& parameters = m.outcome().bugcheck->parameters;
  const auto before = *reinterpret_cast<const unsigned*>(parameters[2]), after = *reinterpret_cast<const unsigned*>(parameters[3]);
  EXPECT_EQ(before ^ after, kRoundDown);
}

KDPC_TEST(ServiceRoutine, TheStatusOfArithmeticIsAnIsrsOwn) {
  RULE("INT-20");
  interrupt_once(m, [](PKINTERRUPT, PVOID) NTAPI -> BOOLEAN {
    _mm_setcsr(_mm_getcsr() | kInexact);
    return TRUE;
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(ServiceRoutine, AnExceptionThatLeavesAnIsrIsABugCheck) {
  RULE("INT-19");
  interrupt_once(m, [](PKINTERRUPT, PVOID) NTAPI -> BOOLEAN {
    asm volatile("ud2");
    return TRUE;
  });
  EXPECT_BUGCHECK(0x3D, any, any, 0, 0);
  ASSERT_TRUE(m.outcome().bugcheck);
  const auto& parameters = m.outcome().bugcheck->parameters;
  EXPECT_EQ(*reinterpret_cast<const ULONG*>(parameters[0]), 0xC000001Du);  // EXCEPTION_RECORD.ExceptionCode
  const auto* words = reinterpret_cast<const ULONG64*>(parameters[0]);
  EXPECT_EQ(words[2], *reinterpret_cast<const ULONG64*>(parameters[1] + 0xF8));  // ExceptionAddress, CONTEXT.Rip
}

// The processor is to find it, not a sanitizer.
__attribute__((no_sanitize("undefined"))) BOOLEAN NTAPI divides_by_zero(PKINTERRUPT, PVOID) {
  static volatile int zero = 0;
  return static_cast<BOOLEAN>(7 / zero);
}

KDPC_TEST(ServiceRoutine, ADivisionByZeroInAnIsrIsOneToo) {
  RULE("INT-19");
  interrupt_once(m, divides_by_zero);
  EXPECT_BUGCHECK(0x3D);
  ASSERT_TRUE(m.outcome().bugcheck);
  EXPECT_EQ(*reinterpret_cast<const ULONG*>(m.outcome().bugcheck->parameters[0]), 0xC0000094u);
}

// A page fault at raised level has its own code, in an ISR too.
KDPC_TEST(ServiceRoutine, ABadAddressInAnIsrIsNoExceptionToBeHandled) {
  RULE("INT-19");
  static volatile int* const nowhere = reinterpret_cast<volatile int*>(0x1000);
  interrupt_once(m, [](PKINTERRUPT, PVOID) NTAPI -> BOOLEAN {
    *nowhere = 1;
    return TRUE;
  });
  EXPECT_BUGCHECK(0xD1, 0x1000, 5, 1);
}

}  // namespace
