// A driver's mistake is shown at its line.
#include <fstream>

#include "kdpc/test.h"

namespace kdpc {

namespace {

// The lines of a driver's source that are marked /* culprit */.
std::vector<int> culprits_in(const std::string& driver) {
  std::ifstream source(KDPC_SOURCE_DIR "/tests/drivers/" + driver + ".c");
  std::vector<int> lines;
  int number = 0;
  for (std::string line; std::getline(source, line);) {
    ++number;
    if (line.find("culprit") != std::string::npos) lines.push_back(number);
  }
  return lines;
}

}  // namespace

KDPC_TEST(DriverFinding, ABugCheckNamesTheLineInTheDriver) {
  std::string why;
  EXPECT_FALSE(m.load_driver(KDPC_TEST_DRIVERS "/bad_bugcheck.drv", why));
  EXPECT_BUGCHECK(0xE2, 1, 2, 3, 4);
  const lab::Bugcheck& stop = *m.outcome().bugcheck;
  EXPECT_EQ(stop.place.image, "bad_bugcheck");
  EXPECT_EQ(stop.place.function, "GiveUp");
  EXPECT_TRUE(stop.place.file.ends_with("bad_bugcheck.c")) << m.outcome().report();
  EXPECT_EQ(std::vector<int>{stop.place.line}, culprits_in("bad_bugcheck"));
  EXPECT_NE(m.outcome().report().find("bad_bugcheck!DriverEntry"), std::string::npos) << m.outcome().report();
}

}  // namespace kdpc
