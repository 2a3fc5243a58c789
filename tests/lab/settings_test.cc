// Settings have names; a name or value that does not exist is refused with a list of those that do.
#include "lab/settings.h"

#include <gtest/gtest.h>

#include "kdpc/lab.h"

using namespace kdpc;
using namespace kdpc::lab;

TEST(Settings, EmptyMeansTheDefaults) {
  const auto options = options_from({});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->irql_checks, Options::IrqlChecks::Strict);
  EXPECT_EQ(options->dpc_queue_depth, 4);
}

TEST(Settings, EachNameSetsItsField) {
  const auto options = options_from({{"irql_checks", "free"},
                                     {"depth_compare", "greater"},
                                     {"remote_ipi", "react_os"},
                                     {"wait_check", "late"},
                                     {"dpc_queue_depth", "7"},
                                     {"dpc_time_limit", "0"},
                                     {"quantum_reset", "36"}});
  ASSERT_TRUE(options.ok()) << options.error().what;
  EXPECT_EQ(options->irql_checks, Options::IrqlChecks::Free);
  EXPECT_EQ(options->depth_compare, Options::DepthCompare::Greater);
  EXPECT_EQ(options->remote_ipi, Options::RemoteIpi::ReactOs);
  EXPECT_EQ(options->wait_check, Options::WaitCheck::Late);
  EXPECT_EQ(options->dpc_queue_depth, 7);
  EXPECT_EQ(options->dpc_time_limit, 0u);
  EXPECT_EQ(options->quantum_reset, 36);
}

TEST(Settings, WhatIsWrittenIsReadAgain) {
  auto settings = settings_of(Options{});
  settings["timer_dpc"] = "queued";
  settings["storm_ticks"] = "99";
  const auto options = options_from(settings);
  ASSERT_TRUE(options.ok()) << options.error().what;
  EXPECT_EQ(settings_of(*options), settings);
}

TEST(Settings, AnUnknownNameIsAnErrorThatListsTheKnown) {
  const auto options = options_from({{"irql_check", "free"}});
  ASSERT_FALSE(options.ok());
  EXPECT_NE(options.error().what.find("no option named 'irql_check'"), std::string::npos) << options.error().what;
  EXPECT_NE(options.error().what.find("irql_checks, depth_compare"), std::string::npos) << options.error().what;
}

TEST(Settings, AnUnknownValueIsAnErrorThatListsTheAllowed) {
  const auto word = options_from({{"irql_checks", "off"}});
  ASSERT_FALSE(word.ok());
  EXPECT_NE(word.error().what.find("strict, checked, free"), std::string::npos) << word.error().what;
  for (const char* text : {"", "four", "4x", "0", "-1", "99999999999999999999"}) {
    const auto number = options_from({{"dpc_queue_depth", text}});
    ASSERT_FALSE(number.ok()) << text;
    EXPECT_NE(number.error().what.find("a whole number from 1 to 2147483647"), std::string::npos) << number.error().what;
  }
}

TEST(Settings, CostsAreNanoseconds) {
  const auto costs = costs_from({{"isr_entry", "500"}});
  ASSERT_TRUE(costs.ok());
  EXPECT_EQ(costs->at("isr_entry"), 500u);
  EXPECT_FALSE(costs_from({{"isr_entry", "0.5"}}).ok());
}

TEST(Settings, AMachineWithAWrongSettingIsNotCreated) {
  std::string why;
  EXPECT_EQ(Machine::create({.options = {{"colour", "red"}}}, why), nullptr);
  EXPECT_NE(why.find("no option named 'colour'"), std::string::npos) << why;
  EXPECT_EQ(Machine::create({.costs = {{"lunch", "10"}}}, why), nullptr);
  EXPECT_NE(why.find("lunch"), std::string::npos) << why;
  EXPECT_EQ(Machine::create({.processors = 65}, why), nullptr);
  EXPECT_NE(why.find("1 to 64"), std::string::npos) << why;
}
