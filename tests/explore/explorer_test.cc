// The whole: lives of real drivers, run in many orders.
#include "lab/explore.h"

#include <map>
#include <set>

#include "check/explore/campaign.h"
#include "check/explore/shrink.h"
#include "kdpc/cards.h"
#include "kdpc/test.h"

using namespace std::chrono_literals;
using namespace kdpc;
using namespace kdpc::test;

namespace {

// Of a driver of the museum, with the card that interrupts by itself.
struct Life {
  std::string driver;
  std::string operator()(lab::Machine& m) const {
    std::string why;
    if (!m.load_driver(std::string(KDPC_TEST_DRIVERS "/check/museum_") + driver + ".drv", why)) return why;
    if (!m.start_device("card", "museum_" + driver, why)) return why;
    m.run_until([] { return false; }, 3ms);
    if (!m.outcome().over() && !m.unload_driver("museum_" + driver, why)) return why;
    return {};
  }
};

std::unique_ptr<cards::CardBoard> card(lab::Machine& m) {
  auto board = std::make_unique<cards::CardBoard>();
  board->add(cards::PulseWish{.name = "card", .first = 100'000, .period = 100'000, .count = 6});
  m.attach(*board);
  return board;
}

// The first failure of a campaign of so many schedules.
std::optional<std::pair<explore::Schedule, lab::Execution>> find(lab::Explorer& explorer, std::uint64_t most) {
  explore::Campaign campaign({});
  for (std::uint64_t tried = 0; tried < most; ++tried) {
    const auto attempt = campaign.next();
    if (!attempt) return {};
    lab::Execution execution = explorer.run(attempt->schedule, attempt->learn);
    if (!execution.failure.empty()) return std::pair{attempt->schedule, std::move(execution)};
    if (attempt->learn) campaign.learned(attempt->schedule, explorer.lesson());
  }
  return {};
}

}  // namespace

KDPC_TEST(Explorer, TheSameScheduleIsTheSameRun, .processors = 2) {
  const auto board = card(m);
  std::string why;
  const auto explorer = lab::Explorer::create(m, Life{"fifo_count_fixed"}, why);
  ASSERT_NE(explorer, nullptr) << why;
  explore::Campaign campaign({});
  std::map<std::string, std::uint64_t> hashes;
  std::set<std::uint64_t> different;
  for (int tried = 0; tried < 300; ++tried) {
    const auto attempt = campaign.next();
    ASSERT_TRUE(attempt);
    const lab::Execution one = explorer->run(attempt->schedule, attempt->learn);
    if (attempt->learn) campaign.learned(attempt->schedule, explorer->lesson());
    EXPECT_EQ(one.failure, "");
    hashes[text_of(attempt->schedule)] = one.hash;
    different.insert(one.hash);
  }
  EXPECT_GT(different.size(), 50u);
  for (bool learn : {false, true}) {  // which changes nothing
    explore::Campaign again({});
    for (int tried = 0; tried < 300; ++tried) {
      const auto attempt = again.next();
      EXPECT_EQ(explorer->run(attempt->schedule, learn || attempt->learn).hash, hashes[text_of(attempt->schedule)]) << text_of(attempt->schedule);
      if (attempt->learn) again.learned(attempt->schedule, explorer->lesson());
    }
  }
}

KDPC_TEST(Explorer, FindsTheRaceThatTheDefaultOrderHidesAndShowsItAgain, .processors = 1) {
  const auto board = card(m);
  std::string why;
  const auto explorer = lab::Explorer::create(m, Life{"fifo_count"}, why);
  ASSERT_NE(explorer, nullptr) << why;
  const auto found = find(*explorer, 2000);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->first.empty());
  const explore::Schedule least =
      explore::shrink(found->first, [&](const explore::Schedule& shorter) { return explorer->run(shorter).key == found->second.key; });
  EXPECT_LE(least.size(), 2u);
  const std::uint64_t hash = explorer->run(least).hash;
  for (int turn = 0; turn < 50; ++turn) EXPECT_EQ(explorer->run(least).hash, hash);
  EXPECT_EQ(explorer->run({}).failure, "");
}

KDPC_TEST(Explorer, ATwinThatIsRightStaysSilent, .processors = 1) {
  const auto board = card(m);
  std::string why;
  const auto explorer = lab::Explorer::create(m, Life{"fifo_count_fixed"}, why);
  ASSERT_NE(explorer, nullptr) << why;
  const auto found = find(*explorer, 1500);
  EXPECT_FALSE(found) << found->second.failure;
}
