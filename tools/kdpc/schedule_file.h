// A schedule in a file (check/explore/record.h): what `kdpc explore` leaves of a failure, and `kdpc replay` and `kdpc shrink` read.
#pragma once
#include <filesystem>

#include "base/result.h"
#include "check/explore/record.h"

namespace kdpc::tool {

bool is_schedule(const std::filesystem::path& file);  // by its first line
// Its scenario is as it can be opened from here, not from the file's folder.
Result<explore::Record> read_schedule(const std::filesystem::path& file);
// Nobody's work is lost if it is written over: it is not there, or empty, or a schedule already. There is a folder for it.
Result<void> may_be_schedule(const std::filesystem::path& file);
Result<void> write_schedule(const std::filesystem::path& file, const explore::Record& schedule);

}  // namespace kdpc::tool
