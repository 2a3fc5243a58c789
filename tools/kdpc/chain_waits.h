// How long the sound's way waited outside the queue of DPCs: the card's interrupts for their ISR, and the application, once it could run, for a
// processor; and who had the processor meanwhile. (How long DPCs waited, and what for, is trace/latency's.)
//
//   interrupt requested --wait--> ISR begins … DPC … application made ready --wait--> application runs
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "machine/sink.h"

namespace kdpc::tool {

// Activities, and what is outside of them: a thread.
struct Occupant {
  std::optional<ActivityKind> kind;  // none: a thread, below or above DISPATCH_LEVEL
  std::uintptr_t routine = 0;
  auto operator<=>(const Occupant&) const = default;
};

struct ChainWait {
  enum class Who : std::uint8_t { Interrupt, Application } who = Who::Interrupt;
  unsigned processor = 0;
  std::uint64_t began = 0;
  std::uint64_t ended = 0;
  std::vector<std::pair<Occupant, std::uint64_t>> occupants;  // and how long
};

class ChainWaits : public EventSink {
 public:
  // `is_audio`: a routine of the driver whose interrupts are meant.
  ChainWaits(unsigned processors, std::function<bool(std::uintptr_t routine)> is_audio, std::uint64_t shortest = kShortest)
      : is_audio_(std::move(is_audio)), shortest_(shortest), processors_(processors) {}
  void application_is(std::uint32_t thread) { application_ = thread; }

  void event(const Stamp& stamp, const Event& event) override;
  bool inside_an_activity(unsigned processor) const { return processor < processors_.size() && !processors_[processor].open.empty(); }
  const std::vector<ChainWait>& waits() const { return waits_; }  // those worth keeping, in the order in which they ended

 private:
  // Shorter ones explain no drop-out: a buffer is milliseconds long.
  static constexpr std::uint64_t kShortest = 200'000;
  static constexpr std::size_t kMost = 100'000;

  struct Pending {
    ChainWait::Who who;
    std::uint64_t since;
    std::map<Occupant, std::uint64_t> occupants;
  };
  struct OfProcessor {
    std::vector<Occupant> open;           // innermost last
    std::uint64_t charged = 0;            // up to here
    std::map<unsigned, Pending> pending;  // by vector, and kApplication
  };
  static constexpr unsigned kApplication = 256;

  void charge(OfProcessor& processor, std::uint64_t now);
  void end(unsigned processor, unsigned key, std::uint64_t now);

  std::function<bool(std::uintptr_t routine)> is_audio_;
  std::uint64_t shortest_;
  std::vector<OfProcessor> processors_;
  std::unordered_map<std::uintptr_t, std::uint8_t> vectors_;  // of the audio driver's interrupt objects
  std::uint32_t application_ = 0;
  std::vector<ChainWait> waits_;
};

}  // namespace kdpc::tool
