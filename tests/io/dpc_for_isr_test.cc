// The DPC in every device object (SEMANTICS 4.10), and work items (8.2).
#include <wdm.h>

#include "tests/io/host_driver.h"
#include "tests/kernel/at_rest.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::make_device;
using test::make_driver;

PDEVICE_OBJECT device = nullptr;
int runs = 0;
PIRP seen_irp;
PVOID seen_context;
constexpr unsigned kVector = 0x61;

PIRP address_as_irp(std::uintptr_t value) { return reinterpret_cast<PIRP>(value); }
PVOID address(std::uintptr_t value) { return reinterpret_cast<PVOID>(value); }

VOID NTAPI dpc_for_isr(PKDPC dpc, PDEVICE_OBJECT its_device, PIRP irp, PVOID context) {
  ++runs;
  KDPC_EXPECT_EQ(static_cast<int>(KeGetCurrentIrql()), DISPATCH_LEVEL);
  KDPC_EXPECT(its_device == device && dpc == &device->Dpc);
  seen_irp = irp;
  seen_context = context;
}

KDPC_TEST(DpcForIsr, IsTheDeviceObjectsOwnKdpcWithTheDeviceAsContext) {
  RULE("IOD-1");
  runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    device = make_device(make_driver());
    IoInitializeDpcRequest(device, dpc_for_isr);
    KDPC_EXPECT(device->Dpc.DeferredContext == device);
    KDPC_EXPECT(device->Dpc.DeferredRoutine == reinterpret_cast<PKDEFERRED_ROUTINE>(dpc_for_isr));
    KeInsertQueueDpc(&device->Dpc, nullptr, nullptr);
  });
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(DpcForIsr, GetsTheIrpAndTheContextOfTheRequest) {
  RULE("IOD-2");
  runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    device = make_device(make_driver());
    IoInitializeDpcRequest(device, dpc_for_isr);
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    IoRequestDpc(device, address_as_irp(0x1000), address(0x2000));
    IoRequestDpc(device, address_as_irp(0x3000), address(0x4000));  // is queued already: the first request's arguments stay, and nobody is told
    KeLowerIrql(old);
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(seen_irp, address_as_irp(0x1000));
  EXPECT_EQ(seen_context, address(0x2000));
}

PKINTERRUPT interrupt = nullptr;
BOOLEAN NTAPI request_three_times(PKINTERRUPT, PVOID) {
  for (int time = 0; time < 3; ++time) IoRequestDpc(device, nullptr, nullptr);
  return TRUE;
}

KDPC_TEST(DpcForIsr, ManyRequestsBeforeTheDrainAreOneRun) {
  RULE("IOD-4");
  runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    device = make_device(make_driver());
    IoInitializeDpcRequest(device, dpc_for_isr);
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, request_three_times, nullptr, nullptr, kVector, 6, 6, Latched, FALSE, 1, FALSE), STATUS_SUCCESS);
  });
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([] { return runs != 0; }, test::within(10ms)));
  m.run_for(1ms);
  EXPECT_EQ(runs, 1);
}

// -- work items

PIO_WORKITEM item = nullptr;
int worked = 0;
KEVENT worked_event;

VOID NTAPI work(PDEVICE_OBJECT its_device, PVOID context) {
  ++worked;
  KDPC_EXPECT_EQ(static_cast<int>(KeGetCurrentIrql()), PASSIVE_LEVEL);
  KDPC_EXPECT(its_device == device && context == address(0x77));
  KDPC_EXPECT_EQ(static_cast<int>(its_device->Type), IO_TYPE_DEVICE);  // still there, though it was deleted meanwhile
  KeSetEvent(&worked_event, 0, FALSE);
}

void prepare() {
  worked = 0;
  device = make_device(make_driver());
  KeInitializeEvent(&worked_event, SynchronizationEvent, FALSE);
  item = IoAllocateWorkItem(device);
}
void await() { KeWaitForSingleObject(&worked_event, Executive, KernelMode, FALSE, nullptr); }

KDPC_TEST(WorkItem, RunsAtPassiveAndKeepsItsDevice) {
  RULE("WI-1");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare();
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    IoQueueWorkItem(item, work, DelayedWorkQueue, address(0x77));
    KeLowerIrql(old);
    IoDeleteDevice(device);
    await();
    IoFreeWorkItem(item);
  });
  EXPECT_EQ(worked, 1);
}

VOID NTAPI work_and_free(PVOID object, PVOID, PIO_WORKITEM its_item) {
  KDPC_EXPECT(object == device);
  if (++worked < 3) {
    IoQueueWorkItemEx(its_item, work_and_free, DelayedWorkQueue, nullptr);
    return;
  }
  IoFreeWorkItem(its_item);
  KeSetEvent(&worked_event, 0, FALSE);
}

KDPC_TEST(WorkItem, MayBeQueuedAgainOrFreedFromInside) {
  RULE("WI-2");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare();
    IoQueueWorkItemEx(item, work_and_free, DelayedWorkQueue, nullptr);
    await();
  });
  EXPECT_EQ(worked, 3);
}

KDPC_TEST(WorkItem, QueuedTwiceIsABugCheck) {
  RULE("WI-2");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare();
    KeRaiseIrqlToDpcLevel();
    IoQueueWorkItem(item, work, DelayedWorkQueue, address(0x77));
    IoQueueWorkItem(item, work, DelayedWorkQueue, address(0x77));
  });
  EXPECT_BUGCHECK(WORKER_INVALID, 1, item, static_cast<int>(DelayedWorkQueue), 0);
}

KDPC_TEST(WorkItem, FreedWhileQueuedIsABugCheck) {
  RULE("WI-2");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare();
    KeRaiseIrqlToDpcLevel();
    IoQueueWorkItem(item, work, DelayedWorkQueue, address(0x77));
    IoFreeWorkItem(item);
  });
  EXPECT_BUGCHECK(WORKER_INVALID, 2, item, work, 0);
}

KDPC_TEST(WorkItem, AQueueThatDoesNotExistIsABugCheck) {
  RULE("WI-2");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare();
    IoQueueWorkItem(item, work, static_cast<WORK_QUEUE_TYPE>(9), address(0x77));
  });
  EXPECT_BUGCHECK(WORKER_INVALID, 6, item, 9, 0);
}

KDPC_TEST(WorkItem, TriedTwiceItIsQueuedOnce) {
  RULE("WI-1");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare();
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    KDPC_EXPECT_EQ(IoTryQueueWorkItem(item, work_and_free, DelayedWorkQueue, nullptr), TRUE);
    KDPC_EXPECT_EQ(IoTryQueueWorkItem(item, work_and_free, CriticalWorkQueue, nullptr), FALSE);
    KeLowerIrql(old);
    await();
  });
  EXPECT_EQ(worked, 3);
  EXPECT_EQ(m.count("work-queued", {{"item", m.address_of(item)}}), 3u);  // once here, twice from inside
}

KDPC_TEST(WorkItem, OfSomethingThatIsNoDeviceIsABugCheck) {
  RULE("WI-2");
  static ULONG nothing[64];
  m.on(0, PASSIVE_LEVEL, [] {
    item = static_cast<PIO_WORKITEM>(ExAllocatePool2(POOL_FLAG_NON_PAGED, IoSizeofWorkItem(), 0x74736554));
    IoInitializeWorkItem(nothing, item);
  });
  EXPECT_BUGCHECK(WORKER_INVALID, 3, item, nothing, 0);
}

KDPC dpc;
bool worked_inside_the_dpc;
VOID NTAPI queue_from_dpc(PKDPC, PVOID, PVOID, PVOID) {
  IoQueueWorkItem(item, work, CriticalWorkQueue, address(0x77));
  KeStallExecutionProcessor(100);
  worked_inside_the_dpc = worked != 0;
}

KDPC_TEST(WorkItem, QueuedFromADpcItWaitsForTheEndOfTheDrainHere) {
  RULE("WI-4");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare();
    KeInitializeDpc(&dpc, queue_from_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    await();
  });
  EXPECT_FALSE(worked_inside_the_dpc);
  EXPECT_EQ(worked, 1);
}

KDPC_TEST(WorkItem, QueuedFromADpcItMayStartAtOnceOnAnotherProcessor, .processors = 2, .simulated_only = "says how soon") {
  RULE("WI-4");
  m.on(0, PASSIVE_LEVEL, [] {
    prepare();
    KeInitializeDpc(&dpc, queue_from_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    await();
  });
  EXPECT_TRUE(worked_inside_the_dpc);
}

}  // namespace
}  // namespace kdpc
