#include "tools/kdpc/schedule_file.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string>

namespace kdpc::tool {

namespace fs = std::filesystem;

bool is_schedule(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  return line == explore::kFirstLine;
}

Result<explore::Record> read_schedule(const fs::path& file) {
  std::ifstream in(file);
  std::error_code failed;
  if (!in || !fs::is_regular_file(file, failed)) return Error{fmt::format("the schedule {} cannot be read", file.string())};
  std::string text(std::istreambuf_iterator<char>(in), {});
  std::erase(text, '\r');  // an editor of Windows may have ended its lines
  auto read = explore::record_from(text, file.string());
  if (!read) return read.error();
  if (!read->test.empty())
    return Error{fmt::format("{}: this schedule is of the test {}; KDPC_SCHEDULE={} shows it again in the program that has this test", file.string(),
                             read->test, fs::absolute(file).string())};
  read->scenario = (file.parent_path() / read->scenario).lexically_normal();
  return read;
}

Result<void> may_be_schedule(const fs::path& file) {
  std::error_code failed;
  if (fs::is_directory(file, failed)) return Error{fmt::format("{} is a folder: --out names the file of a schedule", file.string())};
  if (!fs::is_directory(fs::absolute(file).parent_path(), failed))
    return Error{fmt::format("{} cannot be written: there is no folder {}", file.string(), file.parent_path().string())};
  if (!fs::is_regular_file(file, failed) || fs::is_empty(file, failed)) return {};
  if (is_schedule(file)) return {};
  return Error{fmt::format("{} is there, and is no schedule: it would be written over; name another file with --out", file.string())};
}

Result<void> write_schedule(const fs::path& file, const explore::Record& schedule) {
  explore::Record from_there = schedule;
  from_there.scenario = fs::absolute(schedule.scenario).lexically_normal().lexically_proximate(fs::absolute(file).parent_path()).string();
  std::ofstream out(file);
  out << text_of(from_there);
  out.close();
  if (!out) return Error{fmt::format("{} cannot be written", file.string())};
  return {};
}

}  // namespace kdpc::tool
