// Every rule has a driver that breaks it, found with the rule's id at the line marked `culprit`, and a twin that does the same properly, of which
// the checks say nothing at all.
#include <gmock/gmock.h>
#include <wdm.h>

#include <filesystem>
#include <fstream>

#include "kdpc/test.h"

namespace {

namespace fs = std::filesystem;
using kdpc::lab::Machine;
using namespace std::chrono_literals;

const std::string kSources = KDPC_SOURCE_DIR "/tests/rules/drivers/";

// The line marked `culprit` in the source; 0: none.
int culprit_in(const std::string& source) {
  std::ifstream file(kSources + source + ".c");
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.find("/* culprit */") != std::string::npos) return number;
  }
  return 0;
}

// Loads the driver, interrupts at vector 0x51, reads from its device if it has made one, lets time pass, unloads it.
void use(Machine& m, const std::string& driver) {
  std::string why;
  const auto goes_on = [&] { return !m.outcome().over(); };
  EXPECT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/" + driver + ".drv", why) || !goes_on()) << why;
  for (int i = 0; i < 3 && goes_on(); ++i) {
    m.send_message(0x51);
    m.run_for(1ms);
  }
  if (goes_on() && !m.device_names(driver).empty()) {
    const std::string name = m.device_names(driver).front();
    m.on(0, PASSIVE_LEVEL, [name] {
      char buffer[16];
      kdpc::lab::DeviceFile file;
      KDPC_EXPECT(file.open(name) >= 0);
      file.read(buffer, sizeof buffer);
      file.read(buffer, sizeof buffer);
      file.close();
    });
  }
  if (goes_on()) m.run_for(100ms);
  if (!goes_on()) return;
  EXPECT_TRUE(m.unload_driver(driver, why) || !goes_on()) << why;
}

// Of <id>.c, or of <id>__<kind>.c where a mistake has more than one kind.
std::string id_of(std::string source) {
  source = source.substr(0, source.find("__"));
  std::replace(source.begin(), source.end(), '_', '-');
  return source;
}

std::vector<std::string> sources() {
  std::vector<std::string> all;
  for (const auto& entry : fs::directory_iterator(kSources))
    if (entry.path().extension() == ".c") all.push_back(entry.path().stem().string());
  std::sort(all.begin(), all.end());
  return all;
}

class Twins : public ::testing::TestWithParam<std::string> {};

void the_bad_one(Machine& m, const std::string& source) {
  use(m, source + "_bad");
  EXPECT_FINDING(id_of(source));
  for (const kdpc::lab::Finding& finding : m.findings()) {
    if (finding.id != id_of(source)) continue;
    EXPECT_EQ(finding.place.image, source + "_bad");
    EXPECT_THAT(finding.place.file, ::testing::EndsWith(source + ".c"));
    EXPECT_EQ(finding.place.line, culprit_in(source)) << finding.report();
    EXPECT_FALSE(finding.fix.empty());
    const bool is_an_error = !finding.advice && !m.outcome().bugcheck;
    if (is_an_error) {
      EXPECT_EQ(m.outcome().how, kdpc::lab::Ended::Finding);
      EXPECT_EQ(m.findings().size(), 1u) << "an error ends the run at once";
    }
  }
}

TEST_P(Twins, TheMistakeIsFoundAtItsLine) {
  kdpc::test::Session session({.processors = 2}, __FILE__, __LINE__);
  ASSERT_NE(session.machine(), nullptr);
  the_bad_one(*session.machine(), GetParam());
}

TEST_P(Twins, OfTheProperOneNothingIsSaid) {
  kdpc::test::Session session({.processors = 2}, __FILE__, __LINE__);
  ASSERT_NE(session.machine(), nullptr);
  use(*session.machine(), GetParam() + "_good");
  EXPECT_NO_FINDINGS();
  for (const kdpc::lab::Finding& finding : session.machine()->findings()) ADD_FAILURE() << finding.report();
}

INSTANTIATE_TEST_SUITE_P(Rules, Twins, ::testing::ValuesIn(sources()), [](const auto& twin) { return twin.param; });

// With -keep-going- the run goes on after an error, and finds it once, however often it happens.
TEST(Checks, KeepGoingWhenToldTo) {
  kdpc::test::Session session({.processors = 2, .checks = {.keep_going = true}}, __FILE__, __LINE__);
  Machine& m = *session.machine();
  use(m, "complete_under_lock_bad");
  EXPECT_FINDING("complete-under-lock");
  EXPECT_FALSE(m.outcome().over());
  ASSERT_EQ(m.findings().size(), 1u);
  EXPECT_EQ(m.findings()[0].count, 2u);
}

TEST(Checks, ARuleThatIsOffSaysNothing) {
  kdpc::test::Session session({.processors = 2, .checks = {.off = {"lock-order"}}}, __FILE__, __LINE__);
  use(*session.machine(), "lock_order_bad");
  EXPECT_TRUE(session.machine()->findings().empty());
}

TEST(Checks, NoneListenWhenTheyAreOff) {
  kdpc::test::Session session({.processors = 2, .checks = {.on = false}}, __FILE__, __LINE__);
  use(*session.machine(), "lock_order_bad");
  EXPECT_TRUE(session.machine()->findings().empty());
}

TEST(Checks, WhatDoesNotExistIsAnErrorThatSaysSo) {
  std::string why;
  EXPECT_EQ(Machine::create({.checks = {.off = {"lock-oder"}}}, why), nullptr);
  EXPECT_THAT(why, ::testing::HasSubstr("lock-oder"));
  EXPECT_EQ(Machine::create({.checks = {.limits = {{"dcp", "1"}}}}, why), nullptr);
  EXPECT_THAT(why, ::testing::HasSubstr("dcp"));
}

// Both sides, with their stacks and levels, the verdict first.
TEST(Checks, AReportNamesBothSides) {
  kdpc::test::Session session({.processors = 2}, __FILE__, __LINE__);
  Machine& m = *session.machine();
  use(m, "lock_order_bad");
  EXPECT_FINDING("lock-order");
  const std::string report = m.outcome().report();
  EXPECT_THAT(report, ::testing::StartsWith("finding lock-order: The spin lock lock_order_bad!Queue is taken while lock_order_bad!Device is held"));
  EXPECT_THAT(report, ::testing::HasSubstr("0xc4 DRIVER_VERIFIER_DETECTED_VIOLATION (0x1001)"));
  EXPECT_THAT(report, ::testing::HasSubstr("DPC lock_order_bad!TakeInDpc"));
  EXPECT_THAT(report, ::testing::HasSubstr("lock_order_bad!DriverEntry"));
  EXPECT_THAT(report, ::testing::HasSubstr("The usual fix: Take the locks in one order"));
  const kdpc::lab::Finding finding = *m.outcome().finding;
  ASSERT_EQ(finding.parties.size(), 4u);
  for (const kdpc::lab::Party& party : finding.parties) {
    EXPECT_EQ(party.irql, 2u);
    EXPECT_FALSE(party.stack.empty());
  }
}

}  // namespace
