// The workload of a scenario whose orders are explored: the application, who is at the other end of its line, and what is wrong when both are done. All of it
// begins anew with each life.
#pragma once
#include <functional>
#include <string>

#include "kdpc/lab.h"
#include "tools/kdpc/cards.h"
#include "tools/kdpc/workload_files.h"

namespace kdpc::tool {

class ExploredWorkload {
 public:
  // Of a scenario that has one. Keeps so much of it as is to be explored; of a whole file every run would take seconds.
  std::optional<Refusal> read(const Scenario& scenario);

  // With the drivers loaded, until the application is done. What went wrong: in its first line without numbers, so that the same mistake has the same one.
  // Empty: nothing; or the run is over, see its outcome().
  std::string operator()(lab::Machine& machine, const Scenario& scenario, const Cards& cards);

 private:
  std::string play(lab::Machine& machine, const Scenario& scenario, const Cards& cards);
  std::string use_line(lab::Machine& machine, const Scenario& scenario, const Cards& cards);
  std::string heard_at_the_end(lab::Machine& machine, const Scenario& scenario, const Cards& cards);
  // Has the application do it. `between` is called between steps.
  std::string run(lab::Machine& machine, const Scenario& scenario, Application& application, const std::function<void()>& between);

  WorkloadFiles files_;
  Player player_;
  Terminal terminal_;
};

}  // namespace kdpc::tool
