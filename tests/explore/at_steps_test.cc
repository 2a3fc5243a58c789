// Which options a step has of those that were noted.
#include "check/explore/at_steps.h"

#include <gmock/gmock.h>

#include <set>

#include "kdpc/cards.h"
#include "kdpc/explore.h"
#include "kdpc/test.h"
#include "lab/explore.h"

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;
using Place = AtSteps::Place;

// Processor 0 calls somebody with its steps 2 and 5, and processor 1 with its step 1 in between.
const std::vector<Options> kNotes = {
    {0, 2, true, {{Kind::Board, 0, 2, 3}}, 0, 77},
    {1, 1, false, {}, 1},
    {0, 5, false, {}, 2},
};

// What is possible at each point that a run has told of; whoever looks at each step is asked there, too.
std::vector<std::set<std::string>> possible(lab::Explorer& explorer, bool& looks, bool look, std::size_t& notes) {
  looks = look;
  explorer.run({}, true);
  const Lesson lesson = explorer.lesson();
  notes = lesson.options.size();
  const AtSteps at(lesson.options);
  std::vector<std::set<std::string>> possible;
  for (const Point& point : lesson.points) {
    std::set<std::string>& here = possible.emplace_back();
    const auto place = at.find(point);
    if (!place) continue;
    const Options options = at.options(*place);
    here.insert(options.others_can_go_on ? "others" : "alone");
    for (const Deviation& event : options.events) here.insert(text_of(event));
  }
  return possible;
}

}  // namespace

TEST(AtSteps, AnAccessHasWhatWasNotedLastOnItsProcessorButForTheCallThatMayFail) {
  const AtSteps at(kNotes);
  EXPECT_EQ(at.find(0, 1), std::nullopt) << "nobody had been asked";
  EXPECT_EQ(at.find(2, 1), std::nullopt);
  ASSERT_EQ(at.find(0, 4), (Place{0, 4}));
  const Options options = at.options({0, 4});
  EXPECT_EQ(options.step, 4u);
  EXPECT_TRUE(options.others_can_go_on);
  EXPECT_EQ(options.may_fail, 0u);
  ASSERT_EQ(options.events.size(), 1u);
  EXPECT_EQ(text_of(options.events[0]), "cpu0@4 board 3");
  EXPECT_EQ(at.options({0, 2}).may_fail, 77u);
  EXPECT_TRUE(at.options(*at.find(0, 5)).events.empty());
}

// A processor that waits, or goes on behind that, takes a step.
TEST(AtSteps, BeforeAStepThatIsNeitherNotedNorAnAccessNobodyIsAsked) {
  const AtSteps at(kNotes);
  EXPECT_EQ(at.find(Point{0, 4, 0x1000, false, true}), (Place{0, 4}));
  EXPECT_EQ(at.find(Point{0, 4, 0x1000, false, false}), std::nullopt);
  EXPECT_EQ(at.find(Point{0, 5, 0x1000, false, false}), (Place{2, 5}));
}

TEST(AtSteps, PlacesAreInTheOrderOfTheRun) {
  const AtSteps at(kNotes);
  EXPECT_LT(*at.find(0, 2), *at.find(0, 4));
  EXPECT_LT(*at.find(0, 4), *at.find(1, 1));
  EXPECT_LT(*at.find(1, 9), *at.find(0, 5));
  EXPECT_LT(*at.find(0, 9), at.end());
  EXPECT_EQ(at.of_pick(0), (Place{0, 2}));
  EXPECT_EQ(at.of_pick(1), (Place{1, 1}));
}

// A step at which a processor stood twice, as an event came before it: the later one counts.
TEST(AtSteps, OfOneStepTheLastNoteCounts) {
  const std::vector<Options> notes = {{0, 2, true, {}}, {0, 2, false, {}}};
  EXPECT_EQ(AtSteps(notes).find(0, 2), (Place{1, 2}));
}

KDPC_TEST(AtSteps, WhoIsNotAskedBeforeEachAccessKnowsWhatIsPossibleThere, .processors = 2, .remember_events = 0) {
  cards::CardBoard board;
  board.add(cards::PulseWish{.name = "card", .first = 100'000, .period = 100'000, .count = 6});
  m.attach(board);
  bool looks = false;
  const lab::Explorer::Part life = [&looks](lab::Machine& its) {
    const std::string driver = "museum_dpc_two_processors_fixed";
    std::string why;
    if (looks) lab::invariant("holds", [] { return true; });
    if (!its.load_driver(KDPC_TEST_DRIVERS "/check/" + driver + ".drv", why) || !its.start_device("card", driver, why)) return why;
    its.run_until([] { return false; }, std::chrono::milliseconds(3));
    return its.unload_driver(driver, why) ? std::string() : why;
  };
  std::string why;
  const auto explorer = lab::Explorer::create(m, {life}, why);
  ASSERT_NE(explorer, nullptr) << why;
  std::size_t some = 0, all = 0;
  EXPECT_EQ(possible(*explorer, looks, false, some), possible(*explorer, looks, true, all));
  EXPECT_GT(some, 100u);
  EXPECT_LT(some, all);
}

}  // namespace kdpc::explore
