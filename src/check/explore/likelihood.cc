#include "check/explore/likelihood.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace kdpc::explore {

namespace {

constexpr std::size_t kBefore = 4, kBehind = 6;  // stations
constexpr unsigned kMostMoves = 3;

// The run as a row of steps.
class Way {
 public:
  explicit Way(const Lesson& lesson) {
    for (std::size_t index = 0; index < lesson.options.size(); ++index) at_[{lesson.options[index].processor, lesson.options[index].step}] = index;
    left_open_.reserve(lesson.options.size());
    for (const Options& options : lesson.options) left_open_.push_back(options.left_open);
  }
  std::size_t of(std::uint16_t processor, std::uint64_t step) const {
    const auto found = at_.find({processor, step});
    return found == at_.end() ? left_open_.size() : found->second;
  }
  std::size_t of(const Point& point) const { return of(point.processor, point.step); }
  bool has(const Point& point) const { return of(point) != left_open_.size(); }  // nobody may have been asked there
  std::size_t of(const Deviation& deviation) const {
    if (deviation.kind == Deviation::Kind::Late) return 0;
    if (deviation.kind != Deviation::Kind::Pick) return of(deviation.processor, deviation.step);
    const auto behind = std::upper_bound(left_open_.begin(), left_open_.end(), deviation.step);
    return behind == left_open_.begin() ? 0 : static_cast<std::size_t>(behind - left_open_.begin()) - 1;
  }

 private:
  std::map<std::pair<std::uint16_t, std::uint64_t>, std::size_t> at_;
  std::vector<std::uint64_t> left_open_;
};

// `count` of the points from `begin` to `end`, evenly.
void add_some(std::size_t begin, std::size_t end, std::size_t count, std::set<std::size_t>& chosen) {
  for (std::size_t which = 0; which < count && begin < end; ++which) chosen.insert(begin + (end - begin) * which / count);
}

// Of `moves`, which belong to places in the order of the run, those from `place` on.
struct Moves {
  std::vector<Move> all;
  std::vector<std::size_t> places;
};

Moves moves_of(const Lesson& lesson, const Way& way) {
  Moves moves{moves_behind({}, lesson), {}};
  std::stable_sort(moves.all.begin(), moves.all.end(), [&](const Move& a, const Move& b) { return way.of(a.first) < way.of(b.first); });
  for (const Move& move : moves.all) moves.places.push_back(way.of(move.first));
  return moves;
}

}  // namespace

std::vector<Station> likelihood(const Schedule& schedule, const Lesson& lesson, unsigned orders, const std::function<bool(const Schedule&)>& fails) {
  const Way way(lesson);
  std::vector<Point> points;
  std::copy_if(lesson.points.begin(), lesson.points.end(), std::back_inserter(points), [&](const Point& point) { return way.has(point); });
  std::stable_sort(points.begin(), points.end(), [&](const Point& one, const Point& other) { return way.of(one) < way.of(other); });
  const auto index_of = [&](std::size_t place) {  // of the first point there or behind
    return static_cast<std::size_t>(std::find_if(points.begin(), points.end(), [&](const Point& point) { return way.of(point) >= place; }) -
                                    points.begin());
  };
  std::set<std::size_t> chosen;
  std::size_t first = points.size(), last = 0;
  for (const Deviation& deviation : schedule) {
    const std::size_t index = index_of(way.of(deviation));
    for (const std::size_t around : {index, index + 1})
      if (around < points.size()) chosen.insert(around);
    first = std::min(first, index);
    last = std::max(last, index + 1);
  }
  add_some(0, first, kBefore, chosen);
  add_some(last, points.size(), kBehind, chosen);

  const Moves moves = moves_of(lesson, way);
  std::mt19937_64 random(1);
  std::vector<Station> stations;
  for (const std::size_t index : chosen) {
    const std::size_t place = way.of(points[index]);
    Schedule so_far;
    for (const Deviation& deviation : schedule)
      if (way.of(deviation) < place) so_far.push_back(deviation);
    const auto begin = static_cast<std::size_t>(std::lower_bound(moves.places.begin(), moves.places.end(), place) - moves.places.begin());
    Station station{points[index], fails(so_far) ? 1u : 0u, 1};
    for (; station.orders < orders && begin < moves.all.size(); ++station.orders) {
      Schedule drawn = so_far;
      for (std::uint64_t more = 1 + random() % kMostMoves; more != 0; --more)
        drawn = with(drawn, moves.all[begin + random() % (moves.all.size() - begin)]);
      station.failed += fails(drawn) ? 1 : 0;
    }
    stations.push_back(station);
  }
  return stations;
}

std::size_t decided_at(const std::vector<Station>& stations) {
  std::size_t from = stations.size();
  while (from != 0 && stations[from - 1].failed == stations[from - 1].orders) --from;
  return from;
}

}  // namespace kdpc::explore
