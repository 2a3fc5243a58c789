// Exploring: one life of drivers, run again and again from the same start, each time in another order; docs/explore.md says what is tried. Simulated machine only.
// kdpc/test.h has EXPLORE_TEST, which is this for GoogleTest.
//
//   const auto life = [](kdpc::lab::Machine& m) -> std::string {
//     std::string why;
//     if (!m.load_driver("drivers/check/ring.drv", why)) return why;   // the check variant
//     m.run_for(2ms);
//     m.unload_driver("ring", why);
//     return why;
//   };
//   const auto explored = kdpc::lab::explore({.processors = 2, .schedules = 2000}, life);
//   if (explored.failed()) puts(explored.report.c_str());
//
// A life is begun anew for each schedule, on a machine that stands at its start again. What it needs is made in it: boards, drivers, objects, as its own
// variables. It must leave nothing behind on the host: no static variable that says what happened before, no file, nothing that depends on the time or on
// chance. explore() runs the default order twice, and refuses a life that is not the same then. Code inside the machine that a run's end cuts off never
// returns: its destructors do not run, and what it has allocated on the host's heap is lost. The life itself always returns, as on() and run_until() do.
#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kdpc/lab.h"

namespace kdpc::lab {

struct ExploreSettings {
  // The machine, as in Config.
  unsigned processors = 1;
  Settings options = {};
  Settings costs = {};
  // Data races are looked for too: in the code of drivers' check variants, drivers/check/<name>.drv, which explore better as well. Who sets other checks says
  // .races again, which is off in Checks. The first error ends a run, whatever keep_going says.
  Checks checks = {.races = Checks::Races::Certain};
  std::size_t memory = std::size_t{256} << 20;

  std::uint64_t schedules = 1000;  // at most so many; 0: until every order with at most `bound` moves has been tried
  unsigned bound = 2;              // moves, 1 or 2
  // Let what drivers call fail where it may, as if there were no memory: each routine of docs/explore.md's list once for each stack that calls it. The words of
  // such a life count only if something in it did not end, see did_not_end(); made_to_fail() tells it that it is one.
  bool faults = false;
  // Devices of attached boards may be pulled out at any time, each once: the card no longer answers nor interrupts, and PnP sends IRP_MN_SURPRISE_REMOVAL and
  // IRP_MN_REMOVE_DEVICE from a thread of its own. `removable`: these devices only. The words of a life count then as with faults.
  bool removal = false;
  std::vector<std::string> removable = {};
  bool power = false;  // the system may be put to sleep at any time, once, and wakes at once
  // Applications may cancel at any time, once, all that they have asked for and not got, as by CancelIoEx. What the life says counts: see requests_cancelled().
  bool cancel = false;
  Duration work = std::chrono::seconds(1);  // of the simulated clock's: when the processors have worked for so long, the run ends as an endless loop
  std::uint64_t seed = 1;                   // of what is drawn at random; the same settings try the same schedules
  std::vector<std::string> goals = {};      // of EXPECT_SOMETIMES (kdpc/test.h): to be reached in one run at least; else `unmet` names them
  std::string name = {};                    // whose schedule it is: an EXPLORE_TEST's
};

// What is done with the machine; the words it returns say what went wrong, the first line of them always in the same way, and are empty if all went well.
// A bug check, a finding, a race, a deadlock, a failed KDPC_EXPECT need no words.
using Life = std::function<std::string(Machine&)>;

struct ExploreResult {
  std::string broken;        // why nothing, or not all, was explored; empty otherwise
  std::string failure;       // one line: the first failure; empty: none
  std::string key;           // one line: equal for failures that are the same mistake at the same place
  std::string report;        // several lines for people
  std::string schedule;      // for replay(): as text, as short as it can be
  std::string coverage;      // what was tried, in words
  std::string differs;       // replay(): why it is not the run that it was; empty: it is
  std::uint64_t number = 0;  // of the schedule that failed first, from 1
  std::uint64_t schedules = 0;
  bool exhausted = false;       // nothing was left to try
  std::set<std::string> unmet;  // goals that no run has reached: of those that were wanted, and of those that were come to
  std::set<std::string> rules;  // that were proven in it (kdpc/test.h)
  bool failed() const { return !failure.empty() || !broken.empty(); }
};

// There must be no machine in this process: these make their own.
ExploreResult explore(const ExploreSettings& settings, const Life& life);
// Runs that one schedule.
ExploreResult replay(const ExploreSettings& settings, const Life& life, std::string_view schedule);

// Called in a life: what must be true from here to its end, whatever happens. It is asked on the host context before every step of a processor, also in the middle
// of what is done under a lock, which it must allow for: `lock != 0 || put == taken + filled`. It may read the machine's memory, a driver's or the test's own, and
// must change nothing. Not yet true, or not true any more, is a failure, told with where every processor stands.
//   kdpc::lab::invariant("nothing is lost", [&ring] { return ring.put >= ring.taken; });
void invariant(std::string name, std::function<bool()> holds);

// Called in a life: something has been made to fail in this one, or has been pulled out, and a driver that gives up makes no mistake:
//   if (!m.load_driver(file, why)) return made_to_fail() ? "" : why;
bool made_to_fail();

// Called in a life: what had been asked for has been cancelled in this one (ExploreSettings::cancel), so that it may end as STATUS_CANCELLED, or with less:
//   KDPC_EXPECT(read.ok() || (read.status == STATUS_CANCELLED && kdpc::lab::requests_cancelled()));
bool requests_cancelled();

// Called in a life that gives up waiting: its words are those of a failure, also where something has been made to fail. on() and whatever is done with drivers and
// devices say so by themselves, left_over() too.
//   if (!m.run_until([&] { return reader.done(); }, 1s)) return did_not_end(), "the reader waits for ever";
void did_not_end();

// Called where a life ends, while what its threads use is still there: it lets the machine run until nothing can happen any more, and tells of work that will never
// be done: a thread of the host's own (on(), start()) or a worker of the system's that waits for ever, a request that is never completed. As words for the life's;
// empty: nothing is left over, or there is no end of what happens.
std::string left_over(Machine& machine);

}  // namespace kdpc::lab
