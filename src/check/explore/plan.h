// The oracle that follows a schedule: the default order, but for its deviations. Every strategy, replay and shrinking run through it; they differ in the
// schedules they ask for.
//
// The default order is the machine's own, a little lazier: a processor goes on until it has to wait, until something is due in virtual time, or until others
// are left behind by kPatience, which saves switches and lets nobody pass by an interrupt that has come. A processor that is held goes on when nobody else can,
// or when it is left behind by kLongestHold: others may look again and again whether it has done something.
//
// A schedule that begins with `late` has an order that is lazier still, and another place for its deviations: what a processor's step asks for happens when the
// order would go on with that step, and not when the processor has come to it. So the same step may be asked for twice, and each time something else happens.
//
// What is held is the code that runs on a processor at that moment. Meanwhile the processor takes interrupts as soon as nobody else can go on, and what they
// bring with them, DPCs and other threads; whoever waits for those is not kept waiting by a hold.
//
//   K.EXPLORE-3  Of those who are held, the one that has waited longest goes on first.
//   K.EXPLORE-6  Code that is held goes on only when nobody else can, and nothing that comes to its processor can either; or when it is left behind by
//                kLongestHold.
//   K.EXPLORE-8  Who is lowered goes on only while nobody else can, but for those who were lowered later, or are held; or until it is left behind, likewise.
#pragma once
#include <boost/container/small_vector.hpp>
#include <functional>
#include <vector>

#include "check/explore/schedule.h"
#include "machine/sim/choice.h"

namespace kdpc::explore {

using Events = boost::container::small_vector<Deviation, 3>;

// What else could have happened before a step, and before the accesses that follow it on its processor (AtSteps).
struct Options {
  std::uint16_t processor = 0;
  std::uint64_t step = 0;
  bool others_can_go_on = false;  // to hold it changes something
  Events events;                  // each of which could have come first
  std::uint64_t left_open = 0;    // picks so far
  std::uint64_t may_fail = 0;     // a routine was called with this step that may fail: equal for calls from the same stack; 0: none
  std::vector<Deviation> delays;  // of those of the events that came by themselves before the next note was taken, though a processor could go on
};

// Is told of each question.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // Indices of candidates. What happens by itself may be otherwise by a deviation if it is a processor that goes on.
  virtual void asked(std::span<const sim::Candidate> candidates, std::size_t by_itself, std::size_t chosen) = 0;
  virtual void picked(std::uint64_t bound, std::uint64_t number) = 0;
};

class Plan final : public sim::Oracle {
 public:
  static constexpr std::uint64_t kPatience = 1'000, kLatePatience = 1'000'000;  // ns; of late orders
  static constexpr std::uint64_t kLongestHold = 40'000'000;
  // Of a driver that never ends the beginning is enough, and all of it would be gigabytes.
  static constexpr std::size_t kMostNotes = 1'000'000;

  explicit Plan(unsigned processors) : processors_(processors) {}
  // Called before each step of the execution that follows, and of no other one, which makes it slow.
  void look_at_each_step(std::function<void()> look) { look_ = std::move(look); }
  void endure(std::uint64_t work) { endurance_ = work; }  // in each execution (machine/sim/choice.h)

  // For the next execution. `notes`: where to leave the options at the first kMostNotes steps at which there are new ones; null: nobody wants to know.
  // `watcher`: of a schedule that begins with `late`, likewise.
  void follow(const Schedule& schedule, std::vector<Options>* notes = nullptr, Watcher* watcher = nullptr);
  // The same for one that goes on where another stood, whose schedule has the same deviations up to there.
  void follow_from(const Plan& there, const Schedule& schedule, std::vector<Options>* notes = nullptr);
  // How many deviations have happened so far. Who asks behind the end knows how many of the schedule's never did.
  std::size_t followed() const { return followed_; }
  // What the order has left open so far, for picks: of how many, one after the other.
  const std::vector<std::uint64_t>& left_open() const { return left_open_; }

  // What routines have been made to fail.
  struct Fault {
    std::uint16_t routine;
    std::uintptr_t caller;
  };
  const std::vector<Fault>& faults() const { return faulted_; }
  void learn_faults(bool wanted) { learns_faults_ = wanted; }  // in notes

  bool begin() override { return true; }
  std::size_t choose(std::span<const sim::Candidate> candidates) override;
  void look() override {
    if (look_) look_();
  }
  std::uint64_t number(std::uint64_t bound) override;
  std::uint64_t next_question(unsigned processor, std::uint64_t step) override;
  std::uint64_t next_question_at_access(unsigned processor, std::uint64_t step) override;
  void not_asked(const sim::Candidate& only) override;
  std::uint64_t edges_between_choices() const override { return 0; }
  std::uint64_t patience() const override { return late_ ? kLatePatience : kPatience; }
  bool fails(const sim::FallibleCall& call) override;
  bool endures(std::uint64_t work) override { return (worked_ += work) <= endurance_; }

 private:
  struct Line {                         // of one processor
    std::vector<Deviation> deviations;  // in the order of its steps
    std::size_t next = 0;
    std::uint32_t low = 0;  // how many had been lowered when it was, itself included; 0: it never was
    bool held = false;
    std::uint8_t level = 0;  // of what is held,
    std::uint32_t thread = 0;
  };
  void goes_on(const sim::Candidate& chosen);
  std::size_t choose_late(std::span<const sim::Candidate> candidates);
  bool is_delayed(const sim::Candidate& event) const;
  std::uint64_t comes_at(const sim::Candidate& event) const;  // by itself, while a processor can go on
  bool follow_one(std::span<const sim::Candidate> candidates, std::size_t& chosen);
  std::size_t by_default(std::span<const sim::Candidate> candidates);
  std::size_t next_of_low(std::span<const sim::Candidate> candidates) const;
  std::size_t next_of_held(std::span<const sim::Candidate> candidates, const sim::Candidate* ahead);
  bool takes_notes() const { return notes_ != nullptr && notes_->size() < kMostNotes; }
  void take_note(std::span<const sim::Candidate> candidates);
  void note_delay(std::span<const sim::Candidate> candidates, const sim::Candidate& came);

  std::vector<Line> processors_;
  std::uint64_t endurance_ = ~std::uint64_t{0}, worked_ = 0;
  std::vector<Deviation> picks_, fails_;
  std::vector<Fault> faulted_;
  bool learns_faults_ = false;
  std::uint32_t lowered_ = 0;
  std::vector<std::uint16_t> held_;      // the one that waits longest first
  std::vector<sim::Candidate> delayed_;  // the next one like it has another time
  std::size_t followed_ = 0;
  std::vector<std::uint64_t> left_open_;
  std::uint16_t last_ = 0;  // who went on last
  std::vector<Options>* notes_ = nullptr;
  Watcher* watcher_ = nullptr;
  bool late_ = false;
  bool is_new_ = true;  // what is possible, since the last note: an event came, or another processor went on
  std::function<void()> look_;
};

}  // namespace kdpc::explore
