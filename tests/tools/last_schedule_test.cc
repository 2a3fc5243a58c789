// What a process was running when it died.
#include "tools/kdpc/last_schedule.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace kdpc;

namespace {

explore::Schedule schedule_of(std::size_t size) {
  explore::Schedule schedule;
  for (std::size_t step = 1; step <= size; ++step)
    schedule.push_back({explore::Deviation::Kind::Switch, 1, step, static_cast<std::uint32_t>(step % 3)});
  return schedule;
}

// Of a process that shows these one after the other and dies.
explore::Schedule last_of(std::initializer_list<std::size_t> sizes) {
  const tool::LastSchedule last;
  EXPECT_TRUE(last.is_there());
  const pid_t process = ::fork();
  if (process == 0) {
    for (const std::size_t size : sizes) last.show(schedule_of(size));
    ::_exit(0);
  }
  ::waitpid(process, nullptr, 0);
  return last.read();
}

}  // namespace

TEST(LastSchedule, IsTheLastThatWasShownWhole) {
  EXPECT_EQ(last_of({3, 2}), schedule_of(2));
  EXPECT_EQ(last_of({2, 20'000}), schedule_of(20'000));
  EXPECT_EQ(last_of({1, 0}), explore::Schedule());
}

TEST(LastSchedule, IsTheDefaultOrderBeforeAnyWasShown) { EXPECT_EQ(last_of({}), explore::Schedule()); }
