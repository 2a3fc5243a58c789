// What the checks know about a bug check of the kernel: the usual fix, and the history of everything that has to do with it. How the IRQL came to be
// what it is, which locks are held, who queued the DPC that runs, who initialised, queued, completed or freed what the parameters name.
#pragma once
#include "check/rules/dpcs.h"
#include "check/rules/irps.h"
#include "check/rules/lifetimes.h"
#include "check/rules/locks.h"

namespace kdpc::rules {

void explain_stop(Scene& scene, const Bugchecked& stop, const Locks& locks, const Lifetimes& lifetimes, const Irps& irps);

}  // namespace kdpc::rules
