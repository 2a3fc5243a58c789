// Every lock under every kind of bad luck: two to eight processors, an oracle that lets anybody go on at any call, and counters that must fit.
#include <wdm.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kdpc/test.h"
#include "kernel/spinlock.h"
#include "machine/sim/choice.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

using kdpc::sim::Candidate;

// Lets a processor chosen by chance go on; what comes from outside comes when it is due.
class Chance : public kdpc::sim::Oracle {
 public:
  explicit Chance(unsigned seed) : random_(seed) { kdpc::sim::set_oracle(this); }
  ~Chance() override { kdpc::sim::set_oracle(nullptr); }
  Chance(const Chance&) = delete;
  Chance& operator=(const Chance&) = delete;

  bool begin() override { return true; }
  std::size_t choose(std::span<const Candidate> candidates) override {
    if (candidates[0].kind != Candidate::Kind::Processor) return 0;
    std::size_t open[64];
    std::size_t count = 0;
    for (std::size_t index = 0; index < candidates.size(); ++index)
      if (candidates[index].kind == Candidate::Kind::Processor) open[count++] = index;
    return open[random_() % count];
  }
  std::uint64_t number(std::uint64_t bound) override { return random_() % bound; }

 private:
  std::mt19937 random_;
};

constexpr int kTurns = 40;

// What the lock guards: nobody else is inside, and nothing is lost.
volatile long counter, writers, readers;
void as_writer() {
  KDPC_EXPECT_EQ(writers, 0);
  KDPC_EXPECT_EQ(readers, 0);
  writers = 1;
  const long read = counter;
  KeGetCurrentThread();  // a window: somebody else may go on
  counter = read + 1;
  writers = 0;
}
void as_reader() {
  KDPC_EXPECT_EQ(writers, 0);
  readers = readers + 1;
  const long read = counter;
  KeGetCurrentThread();
  KDPC_EXPECT_EQ(counter, read);
  readers = readers - 1;
}

// Runs `turn` so often on each processor, under so many different fates. `turn` says whether it has written.
template <class Prepare, class Watch>
void stress(kdpc::lab::Machine& m, unsigned level, bool (*turn)(unsigned processor, int number), Prepare prepare, Watch watch) {
  static long wrote[64];
  for (unsigned seed = 1; seed <= 6; ++seed) {
    counter = 0;
    writers = 0;
    readers = 0;
    std::fill(std::begin(wrote), std::end(wrote), 0);
    prepare();
    Chance chance(seed * 1000 + m.processors());
    std::vector<kdpc::lab::Task> tasks;
    for (unsigned processor = 0; processor < m.processors(); ++processor)
      tasks.push_back(m.start(processor, level, [processor, turn] {
        for (int number = 0; number < kTurns; ++number)
          if (turn(processor, number)) ++wrote[processor];
      }));
    const bool done = m.run_until(
        [&] {
          watch();
          return std::all_of(tasks.begin(), tasks.end(), [](const auto& task) { return task.done(); });
        },
        10s);
    EXPECT_TRUE(done) << "seed " << seed << ": " << m.outcome().report();
    if (!done) return;
    long all = 0;
    for (const long of_one : wrote) all += of_one;
    EXPECT_EQ(counter, all) << "seed " << seed;
  }
}
void nothing() {}

// -- in-stack queued spin locks: the queue only ever loses its head and grows at its end ------------------------------------------------------

KSPIN_LOCK lock;
KLOCK_QUEUE_HANDLE handles[8];

// Read from outside while nobody moves: the owner's place, and those behind it.
std::vector<int> queue_now(unsigned processors) {
  std::vector<int> queue;
  for (unsigned first = 0; first < processors; ++first) {
    if ((reinterpret_cast<std::uintptr_t>(handles[first].LockQueue.Lock) & 7) != 2) continue;
    for (const KSPIN_LOCK_QUEUE* place = &handles[first].LockQueue; place != nullptr; place = place->Next)
      for (unsigned number = 0; number < processors; ++number)
        if (place == &handles[number].LockQueue) queue.push_back(static_cast<int>(number));
  }
  return queue;
}

// `now` is `before` without some of its first, and with some at its end.
bool follows(const std::vector<int>& before, const std::vector<int>& now) {
  for (std::size_t gone = 0; gone <= before.size(); ++gone)
    if (before.size() - gone <= now.size() && std::equal(before.begin() + static_cast<long>(gone), before.end(), now.begin())) return true;
  return false;
}

void stress_queued(kdpc::lab::Machine& m) {
  RULE("LCK-2");
  std::vector<int> before;
  std::size_t longest = 0;
  stress(
      m, DISPATCH_LEVEL,
      [](unsigned processor, int) {
        KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[processor]);
        as_writer();
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[processor]);
        return true;
      },
      [&] {
        lock = 0;
        std::memset(handles, 0, sizeof handles);
        before.clear();
      },
      [&] {
        const std::vector<int> now = queue_now(m.processors());
        EXPECT_TRUE(follows(before, now));
        longest = std::max(longest, now.size());
        before = now;
      });
  EXPECT_EQ(longest, m.processors());  // it was no stress otherwise
  EXPECT_EQ(lock, 0u);
}
KDPC_TEST(LockStress, QueuedOnTwo, .processors = 2) { stress_queued(m); }
KDPC_TEST(LockStress, QueuedOnThree, .processors = 3) { stress_queued(m); }
KDPC_TEST(LockStress, QueuedOnEight, .processors = 8) { stress_queued(m); }

// In time order who calls first has it first: the tickets are drawn in the order of the calls.
KDPC_TEST(LockStress, TheOrderOfAcquisitionIsThatOfTheTickets, .processors = 8) {
  RULE("LCK-2");
  static LONG next_ticket, next_served;
  next_ticket = next_served = 0;
  lock = 0;
  std::vector<kdpc::lab::Task> tasks;
  for (unsigned processor = 0; processor < 8; ++processor)
    tasks.push_back(m.start(processor, DISPATCH_LEVEL, [processor] {
      std::minstd_rand random(processor + 1);
      for (int turn = 0; turn < 100; ++turn) {
        KeStallExecutionProcessor(static_cast<ULONG>(random() % 20));
        const LONG ticket = InterlockedIncrement(&next_ticket);  // and no window before the place is taken but that of the call itself
        KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[processor]);
        KDPC_EXPECT_EQ(ticket, ++next_served);
        KeStallExecutionProcessor(static_cast<ULONG>(random() % 5));
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[processor]);
      }
    }));
  EXPECT_TRUE(m.run_until([&] { return std::all_of(tasks.begin(), tasks.end(), [](const auto& task) { return task.done(); }); }, 10s));
  EXPECT_EQ(next_served, 800);
}

// -- the others -------------------------------------------------------------------------------------------------------------------------------

void stress_ordinary(kdpc::lab::Machine& m) {
  stress(
      m, PASSIVE_LEVEL,
      [](unsigned, int number) {
        if (number % 4 == 0) {
          const KIRQL raised = KeRaiseIrqlToDpcLevel();
          const bool got = KeTryToAcquireSpinLockAtDpcLevel(&lock);
          if (got) {
            as_writer();
            KeReleaseSpinLockFromDpcLevel(&lock);
          }
          KeLowerIrql(raised);
          return got;
        }
        KIRQL old;
        KeAcquireSpinLock(&lock, &old);
        as_writer();
        KeReleaseSpinLock(&lock, old);
        return true;
      },
      [] { lock = 0; }, nothing);
}
KDPC_TEST(LockStress, OrdinaryOnTwo, .processors = 2) { stress_ordinary(m); }
KDPC_TEST(LockStress, OrdinaryOnFive, .processors = 5) { stress_ordinary(m); }

EX_SPIN_LOCK reader_writer;
void stress_reader_writer(kdpc::lab::Machine& m) {
  RULE("K.RW-1");
  stress(
      m, PASSIVE_LEVEL,
      [](unsigned processor, int number) {
        KIRQL old;
        switch ((number * 7 + static_cast<int>(processor)) % 4) {
          case 0:
            old = ExAcquireSpinLockExclusive(&reader_writer);
            as_writer();
            ExReleaseSpinLockExclusive(&reader_writer, old);
            return true;
          case 1: {
            old = ExAcquireSpinLockShared(&reader_writer);
            as_reader();
            const bool converted = ExTryConvertSharedSpinLockExclusive(&reader_writer);
            if (converted) {
              as_writer();
              ExReleaseSpinLockExclusive(&reader_writer, old);
            } else {
              as_reader();
              ExReleaseSpinLockShared(&reader_writer, old);
            }
            return converted;
          }
          default:
            old = ExAcquireSpinLockShared(&reader_writer);
            as_reader();
            ExReleaseSpinLockShared(&reader_writer, old);
            return false;
        }
      },
      [] { reader_writer = 0; }, nothing);
  EXPECT_EQ(reader_writer, 0);
}
KDPC_TEST(LockStress, ReaderWriterOnTwo, .processors = 2) { stress_reader_writer(m); }
KDPC_TEST(LockStress, ReaderWriterOnFour, .processors = 4) { stress_reader_writer(m); }
KDPC_TEST(LockStress, ReaderWriterOnEight, .processors = 8) { stress_reader_writer(m); }

EX_PUSH_LOCK push;
void stress_push(kdpc::lab::Machine& m) {
  RULE("K.PUSH-2");
  stress(
      m, APC_LEVEL,
      [](unsigned processor, int number) {
        const bool writes = (number + static_cast<int>(processor)) % 3 == 0;
        if (writes) {
          ExAcquirePushLockExclusive(&push);
          as_writer();
          ExReleasePushLockExclusive(&push);
        } else {
          ExAcquirePushLockShared(&push);
          as_reader();
          ExReleasePushLockShared(&push);
        }
        return writes;
      },
      [] { push = 0; }, nothing);
  EXPECT_EQ(push, 0u);
}
KDPC_TEST(LockStress, PushLocksOnTwo, .processors = 2) { stress_push(m); }
KDPC_TEST(LockStress, PushLocksOnSix, .processors = 6) { stress_push(m); }

// Entries wander between two lists; none is lost, none is in two places, none is taken twice.
struct Wanderer {
  SLIST_ENTRY link;
  LONG taken;
};
SLIST_HEADER lists[2];
Wanderer wanderers[12];
KDPC_TEST(LockStress, SequencedListsOnSix, .processors = 6) {
  RULE("LCK-5");
  stress(
      m, DISPATCH_LEVEL,
      [](unsigned processor, int number) {
        SLIST_HEADER& from = lists[(static_cast<int>(processor) + number) % 2];
        SLIST_HEADER& to = lists[(static_cast<int>(processor) + number / 2) % 2];
        PSLIST_ENTRY entry = InterlockedPopEntrySList(&from);
        if (entry == nullptr) return false;
        auto* wanderer = CONTAINING_RECORD(entry, Wanderer, link);
        KDPC_EXPECT_EQ(InterlockedIncrement(&wanderer->taken), 1);
        KeGetCurrentThread();
        KDPC_EXPECT_EQ(InterlockedDecrement(&wanderer->taken), 0);
        InterlockedPushEntrySList(&to, entry);
        return false;
      },
      [&] {
        m.on(0, PASSIVE_LEVEL, [] {
          for (SLIST_HEADER& list : lists) InitializeSListHead(&list);
          for (Wanderer& wanderer : wanderers) {
            wanderer.taken = 0;
            InterlockedPushEntrySList(&lists[0], &wanderer.link);
          }
        });
      },
      nothing);
  m.on(0, PASSIVE_LEVEL, [] {
    int found = 0;
    for (SLIST_HEADER& list : lists) {
      int of_list = 0;
      const USHORT depth = QueryDepthSList(&list);
      for (PSLIST_ENTRY entry = InterlockedFlushSList(&list); entry != nullptr; entry = entry->Next) ++of_list;
      KDPC_EXPECT_EQ(of_list, depth);
      found += of_list;
    }
    KDPC_EXPECT_EQ(found, 12);
  });
}

// Everybody who has a reference uses the object; when the wait is over nobody does, and nobody can.
EX_RUNDOWN_REF rundown;
volatile LONG users;
volatile LONG deleted;
KDPC_TEST(LockStress, RundownOnFive, .processors = 5) {
  RULE("K.RUN-1");
  stress(
      m, PASSIVE_LEVEL,
      [](unsigned processor, int number) {
        if (processor == 0 && number == kTurns / 2) {
          ExWaitForRundownProtectionRelease(&rundown);
          KDPC_EXPECT_EQ(users, 0);
          deleted = 1;
          return false;
        }
        if (!ExAcquireRundownProtection(&rundown)) return false;
        InterlockedIncrement(&users);
        KDPC_EXPECT_EQ(deleted, 0);
        KeGetCurrentThread();
        KDPC_EXPECT_EQ(deleted, 0);
        InterlockedDecrement(&users);
        ExReleaseRundownProtection(&rundown);
        return false;
      },
      [] {
        rundown.Count = 0;
        users = 0;
        deleted = 0;
      },
      nothing);
}

}  // namespace
