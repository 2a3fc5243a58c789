// The views of either machine.
#include <fmt/format.h>
#include <wdm.h>

#include "kdpc/test.h"

namespace {

KDPC queued;
volatile bool there, go_on;

extern "C" VOID NTAPI QueuedDpc(PKDPC, PVOID, PVOID, PVOID) {}

}  // namespace

KDPC_TEST(ViewMachines, ADpcThatIsHeldOffIsShown) {
  there = false;
  go_on = false;
  const auto task = m.start(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&queued, QueuedDpc, nullptr);
    KeInsertQueueDpc(&queued, nullptr, nullptr);
    there = true;
    while (!go_on) KeStallExecutionProcessor(10);
  });
  m.run_until([] { return there; }, std::chrono::seconds(10));
  EXPECT_EQ(m.view("irql"), "Debugger saved IRQL for processor 0x0 -- 2 (DISPATCH_LEVEL)\n");
  const auto routine = reinterpret_cast<std::uintptr_t>(&QueuedDpc);
  const std::string image = m.place_of(routine).image;
  const std::string row = fmt::format(" 0: Normal  : 0x{:016x} 0x{:016x} {}!QueuedDpc  Medium      any     {}!",
                                      reinterpret_cast<std::uintptr_t>(&queued), routine, image, image);
  EXPECT_NE(m.view("dpcs 0").find(row), std::string::npos) << row << '\n' << m.view("dpcs 0");
  EXPECT_NE(m.view("running -t").find("  0  "), std::string::npos);
  EXPECT_NE(m.view("pcr").find("                IDR: 0000000000000004\n"), std::string::npos) << m.view("pcr");
  go_on = true;
  m.run_until([&] { return task.done(); }, std::chrono::seconds(10));
  EXPECT_EQ(m.view("dpcs 0"), "CPU Type      KDPC       Function\n 0: nothing is queued\n");
}
