#include "check/explore/orders.h"

#include <algorithm>

namespace kdpc::explore {

bool Orders::comes_before(std::size_t piece, const std::vector<std::uint32_t>& clock) const { return clock[pieces_[piece].context] > piece; }

void Orders::join(std::vector<std::uint32_t>& clock, std::size_t piece) const {
  const std::vector<std::uint32_t>& other = pieces_[piece].clock;
  for (std::size_t context = 0; context < clock.size(); ++context) clock[context] = std::max(clock[context], other[context]);
}

void Orders::meet(std::size_t piece, const Touch& touch) {
  std::vector<std::uint32_t>& clock = clocks_[touch.context];
  Thing& thing = things_[touch.thing];
  const auto conflict = [&](std::size_t other) {
    if (other == kNone || comes_before(other, clock)) return;
    against_.push_back(other);
    join(clock, other);
  };
  switch (touch.how) {
    case Touch::How::Cause: thing.causes.push_back(piece); return;
    case Touch::How::Effect:
      for (const std::size_t cause : thing.causes) join(clock, cause);
      thing.causes.clear();
      return;
    case Touch::How::Read:
      conflict(thing.release);
      conflict(thing.write);
      thing.reads.push_back(piece);
      return;
    case Touch::How::Release: thing.release = piece; return;
    case Touch::How::Acquire:  // it could not have come before the release; but before the acquisition
      for (auto read = thing.reads.rbegin(); read != thing.reads.rend(); ++read) conflict(*read);
      conflict(thing.write);
      if (thing.release != kNone) join(clock, thing.release);
      break;
    case Touch::How::Write:
      conflict(thing.release);
      for (auto read = thing.reads.rbegin(); read != thing.reads.rend(); ++read) conflict(*read);
      conflict(thing.write);
      break;
  }
  thing.write = piece;
  thing.release = kNone;
  thing.reads.clear();
}

void Orders::add(std::uint32_t number, const Transition& transition, const Found& found) {
  for (std::size_t begin = 0; begin < transition.touches.size();) {
    const std::uint32_t context = transition.touches[begin].context;
    const std::size_t piece = pieces_.size();
    pieces_.push_back({number, context, std::vector<std::uint32_t>(clocks_.size())});
    clocks_[context][context] = static_cast<std::uint32_t>(piece) + 1;
    against_.clear();
    std::size_t end = begin;
    for (; end < transition.touches.size() && transition.touches[end].context == context; ++end) meet(piece, transition.touches[end]);
    begin = end;
    pieces_[piece].clock = clocks_[context];
    for (const std::size_t other : against_) found(other, piece);
  }
}

std::optional<std::size_t> Orders::first_that_leads_to(std::size_t piece, std::size_t where, std::size_t behind) const {
  auto first = std::partition_point(pieces_.begin(), pieces_.end(), [&](const Piece& one) { return one.transition <= where; });
  for (auto index = static_cast<std::size_t>(first - pieces_.begin()); index <= piece; ++index) {
    const bool is_behind = behind != kNone && comes_before(behind, pieces_[index].clock);
    if (index == piece || (!is_behind && comes_before(index, pieces_[piece].clock))) return index;
  }
  return {};
}

std::size_t Orders::first_piece(std::uint32_t context, std::size_t from) const {
  for (std::size_t index = 0; index < pieces_.size(); ++index)
    if (pieces_[index].transition >= from && pieces_[index].context == context) return index;
  return kNone;
}

}  // namespace kdpc::explore
