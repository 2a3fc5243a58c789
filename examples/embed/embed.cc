// The DPC core in a program that has nothing to do with drivers: work is put off, from a signal handler and from a thread that waits for an eventfd, to
// a core of one's choice. It runs there at DISPATCH_LEVEL, one piece at a time, and interrupts whatever a thread of the machine computes on that core.
#include <sys/eventfd.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <thread>

#include <kdpc/lab.h>
#include <wdm.h>

using namespace std::chrono_literals;
using kdpc::lab::Machine;

namespace {

constexpr unsigned kCores = 2;
KDPC on_signal, on_event;
volatile ULONG core_of_signal = kCores, core_of_event = kCores;
volatile bool over = false;

void NTAPI run(PKDPC, PVOID core, PVOID, PVOID) { *static_cast<volatile ULONG*>(core) = KeGetCurrentProcessorNumber(); }

void prepare(KDPC& dpc, volatile ULONG* core, CCHAR target, KDPC_IMPORTANCE importance) {
  KeInitializeDpc(&dpc, run, const_cast<ULONG*>(core));
  KeSetTargetProcessorDpc(&dpc, target);
  KeSetImportanceDpc(&dpc, importance);
}

}  // namespace

int main() {
  std::string why;
  const auto machine = Machine::create({.processors = kCores, .remember_events = 0, .hash = false, .checks = {.on = false}}, why);
  if (machine == nullptr) return std::fprintf(stderr, "%s\n", why.c_str()), 1;
  machine->on(0, PASSIVE_LEVEL, [] {
    prepare(on_signal, &core_of_signal, 0, MediumImportance);
    prepare(on_event, &core_of_event, 1, HighImportance);  // at the head of the queue, and even a core that is busy is interrupted
  });
  machine->start(1, PASSIVE_LEVEL, [] {
    while (!over) continue;
  });

  std::signal(SIGUSR1, [](int) { Machine::insert_dpc(&on_signal); });
  const int event = eventfd(0, 0);
  std::thread waiter([event] {
    for (std::uint64_t count; read(event, &count, sizeof count) == sizeof count && !over;) Machine::insert_dpc(&on_event);
  });

  std::raise(SIGUSR1);
  eventfd_write(event, 1);
  while (!machine->outcome().over() && (core_of_signal == kCores || core_of_event == kCores)) machine->run_for(1ms);
  std::printf("the signal's work ran on core %u, the eventfd's on core %u\n", unsigned{core_of_signal}, unsigned{core_of_event});
  over = true;
  eventfd_write(event, 1);
  waiter.join();
  machine->run_for(1ms);  // the thread on core 1 sees it too
  return core_of_signal == 0 && core_of_event == 1 ? 0 : 1;
}
