// One life of drivers, run again and again from the same start, each time in the order that a schedule asks for. Simulated machine only.
//
//   auto explorer = Explorer::create(machine, {begin, rest}, why);   // as the machine stands now, the life begins
//   const Execution one = explorer->run(schedule);                   // what came of it
//
// What a run needs lies in the machine: the life itself must leave nothing behind on the host, as it is begun anew each time.
//
//   K.EXPLORE-5  A run is the same whether it goes through `begin` or goes on where the default order came to the end of it.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "check/explore/moves.h"
#include "kdpc/lab.h"

namespace kdpc::lab {

// What came of one schedule.
struct Execution {
  std::string failure;  // one line: what is wrong with it; empty: nothing
  std::string key;      // one line: equal for failures that are the same mistake at the same place
  std::string refused;  // what the life has said, all of it
  Outcome outcome;
  std::vector<Finding> findings;
  std::uint64_t hash = 0;  // of everything that happened
  std::size_t missed = 0;  // of the schedule's deviations: not possible where they were to happen
};

class Explorer {
 public:
  // What is done with the machine, in two parts: schedules that change nothing in the first one are spared it. The words that a part returns say what was
  // refused that must not be, and are empty if all went well; then the second follows.
  using Part = std::function<std::string(Machine&)>;
  struct Life {
    Part begin;
    Part rest;
  };

  // The machine must outlive it, and have no drivers that a life would load. Null, and `why` says the reason: it cannot go back.
  static std::unique_ptr<Explorer> create(Machine& machine, Life life, std::string& why);
  ~Explorer();

  // For so long its processors may work in one run, by the simulated clock; then it ends without progress. 1 s if nobody says.
  void endure(Duration work) { plan_.endure(work.nanoseconds); }
  // `learn`: lesson() is about this run afterwards.
  Execution run(const explore::Schedule& schedule, bool learn = false);
  explore::Lesson lesson() const { return {touches_.points(), options_, plan_.left_open()}; }

 private:
  // Where the default order stood at the end of `begin`.
  struct Begun {
    Machine::MarkHandle mark;
    std::vector<std::uint64_t> steps;  // of each processor
    explore::Plan plan;
    // If that run was to be learned from:
    bool learned;
    explore::Touches touches;
    std::vector<explore::Options> options;

    bool lies_before(const explore::Schedule& schedule) const;
  };

  Explorer(Machine& machine, Life life);
  std::string live(bool from_begun, const explore::Schedule& schedule, bool learn);
  void take_begun(const explore::Schedule& schedule, bool learn);

  Machine& machine_;
  Life life_;
  explore::Plan plan_;
  explore::Touches touches_;
  std::vector<explore::Options> options_;
  Machine::MarkHandle start_;
  std::optional<Begun> begun_;
};

}  // namespace kdpc::lab
