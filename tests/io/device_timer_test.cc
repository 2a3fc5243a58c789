// The one-second timer of a device object: SEMANTICS TIM-20.
#include <wdm.h>

#include "tests/io/host_driver.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

PDEVICE_OBJECT first, second;
volatile int ticks[2] = {};
KIRQL level;
ULONGLONG called_at[8];
PVOID seen_context;

VOID NTAPI tick(PDEVICE_OBJECT Device, PVOID Context) {
  const int which = Device == first ? 0 : 1;
  if (which == 0) called_at[ticks[0] % 8] = KeQueryInterruptTime();
  ticks[which] = ticks[which] + 1;
  level = KeGetCurrentIrql();
  seen_context = Context;
}

VOID NTAPI tick_and_stop(PDEVICE_OBJECT Device, PVOID Context) {
  tick(Device, Context);
  IoStopTimer(Device);
}

void make_devices(PIO_TIMER_ROUTINE routine = tick) {
  ticks[0] = 0;
  ticks[1] = 0;
  kdpc::io::Driver& driver = make_driver();
  first = make_device(driver);
  second = make_device(driver, u"\\Device\\Second");
  KDPC_EXPECT_EQ(IoInitializeTimer(first, routine, &called_at), STATUS_SUCCESS);
  KDPC_EXPECT_EQ(IoInitializeTimer(second, routine, nullptr), STATUS_SUCCESS);
}

KDPC_TEST(DeviceTimer, EachDeviceHasOneThatTicksOnceASecondAtDispatch) {
  RULE("TIM-20");
  m.on(0, PASSIVE_LEVEL, [] {
    make_devices();
    KDPC_EXPECT(first->Timer != nullptr && second->Timer != nullptr && first->Timer != second->Timer);
    IoStartTimer(first);
  });
  m.run_for(4500ms);
  EXPECT_EQ(ticks[0], 4);
  EXPECT_EQ(ticks[1], 0);
  EXPECT_EQ(level, DISPATCH_LEVEL);
  EXPECT_EQ(seen_context, &called_at);
  for (int call = 1; call < 4; ++call) EXPECT_NEAR(static_cast<double>(called_at[call] - called_at[call - 1]), 1e7, 156'250);
}

KDPC_TEST(DeviceTimer, StartsAndStopsAsOftenAsOneLikesAtDispatchToo) {
  RULE("TIM-20");
  m.on(0, PASSIVE_LEVEL, [] { make_devices(); });
  for (int round = 1; round <= 3; ++round) {
    m.on(0, DISPATCH_LEVEL, [] { IoStartTimer(first); });
    m.run_for(1200ms);
    EXPECT_EQ(ticks[0], round);
    m.on(0, DISPATCH_LEVEL, [] {
      IoStopTimer(first);
      IoStopTimer(first);
    });
    m.run_for(3s);
    EXPECT_EQ(ticks[0], round);
  }
}

KDPC_TEST(DeviceTimer, MayBeStoppedByItsRoutine) {
  RULE("TIM-20");
  m.on(0, PASSIVE_LEVEL, [] {
    make_devices(tick_and_stop);
    IoStartTimer(first);
  });
  m.run_for(3500ms);
  EXPECT_EQ(ticks[0], 1);
}

KDPC_TEST(DeviceTimer, IsInitializedAtPassive) {
  RULE("TIM-20");
  m.on(0, PASSIVE_LEVEL, [] { make_devices(); });
  m.on(0, DISPATCH_LEVEL, [] { IoInitializeTimer(first, tick, nullptr); });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL, first);
}

KDPC_TEST(DeviceTimer, EndsWithItsDevice) {
  RULE("TIM-20");
  m.on(0, PASSIVE_LEVEL, [] {
    make_devices();
    IoStartTimer(first);
    IoDeleteDevice(first);
  });
  m.run_for(3s);
  EXPECT_EQ(ticks[0], 0);
  EXPECT_NO_FINDINGS();
}

}  // namespace
