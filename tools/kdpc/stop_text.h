// A bug check as a debugger's analysis tells it: name and code, what the code means, the four parameters with their meanings, the sentence about this
// very case, the rule, the place in the driver, the stack, and whose thread it happened on.
#pragma once
#include <string>
#include <vector>

#include "kdpc/lab.h"
#include "view/stop_meanings.h"

namespace kdpc::tool {

using StopMeaning = view::StopMeaning;
StopMeaning meaning_of(const lab::Bugcheck& stop);

std::vector<std::string> stop_names();         // of all the codes the kernel stops with
bool is_stop_code(const std::string& wanted);  // one of these, in any case, or a number
bool is_this_stop(const std::string& wanted, const lab::Bugcheck& stop);

struct ThreadName {
  std::string text;       // "thread 5 \"application\""
  bool borrowed = false;  // an ISR or DPC ran on it, which is not its own code
};

std::string stop_text(const lab::Bugcheck& stop, const ThreadName& thread);

}  // namespace kdpc::tool
