// One event is one line, readable, and the same in every run.
#include "trace/text_trace.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/trace/synthetic.h"

using namespace kdpc;
using kdpc::test::in_world;
using kdpc::test::Speaker;

extern "C" void a_routine_of_this_program() {}

namespace {

struct Lines {
  Symbols symbols;
  EventText text{symbols};
  std::vector<std::string> lines;
  TextTrace trace{text, [this](const std::string& line) { lines.push_back(line); }};
};

}  // namespace

TEST(TextTrace, SaysWhenWhereAndWhat) {
  Lines lines;
  Speaker{lines.trace, 1, 2, 7}.at(12'345'678, DpcQueued{in_world(0x10), in_world(0x20), 1, 2, 3, true});
  ASSERT_EQ(lines.lines.size(), 1u);
  EXPECT_EQ(lines.lines[0],
            "     12.345 678 ms  p1   2 DISPATCH t7   dpc-queued            dpc=0x400000000010 routine=0x400000000020 target=1 importance=2 depth=3 "
            "drain_requested=true threaded=false argument1=0 argument2=0");
}

TEST(TextTrace, NamesRoutines) {
  Lines lines;
  EXPECT_NE(lines.text.address(Address(&a_routine_of_this_program).value).find("!a_routine_of_this_program"), std::string::npos);
}

TEST(TextTrace, NamesHostMemoryByItsFirstAppearance) {
  Lines lines;
  const auto one = std::make_unique<int>(), two = std::make_unique<int>();
  EXPECT_EQ(lines.text.address(Address(one.get()).value), "host#1");
  EXPECT_EQ(lines.text.address(Address(two.get()).value), "host#2");
  EXPECT_EQ(lines.text.address(Address(one.get()).value), "host#1");
}

TEST(TextTrace, ShowsEnumsTagsTextsAndStatus) {
  Lines lines;
  const Speaker speaker{lines.trace};
  speaker.at(1, LockAcquired{in_world(1), LockKind::Interrupt, false});
  speaker.at(2, PoolAllocated{in_world(2), 64, 0x31636944});
  speaker.at(3, DebugPrinted{"hello\nmore", 6});
  speaker.at(4, WaitEnded{3, in_world(4), 0x102});
  speaker.at(5, RoutineEntered{2, in_world(5)});
  lines.text.name_routines([](std::uint16_t routine) -> const char* { return routine == 2 ? "KeSetEvent" : nullptr; });
  speaker.at(6, RoutineEntered{2, in_world(5)});
  ASSERT_EQ(lines.lines.size(), 6u);
  EXPECT_NE(lines.lines[0].find(" kind=interrupt waited=false"), std::string::npos);
  EXPECT_NE(lines.lines[1].find(" size=64 tag='Dic1'"), std::string::npos);
  EXPECT_NE(lines.lines[2].find(" text=\"hello\""), std::string::npos);
  EXPECT_NE(lines.lines[3].find(" status=0x00000102"), std::string::npos);
  EXPECT_NE(lines.lines[4].find(" routine=2 "), std::string::npos);
  EXPECT_NE(lines.lines[5].find(" routine=KeSetEvent "), std::string::npos);
}
