// What the rule checks say: which rule, who broke it and who else was in it, what NT would do, and the usual fix.
//
// A finding is made inside event(), possibly on a thread's stack with locks held: it is numbers and addresses, and one formatted sentence whose
// addresses (0x…) are given names later, on the host.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "machine/sink.h"

namespace kdpc::rules {

enum class RuleId : std::uint8_t {
#define CHECK(name, id, severity, code, subcode, ddi_rule, rule, meaning, fix) name,
#include "check/rules/catalogue.def"
#undef CHECK
  Count
};

// An error is wrong on Windows and ends the run. Advice is not wrong, and never fails a run. A Stop is the kernel's own bug check, told with its
// history and the usual fix.
enum class Severity : std::uint8_t { Error, Advice, Stop };

struct RuleRow {
  const char* id;  // stable: what people look up, and switch off
  Severity severity;
  std::uint32_t code;     // NT's stop code; 0: NT says nothing
  std::uint32_t subcode;  // its first parameter, where that tells the kinds apart
  const char* ddi_rule;   // of the DDI compliance rules, or ""
  const char* rule;       // SEMANTICS
  const char* meaning;    // what is wrong with it, for the page of all rules
  const char* fix;        // what one usually does about it
};
const RuleRow& row_of(RuleId id);
inline constexpr unsigned kRuleCount = static_cast<unsigned>(RuleId::Count);

// What code was doing.
enum class Acting : std::uint8_t { Thread, Dispatch, WorkItem, ThreadedDpc, Synchronized, Drain, Dpc, TimerDpc, Isr, Interrupt };
const char* name_of(Acting acting);

inline constexpr unsigned kPartyFrames = 14;

// Who did something, when, where, and as what. Kept for as long as it may be needed to explain something later.
struct Party {
  const char* role = "";  // "acquired here"; static storage
  Stamp when{};
  Acting acting = Acting::Thread;
  std::uintptr_t routine = 0;  // of the DPC, ISR, …
  std::uintptr_t at = 0;       // the driver's call: a return address, or exactly the code if `exact`; 0: nobody called
  bool exact = false;
  std::array<std::uintptr_t, kPartyFrames> frames{};  // return addresses from `at` outwards; 0 ends

  explicit operator bool() const { return *role != '\0'; }
  Party as(const char* other_role) const {
    Party party = *this;
    party.role = other_role;
    return party;
  }
};

struct Finding {
  RuleId rule;
  std::string sentence;
  std::vector<Party> parties;  // the first is the one to be shown
  std::uint64_t count = 1;     // how often the same was found
};

}  // namespace kdpc::rules
