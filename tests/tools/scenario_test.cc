// A scenario file becomes a Scenario, or a line with file, line and column for everything that is wrong with it.
#include "tools/kdpc/scenario.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "tools/kdpc/near_name.h"

namespace kdpc::tool {
namespace {

class ScenarioFile : public ::testing::Test {
 protected:
  ScenarioFile() {
    std::string name = (std::filesystem::temp_directory_path() / "kdpc-scenario-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder = name;
  }
  ~ScenarioFile() override { std::filesystem::remove_all(folder); }

  Result<Scenario> read(const std::string& text) {
    std::ofstream(folder / "a.toml") << text;
    return read_scenario(folder / "a.toml");
  }
  // What is said about it, without the folder.
  std::string complaint(const std::string& text) {
    const auto scenario = read(text);
    if (scenario) return "nothing is wrong";
    std::string said = scenario.error().what;
    const std::string prefix = folder.string() + "/";
    for (std::size_t at; (at = said.find(prefix)) != std::string::npos;) said.erase(at, prefix.size());
    return said;
  }

  std::filesystem::path folder;
};

TEST_F(ScenarioFile, SaysHowALiveMachineIsIdle) {
  const auto scenario = read("[machine]\nkind = 'live'\nidle = 'spin'\n");
  ASSERT_TRUE(scenario) << scenario.error().what;
  EXPECT_EQ(scenario->config.idle, lab::Idle::Spin);
  EXPECT_NE(complaint("[machine]\nidle = 'block'\n").find("'machine.idle' is of the live machine only"), std::string::npos);
}

TEST_F(ScenarioFile, HasCardsOfOurOwnAndALineToUse) {
  const auto scenario = read(R"(
[devices.com1]
model = "16550"
baud = 9600
gap_us = 2.5
flow = "rts"
line = 3
[devices.meter]
model = "adc"
conversion_us = 20
stuck_after = 7
line = 3
[workload]
receive = "a.txt"
read_bytes = 10
[expect]
lost_bytes = ">0"
)");
  ASSERT_TRUE(scenario) << scenario.error().what;
  EXPECT_EQ(scenario->sound_card(), nullptr);
  ASSERT_NE(scenario->worked_on(), nullptr);
  const DeviceWanted& line = *scenario->worked_on();
  EXPECT_EQ(line.name, "com1");
  EXPECT_EQ(line.gap_ns, 2500U);
  EXPECT_TRUE(line.obeys_rts);
  EXPECT_EQ(line.line, 3U);
  EXPECT_EQ(scenario->devices[1].conversion_ns, 20'000U);
  EXPECT_EQ(scenario->devices[1].stuck_after, 7U);
  EXPECT_EQ(scenario->workload->baud, 9600U);
  EXPECT_EQ(scenario->workload->read_bytes, 10U);
  EXPECT_TRUE(scenario->expect.lost_bytes->has(1));
}

TEST_F(ScenarioFile, HasCardsThatInterruptByThemselves) {
  const auto scenario = read(R"(
[devices.card]
model = "pulse"
first_us = 2.5
period_us = 7
count = 30
messages = 4
spurious = 1
duplicate = 2
late_us = 1.5
lost = 5
storm = 6
records = 7
torn = 8
piece_us = 0.5
early = "done"
dead_after = 3
line = 2
)");
  ASSERT_TRUE(scenario) << scenario.error().what;
  const DeviceWanted& card = scenario->devices[0];
  const struct {
    const char* key;
    std::uint64_t read, expected;
  } numbers[] = {{"first_us", card.first_ns, 2500},
                 {"period_us", card.period_ns, 7000},
                 {"count", card.count, 30},
                 {"messages", card.messages, 4},
                 {"spurious", card.spurious, 1},
                 {"duplicate", card.duplicate, 2},
                 {"late_us", card.late_ns, 1500},
                 {"lost", card.lost, 5},
                 {"storm", card.storm, 6},
                 {"records", card.records, 7},
                 {"torn", card.torn, 8},
                 {"piece_us", card.piece_ns, 500},
                 {"dead_after", card.dead_after, 3},
                 {"stuck_after", card.stuck_after, ~std::uint64_t{0}},
                 {"line", card.line, 2}};
  for (const auto& [key, read, expected] : numbers) EXPECT_EQ(read, expected) << key;
  EXPECT_EQ(card.early, cards::PulseWish::Early::Done);
  EXPECT_FALSE(card.is_qemus());
}

TEST_F(ScenarioFile, SaysWhatSuchACardCannotBe) {
  EXPECT_EQ(complaint("[devices.card]\nmodel = 'pulse'\nmessages = 3\n"), "a.toml:3:12: 'devices.card.messages' must be 0, 1, 2, 4, 8 or 16, not 3");
  EXPECT_EQ(complaint("[devices.card]\nmodel = 'pulse'\nduplicate = 1\n"),
            "a.toml:3:13: messages are sent twice, and this card has none: give it some, messages = 1");
  EXPECT_EQ(complaint("[devices.card]\nmodel = 'pulse'\ntorn = 1\n"),
            "a.toml:3:8: records are torn, and this card writes none: give it a ring of some, records = 8");
  EXPECT_EQ(complaint("[devices.card]\nmodel = 'pulse'\nrecords = 8\nearly = 'done'\n"),
            "a.toml:4:9: 'early' is of records that are torn, and none is: say how many, torn = 1");
  EXPECT_EQ(complaint("[devices.card]\nmodel = 'pulse'\nrecords = 8\ntorn = 0\npiece_us = 2\n"),
            "a.toml:5:12: 'piece_us' is of records that are torn, and none is: say how many, torn = 1");
  EXPECT_NE(complaint("[devices.card]\nmodel = 'pulse'\nearly = 'bird'\n").find("'devices.card.early'"), std::string::npos);
  EXPECT_NE(complaint("[devices.card]\nmodel = 'pulse'\nstorm = -1\n").find("'devices.card.storm'"), std::string::npos);
  EXPECT_NE(complaint("[devices.card]\nmodel = 'adc'\nlate_us = 1\n").find("there is no key 'late_us'"), std::string::npos);
  EXPECT_NE(complaint("[devices.card]\nmodel = 'pulse'\nconversion_us = 1\n").find("there is no key 'conversion_us'"), std::string::npos);
}

TEST_F(ScenarioFile, HasRoomForSixteenDevicesAndFourOfThemSerialLines) {
  const auto devices = [](int count, const std::string& model) {
    std::string text;
    for (int number = 10; number < 10 + count; ++number) text += "[devices.a" + model + std::to_string(number) + "]\nmodel = '" + model + "'\n";
    return text;
  };
  EXPECT_EQ(complaint(devices(4, "16550") + devices(12, "pulse")), "nothing is wrong");
  EXPECT_EQ(complaint(devices(16, "pulse") + "[devices.sound]\nmodel = 'AC97'\n"), "a.toml:34:9: there is room for 16 devices: leave one out");
  EXPECT_EQ(complaint(devices(5, "16550")), "a.toml:10:9: there is room for 4 serial lines: leave one out");
}

TEST_F(ScenarioFile, HasALineWhoseFarEndIsATerminalInRealTime) {
  const std::string device = "[devices.com1]\nmodel = '16550'\nfar_end = 'pty'\n";
  const std::string live = "[machine]\nkind = 'live'\n", workload = "[workload]\nreceive = 'a.txt'\nhandshake = 'rts'\n";
  const auto scenario = read(live + device + "baud = 7812500\nclock_hz = 125000000\nflow = 'room'\n" + workload);
  ASSERT_TRUE(scenario) << scenario.error().what;
  EXPECT_TRUE(scenario->serial_line()->far_end_is_pty && scenario->serial_line()->obeys_rts && scenario->serial_line()->waits_for_room);
  EXPECT_EQ(scenario->serial_line()->clock, 125'000'000U);
  EXPECT_EQ(scenario->workload->baud, 7'812'500U);
  EXPECT_TRUE(scenario->workload->rts_handshake);
  EXPECT_EQ(complaint(device + workload), "a.toml:3:11: a pseudo terminal is of the host's time: it needs kind = \"live\" in [machine]");
  EXPECT_EQ(complaint(live + "[devices.com1]\nmodel = '16550'\n[devices.com2]\nmodel = '16550'\nfar_end = 'pty'\n" + workload),
            "a.toml:7:11: the application uses the first serial line, and only that one's far end can be a pseudo terminal");
  EXPECT_EQ(complaint(live + "[costs]\nisr_entry = 5\n"),
            "a.toml:3:1: the live machine runs in real time: nothing has a cost that could be set; leave [costs] out, or take kind = \"sim\"");
}

TEST_F(ScenarioFile, SaysEverythingARunNeeds) {
  const auto scenario = read(R"(
title = "A title"
time_limit_ms = 2500.5
[machine]
kind = "sim"
processors = 4
[options]
irql_checks = "free"
dpc_queue_depth = 7
[costs]
isr_entry = 800
[devices.sound]
model = "AC97"
timer_period_us = 250
[[drivers]]
name = "ac97"
device = "sound"
[[drivers]]
file = "other/hog.drv"
parameters = { RunUs = 45000, Name = "x", Loud = true }
[workload]
play = "a.wav"
opens = '\\.\Ac97_0'
period_ms = 5
outstanding = 3
processor = 3
[expect]
dropouts = ">0"
total_ms = "4.5..5.5"
culprit = "hog"
)");
  ASSERT_TRUE(scenario) << scenario.error().what;
  EXPECT_EQ(scenario->title, "A title");
  EXPECT_EQ(scenario->time_limit_ns, 2'500'500'000U);
  EXPECT_EQ(scenario->config.processors, 4U);
  EXPECT_EQ(scenario->config.options, (lab::Settings{{"irql_checks", "free"}, {"dpc_queue_depth", "7"}}));
  EXPECT_EQ(scenario->config.costs, (lab::Settings{{"isr_entry", "800"}}));
  ASSERT_EQ(scenario->devices.size(), 1U);
  EXPECT_EQ(scenario->devices[0].timer_period_us, 250U);
  ASSERT_EQ(scenario->drivers.size(), 2U);
  EXPECT_EQ(scenario->drivers[0].device, "sound");
  EXPECT_EQ(scenario->drivers[1].name, "hog");
  EXPECT_EQ(scenario->drivers[1].file, folder / "other/hog.drv");
  EXPECT_EQ(scenario->drivers[1].parameters.at("RunUs"), RegistryValue(std::uint64_t{45000}));
  EXPECT_EQ(scenario->drivers[1].parameters.at("Name"), RegistryValue("x"));
  EXPECT_EQ(scenario->drivers[1].parameters.at("Loud"), RegistryValue(std::uint64_t{1}));
  ASSERT_TRUE(scenario->workload);
  EXPECT_EQ(scenario->workload->play, folder / "a.wav");
  EXPECT_EQ(scenario->workload->processor, 3U);
  ASSERT_TRUE(scenario->expect.dropouts && scenario->expect.total_ms);
  EXPECT_FALSE(scenario->expect.dropouts->has(0));
  EXPECT_TRUE(scenario->expect.dropouts->has(1));
  EXPECT_TRUE(scenario->expect.total_ms->has(5.5));
  EXPECT_FALSE(scenario->expect.total_ms->has(5.6));
}

TEST_F(ScenarioFile, MayChooseAProfileAndOverrideItsOptions) {
  const auto scenario = read("[machine]\nprofile = \"win7\"\n[options]\nquantum = \"classic\"\n");
  ASSERT_TRUE(scenario) << scenario.error().what;
  EXPECT_EQ(scenario->config.options, (lab::Settings{{"profile", "win7"}, {"quantum", "classic"}}));
  EXPECT_EQ(complaint("[machine]\nprofile = \"win8\"\n"), "a.toml:2:11: 'win8' is no value of 'machine.profile'; did you mean 'win7'?");
}

TEST_F(ScenarioFile, MayExpectEveryIdThatAFindingHas) {
  for (const char* const id : {"lock-order", "dpc-budget", "data-race", "data-race-benign", "data-race-freed", "armed-object-written", "none"})
    EXPECT_EQ(complaint(std::string("[expect]\nfinding = '") + id + "'\n"), "nothing is wrong");
  EXPECT_EQ(complaint("[expect]\nfinding = 'data-rase'\n"),
            "a.toml:2:11: there is no check named 'data-rase'; docs/checks.md has all, and docs/races.md the data races");
}

TEST_F(ScenarioFile, NamesFileLineAndColumnOfAnUnknownKey) {
  EXPECT_EQ(complaint("[machine]\nprocesors = 2\n"), "a.toml:2:1: there is no key 'procesors' in [machine]; did you mean 'processors'?");
  EXPECT_EQ(complaint("[machnie]\n"), "a.toml:1:2: there is no key 'machnie'; did you mean 'machine'?");
  EXPECT_EQ(
      complaint("xyzzy = 1\n"),
      "a.toml:1:1: there is no key 'xyzzy'; there are title, time_limit_ms, duration_ms, machine, options, costs, checks, devices, drivers, workload, "
      "explore and expect");
  EXPECT_EQ(complaint("[expect]\n  xyzzy = 1\n"),
            "a.toml:2:3: there is no key 'xyzzy' in [expect]; there are dropouts, total_ms, lost_bytes, culprit, finding and bugcheck");
}

TEST_F(ScenarioFile, NamesFileLineAndColumnOfAWrongType) {
  EXPECT_EQ(complaint("[machine]\nprocessors = \"two\"\n"),
            "a.toml:2:14: 'machine.processors' must be a whole number from 1 to 64, but this is a string");
  EXPECT_EQ(complaint("machine = 3\n"), "a.toml:1:11: 'machine' must be a table, written [machine], but this is a whole number");
  EXPECT_EQ(complaint("[drivers]\nname = \"x\"\n"), "a.toml:1:1: 'drivers' must be a list of tables, each written [[drivers]], but this is a table");
  EXPECT_EQ(complaint("[[drivers]]\nname = \"x\"\nparameters = { A = [1] }\n"),
            "a.toml:3:20: 'drivers.parameters.A' must be a whole number from 0 (REG_DWORD or REG_QWORD), a string (REG_SZ), true or false, but this "
            "is an array");
}

TEST_F(ScenarioFile, NamesFileLineAndColumnOfAWrongValue) {
  EXPECT_EQ(complaint("[machine]\nprocessors = 65\n"), "a.toml:2:14: 'machine.processors' must be a whole number from 1 to 64, not 65");
  EXPECT_EQ(complaint("[machine]\nkind = \"slm\"\n"), "a.toml:2:8: 'slm' is no value of 'machine.kind'; did you mean 'sim'?");
  EXPECT_EQ(complaint("[options]\nirql_checks = \"lax\"\n"),
            "a.toml:2:15: 'lax' is no value of the option irql_checks; it can be strict, checked, free");
  EXPECT_EQ(complaint("[options]\nirql_check = \"free\"\n"), "a.toml:2:14: there is no key 'irql_check' in [options]; did you mean 'irql_checks'?");
  EXPECT_EQ(complaint("[costs]\nedge = 0\n"),
            "a.toml:2:8: the costs edge, board_poll and spin_turn must be at least 1 ns: without them time could stand still for ever");
  EXPECT_EQ(complaint("[devices.sound]\nmodel = \"AC97\"\nrate = 44100\n"), "a.toml:3:8: an AC97 plays 48000 frames a second, not 44100");
  EXPECT_EQ(complaint("[devices.sound]\nmodel = \"AC97\"\nengine = \"own\"\nline = 3\n"), "nothing is wrong");
  EXPECT_EQ(complaint("[devices.sound]\nmodel = \"intel-hda\"\nengine = \"own\"\n"), "a.toml:3:10: the only sound card of our own is an AC97");
  EXPECT_NE(complaint("[devices.sound]\nmodel = \"AC97\"\nengine = \"own\"\nslot = 4\n").find("there is no key 'slot' in [devices.sound]"),
            std::string::npos);
  EXPECT_EQ(complaint("[workload]\nplay = \"a.wav\"\nopens = \"x\"\nprocessor = 1\n"),
            "a.toml:4:13: 'workload.processor' must be a whole number from 0 to 0, not 1");
}

TEST_F(ScenarioFile, SaysEverythingThatIsWrongAtOnce) {
  EXPECT_EQ(complaint("time_limit_ms = true\n[machine]\nkind = 1\n[[drivers]]\ndevice = \"sound\"\n"),
            "a.toml:1:17: 'time_limit_ms' must be a number from 0.001 to 1000000000, but this is true or false\n"
            "a.toml:3:8: 'machine.kind' must be a string, but this is a whole number\n"
            "a.toml:4:1: 'drivers.name' is missing here: the name of a driver, name = \"hog\", or its file, file = \"hog.drv\"\n"
            "a.toml:5:10: there is no device 'sound'; write a table [devices.sound]");
}

TEST_F(ScenarioFile, SaysWhatIsNotToml) {
  EXPECT_EQ(complaint("[machine\n").substr(0, 35), "a.toml:1:9: this is not TOML: Error");
  EXPECT_EQ(read_scenario(folder / "none.toml").error().what, (folder / "none.toml").string() + ": there is no such scenario file");
}

TEST_F(ScenarioFile, SaysWhichRacesAreLookedForAndWhatVolatileMeansToThem) {
  const lab::Checks usual = read("[machine]\n")->config.checks;
  EXPECT_EQ(usual.races, lab::Checks::Races::Off);
  EXPECT_EQ(usual.memory_model, lab::Checks::MemoryModel::X64);
  EXPECT_FALSE(usual.benign_races);
  EXPECT_FALSE(read("")->faults);
  EXPECT_TRUE(read("[explore]\nfaults = true\n")->faults);
  EXPECT_NE(complaint("[explore]\nfaults = 1\n"), "");
}

TEST_F(ScenarioFile, SaysWhatMayBePulledOutIsAllOrSomeOfItsDevices) {
  constexpr const char* kTwo = "[devices.one]\nmodel = 'pulse'\n[devices.two]\nmodel = 'pulse'\n";
  const std::string driven = kTwo + std::string("[[drivers]]\nname = 'a'\ndevice = 'two'\n");
  const auto pulled = [&](const std::string& removal) {
    const lab::FromOutside outside = read(driven + "[explore]\nremoval = " + removal + '\n')->config.from_outside;
    return std::pair(outside.may_pull_out("one"), outside.may_pull_out("two"));
  };
  EXPECT_FALSE(read(kTwo)->config.from_outside.may_pull_out("one"));
  EXPECT_FALSE(read(kTwo)->config.from_outside.power);
  EXPECT_TRUE(read("[explore]\npower = true\n")->config.from_outside.power);
  EXPECT_FALSE(read(kTwo)->config.from_outside.cancel);
  EXPECT_TRUE(read("[devices.com1]\nmodel = \"16550\"\n[workload]\nreceive = \"a\"\n[explore]\ncancel = true\n")->config.from_outside.cancel);
  EXPECT_EQ(complaint("[explore]\ncancel = true\n"), "a.toml:2:10: there is no [workload], so there is no application to cancel its requests");
  EXPECT_EQ(complaint("[explore]\ncancel = 1\n"), "a.toml:2:10: 'explore.cancel' must be true or false, but this is a whole number");
  EXPECT_NE(complaint("[explore]\ncancels = true\n").find("did you mean 'cancel'?"), std::string::npos);
  EXPECT_EQ(pulled("true"), std::pair(true, true));
  EXPECT_EQ(pulled("false"), std::pair(false, false));
  EXPECT_EQ(pulled("['two']"), std::pair(false, true));
  EXPECT_EQ(pulled("[]"), std::pair(false, false));
  EXPECT_NE(complaint(kTwo + std::string("[explore]\nremoval = ['too']\n")).find("there is no device 'too'; did you mean 'two'?"), std::string::npos)
      << complaint(kTwo + std::string("[explore]\nremoval = ['too']\n"));
  EXPECT_EQ(complaint(driven + "[explore]\nremoval = ['one', 'two']\n"),
            "a.toml:9:11: no driver is given the device 'one', so it is never pulled out");
  EXPECT_NE(complaint("[explore]\nremoval = 1\n").find("'explore.removal' must be true, false or a list of devices"), std::string::npos);
  const auto scenario = read("[checks]\nraces = \"suspected\"\nmemory_model = \"arm64\"\nbenign_races = true\n");
  ASSERT_TRUE(scenario) << scenario.error().what;
  EXPECT_EQ(scenario->config.checks.races, lab::Checks::Races::Suspected);
  EXPECT_EQ(scenario->config.checks.memory_model, lab::Checks::MemoryModel::Arm64);
  EXPECT_TRUE(scenario->config.checks.benign_races);
  EXPECT_EQ(complaint("[checks]\nmemory_model = \"arm\"\nbenign_races = \"yes\"\n"),
            "a.toml:2:16: 'arm' is no value of 'checks.memory_model'; did you mean 'arm64'?\n"
            "a.toml:3:16: 'checks.benign_races' must be true or false, but this is a string");
}

TEST_F(ScenarioFile, TwoDriversCannotHaveOneNameOrOneDevice) {
  EXPECT_EQ(complaint("[devices.s]\nmodel = \"AC97\"\n[[drivers]]\nname = \"a\"\ndevice = \"s\"\n[[drivers]]\nname = \"a\"\ndevice = \"s\"\n"),
            "a.toml:7:8: a driver named 'a' is in this scenario already; give this one another name\n"
            "a.toml:8:10: the device 's' has another driver already");
}

TEST_F(ScenarioFile, AnExpectedCulpritMustBeThere) {
  const std::string drivers = "[[drivers]]\nname = \"hog\"\n[workload]\nplay = \"a.wav\"\n[expect]\n";
  EXPECT_EQ(complaint(drivers + "culprit = \"hgo\"\n"), "a.toml:6:11: 'hgo' is no driver of this scenario; did you mean 'hog'?");
  EXPECT_TRUE(read(drivers + "culprit = \"none\"\n"));
  EXPECT_EQ(complaint(drivers + "culprit = \"neighbour\"\n"), "a.toml:6:11: 'neighbour' is no driver of this scenario; there are hog, nt and none");
}

TEST(Ranges, AreNumbersBoundsOrIntervals) {
  EXPECT_TRUE(range_from("3")->has(3));
  EXPECT_FALSE(range_from("3")->has(3.1));
  EXPECT_FALSE(range_from(">0")->has(0));
  EXPECT_TRUE(range_from("> 0.5")->has(0.6));
  EXPECT_TRUE(range_from(">=2")->has(2));
  EXPECT_TRUE(range_from("2..5")->has(5));
  EXPECT_FALSE(range_from("2 .. 5.25")->has(5.26));
  for (const char* const wrong : {"", "x", ">", "5..2", "1..", "2,5", "1..2..3"}) EXPECT_FALSE(range_from(wrong)) << wrong;
}

TEST(NearName, IsTheOneThatWasMeantOrNone) {
  const std::vector<std::string> words = {"processors", "period_ms", "outstanding"};
  EXPECT_EQ(nearest("procesors", words), "processors");
  EXPECT_EQ(nearest("period", words), "period_ms");
  EXPECT_EQ(nearest("Outstanding", words), "outstanding");
  EXPECT_EQ(nearest("volume", words), "");
  EXPECT_EQ(distance("abcd", "acbd"), 1U);
}

}  // namespace
}  // namespace kdpc::tool
