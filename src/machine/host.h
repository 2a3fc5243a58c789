// The outside of a machine: what the lab and the bus routines ask of it. Each machine implements these functions; they are called on the host
// context, except where a line says otherwise.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "kdpc/device.h"
#include "kernel/bugcheck.h"
#include "kernel/options.h"
#include "machine/sink.h"

namespace kdpc {
struct Dpc;
}

namespace kdpc::sim {
class Oracle;
}

namespace kdpc::host {

// How an idle processor of the live machine waits: it looks for a while, and then sleeps; it looks for ever, at the price of a processor of the host's;
// or it sleeps at once. Asleep it costs nothing, and takes some microseconds longer to wake.
enum class Idle : std::uint8_t { BackOff, Spin, Block };

struct Config {
  unsigned processors = 1;
  Options options;
  std::map<std::string, std::uint64_t> costs;   // names of machine/sim/costs.h, in nanoseconds; the live machine has none
  std::size_t memory = std::size_t{256} << 20;  // of the World, reserved, not used
  Idle idle = Idle::BackOff;
};

enum class Ended : std::uint8_t {
  ConditionMet,
  TimeLimit,    // the virtual (live: real) time limit passed first
  Bugcheck,     // `report` says which
  Deadlock,     // nobody can ever go on, or processors wait for each other's locks; `text` explains
  Quiescent,    // nothing will ever happen again and the condition is not met
  NoProgress,   // code without interrupt points used up the host-time guard
  HostFailure,  // a board failed; `text` says what
  Finding,      // a sink has asked for it
};

struct Outcome {
  Ended how = Ended::ConditionMet;
  std::string text;
  std::optional<BugcheckReport> report;
};

// One machine at a time in a process; a second create() before destroy() is an error.
Result<void> create(const Config& config);
void destroy();
bool exists();

// Runs until the condition holds (it is asked between steps, on the host context), the limit has passed, or the run has ended. Without a
// condition: until the limit, quiescent or not. After a run has ended for good (Bugcheck, Deadlock, NoProgress, HostFailure) every further call
// returns the same outcome.
Outcome run_until(const std::function<bool()>& condition, Nanoseconds limit);
Nanoseconds now();                           // the time the whole machine has reached
Irql irql_of_processor(unsigned processor);  // now, between steps

void add_sink(EventSink& sink);
void remove_sink(EventSink& sink);

// For sinks that judge. Is every fact told, at once and in the order in which things happened? If not, there is nothing to judge by.
bool facts_are_complete();
// So many have been lost, for want of room; never on the simulated machine.
std::uint64_t facts_lost();
// Inside event(): the return addresses of the code that states the fact, innermost first, and how many; the host's own code has none.
unsigned stack_of_fact(std::uintptr_t* frames, unsigned room);
// Inside event(): what an address means to the stacks. Dead: on one, but below everything that lives there; of the code that states the fact, what
// lives begins with the function into which `caller` returns.
enum class StackWord : std::uint8_t { None, Live, Dead };
StackWord stack_word(std::uintptr_t address, std::uintptr_t caller);
// Inside event(): the run ends with this fact, as a Finding; the code that states it goes no further.
void end_with_fact();
// On the host context, between steps: the run ends as a Finding, told with where every processor stands. Simulated machine only.
void end_run(const std::string& why);

// Queues a Dpc (kernel/outside.h); any thread that is no processor's, also its signal handlers, at any time. On the simulated machine, where nothing comes from
// such threads, an answer of no.
bool insert_dpc(Dpc& dpc, void* argument1, void* argument2);

// A job (kernel/job.h) has been posted: the job vector goes to `processor`.
void job_posted(unsigned processor);

// Boards, their lines and their messages: the machine's numbers of a board's first ones. The board must outlive the machine.
struct Attached {
  unsigned first_source = 0;  // of what happens on it by itself, as in schedules
  unsigned first_line = 0;
  unsigned first_message = 0;
};
Attached attach(Board& board);
void set_line(unsigned line, bool asserted);  // for tests: a line that belongs to no board; host or any context
unsigned add_line(bool level);                // such a line
// The line interrupts with this vector on the lowest processor whose Machine::route() lets the vector through.
void assign_line(unsigned line, std::uint8_t vector, bool level);
void assign_message(unsigned message, std::uint8_t vector);   // 0: what is sent is lost
void raise_message(std::uint8_t vector, unsigned processor);  // an edge, without a line; host or any context

// The register bus, called by a processor (any level): advances the board, charges the cost, and does the access. False: no such address.
bool bus_read(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t& value);
bool bus_write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value);

// Memory of the run that a driver's image owns: its writable sections become spans of the World.
void add_span(void* base, std::size_t size);
// Memory that may be touched below Dispatch only, whole pages; where the machine can see to it, it does. `write`, `execute`: what else than reading is
// allowed below.
void add_pageable(void* base, std::size_t size, bool write, bool execute);
// Pages that stay, until they have been unlocked as often; others than pageable ones may be named, and are there anyway. Any level.
void lock_pages(const void* address, std::size_t size);
void unlock_pages(const void* address, std::size_t size);
void lock_section(const void* address);  // all that was added together with this address
void unlock_section(const void* address);

// State (simulated machine only; elsewhere an error that says so). Spans, stacks and sinks; boards that can_rewind() only.
struct Checkpoint;
Result<Checkpoint*> checkpoint();
void restore(const Checkpoint& checkpoint);
// Below what is in use on any stack stands nothing any more: calls that have returned have left their remains there, which no checkpoint has.
void wipe_stacks();
void discard(Checkpoint* checkpoint);
std::size_t size_of(const Checkpoint& checkpoint);  // bytes copied

// Simulated machine only: who is asked what happens next (machine/sim/choice.h); null: nobody. It must outlive its use.
void set_oracle(sim::Oracle* oracle);
std::uint64_t steps_of_processor(unsigned processor);  // so many has it taken with an oracle

}  // namespace kdpc::host
