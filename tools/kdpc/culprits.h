// Who made the sound late: for each drop-out, the DPC, ISR or thread that had the processor when the sound's way waited for it.
//
// A routine is to blame for the time it was waited for, not for the time it ran. So who runs long where nobody waits is not blamed.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tools/kdpc/chain_waits.h"
#include "tools/kdpc/report.h"
#include "trace/latency.h"

namespace kdpc::tool {

// How addresses become names.
using Namer = std::function<RoutineName(std::uintptr_t routine)>;

struct LatenessEvidence {
  std::vector<DpcRun> audio_dpcs;  // those that waited longest, in any order
  const std::vector<ChainWait>* waits = nullptr;
  std::uint64_t started_ns = 0;   // when the application gave the first frame; what is heard is never earlier
  std::uint64_t buffered_ns = 0;  // the sound the driver and the card may have before them
};

// Fills in the chains and culprits of report.sound->dropouts, report.culprits and report.longest_wait.
void find_culprits(Report& report, const LatenessEvidence& evidence, const std::vector<RoutineLatency>& routines, const Namer& name);

std::string kind_text(ActivityKind kind);

}  // namespace kdpc::tool
