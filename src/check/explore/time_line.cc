#include "check/explore/time_line.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "check/explore/lane.h"

namespace kdpc::explore {

namespace {

using Kind = Row::Kind;

constexpr std::uintptr_t kGranule = 8;

struct RowOf {
  Row row;
  void operator()(const ActivityBegan& fact) { tell(Kind::Began, fact.routine.value, static_cast<std::uint64_t>(fact.kind)); }
  void operator()(const ActivityEnded& fact) { tell(Kind::Ended, fact.routine.value, static_cast<std::uint64_t>(fact.kind)); }
  void operator()(const ThreadSwitched& fact) { tell(Kind::Thread, 0, fact.to); }
  void operator()(const RoutineEntered& fact) { tell(Kind::Called, fact.caller.value, fact.routine); }
  void operator()(const Bugchecked& fact) { tell(Kind::Stopped, 0, fact.code); }
  template <class Fact>
  void operator()(const Fact&) {}

 private:
  void tell(Kind kind, std::uintptr_t at, std::uint64_t number) {
    row.kind = kind;
    row.at = at;
    row.number = number;
  }
};

// An access of memory that only one touches, or that nobody writes, tells nothing.
class Shared {
 public:
  explicit Shared(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      for (std::uintptr_t granule = row.granule; row.granule != 0 && granule <= last_of(row); ++granule) {
        Use& use = uses_.try_emplace(granule, Use{row.lane}).first->second;
        use.shared = use.shared || use.lane != row.lane;
        use.written = use.written || row.kind == Kind::Written;
      }
    }
  }
  bool has(const Row& row) const {
    for (std::uintptr_t granule = row.granule; granule <= last_of(row); ++granule) {
      const auto use = uses_.find(granule);
      if (use != uses_.end() && use->second.shared && use->second.written) return true;
    }
    return false;
  }

 private:
  struct Use {
    std::uint32_t lane;
    bool shared = false, written = false;
  };
  // Devices move much at once.
  static std::uintptr_t last_of(const Row& row) { return row.granule + (row.lane == kLaneOfDevices ? (row.number - 1) / kGranule : 0); }

  std::unordered_map<std::uintptr_t, Use> uses_;
};

// Behind the last row in which its processor had not come so far.
std::vector<Row> with_deviations(const std::vector<Row>& heard, const Schedule& schedule) {
  struct Place {
    std::size_t from = 0, to = 0;  // it happened before row `from`; who was held went on before row `to`
    bool known = false;
  };
  std::vector<Place> places(schedule.size());
  std::map<std::uint16_t, std::size_t> behind;  // by processor: the row behind its last one
  for (std::size_t index = 0; index < heard.size(); ++index) {
    const Row& row = heard[index];
    const std::size_t from = behind.try_emplace(row.processor, index).first->second;
    for (std::size_t which = 0; which < schedule.size(); ++which) {
      const Deviation& deviation = schedule[which];
      if (deviation.kind == Deviation::Kind::Pick || places[which].known || deviation.processor != row.processor || row.step < deviation.step)
        continue;
      places[which] = {from, index, true};
    }
    behind[row.processor] = index + 1;
  }
  std::vector<Row> rows;
  for (std::size_t index = 0; index <= heard.size(); ++index) {
    for (std::size_t which = 0; which < schedule.size(); ++which) {
      const Deviation& deviation = schedule[which];
      const Place& place = places[which];
      Row row{.processor = deviation.processor, .step = deviation.step, .number = which};
      const bool is_hold = deviation.kind == Deviation::Kind::Hold;
      row.kind = Kind::Deviation;
      if (place.known && place.from == index) rows.push_back(row);
      row.kind = Kind::GoesOn;
      if (place.known && is_hold && place.to == index && place.to != place.from) rows.push_back(row);
    }
    if (index < heard.size()) rows.push_back(heard[index]);
  }
  return rows;
}

bool is_of_the_schedule(const Row& row) { return row.kind == Kind::Deviation || row.kind == Kind::GoesOn; }

}  // namespace

void TimeLine::event(const Stamp& stamp, const Event& event) {
  if (heard_.size() >= kMost) return;
  if (const auto* dma = std::get_if<DmaAccessed>(&event)) {
    heard_.push_back(
        {dma->write ? Kind::Written : Kind::Read, stamp.processor, 0, stamp.step, 0, dma->size, dma->at.value / kGranule, kLaneOfDevices});
    return;
  }
  RowOf one{{.processor = stamp.processor, .irql = stamp.irql, .step = stamp.step}};
  std::visit(one, event);
  const bool is_news =
      one.row.kind != Kind::Other || heard_.empty() || heard_.back().processor != stamp.processor || heard_.back().step != stamp.step;
  if (is_news) heard_.push_back(one.row);
}

void TimeLine::accesses(const Stamp& stamp, std::span<const Access> batch) {
  std::uint64_t step = stamp.step - batch.size();
  for (const Access& access : batch) {
    ++step;
    if (heard_.size() >= kMost) return;
    heard_.push_back({access.is_write() ? Kind::Written : Kind::Read, stamp.processor, stamp.irql, step, access.pc(), access.size(),
                      access.at / kGranule, lane_of(stamp)});
  }
}

std::vector<Row> TimeLine::rows(const Schedule& schedule, const std::function<bool(const Row&)>& tells) const {
  const Shared shared(heard_);
  std::vector<Row> rows;
  for (Row& row : with_deviations(heard_, schedule)) {
    if (row.kind == Kind::Other || (row.granule != 0 && !shared.has(row))) continue;
    if (is_of_the_schedule(row) || tells(row)) rows.push_back(row);
  }
  std::vector<bool> shown(rows.size(), false);
  bool any = false;
  for (std::size_t index = 0; index < rows.size(); ++index) {
    if (!is_of_the_schedule(rows[index])) continue;
    any = true;
    const std::size_t first = index - std::min(index, kBefore), last = std::min(index + kBehind, rows.size() - 1);
    std::fill(shown.begin() + static_cast<std::ptrdiff_t>(first), shown.begin() + static_cast<std::ptrdiff_t>(last) + 1, true);
  }
  if (!any) return {};
  for (std::size_t index = rows.size() - std::min(rows.size(), kEnd); index < rows.size(); ++index) shown[index] = true;
  std::vector<Row> chosen;
  std::uint64_t left_out = 0;
  for (std::size_t index = 0; index < rows.size(); ++index) {
    if (!shown[index]) {
      ++left_out;
      continue;
    }
    if (left_out != 0) chosen.push_back({.kind = Kind::LeftOut, .number = left_out});
    left_out = 0;
    chosen.push_back(rows[index]);
  }
  return chosen;
}

}  // namespace kdpc::explore
