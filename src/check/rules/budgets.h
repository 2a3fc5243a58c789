// How long is too long: Windows' guidelines for DPCs, ISRs and spin locks (SEMANTICS 9.1, LCK-6). Advice, because nothing enforces them. An
// activity is charged with its own time, not with that of what interrupted it.
#pragma once
#include "check/rules/locks.h"

namespace kdpc::rules {

class Budgets {
 public:
  void on(Scene& scene, const Locks& locks, const ActivityEnded& fact);
  void on(Scene& scene, const Locks& locks, const LockReleased& fact);  // before the locks hear of it
};

}  // namespace kdpc::rules
