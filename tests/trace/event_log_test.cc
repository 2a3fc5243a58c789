// The event log keeps the newest events, and their texts.
#include "trace/event_log.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/trace/synthetic.h"

using namespace kdpc;
using kdpc::test::Speaker;

namespace {

std::vector<std::uint64_t> times_in(const EventLog& log) {
  std::vector<std::uint64_t> times;
  log.for_each([&](const EventLog::Entry& entry) { times.push_back(entry.stamp.time); });
  return times;
}

}  // namespace

TEST(EventLog, KeepsEventsInOrder) {
  EventLog log(10);
  for (std::uint64_t time = 1; time <= 3; ++time) Speaker{log}.at(time, DrainRequested{0});
  EXPECT_EQ(times_in(log), (std::vector<std::uint64_t>{1, 2, 3}));
}

TEST(EventLog, ForgetsTheOldestWhenItIsFull) {
  EventLog log(3);
  for (std::uint64_t time = 1; time <= 8; ++time) Speaker{log}.at(time, DrainRequested{0});
  EXPECT_EQ(times_in(log), (std::vector<std::uint64_t>{6, 7, 8}));
  EXPECT_EQ(log.first(), 5u);
}

TEST(EventLog, KeepsTextThatIsGone) {
  EventLog log(3);
  {
    std::string text = "short-lived";
    Speaker{log}.at(1, DebugPrinted{text.c_str(), 5});
    text = "overwritten";
  }
  std::string kept;
  log.each<DebugPrinted>([&](const Stamp&, const DebugPrinted& printed) { kept.assign(printed.text, printed.length); });
  EXPECT_EQ(kept, "short");
}

TEST(EventLog, FindsOneKind) {
  EventLog log(10);
  Speaker{log}.at(1, DrainBegan{3});
  Speaker{log}.at(2, DrainEnded{3});
  int found = 0;
  log.each<DrainEnded>([&](const Stamp& stamp, const DrainEnded& ended) {
    ++found;
    EXPECT_EQ(stamp.time, 2u);
    EXPECT_EQ(ended.ran, 3u);
  });
  EXPECT_EQ(found, 1);
}

TEST(EventLog, RewindsToAMark) {
  EventLog log(4);
  for (std::uint64_t time = 1; time <= 3; ++time) Speaker{log}.at(time, DrainRequested{0});
  const std::size_t mark = log.mark();
  for (std::uint64_t time = 4; time <= 5; ++time) Speaker{log}.at(time, DrainRequested{0});
  log.rewind(mark);
  EXPECT_EQ(times_in(log), (std::vector<std::uint64_t>{2, 3}));  // 1 was overwritten by 5
  Speaker{log}.at(40, DrainRequested{0});
  EXPECT_EQ(times_in(log), (std::vector<std::uint64_t>{2, 3, 40}));
  log.forget();
  EXPECT_TRUE(times_in(log).empty());
}
