// Schedules a second: the whole life of a driver, from loading to unloading, in one order after another, as a campaign asks for them; going back included.
#include "figures.h"

#include <filesystem>
#include <optional>

#include "check/explore/campaign.h"
#include "kdpc/cards.h"
#include "lab/explore.h"

namespace kdpc {

namespace {

using namespace std::chrono_literals;

std::string file_of(const std::string& driver) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "drivers" / (driver + ".drv")).string();
}

// A machine with a driver's check variant and its card. Nobody hears of accesses, or of anything, but who is wanted.
struct Stage {
  enum class Heard { Nothing, Rules, Races };
  explicit Stage(benchmark::State& state, const char* its_driver, Heard heard) : driver(its_driver) {
    std::string why;
    lab::Config config{.processors = 2, .remember_events = 0, .hash = false};
    config.checks.on = heard != Heard::Nothing;
    config.checks.races = heard == Heard::Races ? lab::Checks::Races::Certain : lab::Checks::Races::Off;
    board.add(cards::PulseWish{.name = "card", .first = 20'000, .period = 20'000, .count = 4});
    machine = lab::Machine::create(config, why);
    if (machine == nullptr) {
      state.SkipWithError(why.c_str());
    } else {
      machine->attach(board);
    }
  }

  std::string load(lab::Machine& m) const {
    std::string why;
    return m.load_driver(file_of(driver), why) ? std::string() : why;
  }
  std::string start(lab::Machine& m) const {
    std::string why;
    return m.start_device("card", driver, why) ? std::string() : why;
  }
  static std::string go_on(lab::Machine& m) {
    m.run_until([] { return false; }, 1ms);
    return {};
  }
  std::string end(lab::Machine& m) const {
    std::string why;
    return m.unload_driver(driver, why) ? std::string() : why;
  }

  std::string driver;
  cards::CardBoard board;
  std::unique_ptr<lab::Machine> machine;  // goes before its board
};

void schedules(benchmark::State& state, const char* driver, Stage::Heard heard) {
  const Stage stage(state, driver, heard);
  if (stage.machine == nullptr) return;
  std::string why;
  lab::Explorer::Life life = {[&](lab::Machine& m) { return stage.load(m); }, [&](lab::Machine& m) { return stage.start(m); }, Stage::go_on,
                              [&](lab::Machine& m) { return stage.end(m); }};
  const auto explorer = lab::Explorer::create(*stage.machine, std::move(life), why);
  if (explorer == nullptr) return state.SkipWithError(why.c_str());
  std::optional<explore::Campaign> campaign;
  const auto one = [&] {
    if (!campaign) campaign.emplace(explore::CampaignSettings{});
    const auto attempt = campaign->next();
    return explorer->carry_out(*attempt, *campaign).failure;
  };
  one();  // the first loads the driver's file
  for (auto _ : state)
    if (const std::string failure = one(); !failure.empty()) return state.SkipWithError(failure.c_str());
}

// The floor: the machine goes back, and what lies behind START is done in its own order, with nobody who looks at it.
void lives(benchmark::State& state, const char* driver) {
  const Stage stage(state, driver, Stage::Heard::Nothing);
  if (stage.machine == nullptr) return;
  lab::Machine& m = *stage.machine;
  std::string why = stage.load(m);
  if (why.empty()) why = stage.start(m);
  if (!why.empty()) return state.SkipWithError(why.c_str());
  const auto mark = m.mark(why);
  for (auto _ : state) {
    m.rewind(*mark);
    Stage::go_on(m);
    if (why = stage.end(m); !why.empty()) return state.SkipWithError(why.c_str());
  }
}

// Only that.
void rewinds(benchmark::State& state) {
  const Stage stage(state, "explored_short", Stage::Heard::Races);
  if (stage.machine == nullptr) return;
  std::string why = stage.load(*stage.machine);
  if (why.empty()) why = stage.start(*stage.machine);
  if (!why.empty()) return state.SkipWithError(why.c_str());
  const auto mark = stage.machine->mark(why);
  for (auto _ : state) {
    stage.machine->run_for(10us);
    stage.machine->rewind(*mark);
  }
}

void lives_short(benchmark::State& state) { lives(state, "explored_short"); }
void lives_long(benchmark::State& state) { lives(state, "explored_long"); }
void schedules_short(benchmark::State& state) { schedules(state, "explored_short", Stage::Heard::Rules); }
void schedules_long(benchmark::State& state) { schedules(state, "explored_long", Stage::Heard::Rules); }
void races_short(benchmark::State& state) { schedules(state, "explored_short", Stage::Heard::Races); }
void races_long(benchmark::State& state) { schedules(state, "explored_long", Stage::Heard::Races); }

BENCHMARK(rewinds);
BENCHMARK(lives_short);
BENCHMARK(lives_long);
BENCHMARK(schedules_short);
BENCHMARK(schedules_long);
BENCHMARK(races_short);
BENCHMARK(races_long);

}  // namespace

}  // namespace kdpc

int main(int argc, char** argv) {
  return kdpc::bench::run(
      argc, argv,
      {
          {"explore.short", "a schedule of a life of 100 accesses, going back included, with the rule checks", "schedules_short", "lives_short"},
          {"explore.short.races", "the same, looked at for data races too", "races_short", "lives_short"},
          {"explore.long", "a schedule of a life of 10,000 accesses", "schedules_long", "lives_long"},
          {"explore.long.races", "the same, looked at for data races too", "races_long", "lives_long"},
      });
}
