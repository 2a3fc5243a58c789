// One life of drivers, run again and again from the same start, each time in the order that a schedule asks for. Simulated machine only.
//
//   Explorer explorer(machine, life, why);            // as the machine stands now, the life begins
//   const Execution one = explorer.run({schedule});   // what came of it
//
// What a run needs lies in the machine: the life itself must leave nothing behind on the host, as it is begun anew each time.
#pragma once
#include <functional>
#include <memory>
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
  // What is done with the machine; the words it returns say what was refused that must not be, and are empty if all went well.
  using Life = std::function<std::string(Machine&)>;

  // The machine must outlive it, and have no drivers that a life would load. Null, and `why` says the reason: it cannot go back.
  static std::unique_ptr<Explorer> create(Machine& machine, Life life, std::string& why);
  ~Explorer();

  // `learn`: lesson() is about this run afterwards.
  Execution run(const explore::Schedule& schedule, bool learn = false);
  explore::Lesson lesson() const { return {touches_.points(), options_, plan_.left_open()}; }

 private:
  Explorer(Machine& machine, Life life);
  Machine& machine_;
  Life life_;
  explore::Plan plan_;
  explore::Touches touches_;
  std::vector<explore::Options> options_;
  Machine::MarkHandle start_;
};

}  // namespace kdpc::lab
