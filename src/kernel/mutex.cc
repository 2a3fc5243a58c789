#include "kernel/mutex.h"

#include <limits>

#include "kernel/apc.h"
#include "kernel/bugcheck.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::mutex {

namespace {

// Nobody owns it any more.
void give_up_locked(Mutant& mutant) {
  Thread& owner = *mutant.owner;
  List::remove(mutant.owned_link);
  mutant.owner = nullptr;
  apc::enable_normal_locked(owner, mutant.apc_disable);
}

}  // namespace

void initialize(Mutant& mutant, bool is_drivers) {
  mutant.header.type = static_cast<std::uint8_t>(ObjectType::Mutant);
  mutant.header.second = 0;
  mutant.header.size = sizeof(Mutant) / sizeof(std::uint32_t);
  mutant.header.signal_state = 1;
  mutant.header.waiters.initialize();
  mutant.owner = nullptr;
  mutant.abandoned = 0;
  mutant.apc_disable = is_drivers ? 1 : 0;
}

bool is_free_for(const Mutant& mutant, const Thread& thread) { return mutant.header.signal_state > 0 || mutant.owner == &thread; }

bool is_at_limit(const Mutant& mutant, const Thread& thread) {
  return mutant.owner == &thread && mutant.header.signal_state == std::numeric_limits<std::int32_t>::min();
}

bool take_locked(Mutant& mutant, Thread& thread) {
  mutant.header.signal_state = mutant.header.signal_state - 1;
  if (mutant.header.signal_state != 0) return false;
  if (mutant.owner != nullptr)
    bug_check(stop::KernelSecurityCheckFailure, {3, as_parameter(&mutant), 0, 0},
              "A mutex that is free names an owner: something has overwritten it, or it is no mutex.", "0x139");
  const bool was_abandoned = mutant.abandoned != 0;
  mutant.abandoned = 0;
  mutant.owner = &thread;
  thread.mutants.push_back(mutant.owned_link);
  apc::disable_normal_locked(thread, mutant.apc_disable);
  return was_abandoned;
}

Released release(Mutant& mutant, std::int32_t increment, bool wait_follows, std::int32_t& previous_state) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  previous_state = mutant.header.signal_state;
  if (mutant.owner != Machine::here().current_thread) {
    const Released refused = mutant.abandoned != 0 ? Released::Abandoned : Released::NotOwner;
    scheduler::release_dispatcher_lock(previous);
    return refused;
  }
  mutant.header.signal_state = previous_state + 1;
  if (mutant.header.signal_state == 1) {
    Machine::observe(OrderReleased{&mutant});
    give_up_locked(mutant);
    wait::signal_locked(mutant.header, increment);
  }
  wait::leave_locked(previous, wait_follows);
  return Released::Yes;
}

void abandon_all_locked(Thread& thread) {
  while (Link* link = thread.mutants.first()) {
    Mutant& mutant = *owner_of<&Mutant::owned_link>(link);
    mutant.header.signal_state = 1;
    mutant.abandoned = 1;
    Machine::observe(OrderReleased{&mutant});
    give_up_locked(mutant);
    wait::signal_locked(mutant.header, 0);
  }
}

}  // namespace kdpc::mutex
