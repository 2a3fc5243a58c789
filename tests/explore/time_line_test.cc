// The time line: what stood around the deviations, in its order.
#include "check/explore/time_line.h"

#include <gmock/gmock.h>

#include <sstream>

namespace kdpc::explore {

namespace {

using testing::ElementsAre;
using Kind = Row::Kind;

struct On {
  TimeLine& line;
  std::uint16_t processor;
  std::uint32_t thread;
  std::uint64_t step = 0;

  On& call(std::uintptr_t caller) {
    line.event({0, processor, 0, thread, step++}, RoutineEntered{7, Address::at(caller), {}});
    return *this;
  }
  On& access(std::uintptr_t at, std::uintptr_t pc, bool write) {
    const Access one{at, pc | std::uint64_t{4} << 48 | std::uint64_t{write} << 63};
    line.accesses({0, processor, 0, thread, ++step}, {&one, 1});
    return *this;
  }
};

std::vector<std::string> told(const TimeLine& line, const Schedule& schedule) {
  std::vector<std::string> lines;
  for (const Row& row : line.rows(schedule, [](const Row&) { return true; })) {
    std::ostringstream text;
    text << row.processor << ' ';
    switch (row.kind) {
      case Kind::Called: text << "calls " << row.at; break;
      case Kind::Read: text << "reads " << row.at; break;
      case Kind::Written: text << "writes " << row.at; break;
      case Kind::Deviation: text << "deviation " << row.number; break;
      case Kind::GoesOn: text << "goes on"; break;
      case Kind::LeftOut: text << "left out " << row.number; break;
      default: text << "?"; break;
    }
    lines.push_back(text.str());
  }
  return lines;
}

constexpr Deviation hold(std::uint16_t processor, std::uint64_t step) { return {Deviation::Kind::Hold, processor, step, 0}; }

}  // namespace

TEST(TimeLine, AHoldStandsWhereItBeganAndWhereItEnded) {
  TimeLine line;
  On first{line, 0, 10}, second{line, 1, 11};
  first.access(0x1000, 1, false);
  second.call(20).access(0x1000, 21, true);
  first.access(0x1000, 2, true);
  EXPECT_THAT(told(line, {hold(0, 2)}), ElementsAre("0 reads 1", "0 deviation 0", "1 calls 20", "1 writes 21", "0 goes on", "0 writes 2"));
}

TEST(TimeLine, AnEventStandsBeforeTheStepItCameBefore) {
  TimeLine line;
  On{line, 0, 10}.call(1).call(2).call(3);
  EXPECT_THAT(told(line, {{Deviation::Kind::Board, 0, 2, 0}}), ElementsAre("0 calls 1", "0 calls 2", "0 deviation 0", "0 calls 3"));
}

TEST(TimeLine, OfAccessesOnlyThoseAreToldThatOthersMayMeet) {
  TimeLine line;
  On first{line, 0, 10}, second{line, 1, 11};
  first.access(0x1000, 1, true).access(0x2000, 2, false).access(0x3000, 3, true);
  second.access(0x2000, 21, false).access(0x3000, 22, false);
  EXPECT_THAT(told(line, {hold(1, 1)}), ElementsAre("0 writes 3", "1 deviation 0", "1 reads 22"));
}

TEST(TimeLine, WhatADeviceWritesByItselfIsToldWhereSomebodyElseReadsIt) {
  TimeLine line;
  On driver{line, 0, 10};
  driver.access(0x1000, 1, false);
  line.event({0, 0, 0, 10, driver.step}, DmaAccessed{Address::at(0x1000), 16, true});
  driver.access(0x1008, 2, false).access(0x2000, 3, true);
  EXPECT_THAT(told(line, {{Deviation::Kind::Board, 0, 2, 0}}), ElementsAre("0 reads 1", "0 writes 0", "0 deviation 0", "0 reads 2"));
}

TEST(TimeLine, WhatIsFarFromADeviationIsCounted) {
  TimeLine line;
  On first{line, 0, 10};
  for (std::uintptr_t turn = 1; turn <= 60; ++turn) first.call(turn);
  const std::vector<std::string> lines = told(line, {{Deviation::Kind::Clock, 0, 21, 0}});
  ASSERT_EQ(lines.size(), 1 + TimeLine::kBefore + 1 + TimeLine::kBehind + 1 + TimeLine::kEnd);
  EXPECT_EQ(lines[0], "0 left out 17");
  EXPECT_EQ(lines[TimeLine::kBefore], "0 calls 21");
  EXPECT_EQ(lines[TimeLine::kBefore + 1], "0 deviation 0");
  EXPECT_EQ(lines[TimeLine::kBefore + 2 + TimeLine::kBehind], "0 left out 23");
  EXPECT_EQ(lines.back(), "0 calls 60");
}

TEST(TimeLine, WithoutADeviationThatHasAPlaceThereIsNone) {
  TimeLine line;
  On{line, 0, 10}.call(1).call(2);
  EXPECT_THAT(told(line, {}), ElementsAre());
  EXPECT_THAT(told(line, {{Deviation::Kind::Pick, 0, 3, 1}, hold(1, 1), hold(0, 99)}), ElementsAre());
}

TEST(TimeLine, GoingBackForgetsWhatCameAfter) {
  TimeLine line;
  On first{line, 0, 10};
  first.call(1);
  const std::size_t mark = line.mark();
  first.call(2);
  line.rewind(mark);
  On{line, 0, 10, 1}.call(3);
  EXPECT_THAT(told(line, {hold(0, 1)}), ElementsAre("0 calls 1", "0 deviation 0", "0 calls 3"));
}

}  // namespace kdpc::explore
