// A schedule in a file: what `kdpc explore` leaves of a failure, and `kdpc replay` and `kdpc shrink` read. Text, one thing a line:
//
//   kdpc schedule 1
//   version 0.4.0
//   scenario ../race.toml             # relative to this file's folder
//   driver race 3f0a…                 # each with its file's build id
//   races on                          # data races were looked for
//   failure data-race at race!Dpc+0x1c (race.c:40)
//   hash 9c1f0e6a5b4d3c21
//   cpu0@17 hold
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "check/explore/schedule.h"

namespace kdpc::tool {

struct ScheduleFile {
  std::string version;
  std::filesystem::path scenario;                            // as it can be opened from here
  std::vector<std::pair<std::string, std::string>> drivers;  // names and build ids
  bool races = true;
  std::string failure;
  std::uint64_t hash = 0;
  explore::Schedule schedule;
};

Result<ScheduleFile> read_schedule(const std::filesystem::path& file);
Result<void> write_schedule(const std::filesystem::path& file, const ScheduleFile& schedule);

}  // namespace kdpc::tool
