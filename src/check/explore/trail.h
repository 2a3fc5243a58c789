// What a run of a late order (plan.h) has done, transition by transition, for a search that reasons about which of them could change places.
//
// A transition is what happens from one question to the next: a processor takes a step, or an event comes. It touches things: memory of drivers, kernel objects,
// locks, the boards, which processors are idle. Two touches of one thing conflict if one of them writes; so they do if the routine that was called has told
// nothing of what it touched, for then it may be any kernel object.
//
//   K.DPOR-4  What the kernel does for somebody is his touch: what it writes where a driver may look, and what decides what it does.
//
// Whose a touch is, is told by its context: a thread, an ISR, a drain of DPCs, or an event itself. What happens in a context happens in this order in every run;
// a context begins behind what has caused it.
#pragma once
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "check/explore/plan.h"
#include "machine/sink.h"

namespace kdpc::explore {

// Who can make a transition. A pick (schedule.h) is one of its own: `number` is what is picked.
struct Actor {
  enum class Kind : std::uint8_t { Board, Clock, Ipi, Processor, Pick } kind = Kind::Processor;
  std::uint16_t number = 0;
  auto operator<=>(const Actor&) const = default;
  bool is_processor() const { return kind == Kind::Processor; }
  bool is_event() const { return kind != Kind::Processor && kind != Kind::Pick; }
};

struct Touch {
  // Cause and Effect order without a conflict: an effect, and what follows it, comes behind all causes since the last effect.
  enum class How : std::uint8_t { Read, Write, Acquire, Release, Cause, Effect } how;
  std::uint64_t thing;
  std::uint32_t context;
  bool conflicts(const Touch& other) const {
    if (thing != other.thing || how >= How::Cause || other.how >= How::Cause) return false;
    return how != How::Read || other.how != How::Read;
  }
};

struct Transition {
  Actor actor;
  Actor by_itself;             // who would have made it
  std::uint64_t step = 0;      // of that one, if a processor: where a deviation stands; otherwise there can be none
  std::vector<Actor> enabled;  // who could have made it
  std::uint8_t irql = 0;       // of the processor before it
  std::uint32_t context = 0;   // of the processor before it
  bool begins = false;         // the context of an interrupt or drain begins in it
  std::uint64_t targets = 0;   // processors that an event interrupts, as bits
  std::uint64_t clocks = 0;    // before it: whose bring something about, as a timer is set, or a DPC is queued that has asked for no drain; as bits
  std::vector<Touch> touches;
  std::vector<Actor> prevents;  // what can no longer come, because of it
};

class Trail final : public EventSink, public Watcher {
 public:
  static constexpr std::size_t kMost = 100'000;  // transitions; what follows, of a run that may never end, is not looked at
  void begin();                                  // of a run
  void end() { ended_ = true; }                  // what follows is not looked at: nothing in it will be otherwise
  const std::vector<Transition>& transitions() const { return transitions_; }
  // The level at which a context begins: what is at it or above cannot be interrupted by it. Of threads and events 0.
  std::uint8_t entry_of(std::uint32_t context) const { return entries_[context]; }
  std::uint32_t contexts() const { return static_cast<std::uint32_t>(entries_.size()); }

  void asked(std::span<const sim::Candidate> candidates, std::size_t by_itself, std::size_t chosen) override;
  void picked(std::uint64_t bound, std::uint64_t number) override;
  void event(const Stamp& stamp, const Event& event) override;
  bool wants_accesses() const override { return true; }
  void accesses(const Stamp& stamp, std::span<const Access> batch) override;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  struct OnProcessor {
    std::vector<std::uint32_t> nested;  // contexts of interrupts and drains, innermost last
    std::uint32_t thread = 0;
    bool idle = false;
  };
  std::uint32_t context_of(const Stamp& stamp);
  std::uint32_t named_context(std::uint64_t name);
  std::uint32_t innermost(std::uint16_t processor);
  OnProcessor& at(std::uint16_t processor);
  void touch(std::uint32_t context, std::uint64_t thing, Touch::How how);
  void touch_object(std::uint32_t context, std::uint64_t address);
  void touch_memory(std::uint32_t context, std::uint64_t address, std::uint64_t size, bool write);
  void touch_idle(std::uint32_t context, std::uint64_t processors, Touch::How how);
  void tells(std::uint32_t context);
  void goes_on(std::uint32_t context);
  void push(std::uint16_t processor, std::uint8_t entry);
  void pop(std::uint16_t processor);
  bool of_activities(const Stamp& stamp, const Event& event);
  void of_locks(std::uint32_t context, const Event& event);
  void of_objects(std::uint32_t context, const Event& event);
  void of_threads(const Stamp& stamp, std::uint32_t context, const Event& event);
  void of_requests(std::uint32_t context, const Event& event);
  void of_timers(std::uint32_t context, const Event& event);

  std::vector<Transition> transitions_;
  bool ended_ = false;
  std::size_t now_ = 0;  // the transition that goes on; a pick is one that begins meanwhile
  std::vector<std::uint8_t> entries_;
  std::vector<std::size_t> calls_;  // by context: the transition in which it has called a routine that has told nothing yet; or kNone
  std::unordered_map<std::uint64_t, std::uint32_t> named_;  // contexts of threads and of events
  std::vector<OnProcessor> processors_;
  struct Timer {
    std::uint16_t processor;  // whose clock makes it expire
    bool is_periodic;
  };
  std::map<std::uint64_t, Timer> timers_;         // that are set
  std::map<std::uint32_t, std::uint64_t> asked_;  // by thread: when it was made ready, whose being idle has decided where it runs, as bits
  struct Queued {
    std::uint16_t target;
    bool is_quiet;  // it has asked for no drain
  };
  std::map<std::uint64_t, Queued> queued_;  // DPCs that have not begun
};

}  // namespace kdpc::explore
