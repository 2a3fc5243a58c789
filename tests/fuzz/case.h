// One case: a machine, its furniture, and a sequence of calls made from threads, DPCs, ISRs, IPIs and callbacks, at every IRQL. It is a function of
// its seed alone.
#pragma once
#include <string>

#include "tests/fuzz/shared.h"

namespace kdpc::fuzz {

struct Wish {
  int only = -1;         // an export: it is called as often as all others together
  bool reports = false;  // every ending is described, as for people
};

// Runs the case, counts in `shared` what it did, and returns how it ended; `said` is what the machine had to say about that.
End run_case(std::uint64_t seed, const Wish& wish, Shared& shared, std::string& said);

// For callbacks: random calls at the level at which they run.
void make_calls(unsigned count);
class Stock;
Stock& stock();

}  // namespace kdpc::fuzz
