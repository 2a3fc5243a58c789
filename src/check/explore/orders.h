// What of a run came before what in every run like it: what a context does, in its order; causes before effects; and of what conflicts, what came first.
//
// It is fed with transitions (trail.h), and says which conflicts could be the other way round. A transition consists of pieces, each of one context.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "check/explore/trail.h"

namespace kdpc::explore {

class Orders {
 public:
  struct Piece {
    std::uint32_t transition;
    std::uint32_t context;
    std::vector<std::uint32_t> clock;  // by context: how many pieces there are up to the last one of it that comes before this one, or is it
  };
  using Found = std::function<void(std::size_t earlier, std::size_t later)>;

  explicit Orders(std::uint32_t contexts) : clocks_(contexts, std::vector<std::uint32_t>(contexts)) {}

  // `found`: of two pieces, in different contexts, that conflict and are ordered by nothing else.
  void add(std::uint32_t number, const Transition& transition, const Found& found);
  const std::vector<Piece>& pieces() const { return pieces_; }

  // Of those in transitions behind `where` the first that is `piece`, or has to come before it, and does not come behind the piece `behind` (of pieces: any
  // number; kNone: none).
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::optional<std::size_t> first_that_leads_to(std::size_t piece, std::size_t where, std::size_t behind) const;
  std::size_t first_piece(std::uint32_t context, std::size_t from) const;  // of it, in this transition or behind it; or kNone

 private:
  struct Thing {
    std::size_t write = kNone;        // the last one, or acquisition
    std::vector<std::size_t> reads;   // since then
    std::size_t release = kNone;      // since then
    std::vector<std::size_t> causes;  // since the last effect
  };
  bool comes_before(std::size_t piece, const std::vector<std::uint32_t>& clock) const;
  void join(std::vector<std::uint32_t>& clock, std::size_t piece) const;
  void meet(std::size_t piece, const Touch& touch);

  std::vector<Piece> pieces_;
  std::vector<std::vector<std::uint32_t>> clocks_;  // by context, now
  std::unordered_map<std::uint64_t, Thing> things_;
  std::vector<std::size_t> against_;  // what the present piece could have come before
};

}  // namespace kdpc::explore
