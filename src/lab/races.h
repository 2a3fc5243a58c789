// The race detector in the lab: what it needs of the machine, and its findings told with names.
#pragma once
#include <memory>

#include "check/race/detector.h"
#include "kdpc/lab.h"
#include "trace/symbols.h"

namespace kdpc::lab {

std::unique_ptr<race::Detector> make_race_detector(unsigned processors, const Checks& checks);
Finding describe(const race::Race& race, Symbols& symbols);

}  // namespace kdpc::lab
