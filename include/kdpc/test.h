// GoogleTest and the machine: a test names the machine it wants and gets it as `m`.
//
//   KDPC_TEST(DpcQueue, SecondInsertIsRefusedWhileQueued, .processors = 2, .options = {{"irql_checks", "free"}}) {
//     RULE("INS-1");
//     m.on(0, DISPATCH_LEVEL, [&] {
//       KDPC_EXPECT(KeInsertQueueDpc(&dpc, nullptr, nullptr));        // inside: KDPC_EXPECT
//       KDPC_EXPECT(!KeInsertQueueDpc(&dpc, nullptr, nullptr));
//     });
//     EXPECT_EQ(runs, 1);                                             // outside: GoogleTest's own
//   }
//
// GoogleTest's macros are legal on the host context only: in the body of the test and in conditions of run_until. KDPC_EXPECT is legal anywhere, at
// any IRQL, on any stack; what it finds becomes a failure of the test at the end. RULE is legal anywhere too.
//
// The same test may be built for both machines (kdpc_add_test(… MACHINES sim live)). It holds on the live one too if it waits for conditions. A case that
// cannot says why, and is skipped there with these words; on the simulated machine they change nothing:
//
//   KDPC_TEST(DpcAdaptation, ALowDpcWaitsAtMostOneTick, .simulated_only = "says when each tick comes") { … }
//
// Such reasons are: it says how long something takes, or asks for a state that lasts for microseconds; it counts on the order of two processors' deeds; it
// lets minutes pass; it asks for costs, checkpoints, rule checks, pageable memory that goes, equal hashes. That it has always passed so far is no
// reason to leave the mark out.
//
// A body that holds in one order of events is tried in thousands (docs/explore.md):
//
//   EXPLORE_TEST(Ring, CountsEveryInterrupt, .processors = 2, .schedules = 2000) {
//     cards::CardBoard board;
//     …
//     ASSERT_TRUE(m.load_driver(KDPC_DRIVERS "/check/ring.drv", why)) << why;
//   }
//
// What follows the names are fields of lab::ExploreSettings. Each schedule begins at the start again, with the body's first line; what the body may leave behind
// stands in kdpc/explore.h. Anything that fails in any order fails the test, with the shortest schedule that shows it: a bug check, a finding, a data race, a
// deadlock, KDPC_EXPECT inside and GoogleTest's macros outside. EXPECT_BUGCHECK and its like are for KDPC_TEST. The schedule is left in <Suite>.<Name>.schedule,
// in the folder that KDPC_SCHEDULES names or the present one; with KDPC_SCHEDULE=<file> the test runs that one alone.
//
// A run that ends by itself (bug check, deadlock, …) fails the test, unless the test says EXPECT_BUGCHECK or EXPECT_ENDED. A failing test prints
// what the drivers printed, the last events, the processors, and how to see it again.
#pragma once
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kdpc/explore.h"
#include "kdpc/lab.h"

namespace kdpc::test {

// A stop code or parameter a test expects. `any` fits everything.
struct Expected {
  bool any = false;
  std::uint64_t value = 0;
  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) Expected(T number)
      : value(static_cast<std::uint64_t>(number)) {}  // NOLINT(google-explicit-constructor)
  template <class T>
  requires std::is_pointer_v<T>                                             // an object or a routine
  Expected(T pointer) : value(reinterpret_cast<std::uint64_t>(pointer)) {}  // NOLINT(google-explicit-constructor)
  static Expected anything() {
    Expected expected{0};
    expected.any = true;
    return expected;
  }
  bool fits(std::uint64_t actual) const { return any || actual == value; }
};
inline const Expected any = Expected::anything();

// The machine of one test, from its creation to the verdict.
class Session {
 public:
  Session(const lab::Config& config, const char* file, int line) : file_(file), line_(line), machine_(lab::Machine::create(config, why_)) {
    lab::take_notes();
    if (machine_ == nullptr) {
      ADD_FAILURE_AT(file_, line_) << "There is no machine: " << why_;
      return;
    }
    current() = this;
  }
  ~Session() {
    if (machine_ == nullptr) return;
    settle();
    const lab::Outcome& outcome = machine_->outcome();
    if (outcome.over() && !expected_) ADD_FAILURE_AT(file_, line_) << outcome.report();
    if (!outcome.over() && !expected_)  // those that were noted while the run went on
      for (const lab::Finding& finding : machine_->findings())
        if (!finding.advice && !finding.stop) ADD_FAILURE_AT(file_, line_) << finding.report();
    if (::testing::Test::HasFailure()) {
      std::fputs(explanation().c_str(), stdout);
      std::fflush(stdout);
    }
    current() = nullptr;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  static Session*& current() {
    static Session* session = nullptr;
    return session;
  }
  lab::Machine* machine() { return machine_.get(); }

  // What was left inside becomes failures and properties of the test.
  void settle() {
    for (const lab::Note& note : lab::take_notes()) {
      if (note.rule != nullptr) {
        ::testing::Test::RecordProperty(std::string("rule.") + note.rule, "executed");
        continue;
      }
      std::string values;
      for (const lab::Value& value : note.values)
        if (value.kind != lab::Value::Kind::None) values += (values.empty() ? "\n  values: " : ", ") + value.text();
      const bool has_place = note.line != 0;
      ADD_FAILURE_AT(has_place ? note.file : file_, has_place ? note.line : line_) << "inside the machine: " << note.expression << values;
    }
    if (const std::uint64_t lost = lab::notes_lost(); lost != 0)
      ADD_FAILURE_AT(file_, line_) << lost << " more failures inside the machine were not kept.";
  }

  void expect_bugcheck(const char* file, int line, const char* wanted, std::initializer_list<Expected> expected) {
    settle();
    const lab::Outcome& outcome = machine_->outcome();
    expected_ = true;
    if (!outcome.bugcheck) {
      expected_ = !outcome.over();
      ADD_FAILURE_AT(file, line) << "Expected bug check " << wanted << ", but the run has not ended with one (" << lab::name_of(outcome.how) << ").";
      return;
    }
    const lab::Bugcheck& actual = *outcome.bugcheck;
    bool fits = expected.size() >= 1 && expected.size() <= 5 && expected.begin()->fits(actual.code);
    for (std::size_t i = 1; fits && i < expected.size(); ++i) fits = expected.begin()[i].fits(actual.parameters[i - 1]);
    if (!fits) ADD_FAILURE_AT(file, line) << "Expected bug check " << wanted << ", but there was another:\n" << outcome.report();
  }

  void expect_ended(const char* file, int line, lab::Ended wanted) {
    settle();
    expected_ = true;
    if (machine_->outcome().how != wanted)
      ADD_FAILURE_AT(file, line) << "Expected the run to end with " << lab::name_of(wanted) << ", but: " << machine_->outcome().report();
  }

  void expect_finding(const char* file, int line, std::string_view id) {
    settle();
    expected_ = true;
    std::string others;
    for (const lab::Finding& finding : machine_->findings()) {
      if (finding.id == id) return;
      others += finding.report();
    }
    if (machine_->outcome().over()) others += machine_->outcome().report();
    ADD_FAILURE_AT(file, line) << "Expected the finding " << id << ", but there is " << (others.empty() ? "none" : "only this:\n" + others);
  }

  void expect_no_findings(const char* file, int line) {
    settle();
    for (const lab::Finding& finding : machine_->findings())
      if (!finding.advice && !machine_->outcome().over()) ADD_FAILURE_AT(file, line) << finding.report();
    if (!machine_->outcome().over()) return;
    expected_ = true;  // said here, once
    ADD_FAILURE_AT(file, line) << machine_->outcome().report();
  }

  // What a failing test prints.
  std::string explanation() const {
    std::string text;
    const auto add = [&text](const std::string& line) { text += line + '\n'; };
    const auto lines = machine_->debug_lines();
    if (!lines.empty()) add("What the drivers printed:");
    char prefix[64];
    for (const lab::DebugLine& line : lines) {
      std::snprintf(prefix, sizeof prefix, "  %12.6f ms  p%u irql %-2u  ", static_cast<double>(line.time) / 1e6, line.processor, line.irql);
      add(prefix + line.text);
    }
    add("The last events, without those of the kernel's own locks:");
    for (const std::string& line : machine_->last_events_that_tell(50)) add("  " + line);
    add("The processors:");
    text += machine_->processor_table();
    if (const lab::Outcome& outcome = machine_->outcome(); !outcome.over() && !outcome.text.empty()) text += "The last run: " + outcome.report();
    const ::testing::TestInfo* info = ::testing::UnitTest::GetInstance()->current_test_info();
    std::snprintf(prefix, sizeof prefix, "%016" PRIx64, machine_->trace_hash());
    add(std::string("To see it again: --gtest_filter=") + info->test_suite_name() + "." + info->name() +
        " (a simulated run has no seed: the same program gives the same run; trace hash " + prefix + ")");
    return text;
  }

 private:
  const char* file_;  // of the test
  int line_;
  std::string why_;
  std::unique_ptr<lab::Machine> machine_;
  bool expected_ = false;
};

inline void run(const lab::Config& config, void (*body)(lab::Machine& m), const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (config.simulated_only != nullptr && !lab::is_simulated()) GTEST_SKIP() << "It " << config.simulated_only << '.';
  Session session(config, file, line);
  // The destructor takes the session back: NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape)
  if (session.machine() != nullptr) body(*session.machine());
}

// What GoogleTest's macros have to say in a body that is explored, as words.
inline std::string words_of(void (*body)(lab::Machine& m), lab::Machine& m) {
  ::testing::TestPartResultArray results;
  {
    const ::testing::ScopedFakeTestPartResultReporter kept(::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    body(m);
  }
  std::string words;
  for (int index = 0; index < results.size(); ++index) {
    const ::testing::TestPartResult& result = results.GetTestPartResult(index);
    if (!result.failed()) continue;
    if (result.file_name() != nullptr) words += std::string(result.file_name()) + ':' + std::to_string(result.line_number()) + ": ";
    words += std::string(result.message()) + '\n';
  }
  return words;
}

inline void explore(lab::ExploreSettings settings, void (*body)(lab::Machine& m), const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (!lab::is_simulated()) GTEST_SKIP() << "It explores orders.";
  const ::testing::TestInfo& info = *::testing::UnitTest::GetInstance()->current_test_info();
  if (settings.name.empty()) settings.name = std::string(info.test_suite_name()) + '.' + info.name();
  const lab::Life life = [body](lab::Machine& m) { return words_of(body, m); };
  if (const char* const wanted = std::getenv("KDPC_SCHEDULE")) {
    std::ifstream in(wanted);
    if (!in) {
      ADD_FAILURE_AT(file, line) << "The schedule " << wanted << " cannot be read";
      return;
    }
    const lab::ExploreResult result = lab::replay(settings, life, std::string(std::istreambuf_iterator<char>(in), {}));
    std::printf("%s%s\n", result.report.c_str(), result.differs.empty() ? "" : ("Not the same run: " + result.differs).c_str());
    if (result.failed()) ADD_FAILURE_AT(file, line) << "The schedule " << wanted << ": " << (result.broken.empty() ? result.failure : result.broken);
    return;
  }
  const lab::ExploreResult result = lab::explore(settings, life);
  for (const std::string& rule : result.rules) ::testing::Test::RecordProperty("rule." + rule, "executed");
  std::printf("%llu schedules: %s\n", static_cast<unsigned long long>(result.schedules), result.coverage.c_str());
  if (!result.broken.empty()) ADD_FAILURE_AT(file, line) << "It cannot be explored: " << result.broken;
  for (const std::string& goal : settings.goals)
    if (result.failure.empty() && result.unmet.contains(goal)) ADD_FAILURE_AT(file, line) << "In no order: " << goal;
  if (result.failure.empty()) return;
  const char* const folder = std::getenv("KDPC_SCHEDULES");
  const std::string left = (folder != nullptr ? std::string(folder) + '/' : std::string()) + settings.name + ".schedule";
  std::ofstream out(left);
  out << result.schedule;
  out.close();
  const std::string again = "To see it again: KDPC_SCHEDULE=" + left + " with --gtest_filter=" + settings.name;
  ADD_FAILURE_AT(file, line) << result.report << (out ? again : left + " cannot be written; it would be\n" + result.schedule);
}

inline Session& session() {
  if (Session::current() == nullptr) throw std::logic_error("EXPECT_BUGCHECK and its like are for KDPC_TEST: what is explored must not end so");
  return *Session::current();
}

inline void prove(const char* rule) {
  if (lab::is_running()) {
    lab::Note note;
    note.rule = rule;
    lab::leave_note(note);
  } else {
    ::testing::Test::RecordProperty(std::string("rule.") + rule, "executed");
  }
}

inline void check(bool holds, const char* expression, const char* file, int line, lab::Value first = {}, lab::Value second = {}) {
  if (!holds) [[unlikely]]
    lab::leave_note({expression, file, line, nullptr, {first, second}});
}

}  // namespace kdpc::test

// KDPC_TEST(Suite, Name, .processors = 2, .options = {…}) { … m … }: what follows the names are fields of lab::Config.
#define KDPC_TEST(suite, name, ...)                                                                        \
  static void suite##_##name##_on_machine([[maybe_unused]] ::kdpc::lab::Machine& m);                       \
  TEST(suite, name) { ::kdpc::test::run(::kdpc::lab::Config{__VA_ARGS__}, &suite##_##name##_on_machine); } \
  static void suite##_##name##_on_machine([[maybe_unused]] ::kdpc::lab::Machine& m)

// EXPLORE_TEST(Suite, Name, .processors = 2, .schedules = 2000) { … m … }: what follows the names are fields of lab::ExploreSettings.
#define EXPLORE_TEST(suite, name, ...)                                                                                    \
  static void suite##_##name##_in_any_order([[maybe_unused]] ::kdpc::lab::Machine& m);                                    \
  TEST(suite, name) { ::kdpc::test::explore(::kdpc::lab::ExploreSettings{__VA_ARGS__}, &suite##_##name##_in_any_order); } \
  static void suite##_##name##_in_any_order([[maybe_unused]] ::kdpc::lab::Machine& m)

// The run so far has ended with this bug check: EXPECT_BUGCHECK(0xC4, 0x30), EXPECT_BUGCHECK(code, p1, kdpc::test::any, p3).
#define EXPECT_BUGCHECK(...) ::kdpc::test::session().expect_bugcheck(__FILE__, __LINE__, #__VA_ARGS__, {__VA_ARGS__})
// The last run ended like this: EXPECT_ENDED(Deadlock).
#define EXPECT_ENDED(how) ::kdpc::test::session().expect_ended(__FILE__, __LINE__, ::kdpc::lab::Ended::how)
// The rule checks have found this: EXPECT_FINDING("lock-order"). They end the run by it, unless .checks = {.keep_going = true}; advice never does.
#define EXPECT_FINDING(id) ::kdpc::test::session().expect_finding(__FILE__, __LINE__, id)
#define EXPECT_NO_FINDINGS() ::kdpc::test::session().expect_no_findings(__FILE__, __LINE__)

// This test proves a rule of the specification; tools/rules reads it from the results.
#define RULE(id) ::kdpc::test::prove(id)

// Anywhere in what is explored: in some order this holds. What was never so is told; the test fails for it if .goals has the text, also if nobody came here.
#define EXPECT_SOMETIMES(condition, text) ::kdpc::lab::sometimes("" text, static_cast<bool>(condition))

// Inside: KDPC_EXPECT(condition), with up to two values to be shown, KDPC_EXPECT(a < b, a, b); KDPC_EXPECT_EQ(a, b) shows both.
#define KDPC_EXPECT(condition, ...) ::kdpc::test::check(static_cast<bool>(condition), #condition, __FILE__, __LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define KDPC_EXPECT_EQ(left, right)                                                                               \
  do {                                                                                                            \
    const auto kdpc_left = (left);                                                                                \
    const auto kdpc_right = (right);                                                                              \
    ::kdpc::test::check(kdpc_left == kdpc_right, #left " == " #right, __FILE__, __LINE__, kdpc_left, kdpc_right); \
  } while (false)
