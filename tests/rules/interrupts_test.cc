// What is said of interrupts. An ISR that denies what it has served, in the three situations it can be in, and a request that nobody will ever serve.
#include <gmock/gmock.h>
#include <wdm.h>

#include "kdpc/cards.h"
#include "kdpc/test.h"

namespace {

using kdpc::lab::Machine;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr ULONG kVector = 0x51;

PKINTERRUPT first, second;
KDPC dpc;
int calls_of_second;

VOID NTAPI nothing(PKDPC, PVOID, PVOID, PVOID) {}
BOOLEAN NTAPI serves_and_denies(PKINTERRUPT, PVOID) {
  KeInsertQueueDpc(&dpc, nullptr, nullptr);
  return KeInsertQueueDpc(&dpc, nullptr, nullptr);
}
BOOLEAN NTAPI claims_once(PKINTERRUPT, PVOID) { return ++calls_of_second == 1; }
BOOLEAN NTAPI claims(PKINTERRUPT, PVOID) { return TRUE; }
BOOLEAN NTAPI denies_only(PKINTERRUPT, PVOID) { return FALSE; }

bool connect(Machine& m, PKINTERRUPT* interrupt, PKSERVICE_ROUTINE routine, KINTERRUPT_MODE mode, bool shared) {
  NTSTATUS status = STATUS_UNSUCCESSFUL;
  m.on(0, PASSIVE_LEVEL, [&] {
    KeInitializeDpc(&dpc, nothing, nullptr);
    status = IoConnectInterrupt(interrupt, routine, nullptr, nullptr, kVector, 5, 5, mode, shared, 1, FALSE);
  });
  return NT_SUCCESS(status);
}

const char* const kServed = "isr-served-returned-false";

// (a): nobody listens to the answer, and there is no storm. Still it is wrong.
KDPC_TEST(IsrAnswer, ServedAndDeniedAloneOnItsVector, .checks = {.keep_going = true}) {
  RULE("INT-16");
  RULE("V-12a");
  ASSERT_TRUE(connect(m, &first, serves_and_denies, Latched, false));
  for (int i = 0; i < 5; ++i) {
    m.send_message(kVector);
    m.run_for(1ms);
  }
  EXPECT_FALSE(m.outcome().over());
  EXPECT_FINDING(kServed);
  EXPECT_EQ(m.findings()[0].count, 5u);
  EXPECT_THAT(m.findings()[0].sentence, HasSubstr("alone on its vector"));
  EXPECT_EQ(m.findings()[0].place.function, "(anonymous namespace)::serves_and_denies");
}

// (b): on a shared latched vector an edge can be lost by it.
KDPC_TEST(IsrAnswer, ServedAndDeniedOnASharedLatchedVector) {
  RULE("V-12b");
  ASSERT_TRUE(connect(m, &first, serves_and_denies, Latched, true));
  ASSERT_TRUE(connect(m, &second, claims_once, Latched, true));
  m.send_message(kVector);
  m.run_for(1ms);
  EXPECT_FINDING(kServed);
  EXPECT_THAT(m.findings()[0].sentence, HasSubstr("the edge of another device is lost"));
}

// (c): denied and not quieted either. That is the kernel's finding, and the checks only add to it.
KDPC_TEST(IsrAnswer, DeniedWithoutQuietingTheDeviceIsAStorm, .options = {{"storm_dispatches", "100"}}) {
  ASSERT_TRUE(connect(m, &first, denies_only, LevelSensitive, false));
  const unsigned line = m.add_line();
  m.assign_line(line, kVector);
  m.assert_line(line);
  m.run_for(1ms);
  EXPECT_BUGCHECK(0xF2);
  EXPECT_FINDING("stop-storm");
  EXPECT_EQ(m.findings().size(), 1u);
}

KDPC_TEST(IsrAnswer, DenyingWhatIsNotOnesOwnIsRight) {
  ASSERT_TRUE(connect(m, &first, denies_only, Latched, true));
  ASSERT_TRUE(connect(m, &second, claims_once, Latched, true));
  m.send_message(kVector);
  m.run_for(1ms);
  EXPECT_TRUE(m.findings().empty());
}

constexpr std::uint64_t kFirstCard = 0x1000, kSecondCard = 0x2000;
PULONG card_registers(std::uint64_t base) {
  PHYSICAL_ADDRESS where;
  where.QuadPart = static_cast<LONGLONG>(base);
  return static_cast<PULONG>(MmMapIoSpace(where, 16, MmNonCached));
}
PULONG second_card;
BOOLEAN NTAPI asks_in_vain(PKINTERRUPT, PVOID) {
  KeStallExecutionProcessor(20);
  return FALSE;
}
BOOLEAN NTAPI polls(PKINTERRUPT, PVOID) { return FALSE; }

// A card that dies lets go of its line, whoever is looking.
KDPC_TEST(IsrAnswer, ALineThatTheDeviceHasLetGoItselfWasNotServed) {
  kdpc::cards::CardBoard board;
  kdpc::cards::Pulse& pulse = board.add(kdpc::cards::PulseWish{.base = kFirstCard, .first = 5'000, .period = 10'000, .dead_after = 2});
  const unsigned line = m.attach(board);
  m.assign_line(line, kVector);
  ASSERT_TRUE(connect(m, &first, asks_in_vain, LevelSensitive, false));
  m.on(0, PASSIVE_LEVEL, [] { WRITE_REGISTER_ULONG(card_registers(kFirstCard), 1); });
  m.run_for(1ms);
  EXPECT_EQ(pulse.pulses(), 2u);
  EXPECT_EQ(m.count("isr-answered"), 1u) << "the second came while the line was up";
  EXPECT_NO_FINDINGS();
}

// A run may stand still inside an ISR, and the host then have something to do there.
KDPC_TEST(IsrAnswer, WhatTheHostQueuesMeanwhileIsNotTheIsrsOwn) {
  ASSERT_TRUE(connect(m, &first, asks_in_vain, Latched, false));
  m.send_message(kVector);
  ASSERT_TRUE(m.run_until([&] { return m.processor_state(0).irql == 5; }, 1ms));
  EXPECT_TRUE(m.on(0, PASSIVE_LEVEL, [] {}));
  EXPECT_EQ(m.count("isr-answered"), 1u);
  EXPECT_NO_FINDINGS();
}

// Two cards on a line: while the ISR of the first says that its card has asked for nothing, the other processor quiets the second card.
KDPC_TEST(IsrAnswer, ALineThatAnotherProcessorHasQuietedWasNotServedHere, .processors = 2) {
  kdpc::cards::CardBoard board;
  board.add(kdpc::cards::ConverterWish{.name = "first", .base = kFirstCard});
  board.add(kdpc::cards::ConverterWish{.name = "second", .base = kSecondCard});
  const unsigned line = m.attach(board);
  m.assign_line(line, kVector);
  ASSERT_TRUE(connect(m, &first, asks_in_vain, LevelSensitive, true));
  ASSERT_TRUE(connect(m, &second, polls, LevelSensitive, true));
  m.on(1, PASSIVE_LEVEL, [] {
    second_card = card_registers(kSecondCard);
    WRITE_REGISTER_ULONG(second_card, 1);
    WRITE_REGISTER_ULONG(second_card + 1, 0);
    KeStallExecutionProcessor(55);  // the conversion takes 50
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(second_card + 2), 1u);
    WRITE_REGISTER_ULONG(second_card + 2, 1);
  });
  m.run_for(1ms);
  EXPECT_FALSE(m.outcome().over());
  EXPECT_TRUE(m.findings().empty());
}

// An edge is one interrupt. A device that has more, and keeps its line up, is never heard again.
KDPC_TEST(LostInterrupt, ALatchedLineThatStaysAssertedAfterItsEdgeWasServed) {
  ASSERT_TRUE(connect(m, &first, claims, Latched, false));
  const unsigned line = m.add_line(false);
  m.assign_line(line, kVector, false);
  m.assert_line(line);
  m.run_for(5s);
  EXPECT_FINDING("interrupt-lost");
  EXPECT_THAT(m.findings()[0].sentence, HasSubstr("made no further edge"));
  EXPECT_LT(m.now(), 1500'000'000u) << "after a second, not at the end";
}

KDPC_TEST(LostInterrupt, ALineThatIsAssertedWhenItsDriverLeaves) {
  ASSERT_TRUE(connect(m, &first, claims, LevelSensitive, false));
  m.on(0, PASSIVE_LEVEL, [] { IoDisconnectInterrupt(first); });
  const unsigned line = m.add_line();
  m.assign_line(line, kVector);
  m.assert_line(line);
  m.run_for(5s);
  EXPECT_FINDING("interrupt-lost");
  EXPECT_THAT(m.findings()[0].sentence, HasSubstr("nobody is connected to it any more"));
}

KDPC_TEST(LostInterrupt, ALineThatIsQuietedIsNotLost) {
  ASSERT_TRUE(connect(m, &first, claims, Latched, false));
  const unsigned line = m.add_line(false);
  m.assign_line(line, kVector, false);
  for (int i = 0; i < 5; ++i) {
    m.assert_line(line);
    m.run_for(500ms);
    m.deassert_line(line);
    m.run_for(500ms);
  }
  EXPECT_TRUE(m.findings().empty());
}

}  // namespace
