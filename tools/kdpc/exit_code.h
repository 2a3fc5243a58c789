// How the command ends, for scripts. 70 also comes from inside: a broken invariant of ours stops the process with it.
#pragma once

namespace kdpc::tool {

enum class ExitCode : int {
  AsExpected = 0,
  Finding = 1,     // a driver's mistake, a drop-out, a missed expectation, a device that died
  BadInput = 2,    // usage, scenario, recording, driver file
  Diverged = 4,    // a schedule that is not the same run any more
  HostLacks = 69,  // something this system does not have; the message names the package
  SimulatorBug = 70,
  Interrupted = 130,  // after writing what there is
};

}  // namespace kdpc::tool
