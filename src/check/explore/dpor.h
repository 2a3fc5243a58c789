// The search that tries every order once, in so far as the order matters: dynamic partial order reduction (Flanagan and Godefroid, POPL 2005) with sleep sets.
// From each run it learns which two transitions (trail.h) conflict, belong to different contexts, and are ordered by nothing but that one came first; and goes
// back to where the first one was made, to make the other one first. When next() has nothing left, every other order ends like one that was tried.
//
// Interrupts make this more than it is for threads:
//
//   K.DPOR-1  A context that lies interrupted cannot go first, and one whose level is held cannot begin. Then what goes first is: the interrupted processor,
//             where the interrupt came; the event, where the level was raised.
//   K.DPOR-2  What can no longer come is made to come where it was prevented: it would have conflicted with that.
//   K.DPOR-3  Of what the order leaves open for picks, all is tried.
//   K.DPOR-5  Of two events that come while nobody can go on the second one is made to come before the last step that somebody takes before.
//
// What is no order is not varied: how long something takes, and when time passes, but for timers that are set. Nothing comes later than the schedule language can
// say (K.EXPLORE-4). Threads of one priority on one processor take turns only where one waits, not at the end of a quantum.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "check/explore/orders.h"
#include "check/explore/trail.h"

namespace kdpc::explore {

class Dpor {
 public:
  enum class Reduce : std::uint8_t { Yes, No };  // No: every order, for tests that compare
  explicit Dpor(Reduce reduce = Reduce::Yes) : reduce_(reduce) {}

  // The next schedule to run, to be learned from; none: nothing is left to try.
  std::optional<Schedule> next();
  void learned(const Trail& trail);  // of the last one

  std::uint64_t tried() const { return tried_; }
  std::uint64_t repeated() const { return repeated_; }  // of them: ended like another one, which was seen only when it had begun
  // A run has not begun as the one before it did, of which it is a variation: nothing is known then, and nothing more is tried.
  bool lost_its_way() const { return lost_; }

 private:
  // What a transition of an actor has touched, and, if it is an event, what came of it on the processors that it interrupts.
  struct Sleeper {
    Actor actor;
    std::uint64_t targets = 0;
    std::vector<Touch> touches;
  };
  struct Node {
    Actor actor;      // whose transition was tried last
    Actor by_itself;  // as in Transition
    std::uint64_t step;
    std::uint64_t clocks;
    std::vector<Actor> enabled;
    std::vector<Actor> to_try;
    std::vector<Actor> tried;    // the present one included
    std::vector<Sleeper> sleep;  // what need not be tried here, as it was tried before
    Sleeper made;                // the present one
    bool is_open() const { return by_itself.is_processor() || by_itself.kind == Actor::Kind::Pick; }  // another one can be tried
  };
  void extend(const Trail& trail);
  void find_races(const Trail& trail);
  void turn_round(const Trail& trail, const Orders& orders, std::size_t earlier, std::size_t later);
  bool add(std::size_t which, const Actor& actor);  // to what is tried there; false: it cannot be
  void add_before(std::size_t which, const Actor& event);
  bool sleeps(const Node& node, const Actor& actor) const;
  void note_what_came_of(const Trail& trail);
  static bool is_worth_it(const Node& node, const Actor& actor);
  static bool wakes(const Sleeper& sleeper, const Transition& transition);
  Schedule schedule() const;

  Reduce reduce_;
  std::vector<Node> path_;  // of the present run, by transition
  std::size_t branch_ = 0;  // of it, the first node that is new in this run
  bool began_ = false, lost_ = false;
  std::uint64_t tried_ = 0, repeated_ = 0;
};

}  // namespace kdpc::explore
