#include "machine/live/idle.h"

#include "kernel/entry.h"
#include "machine/host.h"
#include "machine/live/calls.h"
#include "machine/live/clock.h"
#include "machine/live/processors.h"
#include "machine/live/run.h"
#include "machine/live/signals.h"

namespace kdpc::live::idle {

namespace {

constexpr std::uint64_t kLook = 20'000;  // ns of looking before it sleeps, with a processor of the host's for each of ours
// Between two looks: who makes a vector pending wants the line for himself, but who sends a DPC waits for the look.
constexpr unsigned kLongestPause = 4;

bool has_interrupt(const Slot& slot) { return slot.pending_levels >> (static_cast<unsigned>(Irql::Dispatch) + 1) != 0; }

// Looks at the clock of the host's at every longest pause.
class Patience {
 public:
  bool is_at_its_end() {
    const auto policy = static_cast<host::Idle>(shared().idle_policy);
    if (policy == host::Idle::Block || (policy == host::Idle::BackOff && shared().oversubscribed)) return true;
    for (unsigned turn = 0; turn < pause_; ++turn) __builtin_ia32_pause();
    if (pause_ < kLongestPause) {
      pause_ *= 2;
      return false;
    }
    if (policy == host::Idle::Spin) return false;
    const std::uint64_t time = calls::host_clock();
    if (until_ == 0) until_ = time + kLook;
    return time >= until_;
  }

 private:
  unsigned pause_ = 1;
  std::uint64_t until_ = 0;
};

// How long it may sleep without a look; 0: for ever, as the clock's signal wakes it.
std::uint64_t longest_sleep(const Slot& slot) {
  if (!signals::kPolled || slot.clock == kForever) return 0;
  const std::uint64_t now = clock::now();
  return now < slot.clock ? slot.clock - now : 1;
}

void sleep_or_look(Slot& slot) {
  Patience patience;
  bool may_halt = false;
  for (;;) {
    if constexpr (signals::kPolled) clock::look(slot);
    std::uint32_t doing = slot.attention;
    if ((doing & attention::kParked) != 0) {
      calls::wait(slot.attention, doing, signals::kPolled ? 1'000'000 : 0);  // open() wakes no sleeper whose clock alone has something to say
      patience = {};
    } else if (doing == attention::kLeaving) {
      processors::go_home();
    } else if (has_interrupt(slot) || (!may_halt && entry::has_work_while_idle())) {
      return;
    } else if (doing == attention::kBlocked) {
      calls::wait(slot.attention, doing, longest_sleep(slot));
    } else if (patience.is_at_its_end()) {
      if (!may_halt && !entry::may_halt()) return;
      may_halt = true;  // an IPI comes with everything
      slot.attention.compare_exchange_strong(doing, attention::kBlocked);
    }
  }
}

}  // namespace

void wait(Slot& slot, std::uint64_t taken) {
  slot.frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
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

bool is(const Slot& slot) {
  const std::uint32_t doing = slot.attention & ~attention::kParked;
  return (doing == attention::kEnded || doing == attention::kPolling || doing == attention::kBlocked) && slot.pending_levels == 0;
}

}  // namespace kdpc::live::idle
