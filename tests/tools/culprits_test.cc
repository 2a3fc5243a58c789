// Who is blamed is who was waited for, for as long as he was waited for; and the report says so.
#include "tools/kdpc/culprits.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/trace/synthetic.h"

namespace kdpc::tool {
namespace {

using kdpc::test::in_world;
using kdpc::test::Speaker;

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint8_t kDispatch = 2, kDevice = 9;
const Address kAudioDpc = in_world(0x1000), kHogDpc = in_world(0x2000), kLurkerDpc = in_world(0x3000), kAudioIsr = in_world(0x1100),
              kOtherIsr = in_world(0x4000);
const Address kInterrupt = in_world(0x5000);

RoutineName name_of(std::uintptr_t routine) {
  if (routine == kAudioDpc.value) return {"sound", "AudioDpc", "sound.c", 10};
  if (routine == kHogDpc.value) return {"hog", "HogDpc", "hog.c", 20};
  if (routine == kLurkerDpc.value) return {"lurker", "LurkerDpc", "", 0};
  return {"other", "Other", "", 0};
}

// A DPC of the sound driver that waited.
DpcRun late_run(std::uint64_t queued, const std::vector<Wait>& waits) {
  DpcRun run;
  run.routine = kAudioDpc.value;
  run.queued = run.allowed = queued;
  run.began = queued;
  for (const Wait& wait : waits) {
    run.began += wait.nanoseconds;
    if (wait.masked) run.allowed += wait.nanoseconds;
  }
  run.ended = run.began + 3000;
  run.waits = waits;
  return run;
}

Wait behind(Address routine, std::uint64_t nanoseconds) { return {{Holder::What::Dpc, routine.value, 0}, nanoseconds, false}; }

Report report_with(std::initializer_list<std::pair<double, double>> dropouts) {
  Report report;
  report.verdict = Verdict::Dropouts;
  report.sound.emplace();
  report.sound->rate = 48000;
  for (const auto& [at_ms, length_ms] : dropouts) {
    DropoutReport each;
    each.source_ms = each.played_ms = at_ms;
    each.length_ms = length_ms;
    report.sound->dropouts.push_back(each);
    report.sound->total_ms += length_ms;
  }
  return report;
}

TEST(Culprits, TheOneWhoWasWaitedForIsBlamedNotTheOneWhoRanLongest) {
  Report report = report_with({{100, 12}});
  LatenessEvidence evidence;
  evidence.audio_dpcs = {late_run(60 * kMs, {behind(kHogDpc, 41 * kMs), behind(kLurkerDpc, 1 * kMs)}),
                         late_run(300 * kMs, {behind(kLurkerDpc, 2 * kMs)})};
  evidence.buffered_ns = 40 * kMs;
  RoutineLatency lurker;
  lurker.kind = ActivityKind::Dpc;
  lurker.routine = kLurkerDpc.value;
  for (int i = 0; i < 1000; ++i) lurker.exclusive.add(1 * kMs);
  RoutineLatency hog;
  hog.kind = ActivityKind::Dpc;
  hog.routine = kHogDpc.value;
  hog.exclusive.add(45 * kMs);
  find_culprits(report, evidence, {lurker, hog}, name_of);
  ASSERT_EQ(report.culprits.size(), 1u);
  EXPECT_EQ(report.culprits[0].name.text(), "hog!HogDpc");
  EXPECT_EQ(report.culprits[0].delayed_ns, 41 * kMs);
  EXPECT_EQ(report.culprits[0].ran_ns, 45 * kMs);
  EXPECT_EQ(report.culprits[0].dropouts, 1u);
  ASSERT_TRUE(report.sound->dropouts[0].chain);
  EXPECT_EQ(report.sound->dropouts[0].chain->began_ns, 102 * kMs);
}

TEST(Culprits, EachDropoutHasItsOwn) {
  Report report = report_with({{100, 12}, {500, 5}, {900, 13}});
  LatenessEvidence evidence;
  evidence.audio_dpcs = {late_run(60 * kMs, {behind(kHogDpc, 42 * kMs)}), late_run(460 * kMs, {behind(kLurkerDpc, 35 * kMs)}),
                         late_run(860 * kMs, {behind(kHogDpc, 43 * kMs)})};
  evidence.buffered_ns = 40 * kMs;
  find_culprits(report, evidence, {}, name_of);
  ASSERT_EQ(report.culprits.size(), 2u);
  EXPECT_EQ(report.culprits[0].name.driver, "hog");
  EXPECT_EQ(report.culprits[0].dropouts, 2u);
  EXPECT_EQ(report.culprits[1].name.driver, "lurker");
  EXPECT_EQ(report.sound->dropouts[1].culprit, 1u);
}

TEST(Culprits, NobodyIsBlamedForWhatTheWaitDoesNotExplain) {
  Report report = report_with({{100, 12}});
  LatenessEvidence evidence;
  evidence.audio_dpcs = {late_run(90 * kMs, {behind(kHogDpc, 2 * kMs)}), late_run(900 * kMs, {behind(kHogDpc, 50 * kMs)})};
  evidence.buffered_ns = 40 * kMs;
  find_culprits(report, evidence, {}, name_of);
  EXPECT_TRUE(report.culprits.empty());
}

TEST(ChainWaits, AnInterruptsWaitIsChargedToWhoHadTheProcessor) {
  ChainWaits waits(1, [](std::uintptr_t routine) { return routine == kAudioIsr.value; });
  Speaker speaker{waits};
  speaker.at(0, InterruptConnected{kInterrupt, kAudioIsr, 0x92, true});
  speaker.irql = 11;
  speaker.at(10 * kMs, ActivityBegan{ActivityKind::Isr, 11, kOtherIsr, in_world(0x6000)});
  speaker.at(12 * kMs, InterruptRequested{0x92, 0});
  speaker.at(15 * kMs, ActivityEnded{ActivityKind::Isr, true, kOtherIsr, in_world(0x6000)});
  speaker.irql = kDevice;
  speaker.at(16 * kMs, ActivityBegan{ActivityKind::Isr, kDevice, kAudioIsr, kInterrupt});
  EXPECT_TRUE(waits.inside_an_activity(0));
  ASSERT_EQ(waits.waits().size(), 1u);
  const ChainWait& wait = waits.waits()[0];
  EXPECT_EQ(wait.who, ChainWait::Who::Interrupt);
  EXPECT_EQ(wait.ended - wait.began, 4 * kMs);
  ASSERT_EQ(wait.occupants.size(), 2u);
  EXPECT_EQ(wait.occupants[0].first.routine, kOtherIsr.value);
  EXPECT_EQ(wait.occupants[0].second, 3 * kMs);
  EXPECT_FALSE(wait.occupants[1].first.kind);
}

TEST(ChainWaits, TheApplicationsWaitIsThatOfTheProcessorOnWhichItThenRan) {
  ChainWaits waits(2, [](std::uintptr_t) { return false; });
  waits.application_is(10);
  Speaker first{waits, 0}, second{waits, 1};
  first.irql = second.irql = kDispatch;
  first.at(1 * kMs, ActivityBegan{ActivityKind::Dpc, kDispatch, kHogDpc, in_world(0x100)});
  second.at(1 * kMs, ActivityBegan{ActivityKind::Dpc, kDispatch, kLurkerDpc, in_world(0x200)});
  first.at(2 * kMs, ThreadReadied{10, 0, 8});
  second.at(5 * kMs, ActivityEnded{ActivityKind::Dpc, true, kLurkerDpc, in_world(0x200)});
  first.at(9 * kMs, ActivityEnded{ActivityKind::Dpc, true, kHogDpc, in_world(0x100)});
  first.at(9 * kMs, ThreadSwitched{1, 10, WaitReason::Executive});
  ASSERT_EQ(waits.waits().size(), 1u);
  EXPECT_EQ(waits.waits()[0].processor, 0u);
  ASSERT_EQ(waits.waits()[0].occupants.size(), 1u);
  EXPECT_EQ(waits.waits()[0].occupants[0].first.routine, kHogDpc.value);
  EXPECT_EQ(waits.waits()[0].occupants[0].second, 7 * kMs);
}

TEST(Culprits, WhoStarvedTheApplicationIsBlamedIfThatWasTheLongerWait) {
  Report report = report_with({{200, 60}});
  LatenessEvidence evidence;
  evidence.audio_dpcs = {late_run(150 * kMs, {behind(kHogDpc, 1 * kMs)})};
  const std::vector<ChainWait> waits = {{ChainWait::Who::Application, 0, 100 * kMs, 250 * kMs, {{{ActivityKind::Dpc, kLurkerDpc.value}, 150 * kMs}}}};
  evidence.waits = &waits;
  evidence.buffered_ns = 40 * kMs;
  find_culprits(report, evidence, {}, name_of);
  ASSERT_EQ(report.culprits.size(), 1u);
  EXPECT_EQ(report.culprits[0].name.driver, "lurker");
}

TEST(Report, ItsJsonHasWhatProgramsRelyOn) {
  Report report = report_with({{100, 12}});
  LatenessEvidence evidence;
  evidence.audio_dpcs = {late_run(60 * kMs, {behind(kHogDpc, 42 * kMs)})};
  evidence.buffered_ns = 40 * kMs;
  find_culprits(report, evidence, {}, name_of);
  report.trace_hash = 0xabc;
  report.routines = {{"ISR", name_of(kAudioIsr.value), 0, 3, 3, 10, 20, 10, 5}, {"timer DPC", name_of(kHogDpc.value), 1, 1, 0, 10, 20, 10, 5}};
  const nlohmann::ordered_json json = to_json(report);
  EXPECT_EQ(json["verdict"], "dropouts");
  EXPECT_EQ(json["dropouts"]["count"], 1);
  EXPECT_DOUBLE_EQ(json["dropouts"]["total_ms"].get<double>(), 12);
  EXPECT_EQ(json["culprit"]["driver"], "hog");
  EXPECT_EQ(json["culprit"]["routine"], "HogDpc");
  EXPECT_DOUBLE_EQ(json["culprit"]["victim"]["allowed_to_started_us"].get<double>(), 42000);
  EXPECT_EQ(json["trace_hash"], "0000000000000abc");
  ASSERT_EQ(json["isrs"].size(), 1u);
  ASSERT_EQ(json["dpcs"].size(), 1u);
  for (const char* const key : {"driver", "routine", "processor", "count", "max_us", "total_us"}) EXPECT_TRUE(json["dpcs"][0].contains(key)) << key;
  EXPECT_EQ(to_json(Report{})["verdict"], "clean");
  EXPECT_TRUE(to_json(Report{})["culprit"]["driver"].is_null());
}

TEST(Report, ItsTextBeginsWithTheVerdict) {
  Report report = report_with({{100, 12}});
  report.sentence = "1 drop-out.";
  EXPECT_TRUE(to_text(report).starts_with("1 drop-out.\n"));
}

TEST(Report, MarksWhatRanLongerThanIsAdvised) {
  Report report;
  report.routines = {{"DPC", {"nic", "NicDpc", "", 0}, 0, 1, 0, 100'000, 100'000, 100'000, 0, false}};
  EXPECT_EQ(to_text(report).find('!', to_text(report).find("NicDpc")), std::string::npos);
  report.routines[0].longer_than_advised = true;
  EXPECT_NE(to_text(report).find("  !\n  !  longer than Microsoft advises: 25 us for an ISR, 100 us for a DPC\n"), std::string::npos)
      << to_text(report);
}

}  // namespace
}  // namespace kdpc::tool
