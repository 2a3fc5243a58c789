// The rule checks as one listener: facts in, findings out. One small class per family of rules; each says by its overloads which facts it hears.
#pragma once
#include <map>
#include <vector>

#include "check/rules/budgets.h"
#include "check/rules/dpcs.h"
#include "check/rules/interrupts.h"
#include "check/rules/irps.h"
#include "check/rules/levels.h"
#include "check/rules/lifetimes.h"
#include "check/rules/locks.h"

namespace kdpc::rules {

class Rules : public EventSink {
 public:
  Rules(unsigned processors, const Surroundings& surroundings, const Limits& limits);

  void event(const Stamp& stamp, const Event& event) override;
  std::size_t mark() override;
  void rewind(std::size_t mark) override;
  void forget_mark(std::size_t mark) override;

  const std::vector<Finding>& findings() const { return state_.report.findings; }

 private:
  // Everything that a restored run must find as it was.
  struct State {
    explicit State(unsigned processors) : actors(processors), locks(processors) {}
    Report report;
    Actors actors;
    Locks locks;
    Levels levels;
    Lifetimes lifetimes;
    Dpcs dpcs;
    Irps irps;
    Interrupts interrupts;
    Budgets budgets;
  };
  template <class Fact>
  void tell(const Stamp& stamp, const Fact& fact);

  Surroundings surroundings_;
  Limits limits_;
  std::vector<Call> calls_;  // by the number of the export
  State state_;
  std::map<std::size_t, State> marks_;
  std::size_t next_mark_ = 0;
};

}  // namespace kdpc::rules
