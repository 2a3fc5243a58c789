// What arrived is judged against what was sent: every byte is there, or somebody has counted it.
#include "tools/kdpc/arrival.h"

#include <gtest/gtest.h>

namespace kdpc::tool {
namespace {

bool begins_with(const std::string& text, std::string_view with) { return text.starts_with(with); }

TEST(Line, AllOfItMustArriveTheEndToo) {
  EXPECT_EQ(judge_line("abcdef", "abcdef", {}, 0), "");
  EXPECT_EQ(judge_line("", "", {}, 0), "");
  for (const char* const beginning : {"abcde", "abc", ""})
    EXPECT_TRUE(begins_with(judge_line("abcdef", beginning, {}, 0), "Bytes were lost or changed on the way")) << beginning;
}

TEST(Line, ALossThatNobodyHasCountedIsWrong) {
  EXPECT_TRUE(begins_with(judge_line("abcdef", "abdef", {}, 0), "Bytes were lost or changed on the way"));
  EXPECT_TRUE(begins_with(judge_line("abcdef", "abXdef", {}, 0), "Bytes were lost or changed on the way"));
  EXPECT_EQ(judge_line("abcdef", "bdf", {}, ~0ull), "") << "whatever is lost";
  EXPECT_NE(judge_line("abcdef", "bfd", {}, ~0ull), "");
  EXPECT_NE(judge_line("abcdef", "abb", {}, ~0ull), "");
  EXPECT_TRUE(begins_with(judge_line("abcdef", "adef", {}, 1), "Bytes were lost or changed on the way"));
}

TEST(Line, WhatTheChipOrTheDriverHasCountedMayBeMissing) {
  EXPECT_EQ(judge_line("abcdef", "abdef", {2}, 0), "");
  EXPECT_EQ(judge_line("abcdef", "adef", {}, 2), "");
  EXPECT_EQ(judge_line("abcdef", "af", {1, 2}, 2), "");
  EXPECT_EQ(judge_line("abcdef", "abcd", {4, 5}, 0), "");
  EXPECT_EQ(judge_line("abcdef", "abcd", {5}, 1), "");
  EXPECT_TRUE(begins_with(judge_line("abcdef", "abcd", {}, 1), "Bytes were lost or changed on the way"));
}

TEST(Line, WhatHadNoRoomCannotHaveArrived) {
  EXPECT_TRUE(begins_with(judge_line("abcdef", "abcdef", {2}, 0), "Bytes were lost or changed on the way"));
}

TEST(Line, MoreThanWasSentIsWrong) { EXPECT_TRUE(begins_with(judge_line("abc", "abcc", {}, 0), "More bytes arrived than were sent")); }

TEST(Line, TheFirstLineIsTheSameForTheSameMistake) {
  const std::string one = judge_line("abcdef", "abdef", {}, 0), other = judge_line("abcdef", "acdef", {}, 0);
  EXPECT_NE(one, other);
  EXPECT_EQ(one.substr(0, one.find('\n')), other.substr(0, other.find('\n')));
}

using Sound = std::vector<Frame>;
Sound operator+(Sound left, const Sound& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}
const Sound kSource{{0, 0}, {1, 2}, {3, 4}, {0, 0}, {5, 6}}, kSilence(10);

TEST(Sound, SilenceAroundAndWithinItIsWell) {
  EXPECT_EQ(judge_sound(kSource, kSource, true), "");
  EXPECT_EQ(judge_sound(kSource, kSilence + Sound{{1, 2}} + kSilence + Sound{{3, 4}, {5, 6}} + kSilence, true), "");
}

TEST(Sound, AllOfItMustBeHeardOnlyIfTheDriverSaysSo) {
  const Sound beginning{{1, 2}, {3, 4}};
  EXPECT_EQ(judge_sound(kSource, beginning, false), "");
  EXPECT_TRUE(begins_with(judge_sound(kSource, beginning, true), "Not all sound was heard"));
}

TEST(Sound, WhereSomeMayBeMissingWhatIsHeardWasGivenInThisOrder) {
  for (const Sound& heard : {Sound{}, Sound{{5, 6}}, Sound{{1, 2}, {5, 6}}, Sound{{3, 4}} + kSilence + Sound{{5, 6}}})
    EXPECT_EQ(judge_sound(kSource, heard, false), "");
  for (const Sound& heard : {Sound{{1, 2}, {1, 2}}, Sound{{5, 6}, {3, 4}}, Sound{{7, 8}}})
    EXPECT_TRUE(begins_with(judge_sound(kSource, heard, false), "Other sound was heard than was given"));
}

TEST(Sound, WhatIsHeardTwiceOrInAnotherOrderOrNotAtAllIsWrong) {
  for (const Sound& heard :
       {Sound{{1, 2}, {1, 2}, {3, 4}, {5, 6}}, Sound{{3, 4}, {1, 2}, {5, 6}}, Sound{{1, 2}, {5, 6}}, Sound{{1, 2}, {3, 4}, {5, 6}, {5, 6}}})
    EXPECT_TRUE(begins_with(judge_sound(kSource, heard, true), "Other sound was heard than was given"));
}

}  // namespace
}  // namespace kdpc::tool
