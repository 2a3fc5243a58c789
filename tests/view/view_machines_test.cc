// The views of either machine.
#include <fmt/format.h>
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/view/stage.h"

using namespace kdpc::test;

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

// On either machine, and what a debugger is to find (tests/gdb).
KDPC_TEST(ViewMachines, ADebuggerShowsTheSame, .processors = 3, .options = {{"clock_watchdog_ticks", "0"}}, .memory = std::size_t{16} << 20) {
  stage(m);
  const std::string image = m.place_of(reinterpret_cast<std::uintptr_t>(&StagedDpc)).image;
  EXPECT_EQ(m.view("irql"),
            "Debugger saved IRQL for processor 0x0 -- 2 (DISPATCH_LEVEL)\n"
            "Debugger saved IRQL for processor 0x1 -- 2 (DISPATCH_LEVEL)\n"
            "Debugger saved IRQL for processor 0x2 -- 15 (HIGH_LEVEL)\n");
  EXPECT_NE(m.view("qlocks").find(image + "!kdpc::test::staged_lock  O  1\n"), std::string::npos) << m.view("qlocks");
  EXPECT_NE(m.view("ipi 2").find("  Request Summary: 1 [Dispatch]\n"), std::string::npos) << m.view("ipi 2");
  EXPECT_NE(m.view("ipi 2").find("  Interrupt:       pending\n"), std::string::npos) << m.view("ipi 2");
  EXPECT_NE(m.view("idt 0").find("level shared, claimed 0 of 1 calls\n"), std::string::npos) << m.view("idt 0");
  EXPECT_NE(m.view("idt 0").find("level shared, claimed 1 of 1 calls\n"), std::string::npos) << m.view("idt 0");
  const std::string dpcs = m.view("dpcs");
  for (const char* const row : {" 0: Normal  : ", " 1: Normal  : ", " 1: Threaded: ", " 2: Normal  : "})
    EXPECT_NE(dpcs.find(row), std::string::npos) << dpcs;
  const std::string stacks = m.view("running -t");
  for (const char* const frame : {"  nt!KeStallExecutionProcessor+", "  nt!KeAcquireInStackQueuedSpinLock+", "  nt!kdpc::entry::thread_begins+"})
    EXPECT_NE(stacks.find(frame), std::string::npos) << stacks;
  EXPECT_EQ(stacks.find("runs right now"), std::string::npos) << stacks;
  show_the_debugger_all();
}

KDPC_TEST(ViewMachines, ADebuggerShowsABugcheck, .memory = std::size_t{16} << 20) {
  m.on(0, PASSIVE_LEVEL, [] {
    static KDPC dpc;
    KeInitializeDpc(&dpc, StagedWait, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xB8, any, any, any, any);
  EXPECT_NE(m.view("analyze").find("!StagedWait+"), std::string::npos) << m.view("analyze");
  EXPECT_NE(m.view("running -t").find("!StagedWait+"), std::string::npos) << m.view("running -t");
  wait_for_debugger({"analyze", "irql", "ipi", "running -t"});
}
