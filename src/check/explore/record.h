// A schedule in a file, with what it was found with. Text, one thing a line:
//
//   kdpc schedule 1
//   version 0.4.0
//   build 51d3…                       # of kdpc: which may be another one that behaves the same
//   scenario ../race.toml             # of `kdpc explore`: relative to this file's folder
//   test Ring.CountsEveryInterrupt    # or of an EXPLORE_TEST
//   driver race 3f0a…                 # each with its file's build id
//   boards card, card is pulled out   # in their order: the devices of each, or what comes from outside. `board N` means another one where they are others
//   races on                          # data races were looked for
//   failure data-race at race!Dpc+0x1c (race.c:40)
//   hash 9c1f0e6a5b4d3c21
//   cpu0@17 hold
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "check/explore/schedule.h"

namespace kdpc::explore {

struct Record {
  std::string version, build;
  std::string scenario, test;                                // one of them; the other is empty
  std::vector<std::pair<std::string, std::string>> drivers;  // names and build ids
  std::string boards;                                        // empty: there were none, or nobody knows
  bool races = true;
  std::string failure;
  std::uint64_t hash = 0;
  Schedule schedule;
};

inline constexpr std::string_view kFirstLine = "kdpc schedule 1";

std::string text_of(const Record& record);
// `name`: of the file, for errors: "a.schedule:3: 'cpu0@x hold' is no deviation; …".
Result<Record> record_from(std::string_view text, std::string_view name);

}  // namespace kdpc::explore
