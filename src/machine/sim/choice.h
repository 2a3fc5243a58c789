// Who goes next? Where more than one thing could happen, the machine may ask an Oracle instead of the clock. Every strategy of exploration, replay
// and shrinking is an answer to these three questions.
//
// Coordinates are stable: a processor is known by its number and by how often it has been resumed, so that leaving out one deviation from the
// default order does not rename the others.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace kdpc::sim {

struct Candidate {
  enum class Kind : std::uint8_t {
    Processor,   // `number` goes on
    Clock,       // the clock of processor `number` interrupts
    Ipi,         // an IPI arrives at processor `number`
    Board,       // board `number` does what it would do next
  } kind;
  std::uint16_t number;
  std::uint64_t step;   // how often that processor has been resumed so far; 0 for boards
  std::uint64_t time;   // when it would happen by itself
};

class Oracle {
 public:
  virtual ~Oracle() = default;
  // A new execution begins. False: there is nothing left to try.
  virtual bool begin() = 0;
  // Which one happens next: an index. The first is what the fixed order would do. At least two are offered.
  virtual std::size_t choose(std::span<const Candidate> candidates) = 0;
  // A number below `bound`.
  virtual std::uint64_t number(std::uint64_t bound) = 0;
};

}  // namespace kdpc::sim
