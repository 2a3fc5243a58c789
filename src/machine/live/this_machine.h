// Selects the live machine.
#pragma once
#include "machine/live/live_machine.h"
namespace kdpc {
using Machine = live::Machine;
}
