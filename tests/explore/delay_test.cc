// What comes later than it is due: orders that nobody has who only lets it come earlier.
#include <gmock/gmock.h>

#include "check/explore/moves.h"
#include "kdpc/cards.h"
#include "kdpc/explore.h"
#include "kdpc/test.h"
#include "lab/explore.h"
#include "wdm.h"

using namespace std::chrono_literals;
using namespace kdpc;
using testing::HasSubstr;

namespace {

void NTAPI count_a_run(PKDPC, PVOID context, PVOID, PVOID) { InterlockedIncrement(static_cast<LONG*>(context)); }

// A DPC is sent to processor 1, and much later something is told there, where it is thought that the DPC has long run.
std::string relies_on_a_fast_ipi(lab::Machine& m) {
  KDPC dpc;
  LONG runs = 0, too_soon = 0;
  volatile LONG told = 0;
  KeInitializeDpc(&dpc, count_a_run, &runs);
  KeSetTargetProcessorDpc(&dpc, 1);
  KeSetImportanceDpc(&dpc, HighImportance);
  const lab::Task other = m.start(1, PASSIVE_LEVEL, [&] {
    while (told == 0) KeStallExecutionProcessor(10);
    too_soon = runs == 0;
  });
  m.on(0, PASSIVE_LEVEL, [&] {
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeStallExecutionProcessor(100);
    told = 1;
  });
  m.run_until([&] { return other.done(); }, 5ms);
  return too_soon == 0 ? "" : "the DPC has not run yet";
}

}  // namespace

TEST(Delay, AnIpiComesBehindWhatItsTargetDoesMeanwhile) {
  RULE("K.EXPLORE-11");
  const lab::ExploreSettings settings = {.processors = 2, .schedules = 0, .bound = 1, .name = "Delay.Ipi"};
  const lab::ExploreResult found = lab::explore(settings, relies_on_a_fast_ipi);
  ASSERT_EQ(found.failure, "the DPC has not run yet") << found.broken << found.coverage;
  EXPECT_THAT(found.report, HasSubstr("1 deviation from the default one:\n"));
  EXPECT_THAT(found.report, HasSubstr(" delay ipi 1\n"));
  EXPECT_THAT(found.report, HasSubstr("> the IPI to processor 1 is late  [cpu"));
  EXPECT_EQ(lab::replay(settings, relies_on_a_fast_ipi, found.schedule).differs, "");
}

// Whatever is delayed, and what else is changed behind that.
KDPC_TEST(Delay, ARunThatIsLearnedFromOrLookedAtAtEachStepIsTheSameRun, .processors = 2, .remember_events = 0) {
  RULE("K.EXPLORE-11");
  cards::CardBoard board;
  board.add(cards::PulseWish{.name = "card", .first = 100'000, .period = 100'000, .count = 6});
  m.attach(board);
  const std::string name = "museum_dpc_two_processors_fixed";
  bool looks = false;
  const lab::Explorer::Part life = [&](lab::Machine& its) {
    std::string why;
    if (looks) lab::invariant("holds", [] { return true; });
    if (!its.load_driver(KDPC_TEST_DRIVERS "/check/" + name + ".drv", why) || !its.start_device("card", name, why)) return why;
    its.run_until([] { return false; }, 3ms);
    return its.unload_driver(name, why) ? std::string() : why;
  };
  std::string why;
  const auto explorer = lab::Explorer::create(m, {life}, why);
  ASSERT_NE(explorer, nullptr) << why;
  const auto moves_where_it_is_the_same = [&](const explore::Schedule& schedule) {
    const lab::Execution quick = explorer->run(schedule);
    EXPECT_EQ(quick.missed, 0u) << text_of(schedule);
    looks = true;
    EXPECT_EQ(explorer->run(schedule).hash, quick.hash) << text_of(schedule);
    looks = false;
    EXPECT_EQ(explorer->run(schedule, true).hash, quick.hash) << text_of(schedule);
    return explore::moves_behind(schedule, explorer->lesson());
  };
  int delays = 0;
  for (const explore::Move& move : moves_where_it_is_the_same({})) {
    const explore::Schedule schedule = with({}, move);
    const std::vector<explore::Move> further = moves_where_it_is_the_same(schedule);
    if (!move.first.delays) continue;
    ++delays;
    for (std::size_t index = 0; index < further.size(); index += 7) moves_where_it_is_the_same(with(schedule, further[index]));
  }
  EXPECT_GT(delays, 4);
}
