// The example driver hda, built for checks: nothing races with its card's being pulled out.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/examples/sound_card.h"

using namespace std::chrono_literals;
using namespace kdpc;

namespace {

struct Controller : test::SoundCard {
  explicit Controller(lab::Machine& m)
      : SoundCard(m, {{.driver = "intel-hda", .name = "hda", .options = "msi=on"},
                      {.driver = "hda-output", .name = "", .options = "audiodev=sound,mixer=off"}}) {
    works = has_board() && m.load_driver(KDPC_TEST_DRIVERS "/check/hda.drv", why) && m.start_device("hda", "hda", why);
  }
};

}  // namespace

KDPC_TEST(HdaRace, NothingRacesWithItsBeingPulledOut, .processors = 2, .checks = {.races = lab::Checks::Races::Certain}) {
  const Controller controller(m);
  ASSERT_TRUE(controller.works) << controller.why;
  const lab::Task application = m.start(1, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\\\.\\Hda0"), STATUS_SUCCESS);
    while (file.write("too short for a frame", 1).status == STATUS_INVALID_PARAMETER) continue;
    file.close();
  });
  m.run_for(1ms);
  std::string why;
  EXPECT_TRUE(m.surprise_remove_device("hda", why)) << why;
  EXPECT_TRUE(m.run_until([&] { return application.done(); }, 1s));
  EXPECT_TRUE(m.unload_driver("hda", why)) << why;
}
