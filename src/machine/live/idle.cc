#include "machine/live/idle.h"

#include "machine/live/calls.h"
#include "machine/live/processors.h"
#include "machine/live/run.h"

namespace kdpc::live::idle {

namespace {

constexpr std::uint64_t kLook = 20'000;  // ns of looking, with a processor of the host's for each of ours
constexpr unsigned kTurnsPerLookAtClock = 16;

bool has_interrupt(const Slot& slot) { return slot.pending_levels >> (static_cast<unsigned>(Irql::Dispatch) + 1) != 0; }

void sleep_or_look(Slot& slot) {
  std::uint64_t until = 0;
  unsigned turn = 0;
  for (;;) {
    std::uint32_t doing = slot.attention;
    if ((doing & attention::kParked) != 0) {
      calls::wait(slot.attention, doing);
      until = 0;
    } else if (doing == attention::kLeaving) {
      processors::go_home();
    } else if (has_interrupt(slot)) {
      return;
    } else if (doing == attention::kBlocked) {
      calls::wait(slot.attention, doing);
    } else if (++turn % kTurnsPerLookAtClock == 0) {
      const std::uint64_t time = calls::host_clock();
      if (until == 0) until = time + kLook;
      if (time >= until || shared().oversubscribed) slot.attention.compare_exchange_strong(doing, attention::kBlocked);
    } else {
      __builtin_ia32_pause();
    }
  }
}

}  // namespace

void wait(Slot& slot, std::uint64_t taken) {
  slot.attention.exchange(attention::kPolling);  // from here on its signal handler takes nothing
  if (shared().idle.fetch_add(1) + 1 == shared().processors) run::ask_host(run::kAllIdle);
  for (;;) {
    if (slot.taken == taken) sleep_or_look(slot);
    // Running again, unless the host was faster. Whoever saw it idle told nobody: so a look at what is pending follows (Machine::idle).
    std::uint32_t doing = slot.attention;
    if (doing == attention::kLeaving) processors::go_home();
    if ((doing & attention::kParked) != 0) {
      calls::wait(slot.attention, doing);
    } else if (slot.attention.compare_exchange_strong(doing, attention::kRunning)) {
      break;
    }
  }
  shared().idle.fetch_sub(1);
}

bool is_everybody() {
  for (unsigned number = 0; number < shared().processors; ++number) {
    const std::uint32_t doing = slot_of(number).attention & ~attention::kParked;
    if (doing != attention::kPolling && doing != attention::kBlocked) return false;
  }
  return true;
}

}  // namespace kdpc::live::idle
