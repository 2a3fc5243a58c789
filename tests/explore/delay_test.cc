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
