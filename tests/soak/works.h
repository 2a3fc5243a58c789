// The DPCs of the soak, and the books that are kept of each: every accepted insertion has a ticket, and every ticket is used once, by a run or by a removal.
//
//   single   whoever inserts or removes it holds a mark meanwhile, or leaves it alone: so a removal knows whose insertion it takes back, and each generation
//            is followed to its end
//   raced    anybody inserts at any time; the tickets' sum says at the end whether those that were accepted are those that ran. Of every second one is removed,
//            by anybody too; a removal cannot know the ticket, so only the counts are compared.
//
// With each goes the common tick in which it was inserted, and what its wait is to be compared with.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernel/dpc.h"
#include "tests/soak/common_tick.h"
#include "tests/soak/soak.h"

namespace kdpc::soak {

class Works;

struct alignas(64) Work {
  Dpc dpc;
  // Its books: by whoever has business with it.
  alignas(64) std::atomic<bool> taken{false};  // single: somebody is about to insert or remove it
  volatile bool running = false;               // targeted: its routine is at work
  std::uint64_t generation = 63;               // single, by who holds the mark: the last one accepted
  std::atomic<std::uint64_t> ended{0};         // single: of generation g, bit g % 64 is turned when it has run or was removed
  std::atomic<std::uint64_t> accepted{0}, ran{0}, removed{0};
  std::atomic<std::uint64_t> tickets{0};  // raced: those accepted less those that ran
  // What it is.
  alignas(64) Works* all = nullptr;
  std::uint16_t index = 0;
  bool single = false, removable = false, targeted = false, threaded = false;
  Importance importance = Importance::Medium;
  std::uint16_t target = 0;

  bool has_ended(std::uint64_t of) const { return ((ended.load(std::memory_order_acquire) >> of % 64) & 1) == (of / 64 & 1); }
};

enum class From : std::uint8_t { Machine, Outside };

class Works {
 public:
  Works(unsigned processors, CommonTick& tick, std::uint64_t seed);

  void prepare();  // on a processor
  unsigned size() const { return count_; }
  Work& any(Random& random) { return works_[random.below(count_)]; }
  Work& probe(unsigned index) { return works_[count_ + index]; }  // nobody else's, single, not threaded, for a thread's own use

  // Any level. True: accepted.
  bool insert(Work& work, Activity& by, From from = From::Machine);
  bool remove(Work& work, Activity& by);
  bool remove_or_wait(Work& work, Activity& by);  // Passive
  void change(Work& probe, Random& random);       // its importance and its target; it is not queued, nor running

  Activity& of_dpcs(unsigned processor) { return of_dpcs_[processor]; }
  Activity& of_threaded(unsigned processor) { return of_threaded_[processor]; }
  // What routines do besides, at the end of each; by the scene.
  void (*sideline)(void* context, Work& work, Activity& by) = nullptr;
  void* sideline_context = nullptr;

  bool are_even() const;  // for every one: accepted is ran and removed; while the machine stands still
  void check() const;     // the same, and the tickets; what is not so is told

  static constexpr unsigned kProbes = 256;

 private:
  static void KDPC_NTAPI run(Dpc* dpc, void* context, void* argument1, void* argument2);
  bool insert_single(Work& work, Activity& by, From from);
  bool insert_raced(Work& work, Activity& by, From from);
  bool hand_in(Work& work, std::uint64_t ticket, Activity& by, From from);

  const unsigned processors_, count_;
  CommonTick& tick_;
  std::unique_ptr<Work[]> works_;
  std::unique_ptr<Activity[]> of_dpcs_, of_threaded_;
};

}  // namespace kdpc::soak
