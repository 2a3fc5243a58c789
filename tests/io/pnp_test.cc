// What the PnP and power managers send to a device, in which order, and what they do when a driver says no (SEMANTICS PNP-1).
#include <gmock/gmock.h>
#include <wdm.h>

#include <string>

#include "tests/io/host_driver.h"
#include "tests/io/pulse_board.h"
#include "tests/io/told.h"
#include "tests/kernel/at_rest.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::accept_files;
using test::finish;
using test::forget_told;
using test::make_driver;
using test::PulseBoard;
using test::tell;
using test::told;
using testing::HasSubstr;

PDEVICE_OBJECT physical = nullptr, functional = nullptr, below = nullptr;
UCHAR refused = 0xFF;  // the minor function that the driver fails
bool failed = false;   // what it answers to IRP_MN_QUERY_PNP_DEVICE_STATE
PIRP stuck = nullptr;
int questions = 0;  // so often it says when it is asked to stop that its device has changed, and waits for a work item of its own

const char* name_of(UCHAR minor) {
  switch (minor) {
    case IRP_MN_START_DEVICE: return "start";
    case IRP_MN_QUERY_STOP_DEVICE: return "query-stop";
    case IRP_MN_CANCEL_STOP_DEVICE: return "cancel-stop";
    case IRP_MN_STOP_DEVICE: return "stop";
    case IRP_MN_QUERY_REMOVE_DEVICE: return "query-remove";
    case IRP_MN_CANCEL_REMOVE_DEVICE: return "cancel-remove";
    case IRP_MN_REMOVE_DEVICE: return "remove";
    case IRP_MN_SURPRISE_REMOVAL: return "surprise";
    default: return nullptr;
  }
}

VOID NTAPI set(PVOID event) { KeSetEvent(static_cast<PKEVENT>(event), 0, FALSE); }

void ask_and_wait() {
  for (int number = 0; number < questions; ++number) IoInvalidateDeviceState(physical);
  KEVENT done;
  KeInitializeEvent(&done, NotificationEvent, FALSE);
  WORK_QUEUE_ITEM item;
  ExInitializeWorkItem(&item, set, &done);
  ExQueueWorkItem(&item, DelayedWorkQueue);
  KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, nullptr);
}

NTSTATUS NTAPI on_pnp(PDEVICE_OBJECT, PIRP irp) {
  const UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;
  if (minor == IRP_MN_QUERY_STOP_DEVICE && questions != 0) ask_and_wait();
  if (const char* name = name_of(minor)) tell(name);
  if (minor == refused) return finish(irp, STATUS_DEVICE_BUSY);
  if (minor == IRP_MN_QUERY_PNP_DEVICE_STATE && failed) return finish(irp, STATUS_SUCCESS, PNP_DEVICE_FAILED);
  irp->IoStatus.Status = STATUS_SUCCESS;
  IoSkipCurrentIrpStackLocation(irp);
  PDEVICE_OBJECT next = below;
  if (minor == IRP_MN_REMOVE_DEVICE) {
    const NTSTATUS status = IoCallDriver(next, irp);
    IoDetachDevice(next);
    IoDeleteDevice(functional);
    return status;
  }
  return IoCallDriver(next, irp);
}

// The system request first, then the device request that follows from it, as a power policy owner does it.
VOID NTAPI device_power_done(PDEVICE_OBJECT, UCHAR, POWER_STATE state, PVOID context, PIO_STATUS_BLOCK) {
  tell(state.DeviceState == PowerDeviceD0 ? "D0-done" : "D3-done");
  auto* irp = static_cast<PIRP>(context);
  IoSkipCurrentIrpStackLocation(irp);
  PoStartNextPowerIrp(irp);
  PoCallDriver(below, irp);
}

NTSTATUS NTAPI on_power(PDEVICE_OBJECT, PIRP irp) {
  const IO_STACK_LOCATION* location = IoGetCurrentIrpStackLocation(irp);
  const auto& power = location->Parameters.Power;
  const bool query = location->MinorFunction == IRP_MN_QUERY_POWER;
  if (power.Type == SystemPowerState) {
    tell((query ? "query-S" : "set-S") + std::to_string(power.State.SystemState - 1));
    if (location->MinorFunction == refused) return finish(irp, STATUS_DEVICE_BUSY);
    if (!query && refused == 0xFE) {  // never completes it
      IoMarkIrpPending(irp);
      stuck = irp;
      return STATUS_PENDING;
    }
    if (!query) {
      POWER_STATE state;
      state.DeviceState = power.State.SystemState == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
      IoMarkIrpPending(irp);
      KDPC_EXPECT_EQ(PoRequestPowerIrp(physical, IRP_MN_SET_POWER, state, device_power_done, irp, nullptr), STATUS_PENDING);
      return STATUS_PENDING;
    }
  } else {
    tell(power.State.DeviceState == PowerDeviceD0 ? "D0" : "D3");
    POWER_STATE state = power.State;
    PoSetPowerState(functional, DevicePowerState, state);
  }
  PoStartNextPowerIrp(irp);
  IoSkipCurrentIrpStackLocation(irp);
  return PoCallDriver(below, irp);
}

NTSTATUS NTAPI on_shutdown(PDEVICE_OBJECT, PIRP irp) {
  tell("shutdown");
  return finish(irp, STATUS_SUCCESS);
}

NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT its_physical) {
  physical = its_physical;
  const NTSTATUS status = IoCreateDevice(driver, 0, nullptr, FILE_DEVICE_UNKNOWN, 0, FALSE, &functional);
  if (!NT_SUCCESS(status)) return status;
  below = IoAttachDeviceToDeviceStack(functional, physical);
  functional->Flags &= ~static_cast<ULONG>(DO_DEVICE_INITIALIZING);
  return STATUS_SUCCESS;
}

// A machine with one device, started.
struct Started {
  explicit Started(lab::Machine& machine) : m(machine), board({{"pulse"}}) {
    forget_told();
    refused = 0xFF;
    failed = false;
    stuck = nullptr;
    m.attach(board);
    m.on(0, PASSIVE_LEVEL, [] {
      io::Driver& driver = make_driver();
      accept_files(driver);
      driver.extension.AddDevice = add_device;
      driver.object.MajorFunction[IRP_MJ_PNP] = on_pnp;
      driver.object.MajorFunction[IRP_MJ_POWER] = on_power;
      driver.object.MajorFunction[IRP_MJ_SHUTDOWN] = on_shutdown;
    });
    EXPECT_TRUE(m.start_device("pulse", "tested", why)) << why;
    EXPECT_EQ(told, "start ");
    told.clear();
  }
  lab::Machine& m;
  PulseBoard board;
  std::string why;
};

KDPC_TEST(Pnp, AStoppedDeviceIsAskedFirstAndStartedAgain) {
  RULE("PNP-1");
  Started s(m);
  EXPECT_TRUE(m.stop_device("pulse", s.why)) << s.why;
  EXPECT_FALSE(m.stop_device("pulse", s.why));
  EXPECT_TRUE(m.start_device("pulse", "tested", s.why)) << s.why;
  EXPECT_TRUE(m.stop_device("pulse", s.why)) << s.why;
  EXPECT_TRUE(m.remove_device("pulse", s.why)) << s.why;
  EXPECT_EQ(told, "query-stop stop start query-stop stop query-remove remove ");
}

KDPC_TEST(Pnp, ARefusalIsTakenBack) {
  RULE("PNP-1");
  Started s(m);
  refused = IRP_MN_QUERY_STOP_DEVICE;
  EXPECT_FALSE(m.stop_device("pulse", s.why));
  EXPECT_THAT(s.why, HasSubstr("IRP_MN_QUERY_STOP_DEVICE failed with STATUS_DEVICE_BUSY"));
  refused = IRP_MN_QUERY_REMOVE_DEVICE;
  EXPECT_FALSE(m.remove_device("pulse", s.why));
  EXPECT_EQ(told, "query-stop cancel-stop query-remove cancel-remove ");
}

KDPC_TEST(Pnp, AQuestionMayBeTakenBackAfterAYes) {
  RULE("PNP-1");
  Started s(m);
  EXPECT_TRUE(m.ask_to_stop_device("pulse", s.why)) << s.why;
  EXPECT_TRUE(m.ask_to_remove_device("pulse", s.why)) << s.why;
  EXPECT_EQ(told, "query-stop cancel-stop query-remove cancel-remove ");
}

PKINTERRUPT interrupt = nullptr;
int interrupts = 0;
BOOLEAN NTAPI count(PKINTERRUPT, PVOID) {
  ++interrupts;
  return TRUE;
}

KDPC_TEST(Pnp, APulledOutDeviceNeitherInterruptsNorAnswers) {
  RULE("PNP-1");
  Started s(m);
  interrupts = 0;
  static unsigned vector;
  vector = m.vector_of("pulse");
  m.on(0, PASSIVE_LEVEL, [] {
    const auto level = static_cast<KIRQL>(vector >> 4);
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, count, nullptr, nullptr, vector, level, level, LevelSensitive, TRUE, 1, FALSE), STATUS_SUCCESS);
    PHYSICAL_ADDRESS address;
    address.QuadPart = static_cast<LONGLONG>(PulseBoard::kFirstBase);
    auto* registers = static_cast<PULONG>(MmMapIoSpace(address, 16, MmNonCached));
    WRITE_REGISTER_ULONG(registers + 1, 1);
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(registers + 1), 1u);
  });
  EXPECT_TRUE(m.surprise_remove_device("pulse", s.why)) << s.why;
  EXPECT_EQ(told, "surprise remove ");
  s.board.trigger(0);  // what the card still does, nobody sees
  m.run_for(1ms);
  EXPECT_EQ(interrupts, 0);
  m.on(0, PASSIVE_LEVEL, [] {
    PHYSICAL_ADDRESS address;
    address.QuadPart = static_cast<LONGLONG>(PulseBoard::kFirstBase);
    KDPC_EXPECT_EQ(READ_REGISTER_ULONG(static_cast<PULONG>(MmMapIoSpace(address, 16, MmNonCached))), 0xFFFFFFFFu);
    IoDisconnectInterrupt(interrupt);  // still due
  });
}

KDPC_TEST(Pnp, ADeviceThatSaysItHasFailedIsRemoved) {
  RULE("PNP-1");
  Started s(m);
  m.on(0, PASSIVE_LEVEL, [] { IoInvalidateDeviceState(physical); });
  test::let_rest(m);
  EXPECT_EQ(told, "");
  failed = true;
  m.on(0, DISPATCH_LEVEL, [] { IoInvalidateDeviceState(physical); });
  test::let_rest(m);
  EXPECT_EQ(told, "surprise remove ");
}

KDPC_TEST(Pnp, HoweverManyQuestionsWaitForTheirTurnADriversOwnWorkIsDone) {
  RULE("K.PNP-1");
  Started s(m);
  questions = 20;
  EXPECT_TRUE(m.stop_device("pulse", s.why)) << s.why;
  questions = 0;
  EXPECT_TRUE(m.start_device("pulse", "tested", s.why)) << s.why;
}

KDPC_TEST(Pnp, PropertiesOfADevice) {
  Started s(m);
  m.on(0, PASSIVE_LEVEL, [] {
    WCHAR text[64] = {};
    ULONG size = 0;
    KDPC_EXPECT_EQ(IoGetDeviceProperty(physical, DevicePropertyEnumeratorName, sizeof text, text, &size), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(size, 10u);
    KDPC_EXPECT(std::u16string_view(text) == u"ROOT");
    KDPC_EXPECT_EQ(IoGetDeviceProperty(physical, DevicePropertyHardwareID, 0, nullptr, &size), STATUS_BUFFER_TOO_SMALL);
    KDPC_EXPECT_EQ(size, 24u);  // ROOT\pulse and two zeros
    ULONG bus = 9;
    KDPC_EXPECT_EQ(IoGetDeviceProperty(physical, DevicePropertyBusNumber, sizeof bus, &bus, &size), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(bus, 0u);
    KDPC_EXPECT_EQ(IoGetDeviceProperty(physical, DevicePropertyClassName, sizeof text, text, &size), STATUS_OBJECT_NAME_NOT_FOUND);
    KDPC_EXPECT_EQ(IoGetDeviceProperty(functional, DevicePropertyBusNumber, sizeof bus, &bus, &size), STATUS_INVALID_DEVICE_REQUEST);
  });
}

KDPC_TEST(Power, TheSystemRequestIsFollowedByTheDevicesOwn) {
  Started s(m);
  EXPECT_TRUE(m.sleep(s.why)) << s.why;
  EXPECT_TRUE(m.wake(s.why)) << s.why;
  EXPECT_EQ(told, "query-S3 set-S3 D3 D3-done set-S0 D0 D0-done ");
}

KDPC_TEST(Power, ARefusedSleepLeavesTheSystemAwake) {
  Started s(m);
  refused = IRP_MN_QUERY_POWER;
  EXPECT_FALSE(m.sleep(s.why));
  EXPECT_THAT(s.why, HasSubstr("IRP_MN_QUERY_POWER failed"));
  EXPECT_EQ(told, "query-S3 set-S0 D0 D0-done ");
}

KDPC_TEST(Power, ARequestThatIsNeverCompletedIsABugCheck, .simulated_only = "lets ten minutes pass") {
  Started s(m);
  refused = 0xFE;
  EXPECT_FALSE(m.sleep(s.why));
  EXPECT_BUGCHECK(0x9F, 3, physical, 0, stuck);
}

KDPC_TEST(Power, ShutdownIsToldToThoseWhoRegistered) {
  Started s(m);
  m.on(0, PASSIVE_LEVEL, [] { IoRegisterShutdownNotification(functional); });
  EXPECT_TRUE(m.shut_down(s.why)) << s.why;
  EXPECT_EQ(told, "shutdown set-S5 D3 D3-done ");
}

}  // namespace
}  // namespace kdpc
