// The debugger's views, byte for byte, of a staged World, of corrupt ones, and of none.
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

kdpc::Link& link_of(KDPC& dpc) { return reinterpret_cast<kdpc::Dpc&>(dpc).link; }

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
  wait_for_debugger(
      {"dpcs", "dpcs 1", "dpcs 7", "irql", "irql 2 -v", "ipi", "timer", "pcr 2", "prcb", "running", "running -i -t", "idt -a", "qlocks", "analyze"});
}

namespace {

extern "C" VOID NTAPI StagedWait(PKDPC, PVOID, PVOID, PVOID) {
  static KEVENT never;
  KeInitializeEvent(&never, NotificationEvent, FALSE);
  LARGE_INTEGER second;
  second.QuadPart = -10'000'000;
  KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, &second);
}

}  // namespace

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

// -- memory that cannot be trusted --------------------------------------------------------------------------------------------------------------

KDPC_TEST(View, AQueueThatLeadsNowhereEndsWithALine, .processors = 3) {
  stage(m);
  link_of(high_dpc).next = reinterpret_cast<kdpc::Link*>(0xdead0008);
  const std::string shown = m.view("dpcs 0");
  EXPECT_NE(shown.find(fmt::format(" 0: Normal  : 0x{:016x} ", number(&high_dpc))), std::string::npos) << shown;
  EXPECT_TRUE(shown.ends_with("Failed to read DPC at 0x00000000dead0000\n")) << shown;
  EXPECT_NE(m.view("pcr 0").find(": Failed to read DPC at 0x00000000dead0000\n"), std::string::npos);
}

KDPC_TEST(View, AQueueThatNeverEndsIsSaidToBeCorrupt, .processors = 3) {
  stage(m);
  link_of(medium_dpc).next = &link_of(low_dpc);
  EXPECT_TRUE(
      m.view("dpcs 0").ends_with(fmt::format("Corrupt queue: it never ends, the link at 0x{:016x} comes a second time\n", number(&link_of(low_dpc)))))
      << m.view("dpcs 0");
}

KDPC_TEST(View, ALinkThatDoesNotPointBackIsSaidAndTheListGoesOn, .processors = 3) {
  stage(m);
  link_of(low_dpc).previous = nullptr;
  const std::string shown = m.view("dpcs 0");
  EXPECT_NE(shown.find(fmt::format("0x{:016x}", number(&medium_dpc))), std::string::npos) << shown;
  EXPECT_TRUE(
      shown.ends_with(fmt::format("Corrupt queue: the link at 0x{:016x} does not point back to the one before it\n", number(&link_of(low_dpc)))))
      << shown;
}

KDPC_TEST(View, WhatIsNoDpcIsOneLineAndTheListGoesOn, .processors = 3) {
  stage(m);
  low_dpc.Type = 0xDD;
  const std::string shown = m.view("dpcs 0");
  EXPECT_NE(shown.find(fmt::format("\nFailed to read DPC at 0x{:016x}\n 0: Normal  : 0x{:016x} ", number(&low_dpc), number(&medium_dpc))),
            std::string::npos)
      << shown;
}

KDPC_TEST(View, AQueueAndItsDepthAreCompared, .processors = 3) {
  stage(m);
  kdpc::List::remove(link_of(low_dpc));
  EXPECT_TRUE(m.view("dpcs 0").ends_with("\nCorrupt queue: 2 are linked, its depth says 3\n")) << m.view("dpcs 0");
}

KDPC_TEST(View, AChainThatLeadsNowhereOrNeverEndsIsSaid, .processors = 3) {
  stage(m);
  auto& second = *reinterpret_cast<kdpc::Interrupt*>(second_interrupt);
  second.next = reinterpret_cast<kdpc::Interrupt*>(0xdead0000);
  EXPECT_TRUE(m.view("idt 0").ends_with("calls\n         Failed to read KINTERRUPT at 0x00000000dead0000\n")) << m.view("idt 0");
  second.next = reinterpret_cast<kdpc::Interrupt*>(first_interrupt);
  EXPECT_TRUE(m.view("idt 0").ends_with(
      fmt::format("calls\n         Corrupt chain: it never ends, 0x{:016x} comes a second time\n", number(first_interrupt))))
      << m.view("idt 0");
}

KDPC_TEST(View, ATimerTableThatLeadsNowhereEndsWithALine, .processors = 3) {
  stage(m);
  reinterpret_cast<kdpc::Timer&>(one_shot).link.next = reinterpret_cast<kdpc::Link*>(0xdead0020);
  EXPECT_NE(m.view("timer 0").find("\nFailed to read timer at 0x00000000dead0000\n\nTotal Timers: 1, "), std::string::npos) << m.view("timer 0");
  reinterpret_cast<kdpc::Timer&>(one_shot).dpc = reinterpret_cast<kdpc::Dpc*>(0xdead0000);
  EXPECT_NE(m.view("timer 0").find("]  Failed to read DPC at 0x00000000dead0000\n"), std::string::npos) << m.view("timer 0");
}

// -- worlds that cannot be read -----------------------------------------------------------------------------------------------------------------

namespace {

class Empty : public kdpc::view::Memory {
 public:
  bool read(std::uintptr_t, void*, std::size_t) const override { return false; }
};

// This process, with another number somewhere.
class Changed : public kdpc::view::OwnMemory {
 public:
  Changed(const void* where, std::uint32_t value) : where_(reinterpret_cast<std::uintptr_t>(where)), value_(value) {}
  bool read(std::uintptr_t from, void* to, std::size_t size) const override {
    if (!OwnMemory::read(from, to, size)) return false;
    if (where_ >= from && where_ + sizeof value_ <= from + size) std::memcpy(static_cast<char*>(to) + (where_ - from), &value_, sizeof value_);
    return true;
  }

 private:
  std::uintptr_t where_;
  std::uint32_t value_;
};

std::string error_of(const kdpc::view::Memory& memory) {
  kdpc::Symbols symbols;
  const auto world = kdpc::view::World::open({memory, symbols});
  return world ? "" : world.error().what;
}

}  // namespace

TEST(View, WithoutAMachineThereIsNoWorld) {
  EXPECT_EQ(error_of(Empty()), "there is no World at 0x400000000e00: no machine has been created, or it is gone");
  EXPECT_NE(error_of(kdpc::view::OwnMemory()), "");
}

KDPC_TEST(View, AWorldOfAnotherBuildIsRefused) {
  EXPECT_EQ(error_of(kdpc::view::OwnMemory()), "");
  const kdpc::WorldHeader& header = kdpc::world_header();
  EXPECT_TRUE(error_of(Changed(&header.version, 99)).starts_with("this World was made by another version of kdpc (header 99, layout "))
      << error_of(Changed(&header.version, 99));
  EXPECT_TRUE(error_of(Changed(&header.layout, 1)).starts_with("this World was made by another version of kdpc (header 1, layout "));
  EXPECT_TRUE(error_of(Changed(&header.system, 8)).starts_with("the World's System at 0x")) << error_of(Changed(&header.system, 8));
}

KDPC_TEST(View, WhatIsAskedWronglyIsSaid) {
  EXPECT_EQ(m.view("dpc"), "there is no view 'dpc'; there are dpcs, irql, ipi, timer, pcr, prcb, running, idt, qlocks, analyze\n");
  EXPECT_EQ(m.view("dpcs -v"), "'-v' is nothing that 'dpcs' takes: dpcs [CPU]\n");
  EXPECT_EQ(m.view("dpcs 0 1"), "'1' is nothing that 'dpcs' takes: dpcs [CPU]\n");
  EXPECT_EQ(m.view("running 0"), "'0' is nothing that 'running' takes: running [-i] [-t]\n");
}
