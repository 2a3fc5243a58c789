#include "machine/live/gate.h"

#include <algorithm>
#include <cstdio>

#include "base/invariant.h"
#include "machine/live/apic.h"
#include "machine/live/calls.h"
#include "machine/live/processors.h"
#include "machine/live/segments.h"
#include "machine/live/signals.h"

namespace kdpc::live::gate {

namespace {

constexpr unsigned kTurns = 200;                // of looking before the host sleeps
constexpr std::uint64_t kAskAgain = 1'000'000;  // ns
constexpr std::uint64_t kStuck = 5'000'000;     // ns of a processor's own time at Synch or above: no routine of the kernel takes that long
constexpr std::uint64_t kHopeless = 2'000'000'000, kQuiteHopeless = 10'000'000'000;  // the host may have had no processor for it all the time
// The gate is opened that often for those who are waited for, each time twice as long as before: a hundred and sixty milliseconds in all, as
// the host may give its processors to others, and the time until each of them has had one.
constexpr unsigned kOpenings = 13;
constexpr std::uint64_t kFirstOpening = 20'000, kLongestStart = 1'000'000'000;
constexpr std::uint64_t kHostsPatience = 1'000'000'000, kOneWait = 100'000'000;  // looks at the clock that are further apart belong to two waits

std::atomic<bool> closed{true}, given_up{false};
std::atomic<std::uint64_t> closed_since{0}, closings{0};
calls::Futex parkings{0};
std::atomic<bool> host_waits{false};

void tell_host() {
  parkings.fetch_add(1);
  if (host_waits) calls::wake(parkings);
}

// True: parked already, or by this.
bool is_parked(Slot& slot) {
  std::uint32_t doing = slot.attention;
  if ((doing & attention::kParked) != 0) return true;
  if (doing == attention::kPolling || doing == attention::kBlocked) return slot.attention.compare_exchange_strong(doing, doing | attention::kParked);
  return doing == attention::kResuming && slot.attention.compare_exchange_strong(doing, attention::kParked);
}

// From here on, the time that the processor takes for itself counts. In this order: a signal may come in between, and its handler ask whether it is stuck.
void begin_to_count(Slot& slot) {
  slot.gate_time = calls::processor_time();
  std::atomic_signal_fence(std::memory_order_seq_cst);
  slot.gate_seen = closings;
}

// After five milliseconds of its own, counted from its first refusal. Others may wait for what it is at while it is undisturbed: then only when there is no hope.
bool is_stuck(Slot& slot) {
  if (slot.gate_seen != closings) begin_to_count(slot);
  const bool has_had_enough = calls::processor_time() - slot.gate_time >= kStuck;
  if (slot.undisturbed == 0) return has_had_enough;
  return calls::host_clock() - closed_since >= (has_had_enough ? kHopeless : kQuiteHopeless);
}

void ask(Slot& slot) {
  slot.pending_levels.fetch_or(1u << static_cast<unsigned>(apic::kGateLevel));
  apic::alert(slot);
}

void shut() {
  closed_since = calls::host_clock();
  ++closings;
  closed = true;
  for (unsigned number = 0; number < shared().processors; ++number) {
    Slot& slot = slot_of(number);
    slot.waits = false;
    if (!is_parked(slot)) ask(slot);
  }
}

struct Others {
  unsigned count = 0;    // that are not parked
  bool all_wait = true;  // for another one
};

Others look() {
  Others others;
  for (unsigned number = 0; number < shared().processors; ++number)
    if (Slot& slot = slot_of(number); !is_parked(slot)) {
      ++others.count;
      others.all_wait = others.all_wait && slot.waits;
    }
  return others;
}

// Whether those who are not parked do nothing but wait. Each says so when it likes; while one says it, another may do what a third one waits for. So all have
// to say it as often as there are processors among which that could go round.
class Deadlock {
 public:
  bool is_there(Others others) {
    if (!others.all_wait) return false;
    if (++times_ >= std::min(others.count, kMostTimes)) return true;
    for (unsigned number = 0; number < shared().processors; ++number) slot_of(number).waits = false;
    return false;
  }

 private:
  static constexpr unsigned kMostTimes = 4;
  unsigned times_ = 0;
};

// True: all are parked. False: the others wait for a parked one.
bool wait_until_all_park() {
  Deadlock deadlock;
  std::uint64_t ask_again = closed_since + kAskAgain;
  for (unsigned turn = 0;; ++turn) {
    host_waits = turn >= kTurns;
    const std::uint32_t seen = parkings;
    const Others others = look();
    if (others.count == 0 || (!given_up && deadlock.is_there(others))) {
      host_waits = false;
      return others.count == 0;
    }
    if (turn < kTurns) {
      __builtin_ia32_pause();
      continue;
    }
    calls::wait(parkings, seen, kAskAgain);
    if (calls::host_clock() < ask_again) continue;
    ask_again = calls::host_clock() + kAskAgain;
    for (unsigned number = 0; number < shared().processors; ++number)
      if (Slot& slot = slot_of(number); !is_parked(slot)) calls::signal(signals::process(), slot.tid, signals::kInterrupt);
  }
}

// What interrupts it has not been taken yet, as the host's processor is busy with others.
bool has_yet_to_answer(const Slot& slot) {
  const std::uint32_t doing = slot.attention;
  return doing == attention::kResuming || (doing == attention::kPolling && slot.pending_levels >> (static_cast<unsigned>(Irql::Dispatch) + 1) != 0);
}

bool has_anybody_yet_to_answer() {
  for (unsigned number = 0; number < shared().processors; ++number)
    if (has_yet_to_answer(slot_of(number))) return true;
  return false;
}

void let_answer(std::uint64_t moment) {
  const std::uint64_t opened = calls::host_clock();
  while (has_anybody_yet_to_answer() && calls::host_clock() - opened < kLongestStart) calls::give_way();
  for (const std::uint64_t all_there = calls::host_clock(); calls::host_clock() - all_there < moment;) calls::give_way();
}

void resume(Slot& slot) {
  std::uint32_t doing = slot.attention;
  while (doing == attention::kArriving || doing == attention::kParked)
    if (slot.attention.compare_exchange_strong(doing, attention::kResuming)) {
      calls::wake(slot.attention);
      return;
    }
  if (doing == (attention::kPolling | attention::kParked)) {
    slot.attention = attention::kPolling;
    calls::wake(slot.attention);
  } else if (doing == (attention::kBlocked | attention::kParked)) {
    // It sleeps on, unless something came meanwhile. Who makes a vector pending and saw `parked` told nobody, and did it before this store.
    slot.attention = attention::kBlocked;
    std::uint32_t blocked = attention::kBlocked;
    if (slot.pending_levels != 0 && slot.attention.compare_exchange_strong(blocked, attention::kPolling)) calls::wake(slot.attention);
  }
}

}  // namespace

bool is_closed() { return closed; }

void close() {
  given_up = false;
  std::uint64_t moment = kFirstOpening;
  for (unsigned openings = 0;; ++openings) {
    shut();
    if (wait_until_all_park()) return;
    if (openings == kOpenings) break;
    open();
    let_answer(moment);
    moment *= 2;
  }
  given_up = true;
  wait_until_all_park();
}

void open() {
  closed = false;
  for (unsigned number = 0; number < shared().processors; ++number) resume(slot_of(number));
}

void pass(Slot& slot, Irql before) {
  if (before < apic::kGateLevel || is_stuck(slot)) park(slot, before);
}

std::uint64_t before_interrupt(Irql before) { return closed && before >= apic::kGateLevel ? calls::processor_time() : 0; }
void after_interrupt(Slot& slot, std::uint64_t began) {
  if (began == 0) return;
  const std::uint64_t time = calls::processor_time();
  slot.gate_time = std::min(time, slot.gate_time + (time - began));  // it may have begun to count in there
}

void park(Slot& slot, Irql shown) {
  slot.frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  slot.attention = attention::kArriving;  // from here on its signal handler takes nothing
  apic::settle(slot, apic::kGateLevel);
  set_irql(shown);
  // The host may have opened the gate again: then it makes resuming whom it finds arriving, and who arrives after that sees it here.
  std::uint32_t arriving = attention::kArriving;
  slot.attention.compare_exchange_strong(arriving, closed ? attention::kParked : attention::kResuming);
  tell_host();
  for (;;) {
    std::uint32_t doing = slot.attention;
    if ((doing & attention::kParked) != 0) {
      calls::wait(slot.attention, doing);
    } else if (doing == attention::kLeaving) {
      processors::go_home();
    } else if (slot.attention.compare_exchange_strong(doing, attention::kDeparting)) {
      set_irql(Irql::High);
      // Whoever makes a vector pending from here on sends a signal; what was made pending before, the caller looks for.
      slot.attention = attention::kRunning;
      return;
    }
  }
}

bool wait_for_another(Slot& slot, Irql before) {
  begin_to_count(slot);  // what it waits for takes the time
  if (!given_up) {
    if (!slot.waits.exchange(true)) tell_host();
    return false;
  }
  set_irql(Irql::High);
  park(slot, before);
  return true;
}

void wait_as_host() {
  static std::uint64_t since = 0, last = 0;
  if (segments::fs() != host_slot().home_fs || !closed) return;
  const std::uint64_t time = calls::host_clock();
  if (time - last >= kOneWait) since = time;
  last = time;
  if (time - since < kHostsPatience) return;
  std::fputs("kdpc: the host waits for a processor, and all of them stand still\n", stderr);
  KDPC_INVARIANT("K.LIVE-22", !"the host waits for nobody while the gate is closed");
}

void parked_for_good() { tell_host(); }

}  // namespace kdpc::live::gate
