// How a run ended, and why: a bug check, what a rule check has found, and where in the code.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kdpc/device.h"

namespace kdpc::lab {

enum class Ended : std::uint8_t {
  ConditionMet,  // also: nothing has run yet
  TimeLimit,     // the limit passed first
  Bugcheck,      // over for good
  Deadlock,      // over for good
  Quiescent,     // nothing will ever happen again by itself
  NoProgress,    // over for good: code without interrupt points used up the host-time guard
  HostFailure,   // over for good: a device failed
  Finding,       // over for good: a rule check has found an error
};
std::string_view name_of(Ended how);

// A place in code, as far as debug information tells.
struct Place {
  std::uintptr_t address = 0;
  std::string image;          // "nic", "libkdpc-sim", "dpc_test.sim"
  std::string function;       // empty: unknown
  std::uintptr_t offset = 0;  // from the start of the function, or else of the image
  std::string file;           // empty: no debug information
  int line = 0;
  std::string text() const;  // nic!NicDpc+0x1c (nic/dpc.c:88)
};

struct Bugcheck {
  std::uint32_t code = 0;
  std::string name;  // IRQL_NOT_LESS_OR_EQUAL
  std::uint64_t parameters[4] = {};
  Place parameter_places[4];  // of those that are addresses of a routine or object outside this library; the others have no image
  std::string sentence;       // for people
  std::string rule;           // SEMANTICS rule id, or DDI rule name
  unsigned processor = 0;
  unsigned irql = 0;
  unsigned thread = 0;       // the running, or borrowed, thread
  Place place;               // the innermost frame outside this library; without one, what the parameters name
  std::vector<Place> stack;  // innermost first
};

// Somebody who is in a finding: the culprit, or the other side of it.
struct Party {
  std::string role;  // "takes the second lock while it holds the first"
  std::string text;  // "DPC nic!NicDpc on processor 1 at IRQL 2, thread 0, 1.250 000 ms"
  Nanoseconds time = 0;
  unsigned processor = 0;
  unsigned irql = 0;
  unsigned thread = 0;       // the running, or borrowed, thread
  Place place;               // the innermost one outside this library
  std::vector<Place> stack;  // innermost first
};

// What a rule check has found.
struct Finding {
  std::string id;  // "lock-order": stable, and what docs/checks.md or docs/races.md explains
  bool advice = false;
  bool stop = false;  // not a finding of its own: what the checks know about the bug check that has ended the run
  std::string sentence;
  std::string fix;         // the usual one
  std::uint32_t code = 0;  // the bug check of Windows, or of Driver Verifier; 0: Windows says nothing
  std::uint32_t subcode = 0;
  std::string code_name;
  std::string ddi_rule;  // DDI compliance rule, or empty
  std::string rule;      // SEMANTICS rule id
  Place place;           // of the first party
  std::vector<Party> parties;
  std::uint64_t count = 1;     // how often it was found
  std::string report() const;  // several lines for people
};

struct Outcome {
  Ended how = Ended::ConditionMet;
  std::string text;  // what happened, where it is not a bug check
  std::optional<Bugcheck> bugcheck;
  std::optional<Finding> finding;  // the one that has ended the run; or what the checks know about the bug check
  bool over() const;               // nothing can run any more
  std::string report() const;      // several lines for people; verdict first
};

}  // namespace kdpc::lab
