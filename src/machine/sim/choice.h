// Who goes next? Where more than one thing could happen, the machine may ask an Oracle instead of the clock. Every strategy of exploration, replay
// and shrinking is an answer to these questions.
//
// With an oracle order is all that counts: what would happen later may be chosen to happen now. Time then only follows: nobody acts before what was
// chosen earlier for it.
//
// A processor's steps are its windows, the accesses of driver code that was built to tell of them (access.h), whenever it begins to wait, switches threads, comes
// back from an interrupt or is late in the middle of driver code, and every n-th edge of that. At which of
// them it wants to be asked the oracle says beforehand; it is asked too when a processor has to wait and when something is due. Coordinates are stable: a
// processor is known by its number and by how many steps it has taken, so that leaving out one deviation from the default order does not rename the others.
//
//   K.ENDURE-1  A run that never ends by itself ends, after the work that its oracle allows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace kdpc::sim {

struct Candidate {
  static constexpr std::uint64_t kNeverByItself = ~std::uint64_t{0};
  enum class Kind : std::uint8_t {
    Board,      // source `number` of the boards' (bus.h) does what it would do next
    Clock,      // the clock of processor `number` interrupts
    Ipi,        // an IPI arrives at processor `number`
    Processor,  // processor `number` goes on
  } kind;
  std::uint16_t number;
  std::uint64_t step;  // how many steps that processor has taken so far, the one it is about to take included; of boards 0
  std::uint64_t time;  // when it would happen by itself; kNeverByItself: it never would
  // Of processors: where it stands, and whether an interrupt has come that it takes first.
  std::uint8_t irql = 0;
  bool interrupted = false;
  std::uint32_t thread = 0;
};

struct FallibleCall {
  std::uint16_t processor;
  std::uint64_t step;
  std::uint16_t routine;  // wdk/routine.h
  std::uintptr_t caller;
  unsigned (*stack)(std::uintptr_t* frames, unsigned room);  // return addresses, innermost first; how many
};

class Oracle {
 public:
  virtual ~Oracle() = default;
  // A new execution begins; asked by whoever repeats executions, not by the machine. False: there is nothing left to try.
  virtual bool begin() = 0;
  // Which one happens next: an index. The first is what the fixed order would do; at least two are offered.
  virtual std::size_t choose(std::span<const Candidate> candidates) = 0;
  // A processor is about to go on. Nobody is in the middle of anything but what its own code is at: the host runs, and may end the run.
  virtual void look() {}
  // A number below `bound`, at least 2, where the order leaves something open (which of several processors gets a line). 0 is the default.
  virtual std::uint64_t number(std::uint64_t bound) = 0;
  // The step of this processor, behind the one it has come to, at which choose() is called at the latest.
  virtual std::uint64_t next_question(unsigned /*processor*/, std::uint64_t step) { return step + 1; }
  // The same for steps that are accesses, of which there are many: with one nothing else becomes possible. Not before next_question().
  virtual std::uint64_t next_question_at_access(unsigned processor, std::uint64_t step) { return next_question(processor, step); }
  // This happens, as nothing else is possible.
  virtual void not_asked(const Candidate& /*only*/) {}
  // After how many edges of driver code a step is taken although no routine was called; 0: edges are no steps.
  virtual std::uint64_t edges_between_choices() const { return 1; }
  // By how many nanoseconds a processor may be ahead of others before it has to wait for them.
  virtual std::uint64_t patience() const { return 0; }
  // Does the routine fail that this processor has come to with its last step? It may, as if there were no memory (wdk/may_fail.h).
  virtual bool fails(const FallibleCall& /*call*/) { return false; }
  // A processor has worked: nanoseconds in which it ran code, and kStepWork for each step. False: the run ends without progress.
  virtual bool endures(std::uint64_t /*work*/) { return true; }
  static constexpr std::uint64_t kStepWork = 100;
};

// On the host context; null: the fixed, timed order again. The oracle must outlive its use.
void set_oracle(Oracle* oracle);

}  // namespace kdpc::sim
