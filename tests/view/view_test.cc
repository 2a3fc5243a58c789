// The debugger's views, byte for byte, of a staged World.
#include "view/views.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "kernel/system.h"
#include "tests/view/stage.h"

using namespace kdpc::test;
using kdpc::processor;

namespace {

std::uint64_t number(const volatile void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }
template <class R, class... A>
std::uint64_t number(R (*routine)(A...)) {
  return reinterpret_cast<std::uint64_t>(routine);
}
template <class R, class... A>
std::uint64_t number(R(NTAPI* routine)(A...)) {
  return reinterpret_cast<std::uint64_t>(routine);
}

std::string function_at(kdpc::lab::Machine& m, std::uintptr_t where) {
  const kdpc::lab::Place place = m.place_of(where);
  return fmt::format("{}!{}+{:#x}", place.image, place.function, place.offset);
}

// The one place from which the stage queues DPCs.
std::string queued_by(kdpc::lab::Machine& m) {
  std::string by;
  for (const auto& entered : m.events("routine-entered"))
    if (const std::string name = function_at(m, entered["caller"]); name.find("!StageDpc+") != std::string::npos) by = name;
  return by;
}

std::string since(kdpc::lab::Machine& m, const KDPC& dpc) {
  const auto events = m.events("dpc-queued", {{"dpc", number(&dpc)}});
  if (events.empty()) return "not queued";
  return fmt::format("{}.{:03} us", events.back().time / 1000, events.back().time % 1000);
}

kdpc::Thread* thread_named(const char* name) {
  kdpc::Thread* found = nullptr;
  const kdpc::List& threads = kdpc::sys().threads;
  for (kdpc::Link* link = threads.first(); link != nullptr; link = threads.after(link))
    if (auto* thread = kdpc::owner_of<&kdpc::Thread::all_link>(link); std::strcmp(thread->name, name) == 0) found = thread;
  return found;
}

}  // namespace

KDPC_TEST(View, DpcsShowsBothQueuesOfEachProcessor, .processors = 3) {
  stage(m);
  const std::string by = queued_by(m);
  const auto row = [&](int cpu, const char* type, KDPC& dpc, std::uint64_t routine, const char* name, const char* importance, const char* target) {
    return fmt::format(" {}: {:<8}: 0x{:016x} 0x{:016x} view_test.sim!{:<17}  {:<10}  {:<6}  {}  {}\n", cpu, type, number(&dpc), routine, name,
                       importance, target, by, since(m, dpc));
  };
  const std::string heading =
      fmt::format("CPU Type      KDPC       Function                                                    Importance  Target  {:<{}}  Since\n",
                  "Queued by", by.size());
  const std::string of_one = row(1, "Normal", medium_high_dpc, number(&StagedDpc), "StagedDpc", "MediumHigh", "1") +
                             row(1, "Threaded", threaded_dpc, number(&StagedThreadedDpc), "StagedThreadedDpc", "Medium", "1");
  EXPECT_EQ(m.view("dpcs"), heading + row(0, "Normal", high_dpc, number(&StagedDpc), "StagedDpc", "High", "any") +
                                row(0, "Normal", low_dpc, number(&StagedDpc), "StagedDpc", "Low", "any") +
                                row(0, "Normal", medium_dpc, number(&StagedDpc), "StagedDpc", "Medium", "0") + of_one +
                                row(2, "Normal", remote_dpc, number(&StagedDpc), "StagedDpc", "High", "2"));
  EXPECT_EQ(m.view("!dpcs 1"), heading + of_one);
}

KDPC_TEST(View, DpcsOfEmptyQueues, .processors = 2) {
  EXPECT_EQ(m.view("dpcs"), "CPU Type      KDPC       Function\n *: nothing is queued\n");
  EXPECT_EQ(m.view("dpcs 1"), "CPU Type      KDPC       Function\n 1: nothing is queued\n");
  EXPECT_EQ(m.view("dpcs 2"), "Cannot get PRCB address\n");
}

KDPC_TEST(View, IrqlShowsTheLevelAtWhichEachWasStopped, .processors = 3) {
  stage(m);
  EXPECT_EQ(m.view("irql"),
            "Debugger saved IRQL for processor 0x0 -- 2 (DISPATCH_LEVEL)\n"
            "Debugger saved IRQL for processor 0x1 -- 2 (DISPATCH_LEVEL)\n"
            "Debugger saved IRQL for processor 0x2 -- 15 (HIGH_LEVEL)\n");
  EXPECT_EQ(m.view("irql 2 -v"), "Debugger saved IRQL for processor 0x2 -- 15 (HIGH_LEVEL) [Everything is held off]\n");
  EXPECT_EQ(m.view("irql 3"), "Cannot get PRCB address\n");
}

KDPC_TEST(View, IpiShowsWhatIsPending, .processors = 3) {
  stage(m);
  EXPECT_EQ(m.view("ipi 2"),
            "IPI State for Processor 2\n"
            "  Worker Routine:  0\n"
            "  Parameter[0]:    0\n"
            "  Parameter[1]:    0\n"
            "  Parameter[2]:    0\n"
            "  Ipi Trap Frame:  0\n"
            "  Signal Done:     0\n"
            "  IPI Frozen:      0\n"
            "  Request Summary: 1 [Dispatch]\n"
            "  Target Set:      0\n"
            "  Packet Barrier:  0\n"
            "  Interrupt:       pending\n");
}

namespace {

extern "C" ULONG_PTR NTAPI StagedBroadcast(ULONG_PTR argument) { return argument; }

}  // namespace

// Processor 1 holds off everything, so the call that processor 0 makes waits for it.
KDPC_TEST(View, IpiShowsACallThatIsUnderWay, .processors = 3) {
  static volatile bool there, go_on;
  there = false;
  go_on = false;
  m.start(1, HIGH_LEVEL, [] {
    there = true;
    while (!go_on) KeStallExecutionProcessor(10);
  });
  m.run_until([] { return there; }, std::chrono::milliseconds(5));
  const auto call = m.start(0, PASSIVE_LEVEL, [] { KeIpiGenericCall(StagedBroadcast, 0x5eed); });
  m.run_for(std::chrono::microseconds(300));
  const auto state = [&](unsigned cpu, const char* stale, bool waits, const char* summary, const char* rest) {
    return fmt::format(
        "IPI State for Processor {}\n"
        "  Worker Routine:  view_test.sim!StagedBroadcast{}\n"
        "  Parameter[0]:    5eed\n"
        "  Parameter[1]:    0\n"
        "  Parameter[2]:    0\n"
        "  Ipi Trap Frame:  0\n"
        "  Signal Done:     {:x}\n"
        "  IPI Frozen:      0\n"
        "  Request Summary: {}\n{}",
        cpu, stale, waits ? number(&kdpc::sys().ipi_call) : 0, summary, rest);
  };
  const char* const nothing = "  Target Set:      0\n  Packet Barrier:  0\n  Interrupt:       none\n";
  EXPECT_EQ(m.view("ipi"), state(0, "", false, "0", "  Target Set:      6\n  Packet Barrier:  1\n  Interrupt:       none\n") + '\n' +
                               state(1, "", true, "4 [Call]", "  Target Set:      0\n  Packet Barrier:  0\n  Interrupt:       pending\n") + '\n' +
                               state(2, "", true, "0", nothing));
  go_on = true;
  m.run_until([&] { return call.done(); }, std::chrono::milliseconds(5));
  EXPECT_EQ(m.view("ipi 2"), state(2, " [Stale]", false, "0", nothing));
}

KDPC_TEST(View, TimerShowsDpcsThreadsAndPeriods, .processors = 3) {
  RULE("15.4");
  stage(m);
  kdpc::Thread* const sleeper = thread_named("sleeper");
  const auto watchdog = [&](unsigned cpu) {
    return fmt::format(
        "{:016x} P 08f0d180 00000000 [ 1/ 1/2020 00:00:15.000]  nt!kdpc::watchdog::(anonymous namespace)::reload (DPC @ {:016x}), every 15000 ms\n",
        number(&processor(cpu).watchdog_timer), number(&processor(cpu).watchdog_dpc));
  };
  const auto of_processor = [&](unsigned cpu) {
    return fmt::format("PROCESSOR {} (nt!_KTIMER_TABLE {:016x})\n", cpu, number(&processor(cpu).timers)) +
           "List Timer             Interrupt Low/High     Fire Time                  DPC/thread\n";
  };
  EXPECT_EQ(m.view("timer"),
            "Dump system timers\n\n"
            "Interrupt time: 0002625a 00000000 [ 1/ 1/2020 00:00:00.015 (UTC)]\n\n" +
                of_processor(0) +
                fmt::format("128  {:016x}   01312d00 00000000 [ 1/ 1/2020 00:00:02.000]  view_test.sim!StagedDpc (DPC @ {:016x})\n",
                            number(&one_shot), number(&timer_dpc)) +
                fmt::format("     {:016x} P 01315410 00000000 [ 1/ 1/2020 00:00:02.001]  view_test.sim!StagedDpc (DPC @ {:016x}), every 250 ms\n",
                            number(&periodic), number(&periodic_dpc)) +
                fmt::format("193  {:016x}   {:08x} 00000000 [ 1/ 1/2020 00:00:03.020]  thread {:016x}\n", number(&sleeper->timer),
                            sleeper->timer.due_time, number(sleeper)) +
                "192  " + watchdog(0) + '\n' + of_processor(1) + "192  " + watchdog(1) + '\n' + of_processor(2) + "192  " + watchdog(2) +
                "\n"
                "Total Timers: 6, Maximum List: 2\n"
                "Current Hand: 1, Maximum Search: 2\n\n"
                "Wakeable timers:\n");
}

KDPC_TEST(View, TimerOfTheOneGlobalTable, .options = {{"timer_table", "global"}}) {
  EXPECT_EQ(m.view("timer"),
            "Dump system timers\n\n"
            "Interrupt time: 00000000 00000000 [ 1/ 1/2020 00:00:00.000 (UTC)]\n\n"
            "List Timer             Interrupt Low/High     Fire Time                  DPC/thread\n" +
                fmt::format(
                    "192  {:016x} P 08f0d180 00000000 [ 1/ 1/2020 00:00:15.000]  nt!kdpc::watchdog::(anonymous namespace)::reload, every 15000 ms\n",
                    number(&processor(0).watchdog_timer)) +
                "\nTotal Timers: 1, Maximum List: 1\nCurrent Hand: 0, Maximum Search: 1\n\nWakeable timers:\n");
}

namespace {

extern "C" VOID NTAPI StagedCallback(PEX_TIMER, PVOID) {}

}  // namespace

KDPC_TEST(View, TimerShowsTheCallbackOfAnExTimer) {
  static PEX_TIMER ex, never;
  m.on(0, PASSIVE_LEVEL, [] {
    ex = ExAllocateTimer(StagedCallback, nullptr, EX_TIMER_HIGH_RESOLUTION);
    ExSetTimer(ex, -50'000'000, 12'500, nullptr);
    never = ExAllocateTimer(nullptr, nullptr, 0);
    ExSetTimer(never, -0x7000'0000'0000'0000, 0, nullptr);
  });
  const std::string shown = m.view("timer");
  EXPECT_NE(shown.find(fmt::format("  {:016x} P ", number(ex))), std::string::npos) << shown;
  EXPECT_NE(shown.find(fmt::format(".000]  view_test.sim!StagedCallback (DPC @ {:016x}), every 1250 us\n",
                                   number(&reinterpret_cast<kdpc::ExTimer*>(ex)->dpc))),
            std::string::npos)
      << shown;
  EXPECT_NE(shown.find("[         NEVER         ]  "), std::string::npos) << shown;
}

KDPC_TEST(View, PcrAndPrcb, .processors = 3) {
  stage(m);
  const kdpc::Processor& its = processor(2);
  EXPECT_EQ(m.view("pcr 2"),
            fmt::format("KPCR for Processor 2 at {0:016x}:\n"
                        "    Major 1 Minor 1\n"
                        "\tNtTib.ExceptionList: -\n"
                        "\t    NtTib.StackBase: {1:016x}\n"
                        "\t   NtTib.StackLimit: {2:016x}\n"
                        "\t NtTib.SubSystemTib: -\n"
                        "\t      NtTib.Version: -\n"
                        "\t  NtTib.UserPointer: -\n"
                        "\t      NtTib.SelfTib: -\n"
                        "\n"
                        "\t            SelfPcr: {0:016x}\n"
                        "\t               Prcb: {0:016x}\n"
                        "\t               Irql: 000000000000000f\n"
                        "\t                IRR: 0000000000004000\n"
                        "\t                IDR: 0000000000000000\n"
                        "\t      InterruptMode: -\n"
                        "\t                IDT: {3:016x}\n"
                        "\t                GDT: -\n"
                        "\t                TSS: -\n"
                        "\n"
                        "\t      CurrentThread: {4:016x} (thread {5} two)\n"
                        "\t         NextThread: 0000000000000000\n"
                        "\t         IdleThread: {6:016x} (thread 3 idle)\n"
                        "\n"
                        "\t           DpcQueue: 0x{7:016x} 0x{8:016x} view_test.sim!StagedDpc [Normal]\n",
                        number(&its), its.current_thread->machine.stack_high, its.current_thread->machine.stack_low, number(&its.vectors),
                        number(its.current_thread), its.current_thread->id, number(its.idle_thread), number(&remote_dpc), number(&StagedDpc)));
  EXPECT_EQ(m.view("prcb 2"),
            fmt::format("PRCB for Processor 2 at {:016x}:\n"
                        "Threads--  Current {:016x} Next 0000000000000000 Idle {:016x}\n"
                        "Number 2 SetMember 4\n"
                        "Interrupt Count -- {:08x}\n"
                        "Times -- Dpc    00000000 Interrupt 00000000\n"
                        "         Kernel 00000000 User      00000000\n"
                        "         Idle   00000001\n"
                        "Dpcs --  Queued 1 Count {} Maximum Depth 4 Request Rate 0 Watchdog Count 7679\n"
                        "         Threaded 0 Count 0\n"
                        "         Active 0000000000000000 Active Threaded 0000000000000000 [InterruptRequested]\n",
                        number(&its), number(its.current_thread), number(its.idle_thread), its.interrupt_count, its.dpcs.inserted()));
}

KDPC_TEST(View, RunningShowsWhoRunsAndTheBuiltInLocks, .processors = 3) {
  m.run_for(std::chrono::milliseconds(1));
  EXPECT_EQ(m.view("running"), "System Processors 7 (affinity mask)\n  Idle Processors 7\n\nAll processors idle.\n");
  stage(m);
  const auto row = [&](unsigned cpu, const char* locks, const char* name) {
    const kdpc::Processor& its = processor(cpu);
    return fmt::format("{:>3}  {:016x}  {:016x}  0000000000000000  {}  thread {} {}\n", cpu, number(&its), number(its.current_thread), locks,
                       its.current_thread->id, name);
  };
  const std::string heading = "System Processors 7 (affinity mask)\n  Idle Processors 0\n\n     Prcb              Current           Next\n";
  EXPECT_EQ(m.view("running"), heading + row(0, "................", "zero") + row(1, "................", "one") + row(2, "................", "two"));
  // As if processor 2 had the dispatcher lock, and the pool's.
  *const_cast<volatile std::uintptr_t*>(kdpc::sys().dispatcher_lock.word()) = 3;
  *const_cast<volatile std::uintptr_t*>(kdpc::sys().pool.lock().word()) = 3;
  EXPECT_EQ(m.view("running"), heading + row(0, "................", "zero") + row(1, "................", "one") + row(2, "O.....O.........", "two"));
}

KDPC_TEST(View, RunningShowsTheStacksOfThoseThatAreSuspended, .processors = 3) {
  stage(m);
  const std::string stacks = m.view("running -t");
  for (const char* const frame : {"  nt!KeStallExecutionProcessor+", "  nt!KeAcquireInStackQueuedSpinLock+", "  nt!kdpc::entry::thread_begins+"})
    EXPECT_NE(stacks.find(frame), std::string::npos) << stacks;
}

KDPC_TEST(View, IdtOfNobody, .processors = 2) {
  EXPECT_EQ(m.view("idt 0"), fmt::format("\nDumping IDT: {:016x} (processor 0)\n\n", number(&processor(0).vectors)));
  EXPECT_EQ(m.view("idt 1 -a"), fmt::format("\nDumping IDT: {:016x} (processor 1)\n\n"
                                            "c0:0000000000000000 nt job of the host\n"
                                            "d1:0000000000000000 nt clock interrupt\n"
                                            "e1:0000000000000000 nt IPI\n",
                                            number(&processor(1).vectors)));
}

KDPC_TEST(View, IdtShowsTheChainOfASharedVector, .processors = 3) {
  RULE("15.4");
  stage(m);
  EXPECT_EQ(m.view("idt 0"), fmt::format("\nDumping IDT: {:016x} (processor 0)\n\n"
                                         "51:{:016x} view_test.sim!StagedFirstIsr (KINTERRUPT {:016x})  IRQL 5 level shared, claimed 0 of 1 calls\n"
                                         "         view_test.sim!StagedSecondIsr (KINTERRUPT {:016x})  IRQL 5 level shared, claimed 1 of 1 calls\n",
                                         number(&processor(0).vectors), number(&StagedFirstIsr), number(first_interrupt), number(second_interrupt)));
}

KDPC_TEST(View, QlocksShowsOwnerAndOrder, .processors = 3) {
  stage(m);
  EXPECT_EQ(m.view("qlocks"),
            "Key: O = Owner, 1-n = Wait order, blank = not owned/waiting, C = Corrupt, W = Waits, in no order\n"
            "\n"
            "                                      Processor Number\n"
            "    Lock Name                          0  1  2\n"
            "\n"
            "KE   - Dispatcher\n"
            "KE   - Vectors\n"
            "EX   - NonPagedPool\n"
            "EX   - WorkQueue (critical)\n"
            "EX   - WorkQueue (delayed)\n"
            "EX   - WorkQueue (hyper)\n"
            "view_test.sim!kdpc::test::staged_lock  O  1\n");
  staged_handles[1].LockQueue.Lock = nullptr;
  EXPECT_NE(m.view("qlocks").find("staged_lock  O  C\n"), std::string::npos) << m.view("qlocks");
}

// As if processor 1 had the dispatcher lock for ever: processor 0 waits for it as soon as it has something to do.
KDPC_TEST(View, WhoWaitsForAnOrdinaryLockIsMarked, .processors = 2) {
  m.run_for(std::chrono::milliseconds(1));
  const auto set = [](std::uintptr_t value) { *const_cast<volatile std::uintptr_t*>(kdpc::sys().dispatcher_lock.word()) = value; };
  set(2);
  m.start(0, PASSIVE_LEVEL, [] {});
  m.run_for(std::chrono::microseconds(100));
  EXPECT_NE(m.view("qlocks").find("KE   - Dispatcher            W  O\n"), std::string::npos) << m.view("qlocks");
  EXPECT_NE(m.view("running -i").find("  W...............  thread "), std::string::npos) << m.view("running -i");
  set(0x1234);
  EXPECT_NE(m.view("qlocks").find("KE   - Dispatcher            C  C\n"), std::string::npos) << m.view("qlocks");
}

KDPC_TEST(View, ADebuggerShowsTheSame, .processors = 3, .memory = std::size_t{16} << 20) {
  stage(m);
  show_the_debugger_all();
}

namespace {

extern "C" VOID NTAPI StagedHog(PKDPC, PVOID, PVOID, PVOID) { KeStallExecutionProcessor(1'000'000); }

}  // namespace

KDPC_TEST(View, AnalyzeTellsTheWatchdogsArguments, .options = {{"dpc_time_limit", "3"}}) {
  RULE("15.4");
  m.on(0, PASSIVE_LEVEL, [] {
    static KDPC dpc;
    KeInitializeDpc(&dpc, StagedHog, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0x133, 0, any, 3, 0);
  const std::string text = m.view("analyze -v");
  EXPECT_NE(text.find(fmt::format("\n\nDPC_WATCHDOG_VIOLATION (133)\n"
                                  "A single DPC or ISR has exceeded its time allotment.\n"
                                  "Arguments:\n"
                                  "Arg1: 0000000000000000, 0: a single DPC or ISR.\n"
                                  "Arg2: {:016x}, How long it has run, in clock ticks.\n"
                                  "Arg3: 0000000000000003, How long it may run, in clock ticks.\n"
                                  "Arg4: 0000000000000000, Reserved.\n\n",
                                  m.outcome().bugcheck->parameters[1])),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nFAILURE_BUCKET_ID:  0x133_view_test.sim!StagedHog\n"), std::string::npos) << text;
}

KDPC_TEST(View, AnalyzeTellsABugcheck, .memory = std::size_t{16} << 20) {
  m.on(0, PASSIVE_LEVEL,
       [] {
         static KDPC dpc;
         KeInitializeDpc(&dpc, StagedWait, nullptr);
         KeInsertQueueDpc(&dpc, nullptr, nullptr);
       },
       {.name = "cause"});
  EXPECT_BUGCHECK(0xB8, any, any, any, any);
  const auto& stop = *m.outcome().bugcheck;
  const std::string text = m.view("!analyze -v");
  const std::string stars(80, '*');
  const std::string heading =
      stars + "\n*                              Bugcheck Analysis                               *\n" + stars +
      "\n\nATTEMPTED_SWITCH_FROM_DPC (b8)\n"
      "A DPC routine tried to wait. DPCs run on a borrowed thread at DISPATCH_LEVEL, where nothing can be switched.\n"
      "Arguments:\n" +
      fmt::format("Arg1: {:016x}, The thread that ran.\n", stop.parameters[0]) +
      fmt::format("Arg2: {:016x}, The thread that would have run next.\n", stop.parameters[1]) +
      fmt::format("Arg3: {:016x}, The stack of the thread that ran.\n", stop.parameters[2]) +
      "Arg4: 0000000000000000, Reserved.\n"
      "\n"
      "HERE:       A DPC routine waits with a timeout that is not zero; NT itself stops only if the wait would really block.\n"
      "RULE:       WAIT-3\n"
      "PLACE:      view_test.sim!StagedWait+";
  EXPECT_EQ(text.substr(0, heading.size()), heading);
  for (const std::string& part :
       {std::string("PROCESSOR:  0 at IRQL 2 (DISPATCH_LEVEL)\n"),
        fmt::format("THREAD:     {} \"cause\", borrowed: what ran is not this thread's own code\n\nSTACK_TEXT:\n00 ", stop.thread),
        fmt::format(" {:016x} view_test.sim!StagedWait+", stop.place.address), std::string(" nt!KeWaitForSingleObject+")})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_TRUE(text.ends_with("\nFAILURE_BUCKET_ID:  0xb8_view_test.sim!StagedWait\n")) << text;
  EXPECT_EQ(m.view("ipi 0").find("  IPI Frozen:      24 [FreezeActive] [Owner]\n"), m.view("ipi 0").find("  IPI Frozen:")) << m.view("ipi 0");
  wait_for_debugger({"analyze", "irql", "ipi"});
}
