// The default order when exploring, and how a schedule departs from it: asked with candidates as the machine would.
#include "check/explore/plan.h"

#include "kdpc/test.h"

namespace kdpc::explore {

namespace {

using sim::Candidate;
using Kind = Deviation::Kind;

Candidate processor(std::uint16_t number, std::uint64_t step, std::uint64_t time) { return {Candidate::Kind::Processor, number, step, time}; }
Candidate board(std::uint64_t time) { return {Candidate::Kind::Board, 0, 0, time}; }
Candidate ipi(std::uint16_t number, std::uint64_t time) { return {Candidate::Kind::Ipi, number, 0, time}; }
Candidate clock(std::uint16_t number, std::uint64_t time) { return {Candidate::Kind::Clock, number, 0, time}; }

std::size_t asked(Plan& plan, std::vector<Candidate> candidates) { return plan.choose(candidates); }

}  // namespace

TEST(Plan, WhoRunsGoesOnThoughOthersAreBehind) {
  Plan plan(2);
  plan.follow({});
  EXPECT_EQ(asked(plan, {processor(0, 1, 100), processor(1, 1, 100)}), 0u);
  EXPECT_EQ(asked(plan, {processor(1, 1, 100), processor(0, 2, 100 + Plan::kPatience)}), 1u);
}

TEST(Plan, ButNotForEver) {
  Plan plan(2);
  plan.follow({});
  EXPECT_EQ(asked(plan, {processor(0, 1, 0), processor(1, 1, 0)}), 0u);
  EXPECT_EQ(asked(plan, {processor(1, 1, 0), processor(0, 900, Plan::kPatience + 1)}), 0u);
}

TEST(Plan, WhatIsDueComesFirst) {
  Plan plan(2);
  plan.follow({});
  EXPECT_EQ(asked(plan, {processor(0, 1, 10), processor(1, 1, 10)}), 0u);
  EXPECT_EQ(asked(plan, {processor(1, 1, 10), board(40), processor(0, 2, 50)}), 1u);
  EXPECT_EQ(asked(plan, {processor(1, 1, 10), board(60), processor(0, 2, 50)}), 2u);
}

TEST(Plan, NotesAreTakenOfTheBeginningOfARunThatNeverEnds) {
  Plan plan(2);
  std::vector<Options> notes;
  plan.follow({}, &notes);
  std::uint64_t step = 0;
  while (notes.size() < Plan::kMostNotes) {
    EXPECT_EQ(plan.next_question(0, step), step + 1);
    ++step;
    asked(plan, {processor(0, step, 10), processor(1, 1, 10)});
  }
  EXPECT_EQ(step, Plan::kMostNotes);
  EXPECT_EQ(plan.next_question(0, step), ~std::uint64_t{0});
  asked(plan, {processor(0, step + 1, 10), processor(1, 1, 10)});
  EXPECT_EQ(notes.size(), Plan::kMostNotes);
}

// With an access nothing becomes possible; but where it goes on behind others it may be the first step.
TEST(Plan, NotesAreTakenBeforeAnAccessOnlyWhereSomethingElseHasHappened) {
  Plan plan(2);
  std::vector<Options> notes;
  plan.follow({}, &notes);
  EXPECT_EQ(plan.next_question_at_access(0, 1), 2u);
  asked(plan, {processor(0, 2, 10), board(400)});
  EXPECT_EQ(plan.next_question_at_access(0, 2), ~std::uint64_t{0});
  EXPECT_EQ(plan.next_question(0, 2), 3u);
  EXPECT_EQ(asked(plan, {board(10), processor(0, 5, 20)}), 0u);
  EXPECT_EQ(plan.next_question_at_access(0, 5), 6u) << "a card has done something";
  asked(plan, {processor(0, 6, 20), processor(1, 1, 500)});
  EXPECT_EQ(plan.next_question_at_access(0, 6), ~std::uint64_t{0});
  plan.not_asked(processor(1, 1, 500));
  EXPECT_EQ(plan.next_question_at_access(1, 1), 2u) << "another goes on";
  plan.follow({{Kind::Hold, 0, 7, 0}}, &notes);
  asked(plan, {processor(0, 2, 10), board(400)});
  EXPECT_EQ(plan.next_question_at_access(0, 2), 7u) << "that is wanted";
}

TEST(Plan, WhoIsHeldWaitsUntilNobodyElseCanGoOn) {
  Plan plan(3);
  plan.follow({{Kind::Hold, 0, 5, 0}});
  EXPECT_EQ(plan.next_question(0, 1), 5u);
  EXPECT_EQ(plan.next_question(1, 1), ~std::uint64_t{0});
  EXPECT_EQ(asked(plan, {processor(0, 4, 10), processor(1, 1, 10), processor(2, 1, 10)}), 0u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 1, 10), processor(2, 1, 10)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(2, 1, 10), processor(1, 9, 90)}), 2u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), clock(1, 500), processor(2, 3, 95)}), 2u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), clock(1, 500)}), 0u);  // nobody is left but events that are not due yet
  EXPECT_EQ(plan.followed(), 1u);
}

TEST(Plan, CodeIsHeldAndNotWhatComesToItsProcessorMeanwhile) {
  RULE("K.EXPLORE-6");
  const auto at = [](std::uint64_t step, std::uint8_t irql, std::uint32_t thread, bool interrupted = false) {
    return Candidate{Candidate::Kind::Processor, 0, step, 10, irql, interrupted, thread};
  };
  Plan plan(2);
  plan.follow({{Kind::Hold, 0, 5, 0}});
  EXPECT_EQ(asked(plan, {at(5, 0, 7), processor(1, 1, 10)}), 1u);
  EXPECT_EQ(asked(plan, {at(5, 0, 7, true), processor(1, 2, 10)}), 1u) << "an interrupt waits too, as long as somebody else can go on";
  EXPECT_EQ(asked(plan, {at(5, 0, 7, true), clock(1, 500)}), 0u);
  EXPECT_EQ(plan.next_question(0, 5), 6u) << "for it ends when somebody can";
  EXPECT_EQ(asked(plan, {at(6, 2, 7), processor(1, 3, 10)}), 1u);
  EXPECT_EQ(asked(plan, {at(6, 2, 7), clock(1, 500)}), 0u);
  EXPECT_EQ(asked(plan, {at(7, 0, 9), clock(1, 500)}), 0u) << "another thread";
  EXPECT_EQ(asked(plan, {at(8, 0, 7), processor(1, 4, 10)}), 1u) << "held all the time";
  EXPECT_EQ(asked(plan, {at(8, 0, 7), clock(1, 500)}), 0u);
  EXPECT_EQ(asked(plan, {at(9, 0, 7), processor(1, 5, 10)}), 0u) << "and now no more";
}

TEST(Plan, WhoIsHeldDoesNotKeepOthersHeldByHavingNothingToDo) {
  Plan plan(3);
  plan.follow({{Kind::Hold, 0, 5, 0}, {Kind::Hold, 1, 5, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 5, 10), processor(2, 1, 10)}), 2u);
  EXPECT_EQ(asked(plan, {clock(0, 500), processor(1, 5, 10)}), 1u);
}

TEST(Plan, WhoIsHeldIsNotLeftBehindForEver) {
  RULE("K.EXPLORE-6");
  Plan plan(2);
  plan.follow({{Kind::Hold, 0, 5, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 1, 10)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 8, 10 + Plan::kLongestHold)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 9, 11 + Plan::kLongestHold)}), 0u) << "who may be what the other polls for";
}

TEST(Plan, WhoIsLoweredGoesOnOnlyWhileNobodyElseCanAndTheOneThatWasLoweredLastIsTheLast) {
  RULE("K.EXPLORE-8");
  Plan plan(3);
  plan.follow({{Kind::Low, 1, 3, 0}, {Kind::Low, 0, 5, 0}, {Kind::Hold, 2, 7, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 4, 10), processor(1, 3, 10), processor(2, 1, 10)}), 0u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 3, 10), processor(2, 1, 10)}), 2u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 3, 10)}), 1u) << "1 was lowered before 0";
  EXPECT_EQ(plan.next_question(1, 3), 4u) << "it is over when others can go on";
  EXPECT_EQ(asked(plan, {processor(1, 4, 10), processor(2, 2, 10)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), clock(2, 500)}), 0u);
  EXPECT_EQ(asked(plan, {processor(0, 6, 10), processor(2, 7, 10)}), 0u) << "those who are held come last";
  EXPECT_EQ(asked(plan, {clock(1, 500), processor(2, 7, 10)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 6, 10), processor(2, 8, 10)}), 1u) << "no more";
  EXPECT_EQ(asked(plan, {processor(0, 6, 10), processor(2, 9, 11 + Plan::kLongestHold)}), 0u) << "who is not waited for would wait for ever";
  EXPECT_EQ(asked(plan, {processor(0, 7, 40), processor(2, 9, 41 + Plan::kLongestHold)}), 0u)
      << "also if the clock interrupts it: it is lowered no more";
  EXPECT_EQ(plan.followed(), 3u);
}

TEST(Plan, OfThoseWhoAreHeldTheOneThatHasWaitedLongestGoesOnFirst) {
  RULE("K.EXPLORE-3");
  Plan plan(3);
  plan.follow({{Kind::Hold, 2, 1, 0}, {Kind::Hold, 1, 4, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 1, 10), processor(1, 3, 10), processor(2, 1, 10)}), 0u);
  EXPECT_EQ(asked(plan, {processor(1, 4, 10), processor(2, 1, 10)}), 1u);
  EXPECT_EQ(asked(plan, {processor(1, 4, 10), processor(2, 2, 20)}), 1u) << "and is held no more";
  EXPECT_EQ(asked(plan, {processor(0, 2, 50), processor(1, 4, 10)}), 0u);
  EXPECT_EQ(asked(plan, {processor(1, 4, 10), clock(0, 500)}), 0u);
  EXPECT_EQ(plan.followed(), 2u);
}

TEST(Plan, WhoIsHeldGoesOnWhenItIsLeftFarBehind) {
  RULE("K.EXPLORE-3");
  Plan plan(2);
  plan.follow({{Kind::Hold, 0, 5, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 1, 10)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 2, 10 + Plan::kLongestHold)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 3, 11 + Plan::kLongestHold)}), 0u);
  EXPECT_EQ(asked(plan, {processor(0, 6, 20), processor(1, 3, 11 + Plan::kLongestHold)}), 0u) << "and is held no more";
}

TEST(Plan, WhoIsHeldTooLongGoesOnThoughTheClockInterruptsIt) {
  RULE("K.EXPLORE-6");
  const auto at = [](std::uint64_t step, std::uint64_t time, bool interrupted) {
    return Candidate{Candidate::Kind::Processor, 0, step, time, 0, interrupted, 7};
  };
  Plan plan(2);
  plan.follow({{Kind::Hold, 0, 5, 0}});
  EXPECT_EQ(asked(plan, {at(5, 10, false), processor(1, 1, 10)}), 1u);
  EXPECT_EQ(asked(plan, {at(5, 10, true), processor(1, 2, 11 + Plan::kLongestHold)}), 0u);
  EXPECT_EQ(asked(plan, {at(6, 30'000'000, false), processor(1, 2, 11 + Plan::kLongestHold)}), 0u) << "and is held no more";
}

// Its thread may have gone on elsewhere, so that the processor is held and has nothing to do.
TEST(Plan, WhoIsHeldTooLongGoesOnThoughAnotherOneWasHeldBefore) {
  RULE("K.EXPLORE-6");
  Plan plan(3);
  plan.follow({{Kind::Hold, 0, 5, 0}, {Kind::Hold, 1, 5, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 5, 10), processor(2, 1, 10)}), 2u);
  EXPECT_EQ(asked(plan, {clock(0, 90'000'000), processor(1, 5, 10), processor(2, 2, 10 + Plan::kLongestHold)}), 2u);
  EXPECT_EQ(asked(plan, {clock(0, 90'000'000), processor(1, 5, 10), processor(2, 2, 11 + Plan::kLongestHold)}), 1u);
  EXPECT_EQ(asked(plan, {clock(0, 90'000'000), processor(1, 6, 20), processor(2, 2, 11 + Plan::kLongestHold)}), 1u) << "and is held no more";
}

TEST(Plan, AnEventHappensWhenItWasChosenFor) {
  Plan plan(1);
  plan.follow({{Kind::Board, 0, 5, 0}, {Kind::Clock, 0, 7, 0}, {Kind::Ipi, 0, 9, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), board(900), clock(0, 1000)}), 1u);
  EXPECT_EQ(plan.next_question(0, 5), 7u);
  EXPECT_EQ(asked(plan, {processor(0, 7, 20), clock(0, 1000)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 9, 30)}), 0u);  // no IPI is under way
  EXPECT_EQ(plan.followed(), 2u);
}

TEST(Plan, WhatIsDelayedComesWhenNobodyCanGoOnOrWhenItIsAMillisecondLate) {
  RULE("K.EXPLORE-11");
  Plan plan(2);
  const Schedule schedule = {{Kind::Ipi, 0, 5, 1, true}, {Kind::Hold, 1, 8, 0}};
  plan.follow(schedule);
  EXPECT_EQ(plan.next_question(0, 1), 5u);
  EXPECT_EQ(asked(plan, {ipi(1, 40), processor(0, 5, 50)}), 1u);
  EXPECT_EQ(plan.followed(), 1u);
  EXPECT_EQ(asked(plan, {ipi(1, 40), processor(0, 6, 40 + Plan::kLatePatience), clock(0, 2'000'000)}), 1u);
  EXPECT_EQ(asked(plan, {ipi(1, 40), processor(0, 7, 41 + Plan::kLatePatience)}), 0u);
  EXPECT_EQ(asked(plan, {ipi(1, 900), processor(0, 8, 900)}), 0u) << "the next one is on time";
  plan.follow(schedule);
  EXPECT_EQ(asked(plan, {ipi(1, 40), processor(0, 5, 50)}), 1u);
  EXPECT_EQ(asked(plan, {ipi(1, 40), processor(1, 8, 50)}), 1u) << "who is held can go on";
  EXPECT_EQ(asked(plan, {ipi(1, 40), clock(0, 2'000'000)}), 0u);
  plan.follow(schedule);
  EXPECT_EQ(asked(plan, {ipi(1, 40), processor(0, 5, 50)}), 1u);
  EXPECT_EQ(asked(plan, {ipi(1, 900), processor(0, 6, 900)}), 0u) << "also where nobody was asked when the first one came";
}

TEST(Plan, WhatIsDelayedComesWhereAnotherDeviationWantsIt) {
  RULE("K.EXPLORE-11");
  Plan there(2), plan(2);
  const Schedule schedule = {{Kind::Board, 0, 5, 0, true}, {Kind::Board, 0, 7, 0}, {Kind::Board, 0, 7, 0, true}};
  there.follow(schedule);
  EXPECT_EQ(asked(there, {board(60), processor(0, 5, 50)}), 1u);
  plan.follow_from(there, schedule);  // which knows what is late
  EXPECT_EQ(asked(plan, {board(60), processor(0, 6, 90)}), 1u);
  EXPECT_EQ(asked(plan, {board(60), processor(0, 7, 95)}), 0u);
  EXPECT_EQ(asked(plan, {board(90), processor(0, 7, 95)}), 1u) << "and the next one is late in its turn";
  EXPECT_EQ(asked(plan, {board(90), processor(0, 8, 120)}), 1u);
  EXPECT_EQ(plan.followed(), 3u);
}

TEST(Plan, WhatIsNotUnderWayOrIsLateAsItIsCannotBeDelayed) {
  RULE("K.EXPLORE-11");
  Plan plan(1);
  plan.follow({{Kind::Ipi, 0, 5, 0, true}, {Kind::Board, 0, 5, 0, true}, {Kind::Board, 0, 6, 0, true}});
  EXPECT_EQ(asked(plan, {board(60), processor(0, 5, 90)}), 1u);
  EXPECT_EQ(asked(plan, {board(60), processor(0, 6, 95)}), 1u);
  EXPECT_EQ(plan.followed(), 1u);
  plan.follow({{Kind::Board, 0, 5, 0, true}});
  EXPECT_EQ(asked(plan, {processor(0, 5, 90), board(Candidate::kNeverByItself)}), 0u);
  EXPECT_EQ(plan.followed(), 0u);
  plan.follow({{Kind::Late, 0, 0, 0}, {Kind::Board, 0, 5, 0, true}});
  EXPECT_EQ(asked(plan, {board(60), processor(0, 5, 90)}), 1u);
  EXPECT_EQ(plan.followed(), 1u) << "in such an order everything is";
}

TEST(Plan, NotesSayWhatCouldHaveBeenDelayedBeforeItCameByItself) {
  RULE("K.EXPLORE-11");
  Plan plan(2);
  std::vector<Options> notes;
  plan.follow({{Kind::Board, 0, 9, 0, true}}, &notes);
  const auto delays = [&] {
    std::string all;
    for (const Options& options : notes)
      for (const Deviation& delay : options.delays) all += text_of(delay) + "; ";
    return all;
  };
  asked(plan, {ipi(1, 40), clock(0, 45), processor(0, 5, 10)});
  EXPECT_EQ(delays(), "") << "it does not come yet";
  asked(plan, {ipi(1, 40), clock(0, 45), processor(0, 6, 50)});
  EXPECT_EQ(delays(), "cpu0@6 delay ipi 1; ");
  asked(plan, {clock(0, 45), processor(0, 6, 50)});
  asked(plan, {board(60), processor(0, 7, 50)});
  asked(plan, {board(60)});
  asked(plan, {board(60), processor(1, 1, 60 + Plan::kLatePatience + 1)});
  EXPECT_EQ(delays(), "cpu0@6 delay ipi 1; ") << "nobody can go on, or not so soon";
  asked(plan, {board(60), processor(1, 1, 61)});
  EXPECT_EQ(delays(), "cpu0@6 delay ipi 1; cpu0@7 delay board 0; ") << "who ran last cannot, but another one";
  asked(plan, {board(70), processor(0, 9, 70)});
  asked(plan, {board(70), processor(0, 10, 71 + Plan::kLatePatience)});
  EXPECT_EQ(delays(), "cpu0@6 delay ipi 1; cpu0@7 delay board 0; ") << "it was late already";
}

TEST(Plan, DeviationsOfOneProcessorAreFollowedWhereverTheOthersAre) {
  Plan plan(2);
  plan.follow({{Kind::Hold, 1, 3, 0}, {Kind::Clock, 0, 2, 1}});  // in the order of another run
  EXPECT_EQ(asked(plan, {processor(0, 2, 10), clock(1, 700), processor(1, 1, 10)}), 1u);
  EXPECT_EQ(plan.followed(), 1u);
}

TEST(Plan, WhatIsToFailFailsOnceWhereItIsCalled) {
  const auto call = [](std::uint16_t processor, std::uint64_t step) { return sim::FallibleCall{processor, step, 7, 0x1234, nullptr}; };
  Plan plan(2);
  plan.follow({{Kind::Fail, 1, 5, 0}});
  EXPECT_FALSE(plan.fails(call(0, 5)));
  EXPECT_FALSE(plan.fails(call(1, 4)));
  EXPECT_TRUE(plan.fails(call(1, 5)));
  EXPECT_FALSE(plan.fails(call(1, 5)));
  ASSERT_EQ(plan.faults().size(), 1u);
  EXPECT_EQ(plan.faults()[0].routine, 7u);
  EXPECT_EQ(plan.faults()[0].caller, 0x1234u);
  EXPECT_EQ(plan.followed(), 1u);
  plan.follow({});
  EXPECT_FALSE(plan.fails(call(1, 5)));
  EXPECT_TRUE(plan.faults().empty());
}

TEST(Plan, PicksAreCounted) {
  Plan plan(1);
  plan.follow({{Kind::Pick, 0, 1, 2}, {Kind::Pick, 0, 2, 5}});
  EXPECT_EQ(plan.number(4), 0u);
  EXPECT_EQ(plan.number(4), 2u);
  EXPECT_EQ(plan.number(4), 0u);  // there is no fifth of four
  EXPECT_EQ(plan.followed(), 1u);
}

TEST(Plan, NothingComesByItselfInALateOrderUntilItIsAMillisecondLateOrNobodyCanGoOn) {
  RULE("K.EXPLORE-4");
  Plan plan(2);
  plan.follow({{Kind::Late, 0, 0, 0}});
  EXPECT_EQ(asked(plan, {board(10), processor(0, 5, 10)}), 1u);
  EXPECT_EQ(asked(plan, {board(10), processor(0, 6, 10 + Plan::kLatePatience)}), 1u);
  EXPECT_EQ(asked(plan, {board(10), processor(0, 7, 11 + Plan::kLatePatience)}), 0u);
  EXPECT_EQ(asked(plan, {board(800), clock(0, 900)}), 0u);
  EXPECT_EQ(plan.followed(), 1u);
}

TEST(Plan, InALateOrderAnyoneCanGoOnInPlaceOfAStepAsOftenAsItWouldComeNext) {
  RULE("K.EXPLORE-4");
  Plan plan(3);
  plan.follow({{Kind::Late, 0, 0, 0}, {Kind::Switch, 0, 5, 2}, {Kind::Switch, 2, 1, 1}, {Kind::Switch, 1, 1, 2}, {Kind::Board, 0, 5, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 4, 10), processor(1, 1, 10), processor(2, 1, 10)}), 0u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 1, 10), processor(2, 1, 10)}), 2u);
  EXPECT_EQ(plan.next_question(2, 1), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 1, 10), processor(2, 1, 10)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 1, 10), processor(2, 1, 10)}), 2u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), processor(1, 1, 10), processor(2, 2, 10)}), 2u) << "which goes on";
  // Processor 0 has stood at its step 5 all the time, but only now it would take it.
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), board(900)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), board(900)}), 0u);
  EXPECT_EQ(plan.followed(), 5u);
}

TEST(Plan, WhatIsNotPossibleInALateOrderIsMissed) {
  Plan plan(2);
  plan.follow({{Kind::Late, 0, 0, 0}, {Kind::Switch, 0, 5, 1}, {Kind::Hold, 0, 5, 0}, {Kind::Clock, 0, 6, 0}});
  EXPECT_EQ(asked(plan, {processor(0, 5, 10), clock(0, 900)}), 0u);
  EXPECT_EQ(asked(plan, {processor(0, 6, 10), clock(0, 900)}), 1u);
  EXPECT_EQ(plan.followed(), 2u);
  // It counts at the beginning only.
  plan.follow({{Kind::Clock, 0, 6, 0}, {Kind::Late, 0, 0, 0}});
  EXPECT_EQ(asked(plan, {board(10), processor(0, 5, 10)}), 0u);
  EXPECT_EQ(plan.followed(), 0u);
}

TEST(Plan, WhoGoesOnWhereAnotherStoodAnswersAsThatOneWould) {
  RULE("K.EXPLORE-5");
  Plan there(2);
  there.follow({});
  EXPECT_EQ(asked(there, {processor(1, 3, 5), processor(0, 1, 10)}), 1u) << "processor 0 was the last to run at the start";
  EXPECT_EQ(asked(there, {processor(1, 3, 5), clock(1, 700)}), 0u);
  there.number(2);
  Plan plan(2);
  plan.follow_from(there, {{Kind::Pick, 0, 1, 1}, {Kind::Hold, 1, 5, 0}});
  EXPECT_EQ(plan.left_open().size(), 1u);
  EXPECT_EQ(plan.number(2), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 2, 20), processor(1, 4, 20)}), 1u);
  EXPECT_EQ(asked(plan, {processor(0, 2, 20), processor(1, 5, 20)}), 0u);
  EXPECT_EQ(plan.followed(), 2u);
}

TEST(Plan, NotesSayWhatCouldHaveHappened) {
  Plan plan(2);
  std::vector<Options> notes;
  plan.follow({}, &notes);
  EXPECT_EQ(plan.next_question(0, 4), 5u);
  asked(plan, {processor(0, 5, 10), clock(1, 700)});
  plan.number(2);
  asked(plan, {processor(0, 6, 10), processor(1, 1, 10)});
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[0].left_open, 0u);
  EXPECT_EQ(notes[1].left_open, 1u);
  EXPECT_FALSE(notes[0].others_can_go_on);
  ASSERT_EQ(notes[0].events.size(), 1u);
  EXPECT_EQ(text_of(notes[0].events[0]), "cpu0@5 clock 1");
  EXPECT_TRUE(notes[1].others_can_go_on);
}

}  // namespace kdpc::explore
