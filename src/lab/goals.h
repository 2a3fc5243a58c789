// What must happen sometimes: goals that EXPECT_SOMETIMES has come to, in all the runs of a campaign together.
//
//   K.GOAL-1  A goal is reached when it was in one run.
#pragma once
#include <map>
#include <string>

namespace kdpc::lab {

void forget_goals();
std::map<std::string, bool> goals();  // true: reached

}  // namespace kdpc::lab
