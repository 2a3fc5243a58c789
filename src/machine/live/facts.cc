#include "machine/live/facts.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kernel/system.h"
#include "machine/live/arena.h"
#include "machine/live/clock.h"
#include "machine/live/delivery.h"
#include "machine/live/lock.h"
#include "machine/live/run.h"

namespace kdpc::live {

namespace {

std::vector<EventSink*> sinks;
std::thread::id host_thread;  // of the host, which is the one that calls them

// What host threads state while the machine runs.
Lock lock;
std::vector<Fact> from_outside;
std::uint64_t lost_before = 0;  // by rooms that were emptied

std::uint32_t thread_of(const Slot& slot) {
  const Thread* thread = slot.processor->current_thread;
  return thread == nullptr ? 0 : thread->id;
}

void hand_over(const Fact& fact) {
  for (EventSink* sink : sinks) sink->event(fact.stamp, fact.event);
}

// Kept for those who cannot wait: facts, and bytes of what they say.
constexpr std::uint32_t kReserve = 2048, kTextReserve = arena::kTexts / 8;

std::uint32_t length_of_text(const Event& event) {
  const auto* printed = std::get_if<DebugPrinted>(&event);
  return printed == nullptr ? 0 : printed->length;
}

// For one who can wait. A text that is too long for the room is not waited for.
bool has_room(const Slot& slot, const Event& event) {
  return slot.facts_used < arena::kFacts - kReserve &&
         (slot.texts_used == 0 || slot.texts_used + std::uint64_t{length_of_text(event)} <= arena::kTexts - kTextReserve);
}

// What a fact points to is gone when the sinks see it.
bool keep_text(Slot& slot, Event& event) {
  auto* printed = std::get_if<DebugPrinted>(&event);
  if (printed == nullptr) return true;
  if (printed->length > arena::kTexts - slot.texts_used) return false;
  char* kept = slot.texts + slot.texts_used;
  std::memcpy(kept, printed->text, printed->length);
  slot.texts_used += printed->length;
  printed->text = kept;
  return true;
}

void write_down(Slot& slot, Irql level, const Event& event) {
  if (slot.facts_used == arena::kFacts) {
    ++slot.facts_lost;
    return;
  }
  Fact* fact = new (&slot.facts[slot.facts_used]) Fact{{clock::now(), slot.number, static_cast<std::uint8_t>(level), thread_of(slot)}, event};
  if (!keep_text(slot, fact->event)) {
    ++slot.facts_lost;
    return;
  }
  const std::uint32_t text = length_of_text(event);
  const bool half_told = ++slot.facts_used == arena::kFacts / 2;
  const bool half_said = slot.texts_used >= arena::kTexts / 2 && slot.texts_used - text < arena::kTexts / 2;
  if (half_told || half_said) run::ask_host(run::kMakeRoom);
}

}  // namespace

void tell(const Event& event) {
  if (!tls::on_processor()) {
    tell_of(slot_of(0), event);
    return;
  }
  const Irql level = irql();
  set_irql(Irql::High);
  while (level < Irql::Synch && !has_room(here(), event)) {
    delivery::take_all(level);
    run::ask_host(run::kMakeRoom);
    calls::give_way();
    set_irql(Irql::High);
  }
  ++here().undisturbed;
  write_down(here(), level, event);
  --here().undisturbed;
  delivery::take_all(level);
}

void tell_of(const Slot& slot, const Event& event) {
  if (!shared().observed) return;
  if (tls::on_processor()) {
    tell(event);
    return;
  }
  const Fact fact{{clock::now(), slot.number, static_cast<std::uint8_t>(slot.irql), 0}, event};
  if (!clock::passes() && std::this_thread::get_id() == host_thread) {
    hand_over(fact);
    return;
  }
  const Locked locked(lock);
  from_outside.push_back(fact);
}

namespace facts {

void drain() {
  std::vector<Fact*> all;
  std::vector<Fact> others;
  {
    const Locked locked(lock);
    others.swap(from_outside);
  }
  for (Fact& fact : others) all.push_back(&fact);
  for (unsigned number = 0; number < shared().processors; ++number)
    for (std::uint32_t index = 0; index < slot_of(number).facts_used; ++index) all.push_back(&slot_of(number).facts[index]);
  std::stable_sort(all.begin(), all.end(), [](const Fact* a, const Fact* b) { return a->stamp.time < b->stamp.time; });
  for (const Fact* fact : all) hand_over(*fact);
  for (unsigned number = 0; number < shared().processors; ++number) {
    Slot& slot = slot_of(number);
    slot.facts_used = slot.texts_used = 0;
    lost_before += slot.facts_lost;
    slot.facts_lost = 0;
  }
}

std::uint64_t lost() { return lost_before; }

void add(EventSink& sink) {
  sinks.push_back(&sink);
  host_thread = std::this_thread::get_id();
  shared().observed = true;
}

void remove(EventSink& sink) {
  std::erase(sinks, &sink);
  shared().observed = !sinks.empty();
}

void forget() {
  sinks.clear();
  from_outside.clear();
  lost_before = 0;
}

}  // namespace facts
}  // namespace kdpc::live
