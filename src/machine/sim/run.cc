#include "machine/sim/run.h"

#include <algorithm>
#include <vector>

#include "kernel/entry.h"
#include "kernel/faults.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "machine/sim/accesses.h"
#include "machine/sim/bus.h"
#include "machine/sim/choice.h"
#include "machine/sim/controller.h"
#include "machine/sim/explain.h"
#include "machine/sim/fiber.h"
#include "machine/sink.h"

namespace kdpc::sim::run {

namespace {

std::optional<host::Outcome> the_end;
Oracle* the_oracle = nullptr;
constexpr std::uint64_t kMostWork = 10'000'000;  // ns: then the oracle hears of it, also where no interrupt comes

// So many steps at one time are no accident: even a storm of interrupts costs time.
constexpr std::uint64_t kLivelockSteps = 5'000'000;
// For so long only the clock must have been possible: two full ticks, as whatever a tick brings about has happened by the next one.
constexpr std::uint64_t kQuietTime = 2 * kClockIncrementNanoseconds;

struct Next {
  enum class Kind : std::uint8_t { Board, Clock, Ipi, Processor, Nothing } kind = Kind::Nothing;
  std::uint64_t time = kForever;
  unsigned number = 0;

  void consider(Kind other, std::uint64_t when, unsigned which) {
    if (when >= time) return;
    kind = other;
    time = when;
    number = which;
  }
};

// When this processor could act by itself.
std::uint64_t runnable_at(const Slot& slot) {
  switch (slot.doing) {
    case Doing::Running: return slot.time;
    case Doing::Stalled:
    case Doing::Spinning: return slot.wake;
    case Doing::Halted: return kForever;
  }
  return kForever;
}

bool is_busy() {
  for (unsigned number = 0; number < state().processors; ++number)
    if (state().slots[number].doing == Doing::Running) return true;
  return false;
}

Next find_next(std::uint64_t deadline) {
  const State& all = state();
  Next next;
  const bool busy = all.sources_used != 0 && is_busy();
  for (unsigned number = 0; number < all.sources_used; ++number) next.consider(Next::Kind::Board, bus::due(number, busy), number);
  for (unsigned number = 0; number < all.processors; ++number) {
    next.consider(Next::Kind::Clock, all.slots[number].clock, number);
    next.consider(Next::Kind::Ipi, all.slots[number].ipi, number);
  }
  for (unsigned number = 0; number < all.processors; ++number) next.consider(Next::Kind::Processor, runnable_at(all.slots[number]), number);
  if (all.sources_used == 0 || busy) return next;
  // Nobody runs: boards that cannot look ahead go straight to the next thing that is known, and stop by themselves if they interrupt before.
  std::uint64_t until = std::min(next.time, deadline);
  unsigned blind = 0;
  for (unsigned number = 0; number < all.sources_used; ++number) blind += bus::cannot_look_ahead(number) ? 1 : 0;
  for (unsigned number = 0; number < all.sources_used; ++number)
    if (blind > 1 && bus::cannot_look_ahead(number)) until = std::min(until, all.reached[number] + all.costs.board_poll);
  for (unsigned number = 0; number < all.sources_used; ++number) {
    if (!bus::cannot_look_ahead(number) || all.reached[number] >= until) continue;
    next.kind = Next::Kind::Board;
    next.time = until;
    next.number = number;
    break;
  }
  return next;
}

// Everything that could be next, what the fixed order would do first. Boards that cannot look ahead keep their place in time.
void list_candidates(const Next& first, std::vector<Candidate>& candidates) {
  const State& all = state();
  candidates.clear();
  const auto add = [&](Next::Kind kind, std::uint64_t time, unsigned number, bool by_itself = true) {
    if (time == kForever && by_itself) return;
    Candidate candidate{static_cast<Candidate::Kind>(kind), static_cast<std::uint16_t>(number),
                        kind == Next::Kind::Board ? 0 : steps_of(all.slots[number]), time};
    if (kind == Next::Kind::Processor) {
      const Slot& slot = all.slots[number];
      candidate.irql = static_cast<std::uint8_t>(slot.irql);
      candidate.interrupted = has_deliverable(slot);
      candidate.thread = slot.thread_id;
      // Nothing happens before an access because of the time: whoever is asked only there must find what all others do.
      if (fixed().only_asked && &slot == &current()) candidate.time = std::min(candidate.time, slot.limit);
    }
    if (kind == first.kind && number == first.number) {
      candidates.insert(candidates.begin(), candidate);
    } else {
      candidates.push_back(candidate);
    }
  };
  const bool busy = is_busy();
  for (unsigned number = 0; number < all.sources_used; ++number) {
    if (first.kind == Next::Kind::Board && first.number == number) {
      add(Next::Kind::Board, first.time, number);
    } else if (bus::waits_to_be_chosen(number)) {
      add(Next::Kind::Board, Candidate::kNeverByItself, number, false);
    } else if (!bus::cannot_look_ahead(number)) {
      add(Next::Kind::Board, bus::due(number, busy), number);
    }
  }
  for (unsigned number = 0; number < all.processors; ++number) {
    add(Next::Kind::Clock, all.slots[number].clock, number);
    add(Next::Kind::Ipi, all.slots[number].ipi, number);
    add(Next::Kind::Processor, runnable_at(all.slots[number]), number);
  }
}

Next ask_oracle(const Next& first) {
  static std::vector<Candidate> candidates;
  list_candidates(first, candidates);
  if (candidates.size() < 2) {
    if (!candidates.empty()) the_oracle->not_asked(candidates.front());
    return first;
  }
  const Candidate& chosen = candidates[std::min(the_oracle->choose(candidates), candidates.size() - 1)];
  const std::uint64_t now = state().time;
  return {static_cast<Next::Kind>(chosen.kind), chosen.time == Candidate::kNeverByItself ? now : chosen.time, chosen.number};
}

void check_spinners(const Slot& ran) {
  for (unsigned number = 0; number < state().processors; ++number) {
    Slot& slot = state().slots[number];
    if (slot.doing != Doing::Spinning || slot.spin_word.value() == slot.spin_expected) continue;
    // A lock says when it was released; of other words it is known that it was not later than this.
    const std::uint64_t released = order_of(slot.spin_word.lock());
    wake(slot, released != 0 && released >= slot.time ? released : ran.time);
  }
}

unsigned stack_here(std::uintptr_t* frames, unsigned room) {
  return fiber::walk(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), frames, room);
}

bool asks_oracle_to_fail(std::uint16_t routine, std::uintptr_t caller) {
  if (!fixed().inside) return false;
  accesses::count(current());
  const HostCode host_code;
  return the_oracle->fails({current().number, steps_of(current()), routine, caller, stack_here});
}

// The state of a processor that loops for ever is told as it is: there is no better place.
void tell_work(const Slot& slot, std::uint64_t time, std::uint64_t steps) {
  if (the_oracle->endures(slot.time - time + (steps_of(slot) - steps) * Oracle::kStepWork)) return;
  finish({host::Ended::NoProgress,
          "no end in sight: an endless loop? The processors have worked for as long as they may in one run.\n" + explain::everybody(),
          {}});
}

void ask_when_oracle_wants(Slot& slot) {
  slot.question = the_oracle->next_question(slot.number, steps_of(slot));
  slot.question_at_access = the_oracle->next_question_at_access(slot.number, steps_of(slot));
}

// A question that changes nothing must leave nothing behind: who goes on as if it had not been asked keeps its limit, spinners are not looked at, nor is the
// host's condition.
void go_on(Slot& slot) {
  if (slot.doing == Doing::Stalled) {
    slot.time = std::max(slot.time, slot.wake);
    slot.doing = Doing::Running;
  }
  if (slot.doing == Doing::Spinning) wake(slot, slot.wake);
  if (fixed().only_asked) {
    ask_when_oracle_wants(slot);
  } else {
    set_limit(slot);
  }
  fixed().only_asked = false;
  if (the_oracle != nullptr) the_oracle->look();
  if (the_end) return;  // it has seen what must not be
  const std::uint64_t time = slot.time, steps = steps_of(slot);
  fiber::enter(slot);
  if (the_oracle != nullptr) tell_work(slot, time, steps);
  if (state().spinners != 0 && !fixed().only_asked) check_spinners(slot);
}

// Nothing but the clock can ever interrupt again. Asked while all processors are halted.
bool is_quiet() {
  for (unsigned number = 0; number < state().processors; ++number) {
    const Slot& slot = state().slots[number];
    if (slot.ipi != kForever || slot.pending_levels != 0) return false;
    if (!scheduler::is_at_rest(*slot.processor)) return false;
  }
  for (unsigned source = 0; source < state().sources_used; ++source)
    if (const Nanoseconds next = bus::next_event(source); next != kNever && next != Board::kWhenever) return false;
  return true;
}

bool all_halted() {
  for (unsigned number = 0; number < state().processors; ++number)
    if (state().slots[number].doing != Doing::Halted) return false;
  return true;
}

void clock_comes(Slot& slot, std::uint64_t when) {
  if (all_halted()) state().quiet_since = is_quiet() ? std::min(state().quiet_since, when) : kForever;
  slot.clock = kForever;
  controller::pend(slot.number, entry::kClockVector, when);
}

void perform(const Next& next) {
  Slot& slot = state().slots[next.number];
  switch (next.kind) {
    case Next::Kind::Nothing: return;
    case Next::Kind::Board: bus::advance(next.number, next.time); return;
    case Next::Kind::Clock: clock_comes(slot, next.time); return;
    case Next::Kind::Ipi:
      slot.ipi = kForever;
      controller::pend(next.number, entry::kIpiVector, next.time);
      return;
    case Next::Kind::Processor: go_on(slot); return;
  }
}

void watch_for_livelock(std::uint64_t time) {
  State& all = state();
  if (time > all.time) {
    all.time = time;
    all.same_time_steps = 0;
    return;
  }
  if (++all.same_time_steps >= kLivelockSteps)
    finish({host::Ended::Deadlock, "livelock: virtual time no longer passes, though something keeps happening.\n" + explain::everybody(), {}});
}

std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b) { return a + b < a ? kForever - 1 : std::min(a + b, kForever - 1); }

std::uint64_t run_limit = kForever - 1;  // of the call of until() that is under way

// Who spins for a lock waits for everybody who holds it. From the last of `path` back to its first: true, and the path is the whole circle.
bool close_circle(explain::Circle& path, ProcessorSet& seen) {
  const void* wanted = path.slots[path.count - 1]->spin_word.lock();
  for (unsigned number = 0; number < state().processors; ++number) {
    const Slot& owner = state().slots[number];
    if (owner.doing != Doing::Spinning || find_held(owner, wanted) == nullptr) continue;
    if (&owner == path.slots[0]) return true;
    if (seen.has(number)) continue;
    seen.add(number);
    path.slots[path.count++] = &owner;
    if (close_circle(path, seen)) return true;
    --path.count;
  }
  return false;
}

}  // namespace

void wake(Slot& slot, std::uint64_t when) {
  if (slot.doing == Doing::Spinning) --state().spinners;
  slot.doing = Doing::Running;
  slot.time = std::max(slot.time, when);
  if (!fixed().inside) return;
  bound_current(saturating_sum(slot.time, state().costs.slack) + (current().number < slot.number ? 1 : 0));
}

void begin_spinning(Slot& slot, SpinWord word, std::uint64_t until) {
  slot.doing = Doing::Spinning;
  slot.wake = until;
  slot.spin_word = word;
  slot.spin_expected = word.value();
  slot.frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  ++state().spinners;
  explain::Circle path{{&slot}, 1};
  ProcessorSet seen;
  if (close_circle(path, seen)) finish({host::Ended::Deadlock, explain::circle_of_locks(path), {}});
}

void set_limit(Slot& slot) {
  const State& all = state();
  std::uint64_t slack = all.costs.slack;
  if (the_oracle != nullptr) {
    slack = std::max(slack, the_oracle->patience());
    ask_when_oracle_wants(slot);
  }
  std::uint64_t first = saturating_sum(run_limit, 1);  // the first moment at which this processor must not act
  if (the_oracle != nullptr) first = std::min(first, slot.time + kMostWork);
  for (unsigned number = 0; number < all.processors; ++number) {
    const Slot& other = all.slots[number];
    first = std::min({first, other.clock, other.ipi});
    if (&other == &slot) continue;
    const std::uint64_t runnable = runnable_at(other);
    if (runnable != kForever) first = std::min(first, saturating_sum(runnable, slack) + (slot.number < number ? 1 : 0));
  }
  for (unsigned number = 0; number < all.sources_used; ++number) first = std::min(first, bus::due(number, true));
  if (fixed().inside) settle(slot);
  if (all.spinners != 0) first = std::min(first, saturating_sum(slot.time, all.costs.spin_turn));
  slot.limit = first == 0 ? 0 : first - 1;
  if (fixed().inside) give_edges(slot);
}

host::Outcome until(const std::function<bool()>& condition, Nanoseconds limit) {
  run_limit = saturating_sum(state().time, limit);
  fixed().only_asked = false;
  // What the host has done since may have given a device something to do.
  if (state().quiet_since != kForever && !is_quiet()) state().quiet_since = kForever;
  for (;;) {
    if (the_end) return *the_end;
    const bool only_asked = fixed().only_asked;
    if (condition && !only_asked && condition()) return {host::Ended::ConditionMet, {}, {}};
    if (condition && !only_asked && state().quiet_since < state().time && state().time - state().quiet_since >= kQuietTime)
      return {host::Ended::Quiescent, explain::quiescence(), {}};
    Next next = find_next(run_limit);
    if (next.time > run_limit) {
      state().time = std::max(state().time, run_limit);
      return {host::Ended::TimeLimit, {}, {}};
    }
    if (the_oracle != nullptr) next = ask_oracle(next);
    if (only_asked && (next.kind != Next::Kind::Processor || next.number != current().number)) {
      fixed().only_asked = false;
      if (state().spinners != 0) check_spinners(current());
    }
    if (!fixed().only_asked) watch_for_livelock(next.time);
    perform(next);
  }
}

void finish(host::Outcome outcome) {
  if (outcome.report && !the_end) sys().bugcheck = *outcome.report;
  if (!the_end) the_end = std::move(outcome);
  if (fixed().inside) current().limit = 0;
}

const std::optional<host::Outcome>& ended() { return the_end; }
void forget_end() {
  the_end.reset();
  if (host::exists()) fixed().ends_with_fact = false;
}
std::uint64_t pick(std::uint64_t count) { return the_oracle == nullptr ? 0 : the_oracle->number(count) % count; }

}  // namespace kdpc::sim::run

namespace kdpc::sim {

void set_oracle(Oracle* oracle) {
  run::the_oracle = oracle;
  faults::chooser = oracle == nullptr ? nullptr : run::asks_oracle_to_fail;
  if (!host::exists()) return;
  fixed().exploring = oracle != nullptr;
  fixed().edge_stride = oracle == nullptr ? 0 : oracle->edges_between_choices();
}

}  // namespace kdpc::sim
