// What a run has to say: one document, as text for people and as JSON for programs. Everything in it is resolved: names, not addresses.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kdpc/lab.h"
#include "tools/kdpc/alignment.h"
#include "tools/kdpc/exit_code.h"

namespace kdpc::tool {

enum class Verdict : std::uint8_t {
  Clean,  // all that was played, or received and sent, is what was given; or there was nothing to do, and nothing went wrong
  Dropouts,
  LostBytes,  // of a serial line
  Bugcheck,
  Finding,  // of a rule check
  Deadlock,
  NoProgress,
  Stuck,  // nothing will ever happen again, and the application waits
  TimeLimit,
  DeviceDied,
  DriverRefused,  // DriverEntry, AddDevice or the start of its device failed
  Application,    // the application's request was refused
  Interrupted,
};
std::string_view name_of(Verdict verdict);

// A routine of a driver, or of the kernel ("nt").
struct RoutineName {
  std::string driver;
  std::string routine;
  std::string file;  // empty: no debug information
  int line = 0;
  std::string text() const;   // hog!HogRun
  std::string place() const;  // hog!HogRun (hog.c:66)
};

// How long one run of a routine should take at most (SEMANTICS 9.1). Advice: nothing is enforced.
inline constexpr std::uint64_t kAdvisedIsrNs = 25'000;
inline constexpr std::uint64_t kAdvisedDpcNs = 100'000;

struct RoutineFigures {
  std::string kind;  // "ISR", "DPC", "timer DPC"
  RoutineName name;
  unsigned processor = 0;
  std::uint64_t count = 0;
  std::uint64_t claimed = 0;     // ISRs
  std::uint64_t longest_ns = 0;  // both without the interrupts that nested inside
  std::uint64_t total_ns = 0;
  std::uint64_t longest_with_interrupts_ns = 0;
  std::uint64_t longest_wait_ns = 0;  // from request or queueing to beginning
  bool longer_than_advised = false;   // its longest run; only virtual time is precise enough to say so
};

// Something that had the processor while somebody else waited for it.
struct Delay {
  std::string kind;  // "timer DPC", "ISR", "thread at raised IRQL", …
  RoutineName name;  // empty where nobody can be named
  std::uint64_t nanoseconds = 0;
  bool before_allowed = false;  // the waiting DPC was not allowed yet
};

// The steps by which sound that was heard late came late.
struct LateChain {
  RoutineName victim;  // the audio DPC
  unsigned processor = 0;
  std::string queued_by;
  std::uint64_t queued_ns = 0, allowed_ns = 0, began_ns = 0, ended_ns = 0;
  std::vector<Delay> delays;  // of the DPC, the longest first
  // Before and after the DPC, at worst; 0: not worth a word.
  std::uint64_t interrupt_wait_ns = 0;  // the card asked, and the ISR had not begun
  std::vector<Delay> interrupt_delays;
  std::uint64_t application_wait_ns = 0;  // the application could run, and did not
  std::vector<Delay> application_delays;
};

struct DropoutReport {
  Dropout dropout;
  double source_ms = 0;
  double played_ms = 0;
  double length_ms = 0;
  std::optional<LateChain> chain;
  std::optional<std::size_t> culprit;  // index into Report::culprits
};

struct Culprit {
  std::string kind;
  RoutineName name;
  unsigned processor = 0;
  std::uint64_t delayed_ns = 0;  // the audio DPC, at worst
  std::uint64_t ran_ns = 0;      // its own longest run
  std::size_t dropouts = 0;      // caused; or losses
};

struct Sound {
  std::string source;
  unsigned rate = 0;
  std::size_t source_frames = 0;
  std::size_t played_frames = 0;
  Alignment alignment;
  std::vector<DropoutReport> dropouts;
  double total_ms = 0;
  double milliseconds(std::size_t frames) const { return rate == 0 ? 0 : 1000.0 * static_cast<double>(frames) / rate; }
};

// Characters in a row for which a UART had no room.
struct LineLoss {
  std::size_t first_byte = 0;  // of what the far end sent
  std::size_t bytes = 0;
  std::uint64_t began_ns = 0, ended_ns = 0;  // when they were complete
  std::uint64_t isr_waited_ns = 0;           // meanwhile
  std::optional<RoutineName> culprit;
};

struct LineReport {
  unsigned baud = 0;
  std::string source;  // what the far end was to send; empty: nothing
  std::size_t source_bytes = 0, received_bytes = 0;
  std::size_t lost_in_chip = 0;  // no room in the FIFO
  std::size_t lost_later = 0;    // by the driver, or by the application that did not read
  bool is_garbled = false;       // something was received that was not sent
  std::vector<LineLoss> losses;  // in the chip
  std::uint64_t fifo_ns = 0;
  RoutineName isr;
  bool has_counts = false;
  std::uint32_t counted_chip_overruns = 0, counted_ring_overruns = 0;  // by the driver
  std::string send_source;                                             // what the application was to send; empty: nothing
  std::size_t send_bytes = 0, heard_bytes = 0;                         // by the far end
  bool is_heard_whole = true;
  std::size_t lost() const { return lost_in_chip + lost_later; }
};

struct Expectation {
  std::string name;
  std::string wanted;
  std::string actual;
  bool met = false;
};

struct Report {
  std::string title;
  std::string scenario;
  Verdict verdict = Verdict::Clean;
  std::string sentence;  // what happened, for people
  ExitCode exit_code = ExitCode::AsExpected;

  std::optional<Sound> sound;
  std::optional<LineReport> line;
  std::vector<Culprit> culprits;          // the worst first
  std::optional<LateChain> longest_wait;  // of the audio driver's DPCs, drop-out or not
  std::vector<RoutineFigures> routines;   // ISRs, then DPCs
  std::vector<Expectation> expectations;

  std::optional<lab::Bugcheck> bugcheck;
  std::vector<lab::Finding> findings;  // of the rule checks, advice too
  std::string stop_text;               // as a debugger tells it
  std::string explanation;             // of another end
  std::vector<std::string> warnings;   // of the scenario: what in it was in vain
  std::vector<lab::DebugLine> debug_lines;
  std::vector<std::string> last_events;  // where the run ended badly; without those of the kernel's own locks
  std::string processor_table;

  std::uint64_t trace_hash = 0;
  std::uint64_t virtual_ns = 0;
  double wall_seconds = 0;
  unsigned processors = 0;
  std::string machine;
  lab::Settings options;             // those in force
  std::vector<std::string> drivers;  // in the order in which they were loaded
};

nlohmann::ordered_json to_json(const Report& report);
std::string to_text(const Report& report);

}  // namespace kdpc::tool
