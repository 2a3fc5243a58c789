// What comes from outside at any time, where an order wants it: a card is pulled out, the system sleeps and wakes, an application cancels its requests.
#include <gmock/gmock.h>

#include <set>

#include "check/explore/dpor.h"
#include "kdpc/cards.h"
#include "kdpc/test.h"
#include "lab/explore.h"
#include "wdm.h"

using namespace std::chrono_literals;
using namespace kdpc;
using explore::Deviation;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

// A driver of the museum and its card.
std::string life_of(lab::Machine& m, const std::string& driver) {
  std::string why;
  if (!m.load_driver(KDPC_TEST_DRIVERS "/check/museum_" + driver + ".drv", why)) return why;
  if (m.start_device("card", "museum_" + driver, why)) m.run_until([] { return false; }, 2ms);
  std::string not_unloaded;
  m.unload_driver("museum_" + driver, not_unloaded);
  return why.empty() ? not_unloaded : why;
}
lab::Life life(const std::string& driver) {
  return [driver](lab::Machine& m) -> std::string {
    cards::CardBoard board;
    board.add(cards::PulseWish{.name = "card", .period = 200'000, .count = 4});
    m.attach(board);
    const std::string refused = life_of(m, driver);
    return refused.empty() || lab::made_to_fail() ? lab::left_over(m) : refused;
  };
}

const lab::ExploreSettings kOneMove = {.schedules = 0, .bound = 1};
const lab::ExploreSettings kPulled = {.schedules = 0, .bound = 1, .removal = true};

// One run after the other, each in the order that is asked for.
class Orders {
 public:
  explicit Orders(lab::FromOutside from_outside)
      : machine_(lab::Machine::create({.from_outside = std::move(from_outside), .simulated_only = "explores orders"}, why_)) {
    board_.add(cards::PulseWish{.name = "card", .period = 200'000, .count = 4});
    machine_->attach(board_);
    explorer_ = lab::Explorer::create(*machine_, {[](lab::Machine& m) { return life_of(m, "fifo_count_fixed"); }}, why_);
  }
  lab::Execution run(const explore::Schedule& schedule, bool learn = false) { return explorer_->run(schedule, learn); }
  lab::Explorer& explorer() { return *explorer_; }
  lab::Machine& machine() { return *machine_; }
  // Minor functions of the PnP requests that have come down to the driver's lower device, in their order; queries left out.
  std::vector<std::uint64_t> requests() {
    std::vector<std::uint64_t> minors;
    for (const lab::EventRecord& sent : machine_->events("irp-sent", {{"major", IRP_MJ_PNP}}))
      if (minors.empty() || minors.back() != sent["minor"]) minors.push_back(sent["minor"]);
    return minors;
  }

  // No thread sends a PnP request while another one's is under way.
  bool one_at_a_time() {
    std::vector<std::uint64_t> under_way;
    unsigned thread = 0;
    for (const lab::EventRecord& event : machine_->events()) {
      if (event.name == "irp-sent" && event["major"] == IRP_MJ_PNP) {
        if (!under_way.empty() && event.thread != thread) return false;
        thread = event.thread;
        under_way.push_back(event["irp"]);
      } else if (event.name == "irp-returned" && !under_way.empty() && event["irp"] == under_way.back()) {
        under_way.pop_back();
      }
    }
    return true;
  }

 private:
  std::string why_;
  cards::CardBoard board_;
  std::unique_ptr<lab::Machine> machine_;
  std::unique_ptr<lab::Explorer> explorer_;
};

constexpr std::uint32_t kHand = 1;  // the board behind the card's

}  // namespace

TEST(Hand, EachOfAsManyCardsAsABoardHasMayBePulledOut) {
  std::string why;
  const auto machine = lab::Machine::create({.from_outside = {.removal = true, .power = true}, .simulated_only = "explores orders"}, why);
  ASSERT_NE(machine, nullptr) << why;
  cards::CardBoard board;
  for (unsigned number = 0; number < cards::CardBoard::kMostCards; ++number)
    board.add(cards::PulseWish{.name = "card" + std::to_string(number), .base = 0xFE80'0000 + 0x1000 * number});
  machine->attach(board);
  EXPECT_EQ(machine->hand_comes(0), "the system sleeps and wakes");
  EXPECT_EQ(machine->hand_comes(1), "") << "the first card";
  EXPECT_EQ(machine->hand_comes(2 * cards::CardBoard::kMostCards), "card15 is pulled out");
  EXPECT_TRUE(machine->boards().starts_with("the system sleeps and wakes, card0, card1, ")) << machine->boards();
  EXPECT_TRUE(
      machine->boards().ends_with(", card15, card0 is pulled out, card1 is pulled out, card2 is pulled out, card3 is pulled out, "
                                  "card4 is pulled out, card5 is pulled out, card6 is pulled out, card7 is pulled out, card8 is pulled out, "
                                  "card9 is pulled out, card10 is pulled out, card11 is pulled out, card12 is pulled out, "
                                  "card13 is pulled out, card14 is pulled out, card15 is pulled out"))
      << machine->boards();
}

TEST(Hand, ADriverThatLooksForACardThatIsThereIsFound) {
  EXPECT_EQ(lab::explore(kOneMove, life("quiet_loop")).failure, "");
  const lab::ExploreResult found = lab::explore(kPulled, life("quiet_loop"));
  EXPECT_THAT(found.failure, HasSubstr("an endless loop?")) << found.broken;
  EXPECT_THAT(found.report, HasSubstr("From outside: card is pulled out\n"));
  EXPECT_THAT(found.report, HasSubstr("> card is pulled out"));
  EXPECT_THAT(found.schedule, HasSubstr("\nboards card, card is pulled out\n"));
  const lab::ExploreResult again = lab::replay(kPulled, life("quiet_loop"), found.schedule);
  EXPECT_EQ(again.failure, found.failure);
  EXPECT_EQ(again.differs, "");
  lab::ExploreSettings others = kPulled;
  others.power = true;
  EXPECT_THAT(lab::replay(others, life("quiet_loop"), found.schedule).differs,
              HasSubstr("there are 'the system sleeps and wakes, card, card is pulled out' now, so that 'board N' does not mean the same; "));
}

TEST(Hand, AWayOutThatOnlyAPulledCardTakesIsFound) {
  EXPECT_EQ(lab::explore(kOneMove, life("gone_early_out")).failure, "");
  const lab::ExploreResult found = lab::explore(kPulled, life("gone_early_out"));
  EXPECT_THAT(found.failure, HasSubstr("TIMER_OR_DPC_INVALID")) << found.broken;
}

TEST(Hand, WhoMindsIsNotFound) {
  for (const char* driver : {"quiet_loop_fixed", "gone_early_out_fixed"}) {
    const lab::ExploreResult result = lab::explore(kPulled, life(driver));
    EXPECT_EQ(result.failure + result.broken, "") << result.report;
    EXPECT_TRUE(result.exhausted);
  }
}

TEST(Hand, OnlyThoseThatAreNamedArePulledOut) {
  const auto beside_another = [its = life("quiet_loop")](lab::Machine& m) {
    cards::CardBoard board;
    board.add(cards::PulseWish{.name = "another", .base = 0xFE81'0000});
    m.attach(board);
    return its(m);
  };
  for (const auto& [name, found] : {std::pair("card", true), std::pair("another", false)})
    EXPECT_EQ(lab::explore({.schedules = 0, .bound = 1, .removal = true, .removable = {name}}, beside_another).failed(), found) << name;
}

TEST(Hand, WhoNamesADeviceThatNoBoardHasIsTold) {
  EXPECT_EQ(lab::explore({.schedules = 10, .removal = true, .removable = {"card", "crad"}}, life("quiet_loop_fixed")).broken,
            ".removable names 'crad', and no board that the life attaches has a device of this name");
  EXPECT_EQ(lab::explore({.schedules = 10, .removal = true, .removable = {"card"}}, [](lab::Machine&) { return "it has not begun"; }).failure,
            "it has not begun");
}

TEST(Hand, WhoNamesDevicesAndDoesNotAskForTheirRemovalIsTold) {
  EXPECT_THAT(lab::explore({.removable = {"card"}}, life("quiet_loop")).broken, HasSubstr("say .removal = true"));
}

TEST(Hand, WithoutADeviationTheRunIsTheSame) {
  RULE("K.BUS-5");
  const std::uint64_t without = Orders({}).run({}).hash;
  Orders with({.removal = true});
  EXPECT_EQ(with.run({}).hash, without);
  EXPECT_THAT(with.machine().deeds_of_hand(), IsEmpty());
}

TEST(Hand, PnpHearsOfItAndTellsTheDriverInItsOrder) {
  RULE("K.PNP-1");
  Orders orders({.removal = true});
  const lab::Execution by_default = orders.run({}, true);
  const std::vector<explore::Options> options = orders.explorer().lesson().options;
  std::size_t possible = 0, surprised = 0;
  for (const explore::Options& step : options) {
    const Deviation pulled{Deviation::Kind::Board, step.processor, step.step, kHand};
    if (std::find(step.events.begin(), step.events.end(), pulled) == step.events.end()) continue;
    ++possible;
    const lab::Execution execution = orders.run({pulled});
    EXPECT_EQ(execution.failure, "") << text_of(pulled);
    EXPECT_EQ(execution.missed, 0u);
    EXPECT_THAT(execution.deeds, ElementsAre("From outside: card is pulled out"));
    EXPECT_TRUE(orders.one_at_a_time()) << text_of(pulled);
    const std::vector<std::uint64_t> minors = orders.requests();
    const auto at = [&](std::uint64_t minor) { return std::find(minors.begin(), minors.end(), minor) - minors.begin(); };
    const auto end = static_cast<std::ptrdiff_t>(minors.size());
    if (at(IRP_MN_START_DEVICE) == end) continue;  // it was gone before a driver was asked
    EXPECT_LT(at(IRP_MN_REMOVE_DEVICE), end);
    // Or it was being removed already.
    if (at(IRP_MN_SURPRISE_REMOVAL) == end && at(IRP_MN_QUERY_REMOVE_DEVICE) < at(IRP_MN_REMOVE_DEVICE)) continue;
    ++surprised;
    EXPECT_LT(at(IRP_MN_START_DEVICE), at(IRP_MN_SURPRISE_REMOVAL));
    EXPECT_LT(at(IRP_MN_SURPRISE_REMOVAL), at(IRP_MN_REMOVE_DEVICE));
    if (possible % 16 == 0) EXPECT_EQ(orders.run({pulled}).hash, execution.hash) << text_of(pulled);
  }
  EXPECT_GT(surprised, 50u);
  EXPECT_EQ(orders.run({}).hash, by_default.hash);
}

// What is said to be exhaustive is so without it.
TEST(Hand, TheSearchForEveryOrderDoesNotKnowIt) {
  RULE("K.BUS-5");
  Orders orders({.removal = true});
  explore::Dpor dpor;
  explore::Trail trail;
  for (unsigned tried = 0; tried < 300; ++tried) {
    const auto schedule = dpor.next();
    if (!schedule) break;
    EXPECT_THAT(orders.explorer().run(*schedule, trail).deeds, IsEmpty());
    dpor.learned(trail);
    const auto is_hand = [](const Deviation& one) { return one.kind == Deviation::Kind::Board && one.number == kHand; };
    EXPECT_TRUE(std::none_of(schedule->begin(), schedule->end(), is_hand));
    for (const explore::Transition& transition : trail.transitions())
      EXPECT_THAT(transition.enabled, testing::Not(testing::Contains(explore::Actor{explore::Actor::Kind::Board, kHand})));
  }
  EXPECT_FALSE(dpor.lost_its_way());
}

TEST(Hand, TheSystemSleepsAndWakes) {
  const lab::ExploreSettings awake = {.processors = 2, .schedules = 2000};
  lab::ExploreSettings asleep = awake;
  asleep.power = true;
  EXPECT_EQ(lab::explore(awake, life("sleep_in_flight")).failure, "");
  const lab::ExploreResult found = lab::explore(asleep, life("sleep_in_flight"));
  EXPECT_NE(found.failure, "") << found.broken << found.coverage;
  EXPECT_THAT(found.report, HasSubstr("From outside: the system sleeps and wakes\n"));
  EXPECT_THAT(found.report, HasSubstr("> the system sleeps and wakes"));
  const lab::ExploreResult again = lab::replay(asleep, life("sleep_in_flight"), found.schedule);
  EXPECT_EQ(again.failure, found.failure);
  EXPECT_EQ(again.differs, "");
  EXPECT_EQ(lab::explore(asleep, life("sleep_in_flight_fixed")).failure, "");
}

TEST(Hand, TheButtonIsTheFirstBoardAndDriversHearOfItWhenTheyAreStarted) {
  Orders orders({.power = true});
  orders.run({}, true);
  const std::vector<explore::Options> options = orders.explorer().lesson().options;
  std::size_t possible = 0, heard = 0;
  for (const explore::Options& step : options) {
    const Deviation pressed{Deviation::Kind::Board, step.processor, step.step, 0};
    if (std::find(step.events.begin(), step.events.end(), pressed) == step.events.end()) continue;
    ++possible;
    const lab::Execution execution = orders.run({pressed});
    EXPECT_EQ(execution.failure, "") << text_of(pressed);
    EXPECT_THAT(execution.deeds, ElementsAre("From outside: the system sleeps and wakes"));
    std::string minors;
    for (const lab::EventRecord& sent : orders.machine().events("irp-sent", {{"major", IRP_MJ_POWER}}))
      minors += sent["minor"] == IRP_MN_QUERY_POWER ? 'q' : sent["minor"] == IRP_MN_SET_POWER ? 's' : '.';
    EXPECT_THAT(minors, testing::AnyOf("", "qqssss")) << "each request comes to the driver and to the bus: " << text_of(pressed);
    heard += minors.empty() ? 0 : 1;
    EXPECT_TRUE(orders.one_at_a_time());
  }
  EXPECT_GT(heard, 50u);
  EXPECT_LT(heard, possible);
}

namespace {

// An application reads twice from a driver that keeps requests: one after the other, so that it has one or none on its way.
lab::Life reading(std::uint64_t how, std::function<void(std::size_t, lab::IoResult)> got) {
  return [how, got](lab::Machine& m) -> std::string {
    std::string why;
    if (!m.load_driver(KDPC_TEST_DRIVERS "/check/keeper.drv", why, {.settings = {{"How", how}}})) return why;
    bool is_done = false;
    const lab::Task application = m.start(0, PASSIVE_LEVEL, [&] {
      lab::DeviceFile file;
      KDPC_EXPECT_EQ(file.open("\\\\.\\Keeper"), STATUS_SUCCESS);
      char text[4];
      for (std::size_t round = 0; round < 2; ++round) got(round, file.read(text, sizeof text));
      file.close();
      is_done = true;
    });
    if (!m.run_until([&] { return is_done; }, 1s) && !m.outcome().over()) return lab::did_not_end(), "the application waits for ever";
    if (!m.unload_driver("keeper", why)) return why;
    return lab::left_over(m);
  };
}
void may_be_cancelled(std::size_t, lab::IoResult read) {
  KDPC_EXPECT(read.ok() || (read.status == STATUS_CANCELLED && lab::requests_cancelled()), read.status);
}

const lab::ExploreSettings kCancelled = {.schedules = 0, .bound = 1, .cancel = true};

}  // namespace

TEST(Hand, ACancelRoutineThatRacesWithCompletionIsFound) {
  EXPECT_EQ(lab::explore(kOneMove, reading(1, may_be_cancelled)).failure, "");
  const lab::ExploreSettings settings = {.schedules = 5000, .cancel = true};
  const lab::ExploreResult found = lab::explore(settings, reading(1, may_be_cancelled));
  EXPECT_THAT(found.failure, HasSubstr("MULTIPLE_IRP_COMPLETE_REQUESTS")) << found.broken << found.coverage;
  EXPECT_THAT(found.report, HasSubstr("From outside: the application cancels its requests\n"));
  EXPECT_THAT(found.report, HasSubstr("> the application cancels its requests"));
  const lab::ExploreResult again = lab::replay(settings, reading(1, may_be_cancelled), found.schedule);
  EXPECT_EQ(again.failure, found.failure);
  EXPECT_EQ(again.differs, "");
}

TEST(Hand, ARequestThatIsCancelledAndNeverCompletedIsFound) {
  EXPECT_EQ(lab::explore(kOneMove, reading(2, may_be_cancelled)).failure, "");
  EXPECT_EQ(lab::explore(kCancelled, reading(2, may_be_cancelled)).failure, "the application waits for ever");
}

TEST(Hand, WhoCompletesEachRequestOnceIsNotFound) {
  const lab::ExploreResult result = lab::explore({.processors = 2, .schedules = 3000, .cancel = true}, reading(0, may_be_cancelled));
  EXPECT_EQ(result.failure + result.broken, "") << result.report;
}

TEST(Hand, RequestsAreCancelledOnceAndOnlyWhatTheyReturnIsExcused) {
  bool first_is_cancelled = false;
  std::set<std::size_t> cancelled;
  const auto once = [&](std::size_t round, lab::IoResult read) {
    may_be_cancelled(round, read);
    KDPC_EXPECT(round == 0 || read.ok() || !first_is_cancelled);
    if (round == 0) first_is_cancelled = !read.ok();
    if (!read.ok()) cancelled.insert(round);
  };
  EXPECT_EQ(lab::explore(kCancelled, reading(0, once)).failure, "");
  EXPECT_THAT(cancelled, ElementsAre(0u, 1u));
  const auto strict = [](std::size_t, lab::IoResult read) { KDPC_EXPECT(read.ok()); };
  EXPECT_THAT(lab::explore(kCancelled, reading(0, strict)).failure, HasSubstr("read.ok()"));
}

// It would be a move that changes nothing.
TEST(Hand, NothingIsCancelledWhereNothingIsAskedFor) {
  std::string why;
  const auto machine = lab::Machine::create({.from_outside = {.cancel = true}, .simulated_only = "explores orders"}, why);
  ASSERT_NE(machine, nullptr) << why;
  const auto explorer = lab::Explorer::create(*machine, {reading(0, may_be_cancelled)}, why);
  ASSERT_NE(explorer, nullptr) << why;
  explorer->run({}, true);
  const std::vector<explore::Options> options = explorer->lesson().options;
  std::size_t possible = 0;
  for (const explore::Options& step : options) {
    const Deviation cancels{Deviation::Kind::Board, step.processor, step.step, 0};
    if (std::find(step.events.begin(), step.events.end(), cancels) == step.events.end()) continue;
    ++possible;
    const lab::Execution execution = explorer->run({cancels});
    EXPECT_EQ(execution.failure, "") << text_of(cancels);
    EXPECT_THAT(execution.deeds, ElementsAre("From outside: the application cancels its requests"));
    EXPECT_GE(machine->count("irp-sent", {{"major", IRP_MJ_READ}}), 1u) << text_of(cancels);
  }
  EXPECT_GT(possible, 20u);
  EXPECT_LT(possible, options.size() / 2);
}
