#include "check/explore/likelihood.h"

#include <algorithm>
#include <random>
#include <set>

#include "check/explore/at_steps.h"

namespace kdpc::explore {

namespace {

constexpr std::size_t kBefore = 4, kBehind = 6;  // stations
constexpr unsigned kMostMoves = 3;

using Place = AtSteps::Place;

// The run as a row of steps.
class Way {
 public:
  explicit Way(const Lesson& lesson) : at_(lesson.options) {}
  Place of(const Point& point) const { return at_.find(point).value_or(at_.end()); }
  bool has(const Point& point) const { return of(point) != at_.end(); }  // nobody may have been asked there
  Place of(const Deviation& deviation) const {
    if (deviation.kind == Deviation::Kind::Late) return {};
    return deviation.kind == Deviation::Kind::Pick ? at_.of_pick(deviation.step) : at_.find(deviation.processor, deviation.step).value_or(at_.end());
  }

 private:
  AtSteps at_;
};

// `count` of the points from `begin` to `end`, evenly.
void add_some(std::size_t begin, std::size_t end, std::size_t count, std::set<std::size_t>& chosen) {
  for (std::size_t which = 0; which < count && begin < end; ++which) chosen.insert(begin + (end - begin) * which / count);
}

// Of `moves`, which belong to places in the order of the run, those from `place` on.
struct Moves {
  std::vector<Move> all;
  std::vector<Place> places;
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
  const auto index_of = [&](const Place& place) {  // of the first point there or behind
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
    const Place place = way.of(points[index]);
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
