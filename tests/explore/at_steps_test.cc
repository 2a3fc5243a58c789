// Which options a step has of those that were noted.
#include "check/explore/at_steps.h"

#include <gmock/gmock.h>

#include "kdpc/test.h"

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

}  // namespace kdpc::explore
