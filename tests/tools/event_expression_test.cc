// The language of --break-if and --until: what it means, and what it says of what it does not understand.
#include "tools/kdpc/event_expression.h"

#include <gtest/gtest.h>

#include "wdk/routine.h"

namespace kdpc::tool {
namespace {

const Stamp kStamp{1'500'000, 1, 5, 7};

bool fits(std::string_view text, const Event& event) {
  const auto expression = EventExpression::parse(text);
  if (!expression) ADD_FAILURE() << expression.error().what;
  static const std::string isr = "nic!NicIsr", none;
  return expression && expression->fits(kStamp, event, [](std::uintptr_t address) -> const std::string& { return address == 0x1000 ? isr : none; });
}

std::string error_of(std::string_view text) {
  const auto expression = EventExpression::parse(text);
  return expression ? "" : expression.error().what;
}

const Event began = ActivityBegan{ActivityKind::Isr, 5, Address::at(0x1000), Address::at(0x2000)};
const Event drained = DrainEnded{3};

TEST(EventExpression, ANameIsAnEvent) {
  EXPECT_TRUE(fits("activity-began", began));
  EXPECT_FALSE(fits("activity-ended", began));
  EXPECT_TRUE(fits("!activity-ended", began));
}

TEST(EventExpression, FieldsAreCompared) {
  EXPECT_TRUE(fits("ran == 3", drained));
  EXPECT_TRUE(fits("ran = 3", drained));
  EXPECT_TRUE(fits("ran != 4", drained));
  EXPECT_TRUE(fits("ran > 2 && ran >= 3 && ran < 0x4 && ran <= 3", drained));
  EXPECT_FALSE(fits("ran > 3", drained));
  EXPECT_FALSE(fits("ran < 3", drained));
  EXPECT_TRUE(fits("kind == isr && kind != dpc", began));
  EXPECT_TRUE(fits("threaded == true", DpcQueued{.threaded = true}));
  EXPECT_FALSE(fits("depth == 0", drained)) << "a field that the event does not have";
  EXPECT_FALSE(fits("depth != 1", drained));
}

TEST(EventExpression, AddressesHaveNames) {
  EXPECT_TRUE(fits("routine == nic!NicIsr", began));
  EXPECT_TRUE(fits("routine == NicIsr", began));
  EXPECT_TRUE(fits("routine!=nic!NicDpc", began));
  EXPECT_FALSE(fits("routine == Isr", began));
  EXPECT_TRUE(fits("routine == 0x1000 && object == 0x2000", began));
  const auto set = static_cast<std::uint16_t>(wdk::RoutineId::KeSetEvent);
  EXPECT_TRUE(fits("routine-entered && routine == KeSetEvent", RoutineEntered{set, {}, {}}));
  EXPECT_FALSE(fits("routine == KeResetEvent", RoutineEntered{set, {}, {}}));
  EXPECT_FALSE(fits("routine == KeSetEvent", began));
}

TEST(EventExpression, WhenAndWhereBelongToEveryEvent) {
  EXPECT_TRUE(fits("time == 1.5ms && time >= 1500us && time < 1500001", began));
  EXPECT_TRUE(fits("processor == 1 && irql > 2 && thread == 7", drained));
  EXPECT_FALSE(fits("time > 1.5ms", drained));
  EXPECT_TRUE(fits("processor == 9", InterruptRequested{.vector = 1, .processor = 9})) << "an event's own field is meant before";
}

TEST(EventExpression, AndBindsCloserThanOr) {
  EXPECT_TRUE(fits("drain-ended || drain-began && ran == 9", drained));
  EXPECT_FALSE(fits("(drain-ended || drain-began) && ran == 9", drained));
  EXPECT_TRUE(fits("!(ran == 9) && !drain-began", drained));
}

// Whatever decides, and whatever is skipped: each combination against what C++ makes of it.
TEST(EventExpression, EveryCombinationIsWhatItSays) {
  for (unsigned bits = 0; bits < 16; ++bits) {
    const bool a = bits & 1, b = bits & 2, c = bits & 4, d = bits & 8;
    const auto text = [&](std::string form) {
      std::string all;
      for (const char letter : form) {
        const bool is_true = letter == 'a' ? a : letter == 'b' ? b : letter == 'c' ? c : d;
        all += letter >= 'a' && letter <= 'd' ? is_true ? "drain-ended" : "ran == 9" : std::string(1, letter);
      }
      return all;
    };
    EXPECT_EQ(fits(text("a && b || c && d"), drained), (a && b) || (c && d));
    EXPECT_EQ(fits(text("a || b && c || d"), drained), a || (b && c) || d);
    EXPECT_EQ(fits(text("(a || b) && !(c || !d)"), drained), (a || b) && !(c || !d));
    EXPECT_EQ(fits(text("!(a && b && c) || !(!d)"), drained), !(a && b && c) || d);
    EXPECT_EQ(fits(text("a && (b || (c && d))"), drained), a && (b || (c && d)));
  }
}

TEST(EventExpression, LevelsHaveNames) {
  EXPECT_TRUE(fits("irql > DISPATCH_LEVEL && irql < SYNCH", drained));
  EXPECT_FALSE(fits("irql == DISPATCH_LEVEL", drained));
  EXPECT_TRUE(fits("irql != HIGH_LEVEL", drained));
  EXPECT_NE(error_of("irql == DISPATHC_LEVEL").find("'irql' is a number, and 'DISPATHC_LEVEL' is none"), std::string::npos);
  EXPECT_NE(error_of("irql == DIRQL").find("'DIRQL' is none"), std::string::npos) << "there are many";
}

// A chain is not nested, however long it is; and neither takes more stack where events are stated than a single name.
TEST(EventExpression, NestingHasALimitAndLengthHasNone) {
  const auto nested = [](std::size_t depth, const std::string& opening, const std::string& closing) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) text += opening;
    text += "drain-ended";
    for (std::size_t i = 0; i < depth; ++i) text += closing;
    return text;
  };
  for (const auto& [opening, closing] : {std::pair{"(", ")"}, {"!", ""}, {"ran == 9 || (", ")"}, {"!(", ")"}}) {
    const std::size_t most = std::string_view(opening) == "!(" ? 32 : 64;
    EXPECT_TRUE(fits(nested(most, opening, closing), drained)) << opening;
    for (const std::size_t depth : {most + 1, std::size_t{200'000}})
      EXPECT_NE(error_of(nested(depth, opening, closing)).find(": this is nested too deeply\n"), std::string::npos) << opening;
  }
  EXPECT_TRUE(error_of(nested(65, "(", ")")).starts_with("column 65: this is nested too deeply\n"));
  std::string chain = "drain-ended", choice = "drain-began";
  for (int i = 0; i < 5'000; ++i) {
    chain += " && (ran == 3)";
    choice += " || !(ran == 3)";
  }
  EXPECT_TRUE(fits(chain, drained));
  EXPECT_FALSE(fits(choice, drained));
}

TEST(EventExpression, TextsAreQuoted) {
  EXPECT_TRUE(fits("text == \"two words\"", DebugPrinted{"two words", 9}));
  EXPECT_FALSE(fits("text == \"two\"", DebugPrinted{"two words", 9}));
}

TEST(EventExpression, MistakesAreShownAtTheirColumn) {
  const auto begins = [](std::string_view text, std::string_view expected) {
    const std::string error = error_of(text);
    EXPECT_TRUE(error.starts_with(expected)) << error;
    EXPECT_NE(error.find("There are these events, with these fields:\n"), std::string::npos) << error;
    EXPECT_NE(error.find("  drain-ended              ran\n"), std::string::npos) << error;
  };
  begins("drain-endet", "column 1: there is no event or field 'drain-endet'; did you mean 'drain-ended'?\n  drain-endet\n  ^\n");
  begins("drain-ended && ran", "column 19: 'ran' is a field: compare it, with == != < <= > or >=\n  drain-ended && ran\n                    ^\n");
  begins("ran == ", "column 8: what 'ran' is compared with is missing here\n");
  begins("ran == many", "column 8: 'ran' is a number, and 'many' is none (12, 0x1f, 12.5ms)\n");
  begins("kind == irs", "column 9: 'kind' is never 'irs'; did you mean 'isr'?\n");
  begins("form == whatever",
         "column 9: 'form' is never 'whatever'; there are at-dpc-level, convert, for-dpc, kernel, list, raise-to-dpc, raise-to-synch and try\n");
  begins("threaded == maybe", "column 13: 'threaded' is never 'maybe'; there are false and true\n");
  begins("kind == \"irs\"", "column 9: 'kind' is never 'irs'; did you mean 'isr'?\n");
  begins("kind > isr", "column 8: 'isr' has no order: names are compared with == and !=\n");
  begins("drain-ended == 3", "column 13: 'drain-ended' is an event, which has fields, but cannot be compared itself\n");
  begins("(drain-ended", "column 13: a ')' is missing here\n");
  begins("drain-ended drain-began", "column 13: 'drain-began' is one too many here\n");
  begins("", "column 1: the name of an event or of a field is missing here\n");
  begins("ran == 3 &&", "column 12: the name of an event or of a field is missing here\n");
  begins("text == \"two words", "column 9: a quote begins here that does not end\n");
  begins("ran == 3 & 4", "column 10: '&' is one too many here\n");
}

TEST(EventExpression, TimesHaveUnits) {
  EXPECT_EQ(nanoseconds_of("12.5ms"), 12'500'000u);
  EXPECT_EQ(nanoseconds_of("3 s"), 3'000'000'000u);
  EXPECT_EQ(nanoseconds_of("7us"), 7'000u);
  EXPECT_EQ(nanoseconds_of("1ns"), 1u);
  for (const char* const wrong : {"12", "ms", "-1ms", "1h", "", "1msx"}) EXPECT_FALSE(nanoseconds_of(wrong)) << wrong;
}

}  // namespace
}  // namespace kdpc::tool
