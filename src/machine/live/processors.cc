#include "machine/live/processors.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "machine/live/calls.h"
#include "machine/live/clock.h"
#include "machine/live/fiber.h"
#include "machine/live/gate.h"
#include "machine/live/segments.h"
#include "machine/live/signals.h"
#include "machine/live/tls.h"
#include "machine/live/traps.h"

namespace kdpc::live::processors {

namespace {

std::vector<pthread_t> threads;
calls::Futex ready{0};

bool find_allowed(cpu_set_t& allowed) { return ::sched_getaffinity(0, sizeof allowed, &allowed) == 0; }

// Machines of several processes do not all begin with the host's first processor.
void pin(unsigned number) {
  cpu_set_t allowed;
  if (!find_allowed(allowed)) return;
  unsigned skip = (static_cast<unsigned>(::getpid()) + number) % static_cast<unsigned>(CPU_COUNT(&allowed));
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::pthread_setaffinity_np(::pthread_self(), sizeof one, &one);
    return;
  }
}

void settle_in(Slot& slot) {
  const std::string name = "processor " + std::to_string(slot.number);
  ::pthread_setname_np(::pthread_self(), name.c_str());
  pin(slot.number);
  pthread_attr_t attributes;
  void* low = nullptr;
  std::size_t size = 0;
  ::pthread_getattr_np(::pthread_self(), &attributes);
  ::pthread_attr_getstack(&attributes, &low, &size);
  ::pthread_attr_destroy(&attributes);
  slot.home_low = reinterpret_cast<std::uintptr_t>(low);
  slot.home_high = slot.home_low + size;
  slot.home_fs = segments::fs();
  traps::give_stack(slot);
  slot.tid = static_cast<std::uint32_t>(::gettid());
  clock::make_timer(slot);
  segments::set_gs(reinterpret_cast<std::uintptr_t>(&slot));
  tls::set_on_processor(true);
}

// At home. False: the machine goes without ever having run.
bool wait_for_the_gate(Slot& slot) {
  for (;;) {
    std::uint32_t doing = slot.attention;
    if (doing == attention::kLeaving) return false;
    if (doing == attention::kResuming && slot.attention.compare_exchange_strong(doing, attention::kRunning)) return true;
    if ((doing & attention::kParked) != 0) calls::wait(slot.attention, doing);
  }
}

void* life(void* argument) {
  Slot& slot = *static_cast<Slot*>(argument);
  settle_in(slot);
  ready.fetch_add(1);
  calls::wake(ready);
  if (wait_for_the_gate(slot)) {
    signals::let_in();
    fiber::enter(slot);  // signals are blocked when it returns
    if (slot.attention != attention::kLeaving) {
      slot.attention = attention::kParked | attention::kEnded;
      gate::parked_for_good();
      while (slot.attention != attention::kLeaving) calls::wait(slot.attention, attention::kParked | attention::kEnded);
    }
  }
  clock::delete_timer(slot);
  traps::take_stack(slot);
  tls::set_on_processor(false);
  return nullptr;
}

void leave(Slot& slot) {
  slot.attention = attention::kLeaving;
  calls::wake(slot.attention);
}

}  // namespace

Result<void> start() {
  ready = 0;
  threads.clear();
  sigset_t before;
  signals::block_all(before);
  int refused = 0;
  for (unsigned number = 0; number < shared().processors && refused == 0; ++number) {
    pthread_t thread;
    refused = ::pthread_create(&thread, nullptr, life, &slot_of(number));
    if (refused == 0) threads.push_back(thread);
  }
  for (std::uint32_t there = ready; there < threads.size(); there = ready) calls::wait(ready, there);
  signals::restore(before);
  if (refused == 0) return {};
  const std::string why = std::strerror(refused);
  const std::size_t got = threads.size();
  stop();
  return Error{"the host gives the machine only " + std::to_string(got) + " threads for its processors: " + why};
}

void stop() {
  for (unsigned number = 0; number < threads.size(); ++number) leave(slot_of(number));
  for (const pthread_t thread : threads) ::pthread_join(thread, nullptr);
  threads.clear();
}

unsigned of_host() {
  cpu_set_t allowed;
  return static_cast<unsigned>(find_allowed(allowed) ? CPU_COUNT(&allowed) : ::sysconf(_SC_NPROCESSORS_ONLN));
}

std::uint64_t time_of(unsigned number) {
  clockid_t clock;
  timespec time{};
  if (::pthread_getcpuclockid(threads[number], &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

void go_home() {
  signals::block();
  set_irql(Irql::High);
  here().frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  fiber::go_home();
}

void end_here() { go_home(); }

}  // namespace kdpc::live::processors
