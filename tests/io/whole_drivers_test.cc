// A driver as one writes it for Windows, compiled unchanged: pulsecard (PnP, StartIo, ISR and DPC, traces, message file, names in any case).
#include <gmock/gmock.h>
#include <wdm.h>

#include <string>

#include "kdpc/test.h"
#include "tests/io/pulse_board.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::PulseBoard;
using testing::HasSubstr;

std::string driver(const char* name) { return std::string(KDPC_TEST_DRIVERS) + "/" + name + ".drv"; }

std::string name;  // of the device to open

struct PulseCard {
  explicit PulseCard(lab::Machine& machine) : m(machine), board({{"pulse"}}) {
    m.attach(board);
    EXPECT_TRUE(m.load_driver(driver("pulsecard"), why, {.settings = {{"Retries", std::uint64_t{5}}}})) << why;
    EXPECT_TRUE(m.start_device("pulse", "pulsecard", why)) << why;
    const auto names = m.device_names("pulsecard");
    EXPECT_EQ(names.size(), 1u);
    if (!names.empty()) name = names.front();
  }
  lab::Machine& m;
  PulseBoard board;
  std::string why;
};

KDPC_TEST(PulseCard, CompletesOneReadPerInterrupt) {
  PulseCard card(m);
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open(name), STATUS_SUCCESS);
    for (ULONG round = 1; round <= 3; ++round) {
      ULONG count = 0;
      KDPC_EXPECT_EQ(file.read(&count, sizeof count).status, STATUS_SUCCESS);
      KDPC_EXPECT_EQ(count, round);
    }
    ULONG counts[4] = {};
    lab::PendingIo pending[4];
    for (int i = 0; i < 4; ++i) pending[i] = file.begin_read(&counts[i], sizeof counts[i]);
    for (int i = 0; i < 4; ++i) KDPC_EXPECT_EQ(pending[i].finish().status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(counts[3], 7u);
    char small[2];
    KDPC_EXPECT_EQ(file.read(small, sizeof small).status, STATUS_BUFFER_TOO_SMALL);
    file.close();
  });
  EXPECT_TRUE(m.unload_driver("pulsecard", card.why)) << card.why;
  ASSERT_EQ(m.debug_lines().size(), 1u);  // nothing was left behind
  EXPECT_THAT(m.debug_lines()[0].text, HasSubstr("pulsecard writes to the error log: code 0x40070001"));
}

KDPC_TEST(PulseCard, SurvivesStoppingRefusalAndBeingPulledOut) {
  PulseCard card(m);
  EXPECT_TRUE(m.ask_to_remove_device("pulse", card.why)) << card.why;
  EXPECT_TRUE(m.stop_device("pulse", card.why)) << card.why;
  EXPECT_TRUE(m.start_device("pulse", "pulsecard", card.why)) << card.why;
  EXPECT_TRUE(m.sleep(card.why)) << card.why;
  EXPECT_TRUE(m.wake(card.why)) << card.why;
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    ULONG count = 0;
    KDPC_EXPECT_EQ(file.open(name), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(file.read(&count, sizeof count).status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_TRUE(m.surprise_remove_device("pulse", card.why)) << card.why;
  EXPECT_TRUE(m.unload_driver("pulsecard", card.why)) << card.why;
}

KDPC_TEST(PulseCard, ReadsCanBeCancelledWaitingOrCurrent) {
  PulseCard card(m);
  m.on(0, PASSIVE_LEVEL, [] {
    // The interrupt is kept away for a while, as by an interrupt handler of the same level elsewhere.
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open(name), STATUS_SUCCESS);
    ULONG counts[3] = {};
    lab::PendingIo pending[3];
    const KIRQL old = KeRaiseIrqlToDpcLevel();  // no DPC completes anything before it is lowered
    for (int i = 0; i < 3; ++i) pending[i] = file.begin_read(&counts[i], sizeof counts[i]);
    KDPC_EXPECT(pending[1].cancel());
    KDPC_EXPECT(pending[0].cancel());
    KeLowerIrql(old);
    KDPC_EXPECT_EQ(pending[0].finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(pending[1].finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(pending[2].finish().status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_TRUE(m.unload_driver("pulsecard", card.why)) << card.why;
}

}  // namespace
}  // namespace kdpc
