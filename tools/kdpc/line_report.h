// What became of the bytes of a serial line: which were lost, where, when, and who kept the port's service routine away.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "kdpc/cards.h"
#include "tools/kdpc/chain_waits.h"
#include "tools/kdpc/culprits.h"
#include "tools/kdpc/report.h"

namespace kdpc::tool {

struct LineEvidence {
  std::string_view sent;  // by the far end
  std::string_view received;
  std::vector<cards::SerialPort::Overrun> overruns;
  const std::vector<ChainWait>* waits = nullptr;  // of the port's interrupts
  std::uint64_t fifo_ns = 0;                      // how long a full FIFO takes to fill
};

// Fills in the losses of report.line and report.culprits.
void find_losses(Report& report, const LineEvidence& evidence, const std::vector<RoutineLatency>& routines, const Namer& name);

}  // namespace kdpc::tool
