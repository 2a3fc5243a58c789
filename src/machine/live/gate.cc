#include "machine/live/gate.h"

#include "machine/live/apic.h"
#include "machine/live/calls.h"
#include "machine/live/processors.h"
#include "machine/live/signals.h"

namespace kdpc::live::gate {

namespace {

constexpr unsigned kTurns = 200;                // of looking before the host sleeps
constexpr std::uint64_t kAskAgain = 1'000'000;  // ns
constexpr std::uint64_t kStuck = 5'000'000;     // ns of a processor's own time at Synch or above: no routine of the kernel takes that long
constexpr std::uint64_t kHopeless = 2'000'000'000;
constexpr std::uint64_t kLongClosed = 200'000;

std::atomic<bool> closed{true};
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

// After five milliseconds of its own, counted from its first refusal. Others may wait for what it is at: then only when there is no hope.
bool is_stuck(Slot& slot) {
  if (slot.undisturbed != 0) return calls::host_clock() - closed_since >= kHopeless;
  const std::uint64_t time = calls::processor_time();
  if (slot.gate_seen != closings) {
    slot.gate_seen = closings;
    slot.gate_time = time;
  }
  return time - slot.gate_time >= kStuck;
}

void ask(Slot& slot) {
  slot.pending_levels.fetch_or(1u << static_cast<unsigned>(apic::kGateLevel));
  apic::alert(slot);
}

}  // namespace

bool is_closed() { return closed; }
bool has_long_been_closed() { return closed && calls::host_clock() - closed_since >= kLongClosed; }

void close() {
  closed_since = calls::host_clock();
  ++closings;
  closed = true;
  const unsigned processors = shared().processors;
  for (unsigned number = 0; number < processors; ++number)
    if (!is_parked(slot_of(number))) ask(slot_of(number));
  std::uint64_t ask_again = closed_since + kAskAgain;
  for (unsigned turn = 0;; ++turn) {
    host_waits = turn >= kTurns;
    const std::uint32_t seen = parkings;
    bool all = true;
    for (unsigned number = 0; number < processors; ++number) all = is_parked(slot_of(number)) && all;
    if (all) break;
    if (turn < kTurns) {
      __builtin_ia32_pause();
      continue;
    }
    calls::wait(parkings, seen, kAskAgain);
    if (calls::host_clock() < ask_again) continue;
    ask_again = calls::host_clock() + kAskAgain;
    for (unsigned number = 0; number < processors; ++number)
      if (Slot& slot = slot_of(number); !is_parked(slot)) calls::signal(signals::process(), slot.tid, signals::kInterrupt);
  }
  host_waits = false;
}

void open() {
  closed = false;
  for (unsigned number = 0; number < shared().processors; ++number) {
    Slot& slot = slot_of(number);
    const std::uint32_t doing = slot.attention;
    if ((doing & attention::kEnded) != 0) continue;
    switch (doing & ~attention::kParked) {
      case attention::kPolling:
        slot.attention = attention::kPolling;
        calls::wake(slot.attention);
        break;
      case attention::kBlocked: {
        // It sleeps on, unless something came meanwhile. Who makes a vector pending and saw `parked` told nobody, and did it before this store.
        slot.attention = attention::kBlocked;
        std::uint32_t blocked = attention::kBlocked;
        if (slot.pending_levels != 0 && slot.attention.compare_exchange_strong(blocked, attention::kPolling)) calls::wake(slot.attention);
        break;
      }
      default: slot.attention = attention::kResuming; calls::wake(slot.attention);
    }
  }
}

void pass(Slot& slot, Irql before) {
  if (before < apic::kGateLevel || is_stuck(slot)) park(slot, before);
}

void park(Slot& slot, Irql shown) {
  slot.attention = attention::kMoving;  // from here on its signal handler takes nothing
  apic::settle(slot, apic::kGateLevel);
  set_irql(shown);
  slot.attention = attention::kParked;
  tell_host();
  for (;;) {
    std::uint32_t doing = slot.attention;
    if ((doing & attention::kParked) != 0) {
      calls::wait(slot.attention, doing);
    } else if (doing == attention::kLeaving) {
      processors::go_home();
    } else if (slot.attention.compare_exchange_strong(doing, attention::kMoving)) {
      set_irql(Irql::High);
      // Whoever makes a vector pending from here on sends a signal; what was made pending before, the caller looks for.
      slot.attention = attention::kRunning;
      return;
    }
  }
}

void parked_for_good() { tell_host(); }

}  // namespace kdpc::live::gate
