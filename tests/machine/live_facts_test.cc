// What processors that run at once state is told in order, and what finds no room is counted.
#include <cstdio>
#include <string>
#include <variant>

#include "tests/machine/inside.h"

namespace kdpc {

using namespace inside;

namespace {

// Counts Stalled facts with a given mark, and sees whether time ever goes back.
class Counter : public EventSink {
 public:
  Counter() { host::add_sink(*this); }
  ~Counter() override { host::remove_sink(*this); }
  void event(const Stamp& stamp, const Event& event) override {
    if (stamp.time < last_) ++out_of_order;
    last_ = stamp.time;
    if (std::holds_alternative<Stalled>(event)) ++told[stamp.processor];
  }
  std::uint64_t told[2] = {}, out_of_order = 0;

 private:
  std::uint64_t last_ = 0;
};

constexpr unsigned kMany = 60'000;  // more than there is room for between two looks of the host

void state_many() {
  for (unsigned index = 0; index < kMany; ++index) Machine::observe(Stalled{0});
}

}  // namespace

TEST(LiveFacts, FactsOfAllProcessorsAreToldInOrderOfTimeAndNoneIsLostBelowSynch) {
  const World world({.processors = 2});
  Counter counter;
  const auto first = start(0, Irql::Dispatch, state_many);
  const auto second = start(1, Irql::Passive, state_many);
  EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, 20 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(counter.told[0] + counter.told[1], 2 * kMany);
  EXPECT_EQ(counter.out_of_order, 0u);
  EXPECT_EQ(host::facts_lost(), 0u);
}

namespace {

// Each text says which it is, in a hundred characters.
class Reader : public EventSink {
 public:
  Reader() { host::add_sink(*this); }
  ~Reader() override { host::remove_sink(*this); }
  void event(const Stamp&, const Event& event) override {
    const auto* printed = std::get_if<DebugPrinted>(&event);
    if (printed == nullptr) return;
    const std::string text(printed->text, printed->length);
    if (text.size() == 100 && std::stoul(text) == read) ++read;
  }
  std::uint64_t read = 0;
};

}  // namespace

TEST(LiveFacts, TextsThatFillTheirRoomBeforeTheFactsDoAreNotLostBelowSynch) {
  const World world;
  Reader reader;
  constexpr unsigned kTexts = 5'000;
  const auto printing = start(0, Irql::Passive, [] {
    for (unsigned index = 0; index < kTexts; ++index) {
      char text[101];
      std::snprintf(text, sizeof text, "%-100u", index);
      Machine::observe(DebugPrinted{text, 100});
    }
  });
  EXPECT_EQ(host::run_until([&] { return printing->done; }, 20 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(reader.read, kTexts);
  EXPECT_EQ(host::facts_lost(), 0u);
}

TEST(LiveFacts, FactsThatFindNoRoomAboveAreCounted) {
  const World world;
  Counter counter;
  on(0, Irql::High, state_many);
  EXPECT_GE(counter.told[0] + host::facts_lost(), kMany);
}

}  // namespace kdpc
