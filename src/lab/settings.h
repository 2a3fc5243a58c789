// Settings by name: what a scenario or a test writes becomes Options and costs, and back.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/options.h"

namespace kdpc::lab {

// The defaults with `settings`. The names are those of the fields of Options, and "profile" (lab/profiles.h), which they override; the Error of an
// unknown name or value lists what there is.
Result<Options> options_from(const std::map<std::string, std::string>& settings);
std::map<std::string, std::string> settings_of(const Options& options);

// All options, in the order of the table: for documents and tests.
struct OptionRow {
  std::string name;
  std::string default_value;
  std::string choices;  // "strict, checked, free", the default first; empty: a whole number
};
std::vector<OptionRow> option_table();

// Whole nanoseconds; which names there are is the machine's business.
Result<std::map<std::string, std::uint64_t>> costs_from(const std::map<std::string, std::string>& settings);

}  // namespace kdpc::lab
