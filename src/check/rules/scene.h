// What a check is given with each fact: who states it, and how to say what is wrong.
#pragma once
#include <bitset>
#include <initializer_list>
#include <string>
#include <vector>

#include "check/rules/actors.h"

namespace kdpc::rules {

// What an address means to the stacks there are. Dead: on a stack, where nothing lives: the function whose variables lay there has returned.
enum class StackWord : std::uint8_t { None, Live, Dead };

// What the checks need from outside their layer.
struct Surroundings {
  unsigned (*stack)(std::uintptr_t* frames, unsigned room) = nullptr;  // return addresses of the code that states the fact, innermost first
  StackWord (*stack_word)(std::uintptr_t address, std::uintptr_t caller) = nullptr;  // `caller`: of the code that states the fact
  void (*stop)() = nullptr;                                                          // the run ends with this fact
  const char* (*name_of_routine)(std::uint16_t number) = nullptr;                    // of an export; null: there is no such number
};

struct Limits {
  bool keep_going = false;  // an error does not end the run
  std::bitset<kRuleCount> off;
  // Windows' guidelines (SEMANTICS 9.1, LCK-6), nanoseconds.
  std::uint64_t dpc = 100'000;
  std::uint64_t isr = 25'000;
  std::uint64_t spin_lock = 25'000;
  std::uint32_t requeues = 64;              // runs in a row of a DPC that each queued it again
  std::uint64_t interrupt = 1'000'000'000;  // a line that has been asserted for so long without an ISR: nobody will come
};

struct Report {
  std::vector<Finding> findings;
  std::vector<std::uint64_t> keys;  // of the findings: the same rule at the same places is the same finding
  bool stopped = false;             // an error has ended the run
};

class Scene {
 public:
  Scene(const Stamp& its_stamp, Actors& its_actors, const Surroundings& surroundings, const Limits& its_limits, Report& report)
      : stamp(its_stamp), actors(its_actors), limits(its_limits), surroundings_(surroundings), report_(report) {}

  const Stamp& stamp;
  Actors& actors;
  const Limits& limits;
  Actor& actor() const { return actors.actor(stamp); }

  // Whoever acts, at its last call, with its stack.
  Party here(const char* role) const;
  // The same without the stack, for what happens often.
  Party brief(const char* role) const;
  // Whoever acts, at a place of its code that is known exactly.
  Party at(const char* role, std::uintptr_t place) const;

  bool is_on(RuleId rule) const { return !limits.off[static_cast<unsigned>(rule)] && !report_.stopped; }
  StackWord stack_word(std::uintptr_t address) const {
    return surroundings_.stack_word != nullptr ? surroundings_.stack_word(address, actor().caller) : StackWord::None;
  }
  void report(RuleId rule, std::string sentence, std::vector<Party> parties);
  // The run ends by itself; this says why.
  void explain(RuleId rule, std::string sentence, std::vector<Party> parties);

 private:
  const Surroundings& surroundings_;
  Report& report_;
};

}  // namespace kdpc::rules
