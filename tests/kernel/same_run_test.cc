// A run on the simulated machine is a pure function of its inputs: a busy scenario has the same trace in the same process, and in another one
// that was started elsewhere.
#include <sys/wait.h>
#include <unistd.h>
#include <wdm.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kdpc/test.h"
#include "tests/io/pulse_board.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr unsigned kMost = 4;
constexpr unsigned kVector = 0x71;
constexpr ULONG kTag = 0x6d726544;  // "Derm"

// What each processor has of its own.
struct Station {
  KTIMER timer;
  KDPC timer_dpc, remote_dpc, isr_dpc;
  KEVENT event;
  WORK_QUEUE_ITEM item;
  volatile LONG item_is_queued;
  ULONG timer_runs, remote_runs, isr_dpc_runs, item_runs, turns;
};
Station stations[kMost];
ULONG processors;
KSPIN_LOCK lock;
ULONG shared;
PKINTERRUPT interrupt;
PUCHAR registers;
ULONG interrupts;

VOID NTAPI timer_dpc(PKDPC, PVOID Context, PVOID, PVOID) {
  auto& station = *static_cast<Station*>(Context);
  ++station.timer_runs;
  KeStallExecutionProcessor(20);
  KeSetEvent(&station.event, 1, FALSE);
}
VOID NTAPI remote_dpc(PKDPC, PVOID Context, PVOID, PVOID) {
  ++static_cast<Station*>(Context)->remote_runs;
  KeAcquireSpinLockAtDpcLevel(&lock);
  ++shared;
  KeStallExecutionProcessor(15);
  KeReleaseSpinLockFromDpcLevel(&lock);
}
VOID NTAPI work(PVOID Context) {
  auto& station = *static_cast<Station*>(Context);
  ++station.item_runs;
  PVOID memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64 + 48 * (station.item_runs % 7), kTag);
  KeStallExecutionProcessor(50);
  ExFreePoolWithTag(memory, kTag);
  InterlockedExchange(&station.item_is_queued, 0);
}
VOID NTAPI isr_dpc(PKDPC, PVOID Context, PVOID, PVOID) {
  auto& station = *static_cast<Station*>(Context);
  ++station.isr_dpc_runs;
  if (InterlockedExchange(&station.item_is_queued, 1) == 0) ExQueueWorkItem(&station.item, DelayedWorkQueue);
}
BOOLEAN NTAPI isr(PKINTERRUPT, PVOID) {
  if (READ_REGISTER_ULONG(reinterpret_cast<PULONG>(registers)) == 0) return FALSE;
  WRITE_REGISTER_ULONG(reinterpret_cast<PULONG>(registers), 1);
  WRITE_REGISTER_ULONG(reinterpret_cast<PULONG>(registers + 4), 1);  // the next pulse comes a while after this
  ++interrupts;
  KeInsertQueueDpc(&stations[interrupts % processors].isr_dpc, nullptr, nullptr);
  return TRUE;
}

void prepare() {
  std::memset(static_cast<void*>(stations), 0, sizeof stations);
  KeInitializeSpinLock(&lock);
  shared = interrupts = 0;
  for (ULONG number = 0; number < processors; ++number) {
    Station& station = stations[number];
    KeInitializeTimer(&station.timer);
    KeInitializeDpc(&station.timer_dpc, timer_dpc, &station);
    KeSetTargetProcessorDpc(&station.timer_dpc, static_cast<CCHAR>((number + 1) % processors));
    KeInitializeDpc(&station.remote_dpc, remote_dpc, &station);
    KeSetImportanceDpc(&station.remote_dpc, number % 2 == 0 ? HighImportance : LowImportance);
    KeSetTargetProcessorDpc(&station.remote_dpc, static_cast<CCHAR>((number + 1) % processors));
    KeInitializeDpc(&station.isr_dpc, isr_dpc, &station);
    KeInitializeEvent(&station.event, SynchronizationEvent, FALSE);
    ExInitializeWorkItem(&station.item, work, &station);
    KeSetTimerEx(&station.timer, in_ms(10 + 3 * number), 17, &station.timer_dpc);
  }
  PHYSICAL_ADDRESS where;
  where.QuadPart = PulseBoard::kFirstBase;
  registers = static_cast<PUCHAR>(MmMapIoSpace(where, 16, MmNonCached));
  KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, isr, nullptr, nullptr, kVector, 7, 7, LevelSensitive, FALSE, KeQueryActiveProcessors(), FALSE),
                 STATUS_SUCCESS);
  WRITE_REGISTER_ULONG(reinterpret_cast<PULONG>(registers + 4), 1);
}

void be_busy(Station& station, ULONG number) {
  for (; station.turns < 40; ++station.turns) {
    KeStallExecutionProcessor(100 + 37 * (station.turns % 11) + 13 * number);
    KeInsertQueueDpc(&station.remote_dpc, nullptr, nullptr);
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    ++shared;
    KeStallExecutionProcessor(5);
    KeReleaseSpinLock(&lock, old);
    LARGE_INTEGER limit = hundreds_of_ns(-40'000 * static_cast<LONGLONG>(1 + station.turns % 3));
    KeWaitForSingleObject(&station.event, Executive, KernelMode, FALSE, &limit);
    if (station.turns % 5 == 0) DbgPrint("turn %u of %u\n", station.turns, number);
  }
}

struct Run {
  std::uint64_t hash = 0;
  std::size_t events = 0;
};

Run run_once(unsigned count) {
  std::string why;
  PulseBoard board({{"pulse", 0, 700'000}});
  const auto machine = kdpc::lab::Machine::create({.processors = count}, why);
  if (machine == nullptr) {
    ADD_FAILURE() << why;
    return {};
  }
  processors = count;
  machine->assign_line(machine->attach(board), kVector, true);
  machine->on(0, PASSIVE_LEVEL, prepare);
  kdpc::lab::Task tasks[2 * kMost];
  for (unsigned number = 0; number < count; ++number) {
    tasks[2 * number] = machine->start(number, PASSIVE_LEVEL, [number] { be_busy(stations[number], number); }, {.priority = 8 + number});
    tasks[2 * number + 1] = machine->start(number, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(60'000); });
  }
  EXPECT_TRUE(machine->run_until(
      [&] {
        for (unsigned index = 0; index < 2 * count; ++index)
          if (!tasks[index].done()) return false;
        return true;
      },
      5s))
      << machine->outcome().report();
  for (const kdpc::lab::Note& note : kdpc::lab::take_notes()) ADD_FAILURE() << note.expression;
  // It was busy indeed.
  EXPECT_GT(interrupts, 100u);
  for (unsigned number = 0; number < count; ++number) {
    const Station& station = stations[number];
    EXPECT_EQ(station.turns, 40u);
    EXPECT_GT(station.timer_runs, 5u);
    EXPECT_GE(station.remote_runs, 20u);
    EXPECT_GT(station.isr_dpc_runs, 20u);
    EXPECT_GT(station.item_runs, 10u);
  }
  if (count > 1) {
    EXPECT_GT(machine->count("ipi-sent"), 20u);
  }
  EXPECT_GT(machine->count("thread-switched"), 50u);
  return {machine->trace_hash(), machine->count("") + machine->events_forgotten()};
}

std::string line_of(unsigned count) {
  const Run run = run_once(count);
  char line[96];
  std::snprintf(line, sizeof line, "%u: %016" PRIx64 " of %zu events", count, run.hash, run.events);
  return line;
}

// Runs this program again in another directory, with another environment and so another stack, and returns the line it prints.
std::string line_of_another_process(unsigned count, const char* directory) {
  char self[4096] = {};
  if (::readlink("/proc/self/exe", self, sizeof self - 1) <= 0) return "no /proc/self/exe";
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::setenv("KDPC_BUSY_RUN_PROCESSORS", std::to_string(count).c_str(), 1);
    ::setenv("SOMETHING_TO_MOVE_THE_STACK", std::string(5000, 'x').c_str(), 1);
    if (::chdir(directory) == 0)
      ::execl(self, self, "--gtest_also_run_disabled_tests", "--gtest_filter=BusyRunChild.DISABLED_PrintForAnotherProcess",
              "--gtest_output=", nullptr);
    ::_exit(1);
  }
  ::close(ends[1]);
  std::string output;
  char buffer[512];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) output.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  const auto begin = output.find("line <");
  const auto end = output.find('>', begin);
  if (begin == std::string::npos || end == std::string::npos) return "no line in: " + output;
  return output.substr(begin + 6, end - begin - 6);
}

TEST(BusyRunChild, DISABLED_PrintForAnotherProcess) {
  const char* count = std::getenv("KDPC_BUSY_RUN_PROCESSORS");
  std::fprintf(stderr, "line <%s>\n", count == nullptr ? "" : line_of(static_cast<unsigned>(std::atoi(count))).c_str());
}

class BusyRun : public testing::TestWithParam<unsigned> {};

TEST_P(BusyRun, IsTheSameTwiceInOneProcess) {
  const std::string first = line_of(GetParam());
  EXPECT_EQ(line_of(GetParam()), first);
}

TEST_P(BusyRun, IsTheSameInAnotherProcessAndDirectory) {
  const std::string first = line_of(GetParam());
  for (const char* directory : {"/", "/tmp"}) EXPECT_EQ(line_of_another_process(GetParam(), directory), first);
}

TEST(BusyRunHash, DiffersWhenTheRunDiffers) {
  EXPECT_NE(line_of(1).substr(3), line_of(2).substr(3));
  EXPECT_NE(line_of(2).substr(3), line_of(4).substr(3));
}

INSTANTIATE_TEST_SUITE_P(Processors, BusyRun, testing::Values(1u, 2u, 4u));

}  // namespace
