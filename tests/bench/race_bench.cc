// What the race detector costs for each access it is told of, and for going back to a mark.
#include "figures.h"

#include <vector>

#include "check/race/detector.h"

namespace kdpc::race {

namespace {

constexpr std::uintptr_t kExtension = 0x400000010000;
constexpr std::uintptr_t kDpc = 0x400000020000, kInterrupt = 0x400000021000, kLock = 0x400000021200;
constexpr std::size_t kBatch = 1024;  // as the machine's log

Access access(std::uintptr_t at, std::uintptr_t pc, bool write) { return {at, pc | std::uint64_t{8} << 48 | std::uint64_t{write} << 63}; }

std::vector<Access> batch_over(std::size_t bytes) {
  std::vector<Access> batch;
  for (std::size_t i = 0; i < kBatch; ++i) batch.push_back(access(kExtension + i * 8 % bytes, 0x1000 + i % 64, i % 4 == 0));
  return batch;
}

void told(benchmark::State& state) { state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch)); }

// The floor: each access is looked at, and a word is loaded that belongs to where it was.
void words(benchmark::State& state) {
  std::vector<std::uint64_t> shadow(1024);
  const std::vector<Access> batch = batch_over(512);
  for (auto _ : state)
    for (const Access& access : batch) benchmark::DoNotOptimize(shadow[access.at / 8 % shadow.size()]);
  told(state);
}

// A loop over some memory, nobody else near.
void known(benchmark::State& state) {
  Detector detector(2, {}, {});
  const std::vector<Access> batch = batch_over(512);
  for (auto _ : state) detector.accesses({1, 0, 0, 10}, batch);
  told(state);
}

// The same, and after each pass something is handed over, so that each access of the next one is looked at and recorded anew.
void anew(benchmark::State& state) {
  Detector detector(2, {}, {});
  const std::vector<Access> batch = batch_over(8192);
  for (auto _ : state) {
    detector.accesses({1, 0, 0, 10}, batch);
    detector.event({1, 0, 0, 10}, OrderReleased{Address::at(kDpc)});
  }
  told(state);
}

// An ISR of sixteen accesses, and its DPC of sixteen under the interrupt's lock: a driver's usual round, facts and all.
void rounds(benchmark::State& state) {
  Detector detector(2, {}, {});
  std::vector<Access> isr, dpc;
  for (std::size_t i = 0; i < 16; ++i) {
    isr.push_back(access(kExtension + i % 4 * 8, 0x2000 + i, i % 4 == 0));
    dpc.push_back(access(kExtension + i % 4 * 8, 0x3000 + i, i % 4 == 1));
  }
  const auto say = [&](std::uint8_t irql, const Event& event) { detector.event({1, 0, irql, 10}, event); };
  const Address interrupt = Address::at(kInterrupt), object = Address::at(kDpc), lock = Address::at(kLock), routine = Address::at(0x2000);
  say(0, InterruptConnected{interrupt, routine, 0x50, true});
  for (auto _ : state) {
    say(5, LockAcquired{lock, LockKind::Interrupt, false});
    say(5, ActivityBegan{ActivityKind::Isr, 5, routine, interrupt});
    detector.accesses({1, 0, 5, 10}, isr);
    say(15, OrderReleased{object});
    say(15, DpcQueued{object, routine, 0, 1, 1, true, false, {}, {}});
    say(5, ActivityEnded{ActivityKind::Isr, true, routine, interrupt});
    say(5, LockReleased{lock, LockKind::Interrupt});
    say(2, DrainBegan{1});
    say(2, OrderAcquired{object});
    say(2, ActivityBegan{ActivityKind::Dpc, 2, routine, object});
    say(5, LockAcquired{lock, LockKind::Interrupt, false});
    detector.accesses({1, 0, 5, 10}, dpc);
    say(5, LockReleased{lock, LockKind::Interrupt});
    say(2, ActivityEnded{ActivityKind::Dpc, true, routine, object});
    say(2, DrainEnded{1});
  }
  if (!detector.races().empty()) state.SkipWithError("the round is no race");
  state.SetItemsProcessed(state.iterations() * 32);
}

// A short life of eight pages, from the start again and again.
void rewind(benchmark::State& state) {
  Detector detector(2, {}, {});
  const std::vector<Access> batch = batch_over(8192);
  const std::size_t start = detector.mark();
  for (auto _ : state) {
    for (std::uintptr_t page = 0; page < 8; ++page) detector.accesses({1, 0, 0, 10}, std::vector<Access>{access(kExtension + page * 4096, 1, true)});
    detector.rewind(start);
  }
}

BENCHMARK(words);
BENCHMARK(known);
BENCHMARK(anew);
BENCHMARK(rounds);
BENCHMARK(rewind);

}  // namespace

}  // namespace kdpc::race

int main(int argc, char** argv) {
  return kdpc::bench::run(
      argc, argv,
      {
          {"race.known", "1024 accesses to what the same code has just accessed, told to the race detector", "known", "words", 20},
          {"race.anew", "1024 accesses, each recorded anew", "anew", "words", 40},
          {"race.round", "an ISR and its DPC, 32 accesses and 16 facts", "rounds", "words"},
          {"race.rewind", "back to a mark at the start, with 8 accesses to other pages", "rewind", "words"},
      });
}
