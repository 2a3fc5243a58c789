// Every bug check of ours has a meaning, and reads as people know it from a debugger.
#include "tools/kdpc/stop_text.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "kernel/bugcheck.h"

namespace kdpc::tool {
namespace {

// As src/kernel/bugcheck.h has them, "  TimerOrDpcInvalid = 0xC7,": one that is added there must be explained here.
std::vector<std::uint32_t> codes_of_the_kernel() {
  std::ifstream header(KDPC_SOURCE_DIR "/src/kernel/bugcheck.h");
  std::vector<std::uint32_t> codes;
  for (std::string line; std::getline(header, line);)
    if (const auto number = line.find(" = 0x"); line.starts_with("  ") && line.ends_with(",") && number != std::string::npos)
      codes.push_back(static_cast<std::uint32_t>(std::stoul(line.substr(number + 3), nullptr, 16)));
  return codes;
}

lab::Bugcheck stop_of(std::uint32_t code, std::uint64_t first = 0) {
  lab::Bugcheck stop;
  stop.code = code;
  stop.name = name_of_stop(code);
  stop.parameters[0] = first;
  return stop;
}

TEST(StopText, EveryCodeOfTheKernelHasAMeaning) {
  const std::string none = meaning_of(stop_of(0x12345)).about;
  const std::vector<std::uint32_t> codes = codes_of_the_kernel();
  ASSERT_GT(codes.size(), 25u);
  for (const std::uint32_t code : codes)
    for (const std::uint64_t first : {0ull, 1ull, 7ull, 0xffffull}) {
      const StopMeaning meaning = meaning_of(stop_of(code, first));
      EXPECT_NE(meaning.about, none) << std::hex << code;
      EXPECT_FALSE(meaning.about.empty());
      for (const std::string& parameter : meaning.parameters) EXPECT_FALSE(parameter.empty()) << std::hex << code;
      EXPECT_TRUE(meaning.parameters[0] != "Reserved." || code == stop::MaximumWaitObjectsExceeded) << std::hex << code;
    }
}

TEST(StopText, TheFirstParameterChoosesTheMeaning) {
  EXPECT_NE(meaning_of(stop_of(stop::DpcWatchdogViolation, 0)).about, meaning_of(stop_of(stop::DpcWatchdogViolation, 1)).about);
  EXPECT_NE(meaning_of(stop_of(stop::TimerOrDpcInvalid, 0)).about, meaning_of(stop_of(stop::TimerOrDpcInvalid, 1)).about);
}

TEST(StopText, AStopIsAskedForByNameOrNumber) {
  lab::Bugcheck stop = stop_of(stop::DpcWatchdogViolation);
  stop.name = name_of_stop(stop.code);
  for (const char* const wanted : {"DPC_WATCHDOG_VIOLATION", "dpc_watchdog_violation", "0x133", "307"}) {
    EXPECT_TRUE(is_stop_code(wanted)) << wanted;
    EXPECT_TRUE(is_this_stop(wanted, stop)) << wanted;
  }
  EXPECT_FALSE(is_this_stop("0x134", stop));
  for (const char* const wanted : {"", "DPC_WATCHDOG", "0x133x"}) EXPECT_FALSE(is_stop_code(wanted)) << wanted;
}

TEST(StopText, WhatAParameterPointsAtIsNamed) {
  lab::Bugcheck stop = stop_of(stop::HardwareInterruptStorm, 0x1000);
  stop.parameter_places[0] = {0x1000, "nic", "NicIsr", 0, "nic/isr.c", 12};
  EXPECT_NE(stop_text(stop, {}).find("Arg1: 0000000000001000, The (first) ISR. It is nic!NicIsr (nic/isr.c:12).\n"), std::string::npos)
      << stop_text(stop, {});
}

TEST(StopText, ARecursionIsTwoFrames) {
  lab::Bugcheck stop = stop_of(stop::UnexpectedKernelModeTrap, 8);
  stop.stack.assign(30, {0x1010, "nic", "Deeper", 0x10, "", 0});
  EXPECT_NE(stop_text(stop, {}).find("00 0000000000001010 nic!Deeper+0x10\n   and 29 times more, to 1d\n"), std::string::npos) << stop_text(stop, {});
}

TEST(StopText, HasTheShapeOfAnAnalysis) {
  lab::Bugcheck stop = stop_of(stop::DpcWatchdogViolation);
  stop.parameters[1] = 0x501;
  stop.parameters[2] = 0x500;
  stop.sentence = "It ran for too long.";
  stop.rule = "WDG-3";
  stop.processor = 3;
  stop.irql = 2;
  stop.place = {.address = 0x1000, .image = "nic", .function = "NicDpc", .offset = 0x1c, .file = "nic/dpc.c", .line = 88};
  stop.stack = {stop.place};
  const std::string text = stop_text(stop, {"thread 5 \"application\"", true});
  for (const char* const part :
       {"DPC_WATCHDOG_VIOLATION (133)\n", "Arg1: 0000000000000000, ", "Arg2: 0000000000000501, ", "Arg3: 0000000000000500, ",
        "Arg4: 0000000000000000, ", "It ran for too long.", "WDG-3", "nic!NicDpc+0x1c (nic/dpc.c:88)", "PROCESSOR:  3 at IRQL 2 (DISPATCH_LEVEL)",
        "thread 5 \"application\", borrowed", "STACK_TEXT:", "FAILURE_BUCKET_ID:  0x133_nic!NicDpc"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

}  // namespace
}  // namespace kdpc::tool
