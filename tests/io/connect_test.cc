// Connecting by resources (SEMANTICS 2.1, 2.2), and the resources themselves (PNP-2).
#include <gmock/gmock.h>
#include <wdm.h>

#include "io/vectors.h"
#include "tests/io/pulse_board.h"
#include "tests/io/started_device.h"

namespace kdpc {
namespace {

using test::PulseBoard;

using namespace test::started;

PKINTERRUPT interrupt = nullptr, other = nullptr;
int served = 0, served_other = 0;
bool object_known_in_isr = false;
PulseBoard* board_in_use = nullptr;

BOOLEAN NTAPI serve(PKINTERRUPT object, PVOID) {
  ++served;
  object_known_in_isr = interrupt == object;
  WRITE_REGISTER_ULONG(registers(), 1);
  return TRUE;
}
BOOLEAN NTAPI serve_other(PKINTERRUPT, PVOID) {
  ++served_other;
  return FALSE;
}

NTSTATUS NTAPI add_device_fails(PDRIVER_OBJECT, PDEVICE_OBJECT) { return STATUS_INSUFFICIENT_RESOURCES; }

void start(lab::Machine& m, PulseBoard& board, std::string_view device = "pulse") {
  board_in_use = &board;
  served = served_other = 0;
  interrupt = other = nullptr;
  test::start_device(m, board, device);
}

void enable() { WRITE_REGISTER_ULONG(registers() + 1, 1); }

IO_CONNECT_INTERRUPT_PARAMETERS by_line(PKINTERRUPT* object, PKSERVICE_ROUTINE routine = serve) {
  IO_CONNECT_INTERRUPT_PARAMETERS parameters = {};
  parameters.Version = CONNECT_LINE_BASED;
  parameters.LineBased.PhysicalDeviceObject = physical;
  parameters.LineBased.InterruptObject = object;
  parameters.LineBased.ServiceRoutine = routine;
  return parameters;
}

IO_CONNECT_INTERRUPT_PARAMETERS fully(PKINTERRUPT* object) {
  IO_CONNECT_INTERRUPT_PARAMETERS parameters = {};
  parameters.Version = CONNECT_FULLY_SPECIFIED;
  auto& full = parameters.FullySpecified;
  full.PhysicalDeviceObject = physical;
  full.InterruptObject = object;
  full.ServiceRoutine = serve;
  full.Vector = translated_interrupt.u.Interrupt.Vector;
  full.Irql = full.SynchronizeIrql = static_cast<KIRQL>(translated_interrupt.u.Interrupt.Level);
  full.InterruptMode = LevelSensitive;
  full.ShareVector = TRUE;
  full.ProcessorEnableMask = translated_interrupt.u.Interrupt.Affinity;
  return parameters;
}

KDPC_TEST(Resources, TranslatedLevelIsTheDirqlOfTheVector, .processors = 2) {
  RULE("PNP-2");
  PulseBoard board({{"pulse", 3}});
  start(m, board);
  EXPECT_EQ(translated_interrupt.u.Interrupt.Level, translated_interrupt.u.Interrupt.Vector >> 4);
  EXPECT_GE(translated_interrupt.u.Interrupt.Level, 3u);
  EXPECT_LE(translated_interrupt.u.Interrupt.Level, 11u);
  EXPECT_EQ(KAFFINITY{translated_interrupt.u.Interrupt.Affinity}, 3u);  // a copy: the descriptor is packed
  EXPECT_EQ(translated_interrupt.u.Interrupt.Vector, m.vector_of("pulse"));
  EXPECT_EQ(raw_interrupt.u.Interrupt.Vector, 3u);
  EXPECT_EQ(translated_interrupt.Flags, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE);
  EXPECT_EQ(translated_interrupt.ShareDisposition, CmResourceShareShared);
  EXPECT_EQ(static_cast<std::uint64_t>(memory.u.Memory.Start.QuadPart), PulseBoard::kFirstBase);
  EXPECT_EQ(memory.u.Memory.Length, 16u);
}

KDPC_TEST(Resources, TheLowestProcessorOfTheSetIsInterrupted, .processors = 2) {
  RULE("PNP-2");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(1, PASSIVE_LEVEL, [] {
    auto parameters = by_line(&interrupt);
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    enable();
    board_in_use->trigger(0);
  });
  m.run_until([] { return served != 0; }, std::chrono::milliseconds(1));
  const auto taken = m.events("activity-began", {{"kind", 0}});
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken.front().processor, 0u);
}

KDPC_TEST(Resources, LinesHaveVectorsOfTheirOwnAndTheSameOnesInEveryRun) {
  for (unsigned line = 0; line < 144; ++line) {
    const unsigned vector = io::vector_of_line(line);
    EXPECT_GE(vector >> 4, 3u);
    EXPECT_LE(vector >> 4, 11u);
    for (unsigned before = 0; before < line; ++before) EXPECT_NE(vector, io::vector_of_line(before));
  }
  EXPECT_EQ(io::vector_of_line(144), 0u);
}

KDPC_TEST(Connect, RefusesWithNtsStatus) {
  RULE("INT-7");
  PulseBoard board({{"pulse"}, {"mute", -1}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    const auto expect = [](IO_CONNECT_INTERRUPT_PARAMETERS parameters, NTSTATUS status) {
      interrupt = reinterpret_cast<PKINTERRUPT>(1);
      KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), status);
      KDPC_EXPECT(interrupt == nullptr || status == STATUS_INVALID_PARAMETER_1);
    };
    auto bad = by_line(&interrupt);
    bad.Version = 99;
    expect(bad, STATUS_INVALID_PARAMETER_1);
    bad = by_line(&interrupt);
    bad.LineBased.PhysicalDeviceObject = nullptr;
    expect(bad, STATUS_INVALID_PARAMETER);
    bad = fully(&interrupt);
    bad.FullySpecified.ProcessorEnableMask = 0;
    expect(bad, STATUS_INVALID_PARAMETER_10);
    bad = fully(&interrupt);
    bad.FullySpecified.Vector ^= 1;
    expect(bad, STATUS_NOT_FOUND);
    KSPIN_LOCK lock = 0;
    bad = fully(&interrupt);
    bad.FullySpecified.Irql = bad.FullySpecified.SynchronizeIrql = PASSIVE_LEVEL;
    bad.FullySpecified.SpinLock = &lock;
    expect(bad, STATUS_INVALID_PARAMETER);
    bad = fully(&interrupt);
    bad.FullySpecified.SynchronizeIrql = static_cast<KIRQL>(bad.FullySpecified.Irql - 1);  // INT-3
    expect(bad, STATUS_INVALID_PARAMETER);
  });
  std::string why;
  ASSERT_TRUE(m.remove_device("pulse", why)) << why;
  ASSERT_TRUE(m.start_device("mute", "tested", why)) << why;
  m.on(0, PASSIVE_LEVEL, [] {
    auto parameters = by_line(&interrupt);
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_NOT_FOUND);
  });
}

KDPC_TEST(Connect, ASynchronizeIrqlBelowTheIrqlIsRefused) {
  RULE("INT-3");
  m.on(0, PASSIVE_LEVEL, [] {
    const auto connect = [](KIRQL irql, KIRQL synchronize) {
      const NTSTATUS status = IoConnectInterrupt(&interrupt, serve_other, nullptr, nullptr, 0x71, irql, synchronize, Latched, FALSE, 1, FALSE);
      if (NT_SUCCESS(status)) IoDisconnectInterrupt(interrupt);
      return status;
    };
    KDPC_EXPECT_EQ(connect(7, 6), STATUS_INVALID_PARAMETER);
    KDPC_EXPECT_EQ(connect(7, 7), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(connect(7, 9), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(connect(7, 16), STATUS_INVALID_PARAMETER);
  });
}

KDPC_TEST(Connect, ByLineTakesLevelAndSharingFromTheResources) {
  RULE("INT-8");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    auto parameters = by_line(&interrupt);
    parameters.LineBased.SynchronizeIrql = PASSIVE_LEVEL;  // a minimum
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    const KIRQL old = KeAcquireInterruptSpinLock(interrupt);
    KDPC_EXPECT_EQ(static_cast<ULONG>(KeGetCurrentIrql()), translated_interrupt.u.Interrupt.Level);
    KeReleaseInterruptSpinLock(interrupt, old);
    auto second = by_line(&other, serve_other);  // the line is level, so it is shared
    second.LineBased.SynchronizeIrql = 12;       // above every line
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&second), STATUS_SUCCESS);
    const KIRQL before = KeAcquireInterruptSpinLock(other);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), 12);
    KeReleaseInterruptSpinLock(other, before);
    enable();
    board_in_use->trigger(0);
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(registers() + 3), 1u);
    KDPC_EXPECT_EQ(served, 1);
    KDPC_EXPECT_EQ(served_other, 0);  // connected later, and the first has claimed it
  });
}

KDPC_TEST(Connect, TheIsrMayRunBeforeTheObjectIsKnown) {
  RULE("INT-4");
  PulseBoard board({{"pulse"}});
  start(m, board);
  object_known_in_isr = true;
  m.on(0, PASSIVE_LEVEL, [] {
    enable();
    board_in_use->trigger(0);  // the device already asks when the routine is connected
    auto parameters = by_line(&interrupt);
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    KDPC_EXPECT(interrupt != nullptr);
  });
  EXPECT_EQ(served, 1);
  EXPECT_FALSE(object_known_in_isr);
}

KDPC_TEST(Connect, MessagesFallBackToTheLine) {
  RULE("INT-9");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {};
    parameters.Version = CONNECT_MESSAGE_BASED;
    parameters.MessageBased.PhysicalDeviceObject = physical;
    parameters.MessageBased.ConnectionContext.InterruptObject = &interrupt;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_NOT_FOUND);
    parameters.MessageBased.FallBackServiceRoutine = serve;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(parameters.Version, static_cast<ULONG>(CONNECT_LINE_BASED));
    IO_DISCONNECT_INTERRUPT_PARAMETERS disconnect = {};
    disconnect.Version = parameters.Version;
    disconnect.ConnectionContext.InterruptObject = interrupt;
    IoDisconnectInterruptEx(&disconnect);
  });
}

// By name only, before Vista: a library of the driver's connects, and it knows one version.
KDPC_TEST(Connect, BeforeVistaOnlyTheFullySpecifiedVersionIsKnown, .options = {{"connect_interrupt_ex", "nt52"}}) {
  RULE("INT-12");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    for (const ULONG version : {CONNECT_LINE_BASED, CONNECT_MESSAGE_BASED, CONNECT_FULLY_SPECIFIED_GROUP}) {
      auto parameters = by_line(&interrupt);
      parameters.Version = version;
      KDPC_EXPECT(!NT_SUCCESS(IoConnectInterruptEx(&parameters)));
      KDPC_EXPECT_EQ(parameters.Version, static_cast<ULONG>(CONNECT_FULLY_SPECIFIED));
    }
    auto parameters = fully(&interrupt);
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(parameters.Version, static_cast<ULONG>(CONNECT_FULLY_SPECIFIED));
  });
}

KDPC_TEST(Connect, EveryVersionConnectsAndDisconnects) {
  RULE("INT-6");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    enable();
    const auto works = [](IO_CONNECT_INTERRUPT_PARAMETERS parameters) {
      KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
      const int before = served;
      board_in_use->trigger(0);
      KDPC_EXPECT_EQ(READ_REGISTER_ULONG(registers()), 0u);
      KDPC_EXPECT_EQ(served, before + 1);
      IO_DISCONNECT_INTERRUPT_PARAMETERS disconnect = {};
      disconnect.Version = parameters.Version;
      disconnect.ConnectionContext.InterruptObject = interrupt;
      IoDisconnectInterruptEx(&disconnect);
    };
    auto grouped = fully(&interrupt);
    grouped.Version = CONNECT_FULLY_SPECIFIED_GROUP;
    auto ungrouped = fully(&interrupt);
    ungrouped.FullySpecified.Group = 7;  // is no field of this version
    auto by_messages = by_line(&interrupt);
    by_messages.Version = CONNECT_MESSAGE_BASED;
    by_messages.MessageBased = {physical, {}, nullptr, nullptr, nullptr, PASSIVE_LEVEL, FALSE, serve};
    by_messages.MessageBased.ConnectionContext.InterruptObject = &interrupt;
    for (const auto& parameters : {ungrouped, by_line(&interrupt), by_messages, grouped}) works(parameters);
    grouped.FullySpecified.Group = 1;
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&grouped), STATUS_INVALID_PARAMETER);
  });
}

void report(bool active, PKINTERRUPT object = interrupt) {
  IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS parameters = {};
  parameters.Version = CONNECT_LINE_BASED;
  parameters.ConnectionContext.InterruptObject = object;
  if (active) {
    IoReportInterruptActive(&parameters);
  } else {
    IoReportInterruptInactive(&parameters);
  }
}

KDPC_TEST(Connect, AnInactiveInterruptIsNotServedUntilItIsActiveAgain, .processors = 2) {
  RULE("INT-11");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    auto parameters = by_line(&interrupt);
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    enable();
    report(true);  // it is that from the beginning: no error, and nothing happens
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);  // the highest level at which it may be called
    report(false);
    report(false);
    KeLowerIrql(old);
    board_in_use->trigger(0);
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(registers()), 1u);
    KDPC_EXPECT_EQ(served, 0);
    report(true);  // its line is still asserted
    KDPC_EXPECT_EQ(served, 1);
    report(false);
    report(true);
    KDPC_EXPECT_EQ(served, 1);
    board_in_use->trigger(0);
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(registers()), 0u);
    KDPC_EXPECT_EQ(served, 2);
  });
  EXPECT_EQ(m.count("interrupt-activated"), 4u);
  EXPECT_EQ(m.processor_state(0).unexpected_interrupts, 0u);
}

KDPC_TEST(Connect, OnlyTheInactiveOneOfASharedLineIsLeftOut) {
  RULE("INT-11");
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    auto parameters = by_line(&other, serve_other);
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    parameters = by_line(&interrupt);
    KDPC_EXPECT_EQ(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
    enable();
    report(false, other);
    board_in_use->trigger(0);
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(registers()), 0u);
    KDPC_EXPECT_EQ(served, 1);
    KDPC_EXPECT_EQ(served_other, 0);
  });
}

KDPC_TEST(Connect, ReportingAnObjectThatIsNotConnectedIsABugCheck) {
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] { report(false, reinterpret_cast<PKINTERRUPT>(&other)); });
  EXPECT_BUGCHECK(0xC2, 7, 0, 0, &other);
}

KDPC_TEST(Pnp, AddDeviceThatFailsIsNamed) {
  PulseBoard board({{"pulse"}});
  m.attach(board);
  m.on(0, PASSIVE_LEVEL, [] { test::make_driver().extension.AddDevice = add_device_fails; });
  std::string why;
  EXPECT_FALSE(m.start_device("pulse", "tested", why));
  EXPECT_EQ(why, "pulse: AddDevice failed with STATUS_INSUFFICIENT_RESOURCES (0xC000009A)");
  EXPECT_FALSE(m.start_device("pulse", "nobody", why));
  EXPECT_EQ(why, "nobody: no driver of this name is loaded");
  EXPECT_FALSE(m.start_device("absent", "tested", why));
  EXPECT_EQ(why, "absent: no board has a device of this name; there are: pulse");
}

KDPC_TEST(Pnp, CapabilitiesAndIdentityComeFromTheBus) {
  PulseBoard board({{"pulse"}});
  start(m, board);
  m.on(0, PASSIVE_LEVEL, [] {
    KEVENT event;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IO_STATUS_BLOCK status = {};
    PIRP irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, physical, nullptr, 0, nullptr, &event, &status);
    IoGetNextIrpStackLocation(irp)->MinorFunction = IRP_MN_QUERY_ID;
    IoGetNextIrpStackLocation(irp)->Parameters.QueryId.IdType = BusQueryDeviceID;
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    KDPC_EXPECT_EQ(IoCallDriver(physical, irp), STATUS_SUCCESS);
    UNICODE_STRING id;
    RtlInitUnicodeString(&id, reinterpret_cast<PCWSTR>(status.Information));
    KDPC_EXPECT(io::view(id) == u"ROOT\\pulse");
    ExFreePool(reinterpret_cast<PVOID>(status.Information));
  });
}

// PNP-3 for an image: a driver whose routine is still connected.
KDPC_TEST(Pnp, UnloadingWithAConnectedInterruptIsFound) {
  RULE("PNP-3");
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = test::make_driver();
    driver.object.DriverStart = reinterpret_cast<PVOID>(reinterpret_cast<std::uintptr_t>(&serve_other) & ~std::uintptr_t{0xF});
    driver.object.DriverSize = 64;
    driver.object.DriverUnload = [](PDRIVER_OBJECT) NTAPI {};
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, serve_other, nullptr, nullptr, 0x71, 7, 7, Latched, FALSE, 1, FALSE), STATUS_SUCCESS);
  });
  std::string why;
  EXPECT_FALSE(m.unload_driver("tested", why));
  EXPECT_BUGCHECK(DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, serve_other);
}

KDPC kept;
int kept_runs = 0;
KDPC_TEST(Pnp, UnloadWaitsForQueuedDpcs) {
  RULE("FLU-3");
  kept_runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = test::make_driver();
    driver.object.DriverUnload = [](PDRIVER_OBJECT) NTAPI {
      KeInitializeDpc(
          &kept, [](PKDPC, PVOID, PVOID, PVOID) NTAPI { ++kept_runs; }, nullptr);
      KeSetImportanceDpc(&kept, LowImportance);
      KeInsertQueueDpc(&kept, nullptr, nullptr);
    };
  });
  std::string why;
  EXPECT_TRUE(m.unload_driver("tested", why)) << why;
  EXPECT_EQ(kept_runs, 1);
}

}  // namespace
}  // namespace kdpc
