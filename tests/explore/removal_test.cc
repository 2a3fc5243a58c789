// A device is removed while its driver is still at work, by a thread that goes on wherever there is room.
#include "check/explore/campaign.h"
#include "kdpc/cards.h"
#include "kdpc/test.h"
#include "lab/explore.h"

using namespace std::chrono_literals;
using namespace kdpc;
using namespace kdpc::test;

namespace {

// Of the number of the first schedule that fails; 0: none of so many does.
std::uint64_t found_with(lab::Machine& m, const std::string& driver, std::uint64_t most) {
  cards::CardBoard board;
  board.add(cards::PulseWish{.name = "card", .first = 150'000, .period = 150'000, .count = 12});
  m.attach(board);
  const auto life = [&](lab::Machine& machine) {
    std::string why;
    if (!machine.load_driver(KDPC_TEST_DRIVERS "/check/museum_" + driver + ".drv", why)) return why;
    if (!machine.start_device("card", "museum_" + driver, why)) return why;
    machine.run_until([] { return false; }, 1ms);
    if (!machine.outcome().over() && !machine.unload_driver("museum_" + driver, why)) return why;
    return std::string();
  };
  std::string why;
  const auto explorer = lab::Explorer::create(m, {life}, why);
  EXPECT_NE(explorer, nullptr) << why;
  explore::Campaign campaign({});
  for (std::uint64_t tried = 1; tried <= most; ++tried) {
    const auto attempt = campaign.next();
    if (!attempt || !explorer->carry_out(*attempt, campaign).failure.empty()) return attempt ? tried : 0;
  }
  return 0;
}

}  // namespace

// The interrupt that it needs comes while the device is being removed, and the work item's thread and the one that removes change processors.
KDPC_TEST(Removal, AWorkItemAndARemovalThatWaitForEachOtherAreFound, .processors = 2) {
  const std::uint64_t number = found_with(m, "flush_under_mutex", 3000);
  EXPECT_GT(number, 1u);
}

KDPC_TEST(Removal, ThoseThatDoNotAreNot, .processors = 2) { EXPECT_EQ(found_with(m, "flush_under_mutex_fixed", 3000), 0u); }
