// The words in which exploring tells what it has found.
#include "lab/explored_text.h"

#include <gtest/gtest.h>

using namespace kdpc;

namespace {

const explore::Record kWas = {
    .version = "1.0", .build = "aa", .test = "Ring.Counts", .drivers = {{"ring", "11"}, {"gone", "22"}}, .hash = 0x1234, .schedule = {{}, {}, {}}};

std::string differs(const explore::Record& is, std::size_t missed = 0) { return lab::how_it_differs(kWas, is, missed); }

}  // namespace

TEST(ExploredText, OneIsNotMany) {
  EXPECT_EQ(lab::counted(0, "schedule"), "0 schedules");
  EXPECT_EQ(lab::counted(1, "schedule"), "1 schedule");
  EXPECT_EQ(lab::covered({.moves = 1, .attempts = {1, 1, 0}, .complete = 1}), "the default order, all 1 order with one move");
  EXPECT_EQ(lab::covered({.moves = 7, .attempts = {1, 3, 2}, .wandered = 4, .directed = 5, .reduced = 6}),
            "the default order, 3 of 7 orders with one move, 2 with two, 5 directed at suspicious accesses, 4 at random, "
            "6 in which conflicting steps change places");
}

TEST(HowItDiffers, TheSameHashIsTheSameRunWhateverElseHasChanged) {
  explore::Record is = kWas;
  is.version = "2.0";
  is.build = "bb";
  is.drivers[0].second = "33";
  EXPECT_EQ(differs(is, 2), "");
}

TEST(HowItDiffers, WhatHasChangedIsNamedBeforeTheHashes) {
  const std::string hashes = "the run's hash is 0000000000005678 and was 0000000000001234";
  explore::Record is = kWas;
  is.hash = 0x5678;
  EXPECT_EQ(differs(is), hashes);
  EXPECT_EQ(differs(is, 1), "of its 3 deviations 1 was not possible, or its place was never come to; " + hashes);
  EXPECT_EQ(differs(is, 2), "of its 3 deviations 2 were not possible, or their place was never come to; " + hashes);
  is.build = "bb";
  EXPECT_EQ(differs(is), "it was found with another build of kdpc; " + hashes);
  is.version = "2.0";  // whose build is another one anyway
  EXPECT_EQ(differs(is), "it was found with kdpc 1.0, and this is 2.0; " + hashes);
  is.drivers = {{"ring", "33"}, {"new", "44"}};
  EXPECT_EQ(differs(is), "the driver ring is not the one that it was found with; it was found with kdpc 1.0, and this is 2.0; " + hashes);
}

TEST(HowItDiffers, OtherBoardsAreNamedIfADeviationIsOfOne) {
  explore::Record was = kWas;
  was.boards = "card, card is pulled out";
  EXPECT_EQ(lab::why_other_boards(was, "card"), "");
  was.schedule[1].kind = explore::Deviation::Kind::Board;
  EXPECT_EQ(lab::why_other_boards(was, was.boards), "");
  EXPECT_EQ(lab::why_other_boards(was, "card"),
            "it was found with the boards 'card, card is pulled out', and there are 'card' now, so that 'board N' does not mean the same");
  EXPECT_NE(lab::why_other_boards(was, "").find("there are 'none' now"), std::string::npos);
  explore::Record is = was;
  is.hash = 0x5678;
  is.boards = "card";
  EXPECT_TRUE(lab::how_it_differs(was, is, 0).starts_with("it was found with the boards 'card, card is pulled out', and there are 'card' now"));
  was.boards.clear();  // as it was written before they were
  EXPECT_EQ(lab::why_other_boards(was, "card"), "");
}
