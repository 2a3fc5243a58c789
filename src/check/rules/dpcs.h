// What people get wrong with DPCs although nothing breaks at once: arguments that are lost, one KDPC for two purposes, a DPC that never rests.
#pragma once
#include <map>

#include "check/rules/lifetimes.h"

namespace kdpc::rules {

class Dpcs {
 public:
  void on(Scene& scene, const Lifetimes& lifetimes, const DpcQueued& fact);
  void on(Scene& scene, const Lifetimes& lifetimes, const DpcRefused& fact);
  void on(Scene& scene, const Lifetimes& lifetimes, const TimerSet& fact);
  void on(Scene& scene, const Lifetimes& lifetimes, const ActivityEnded& fact);
  void on(Scene& scene, const Lifetimes& lifetimes, const PoolFreed& fact);

 private:
  struct Dpc {
    std::uintptr_t argument1 = 0, argument2 = 0;  // of the insertion that counts
    std::uint32_t requeues = 0;                   // runs in a row
    Party by_call;                                // queued by a driver's call, this time
  };
  std::map<std::uintptr_t, Dpc> dpcs_;
};

}  // namespace kdpc::rules
