// Levels and critical regions: whoever raises puts back what was there, and whoever enters leaves.
#pragma once
#include "check/rules/scene.h"

namespace kdpc::rules {

class Levels {
 public:
  void on(Scene& scene, const IrqlChanged& fact);
  void on(Scene& scene, const RoutineEntered& fact);
  void on(Scene& scene, const IrpReturned& fact);
};

}  // namespace kdpc::rules
