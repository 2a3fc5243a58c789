// Selects the simulated machine.
#pragma once
#include "machine/sim/sim_machine.h"
namespace kdpc {
using Machine = sim::Machine;
}
