// One life of drivers, run again and again from the same start, each time in the order that a schedule asks for. Simulated machine only.
//
//   auto explorer = Explorer::create(machine, {start, run, unload}, why);   // as the machine stands now, the life begins
//   const Execution one = explorer->run(schedule);                          // what came of it
//
// What a run needs lies in the machine: the life itself must leave nothing behind on the host, as it is begun anew each time.
//
//   K.EXPLORE-5  A run is the same whether it begins at the start or goes on where another, with the same deviations so far, came to the end of a part; but for
//                who reads what nobody has written, such as a local variable that is not initialised: there stands what runs before it have left.
//   K.EXPLORE-10  A run that is alone is the same whatever has been run before, also for him.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "check/explore/campaign.h"
#include "kdpc/lab.h"
#include "lab/invariants.h"

namespace kdpc::lab {

// What came of one schedule.
struct Execution {
  std::string failure;  // one line: what is wrong with it; empty: nothing
  std::string key;      // one line: equal for failures that are the same mistake at the same place
  std::string refused;  // what the life has said, all of it
  Outcome outcome;
  std::vector<Finding> findings;
  std::uint64_t hash = 0;          // of everything that happened
  std::vector<std::string> deeds;  // sentences: what has been made to fail, what has come from outside
  std::size_t missed = 0;          // of the schedule's deviations: not possible, or their place was never come to
};

class Explorer {
 public:
  // What is done with the machine, in parts: a schedule is spared those that are as in a schedule before it. The words that a part returns say what was
  // refused that must not be, and are empty if all went well; then the next one follows, unless the run is over.
  using Part = std::function<std::string(Machine&)>;
  using Life = std::vector<Part>;

  // The machine must outlive it, and have no drivers that a life would load. Null, and `why` says the reason: it cannot go back.
  static std::unique_ptr<Explorer> create(Machine& machine, Life life, std::string& why);
  ~Explorer();

  // For so long its processors may work in one run, by the simulated clock; then it ends without progress. 1 s if nobody says.
  void endure(Duration work) { plan_.endure(work.nanoseconds); }
  // What may fail in a driver's calls is learned too, so that a campaign lets it fail.
  void explore_faults(bool wanted) { plan_.learn_faults(wanted); }
  // In a life: has something been made to fail, or been pulled out? The system's sleep is nobody's excuse.
  bool made_to_fail() const { return !plan_.faults().empty() || machine_.hand_has_taken(); }
  // In a life: is what applications had asked for cancelled?
  bool requests_cancelled() const { return machine_.hand_has_cancelled(); }
  // In a life: it has waited for something in vain.
  void give_up() { has_given_up_ = true; }
  // In a life: what must be true after every step from here on.
  void must_hold(std::string name, std::function<bool()> holds);
  // `learn`: lesson() is about this run afterwards, once.
  Execution run(const explore::Schedule& schedule, bool learn = false);
  // Begins at the start, with stacks on which nothing was left (K.EXPLORE-10), which takes longer: what is told of, and to be replayed.
  Execution run_alone(const explore::Schedule& schedule);
  // `trail`: of this run, whose schedule begins with `late`.
  Execution run(const explore::Schedule& schedule, explore::Trail& trail);
  explore::Lesson lesson();
  // The next attempt of a campaign, which learns from it what it wants to know. What fails may do so because of what has been run before: run_alone() says.
  Execution carry_out(const explore::Attempt& attempt, explore::Campaign& campaign);

 private:
  // Where a run stood between two parts.
  struct Place {
    Machine::MarkHandle mark;
    std::vector<std::uint64_t> steps;  // of each processor
    explore::Plan plan;
    explore::Schedule before;  // the deviations that lie before it
    // If that run was to be learned from:
    bool learned;
    explore::Touches touches;
    std::vector<explore::Options> options;

    explore::Schedule those_before(const explore::Schedule& schedule) const;
  };

  Explorer(Machine& machine, Life life);
  bool counts() const;
  using Places = std::map<std::size_t, Place>;  // by how many parts lie before them
  std::pair<std::size_t, const Place*> furthest(const explore::Schedule& schedule, bool learn) const;
  void take_place(std::size_t parts, const explore::Schedule& schedule, bool learn);
  std::string live(std::size_t parts_done, const explore::Schedule& schedule, bool learn);
  enum class From : std::uint8_t { Anywhere, CleanStart };
  Execution execute(const explore::Schedule& schedule, bool learn, explore::Trail* trail, From from = From::Anywhere);

  Machine& machine_;
  Life life_;
  explore::Plan plan_;
  explore::Touches touches_;
  explore::Trail trail_;  // of a campaign's reduction
  Invariants invariants_;
  std::vector<explore::Options> options_;
  bool has_given_up_ = false;
  Machine::MarkHandle start_;
  Places by_default_;  // of the default order
  Places of_parent_;   // of another one that was learned from, as others will follow that begin like it
};

}  // namespace kdpc::lab
