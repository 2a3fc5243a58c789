// A scenario as something that can be done again and again with one machine: its drivers are loaded, their devices started, it runs until its workload is done,
// they are unloaded.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lab/explore.h"
#include "tools/kdpc/cards.h"
#include "tools/kdpc/driver_files.h"
#include "tools/kdpc/explored_workload.h"
#include "tools/kdpc/scenario.h"

namespace kdpc::tool {

class ScenarioLife {
 public:
  // Reads it and finds its drivers. `races`: look for data races too. What cannot be done again from the start is refused: sound cards of QEMU's, the live machine.
  std::optional<Refusal> read(const std::string& file, const std::vector<std::string>& driver_folders, bool races);
  // The machine, with its cards, before anything happens. Without events to remember it is for a search, which needs no hash of a run either. No run is cut off
  // when somebody loses patience: what came of it would be told as the schedule's.
  std::optional<Refusal> start(std::size_t remember_events);
  // Its life, from the machine as it stands; null, and `why` says the reason. This object must outlive it.
  std::unique_ptr<lab::Explorer> explorer(std::string& why);

  // How long its processors may work in one life, by the simulated clock.
  lab::Duration endurance() const;

  const Scenario& scenario() const { return scenario_; }
  // Of what the scenario has in vain: its own, and what has been seen in a life of it.
  std::vector<std::string> warnings() const;
  // The drivers that do not tell of their accesses to memory.
  std::vector<std::string> unheard() const;
  lab::Machine& machine() const { return *machine_; }
  std::string boards() const { return machine_ != nullptr ? machine_->boards() : ""; }

 private:
  // What is done between START and removal. What was refused that must not be; empty: nothing.
  std::string work(lab::Machine& machine);

  Scenario scenario_;
  std::set<std::string> never_asleep_;  // drivers that do not hear of the system's sleep
  bool races_ = true;
  ExploredWorkload workload_;
  Cards cards_;
  std::unique_ptr<lab::Machine> machine_;  // goes before what it calls
};

}  // namespace kdpc::tool
