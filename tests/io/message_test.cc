// Message-signalled interrupts: their resources (PNP-2), connecting by them (INT-7…INT-10), and what arrives.
#include <gmock/gmock.h>
#include <wdm.h>

#include <set>

#include "io/vectors.h"
#include "tests/io/pulse_board.h"
#include "tests/io/started_device.h"
#include "tests/kernel/at_rest.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using namespace test::started;
using test::PulseBoard;
using Kind = MessageOffer::Kind;

constexpr unsigned kMost = 32;

PulseBoard* board_in_use = nullptr;
PIO_INTERRUPT_MESSAGE_INFO table = nullptr;
PKINTERRUPT line_object = nullptr;
IO_CONNECT_INTERRUPT_PARAMETERS connection;

// What the routines saw.
ULONG served[kMost];
volatile int inside = 0, most_inside = 0, runs = 0;
KIRQL level_seen = 0;
bool object_fits = true;
ULONG stall = 0;  // µs

BOOLEAN NTAPI serve(PKINTERRUPT object, PVOID context, ULONG message) {
  inside = inside + 1;
  if (inside > most_inside) most_inside = inside;
  level_seen = KeGetCurrentIrql();
  if (message < kMost) ++served[message];
  if (table != nullptr) object_fits = object_fits && table->MessageInfo[message].InterruptObject == object;
  object_fits = object_fits && context == &served;
  if (stall != 0) KeStallExecutionProcessor(stall);
  inside = inside - 1;
  runs = runs + 1;
  return TRUE;
}
BOOLEAN NTAPI serve_line(PKINTERRUPT, PVOID) {
  runs = runs + 1;
  return TRUE;
}

void start(lab::Machine& m, PulseBoard& board, const lab::DeviceOptions& options = {}) {
  board_in_use = &board;
  table = nullptr;
  line_object = nullptr;
  std::fill(std::begin(served), std::end(served), 0);
  inside = 0;
  most_inside = 0;
  runs = 0;
  object_fits = true;
  stall = 0;
  test::start_device(m, board, "pulse", options);
}

IO_CONNECT_INTERRUPT_PARAMETERS by_messages() {
  IO_CONNECT_INTERRUPT_PARAMETERS parameters = {};
  parameters.Version = CONNECT_MESSAGE_BASED;
  auto& wanted = parameters.MessageBased;
  wanted.PhysicalDeviceObject = physical;
  wanted.ConnectionContext.InterruptMessageTable = &table;
  wanted.MessageServiceRoutine = serve;
  wanted.ServiceContext = &served;
  return parameters;
}

void connect(PKSPIN_LOCK lock = nullptr, KIRQL minimum = PASSIVE_LEVEL) {
  connection = by_messages();
  connection.MessageBased.SpinLock = lock;
  connection.MessageBased.SynchronizeIrql = minimum;
  KDPC_EXPECT_EQ(IoConnectInterruptEx(&connection), STATUS_SUCCESS);
  KDPC_EXPECT_EQ(connection.Version, static_cast<ULONG>(CONNECT_MESSAGE_BASED));
  KDPC_EXPECT(table != nullptr);
}

void disconnect() {
  IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {};
  parameters.Version = connection.Version;
  parameters.ConnectionContext.InterruptMessageTable = table;
  IoDisconnectInterruptEx(&parameters);
}

KDPC_TEST(MessageResources, AMultiMessageMsiIsOneDescriptorOfConsecutiveVectors, .processors = 2) {
  RULE("PNP-2");
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 4}});
  start(m, board);
  ASSERT_EQ(interrupts, 1u);
  EXPECT_EQ(translated_interrupt.Flags, CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE);
  EXPECT_EQ(raw_interrupt.Flags, translated_interrupt.Flags);
  EXPECT_EQ(USHORT{raw_interrupt.u.MessageInterrupt.Raw.MessageCount}, 4);
  const ULONG base = translated_interrupt.u.MessageInterrupt.Translated.Vector;
  EXPECT_EQ(ULONG{translated_interrupt.u.MessageInterrupt.Translated.Level}, base >> 4);
  EXPECT_EQ(base % 4, 0u);
  EXPECT_EQ(KAFFINITY{translated_interrupt.u.MessageInterrupt.Translated.Affinity}, 3u);
  for (unsigned message = 0; message < 4; ++message) EXPECT_EQ(m.vector_of("pulse", message), base + message);
  EXPECT_EQ(m.vector_of("pulse", 4), 0u);
  EXPECT_EQ(board.granted(0), 4u);
}

KDPC_TEST(MessageResources, EachMsiXMessageHasADescriptorOfItsOwn) {
  RULE("PNP-2");
  PulseBoard board({{.name = "pulse", .kind = Kind::MsiX, .messages = 12}});
  start(m, board);
  ASSERT_EQ(interrupts, 12u);
  std::set<ULONG> vectors;
  for (unsigned message = 0; message < interrupts; ++message) {
    const auto& translated = translated_interrupts[message];
    EXPECT_EQ(translated.Flags, CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE);
    EXPECT_EQ(USHORT{raw_interrupts[message].u.MessageInterrupt.Raw.MessageCount}, 1);
    const ULONG vector = translated.u.MessageInterrupt.Translated.Vector;
    EXPECT_EQ(ULONG{translated.u.MessageInterrupt.Translated.Level}, vector >> 4);
    EXPECT_EQ(vector, m.vector_of("pulse", message));
    vectors.insert(vector);
  }
  EXPECT_EQ(vectors.size(), 12u);
}

// Too few vectors are left, or the system grants fewer than were asked for: exactly one message.
KDPC_TEST(MessageResources, FewerThanWantedIsExactlyOne) {
  RULE("INT-10");
  io::VectorsInUse in_use;
  EXPECT_EQ(io::vectors_for_messages(in_use, 16, 15, true).size(), 1u);
  EXPECT_EQ(io::vectors_for_messages(in_use, 32, 64, true).size(), 1u);  // PCI 2.2 ends at 16
  EXPECT_EQ(io::vectors_for_messages(in_use, 16, 16, true).size(), 16u);
  EXPECT_EQ(io::vectors_for_messages(in_use, 127, 2048, false).size(), 1u);  // 126 are left
  EXPECT_EQ(io::vectors_for_messages(in_use, 125, 2048, false).size(), 125u);
  EXPECT_EQ(io::vectors_for_messages(in_use, 1, 1, true).size(), 0u);
  PulseBoard board({{.name = "pulse", .kind = Kind::MsiX, .messages = 8}});
  start(m, board, {.most_messages = 7});
  EXPECT_EQ(interrupts, 1u);
  EXPECT_EQ(board.granted(0), 1u);
}

KDPC_TEST(MessageResources, ADeviceWhoseMessagesAreNotUsedHasItsLine) {
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 2}});
  start(m, board, {.most_messages = 0});
  ASSERT_EQ(interrupts, 1u);
  EXPECT_EQ(translated_interrupt.Flags, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE);
  EXPECT_EQ(board.granted(0), 0u);
  m.run_for(1ms);
  board.send(0, 0);  // nobody listens to it
  m.run_for(1ms);
  EXPECT_EQ(m.count("interrupt-requested", {{"vector", m.vector_of("pulse")}}), 0u);
}

KDPC_TEST(Messages, TheTableDescribesEveryMessageAndTheRoutineGetsItsIndex, .processors = 2) {
  RULE("INT-6");
  RULE("INT-9");
  PulseBoard board({{.name = "pulse", .kind = Kind::MsiX, .messages = 12}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] { connect(); });
  ASSERT_EQ(table->MessageCount, 12u);
  KIRQL highest = 0;
  for (unsigned message = 0; message < 12; ++message) {
    const IO_INTERRUPT_MESSAGE_INFO_ENTRY& entry = table->MessageInfo[message];
    EXPECT_EQ(entry.Vector, m.vector_of("pulse", message));
    EXPECT_EQ(entry.Irql, entry.Vector >> 4);
    EXPECT_EQ(entry.Mode, Latched);
    EXPECT_EQ(entry.TargetProcessorSet, 3u);
    EXPECT_EQ(entry.MessageAddress.QuadPart & 0xFFF00000, 0xFEE00000);
    EXPECT_EQ(entry.MessageData & 0xFF, entry.Vector);
    highest = std::max(highest, entry.Irql);
  }
  EXPECT_EQ(table->UnifiedIrql, highest);
  for (const unsigned message : {3u, 11u, 3u, 0u}) {
    board.send(0, message);
    const int before = runs;
    EXPECT_TRUE(m.run_until([&] { return runs == before + 1; }, test::within(1ms)));
    EXPECT_EQ(level_seen, highest);  // the routine runs at the highest level of all its messages
  }
  EXPECT_EQ(served[3], 2u);
  EXPECT_EQ(served[11], 1u);
  EXPECT_EQ(served[0], 1u);
  EXPECT_TRUE(object_fits);
}

KDPC_TEST(Messages, SynchronizeIrqlIsAMinimum) {
  RULE("INT-8");
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 2}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    connect(nullptr, 12);
    KDPC_EXPECT_EQ(table->UnifiedIrql, 12);
    disconnect();
    connect(nullptr, 3);
    KDPC_EXPECT_EQ(table->UnifiedIrql, translated_interrupt.u.MessageInterrupt.Translated.Level);
    const KIRQL old = KeAcquireInterruptSpinLock(table->MessageInfo[1].InterruptObject);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), table->UnifiedIrql);
    KeReleaseInterruptSpinLock(table->MessageInfo[1].InterruptObject, old);
  });
  board.send(0, 1);
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, test::within(1ms)));
  EXPECT_EQ(level_seen, table->UnifiedIrql);
}

// Two messages that arrive on two processors at once: m.send_message() chooses the processor.
void send_to_both(lab::Machine& m) {
  stall = 100;
  m.send_message(m.vector_of("pulse", 0), 0);
  m.send_message(m.vector_of("pulse", 1), 1);
  EXPECT_TRUE(m.run_until([] { return runs == 2; }, test::within(1ms)));
}

KDPC_TEST(Messages, TwoMessagesOfOneDeviceRunOnTwoProcessorsAtOnce, .processors = 2,
          .simulated_only = "asks for a state that lasts for microseconds") {
  RULE("INT-9");
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 2}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] { connect(); });
  send_to_both(m);
  EXPECT_EQ(most_inside, 2);
}

KDPC_TEST(Messages, WithASharedLockTheyExcludeEachOther, .processors = 2, .options = {{"message_lock", "shared"}}) {
  RULE("INT-9");
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 2}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] { connect(); });
  send_to_both(m);
  EXPECT_EQ(most_inside, 1);
}

KDPC_TEST(Messages, TheDriversOwnLockIsTheLockOfAllMessages, .processors = 2) {
  RULE("INT-9");
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 2}});
  start(m, board);
  static KSPIN_LOCK lock;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeSpinLock(&lock);
    connect(&lock);
  });
  send_to_both(m);
  EXPECT_EQ(most_inside, 1);
}

KDPC_TEST(Messages, EqualMessagesInAShortTimeAreOneCall, .simulated_only = "asks for a state that lasts for microseconds") {
  RULE("INT-10");
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 2}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    connect();
    KIRQL old;
    KeRaiseIrql(HIGH_LEVEL, &old);
    for (int times = 0; times < 5; ++times) board_in_use->send(0, 1);
    board_in_use->send(0, 0);
    KeLowerIrql(old);
  });
  EXPECT_EQ(served[1], 1u);
  EXPECT_EQ(served[0], 1u);
  // One that comes while the routine runs is a call of its own: the edge is not lost.
  stall = 100;
  board.send(0, 1);
  EXPECT_TRUE(m.run_until([] { return inside == 1; }, 1ms));
  board.send(0, 1);
  m.run_for(1ms);
  EXPECT_EQ(served[1], 3u);
}

KDPC_TEST(Messages, ADeviceWithOneMessageMayBeConnectedByLine) {
  RULE("INT-7");
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 1}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {};
    parameters.Version = CONNECT_LINE_BASED;
    parameters.LineBased.PhysicalDeviceObject = physical;
    parameters.LineBased.InterruptObject = &line_object;
    parameters.LineBased.ServiceRoutine = serve_line;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    board_in_use->send(0, 0);
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(registers() + 3), 0u);
    KDPC_EXPECT_EQ(int{runs}, 1);
    IoDisconnectInterrupt(line_object);
  });
}

KDPC_TEST(Messages, ConnectingIsRefusedWithNtsStatus) {
  RULE("INT-7");
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 2}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    IO_CONNECT_INTERRUPT_PARAMETERS line = {};
    line.Version = CONNECT_LINE_BASED;
    line.LineBased.PhysicalDeviceObject = physical;
    line.LineBased.InterruptObject = &line_object;
    line.LineBased.ServiceRoutine = serve_line;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&line), STATUS_INVALID_DEVICE_REQUEST);  // there are several messages
    auto messages = by_messages();
    messages.MessageBased.PhysicalDeviceObject = nullptr;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&messages), STATUS_INVALID_PARAMETER);
    messages = by_messages();
    messages.MessageBased.PhysicalDeviceObject = functional;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&messages), STATUS_INVALID_PARAMETER);
    IO_CONNECT_INTERRUPT_PARAMETERS full = {};
    full.Version = CONNECT_FULLY_SPECIFIED_GROUP;
    full.FullySpecified.PhysicalDeviceObject = physical;
    full.FullySpecified.InterruptObject = &line_object;
    full.FullySpecified.ServiceRoutine = serve_line;
    full.FullySpecified.Irql = full.FullySpecified.SynchronizeIrql = static_cast<KIRQL>(translated_interrupt.u.MessageInterrupt.Translated.Level);
    full.FullySpecified.InterruptMode = Latched;
    full.FullySpecified.ProcessorEnableMask = 1;
    full.FullySpecified.Vector = translated_interrupt.u.MessageInterrupt.Translated.Vector + 2;  // there are two
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&full), STATUS_NOT_FOUND);
    --full.FullySpecified.Vector;
    full.FullySpecified.Group = 1;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&full), STATUS_INVALID_PARAMETER);
    full.FullySpecified.Group = 0;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&full), STATUS_SUCCESS);
    connection = by_messages();  // message 1 is taken, so none is connected
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&connection), STATUS_INVALID_PARAMETER);
    KDPC_EXPECT(table == nullptr);
    IoDisconnectInterrupt(line_object);
    connect();
  });
}

KDPC_TEST(Messages, DisconnectingEndsEveryMessage) {
  RULE("INT-26");
  PulseBoard board({{.name = "pulse", .kind = Kind::MsiX, .messages = 3}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    connect();
    disconnect();
  });
  for (unsigned message = 0; message < 3; ++message) board.send(0, message);
  EXPECT_TRUE(m.run_until([&] { return m.processor_state(0).unexpected_interrupts == 3; }, test::within(1ms)));
  EXPECT_EQ(runs, 0);
}

KDPC_TEST(Messages, TheWholeTableIsReportedInactive) {
  RULE("INT-11");
  PulseBoard board({{.name = "pulse", .kind = Kind::MsiX, .messages = 3}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    connect();
    IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS parameters = {};
    parameters.Version = connection.Version;
    parameters.ConnectionContext.InterruptMessageTable = table;
    IoReportInterruptInactive(&parameters);
    for (unsigned message = 0; message < 3; ++message) board_in_use->send(0, message);
    KeStallExecutionProcessor(10);
    KDPC_EXPECT_EQ(int{runs}, 0);
    IoReportInterruptActive(&parameters);
    for (unsigned message = 0; message < 3; ++message) board_in_use->send(0, message);
    KeStallExecutionProcessor(10);
    KDPC_EXPECT_EQ(int{runs}, 3);
  });
}

KDPC_TEST(Messages, DisconnectingATableTwiceIsABugCheck) {
  PulseBoard board({{.name = "pulse", .kind = Kind::Msi, .messages = 2}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    connect();
    disconnect();
    disconnect();
  });
  EXPECT_BUGCHECK(0xC2, 7, 0, 0, table);
}

}  // namespace
}  // namespace kdpc
