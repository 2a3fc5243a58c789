// A bug check as the machine reports it, told with names: where it was, whose fault, and on what stack.
#pragma once
#include "kdpc/outcome.h"
#include "kernel/bugcheck.h"
#include "trace/symbols.h"

namespace kdpc::lab {

Place place_of(const Symbol& symbol);
bool is_outermost(const Place& place);  // of the functions on a thread's stack: what is beyond is the machine's
Bugcheck describe(const BugcheckReport& report, Symbols& symbols);

}  // namespace kdpc::lab
