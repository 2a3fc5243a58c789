#include "machine/live/tls.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstring>
#include <deque>
#include <optional>
#include <string>

#include "machine/live/calls.h"
#include "machine/live/lock.h"
#include "machine/live/segments.h"
#include "machine/live/signals.h"
#include "machine/sanitizer.h"

namespace kdpc::live::tls {

struct Donor {
  pthread_t thread;
  std::uintptr_t fs;
  Donor* next;          // of those nobody has borrowed
  unsigned borrowings;  // that are over
};

namespace {

constexpr std::size_t kStackSize = 64 * 1024;
constexpr unsigned kReserve = 8;
constexpr unsigned kMostBorrowings = 500;

__attribute__((tls_model("initial-exec"))) thread_local bool inside = false;

Lock lock;
Donor* unused = nullptr;
unsigned unused_count = 0;

// The maker is a host thread: processors must not make threads, as that may block on what a preempted thread holds.
std::deque<Donor> donors;  // the maker's, and before that the host's
std::optional<pthread_t> maker;
calls::Futex wanted{0};   // the maker's alarm
calls::Futex ending{0};   // all go home
calls::Futex started{0};  // a donor's answer
std::atomic<bool> exhausted{false};

void put(Donor* donor) {
  const Locked locked(lock);
  donor->next = unused;
  unused = donor;
  ++unused_count;
}

// Nor must a sanitizer keep anything in the block for the donor, once it is somebody else's.
[[gnu::flatten]] KDPC_NOT_SEEN void* own_a_block(void* argument) {
  auto& donor = *static_cast<Donor*>(argument);
  donor.fs = segments::fs();
  inside = true;
  started = 1;
  calls::wake(started);
  while (ending == 0) calls::wait(ending, 0);
  inside = false;  // what ends with the thread ends on the host
  return nullptr;
}

// With everything blocked; 0, or why the host refuses.
int make_one() {
  Donor& donor = donors.emplace_back();
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, std::max(kStackSize, static_cast<std::size_t>(PTHREAD_STACK_MIN)));
  started = 0;
  const int refused = ::pthread_create(&donor.thread, &attributes, own_a_block, &donor);
  ::pthread_attr_destroy(&attributes);
  if (refused != 0) {
    donors.pop_back();
    exhausted = true;
    return refused;
  }
  while (started == 0) calls::wait(started, 0);
  put(&donor);
  return 0;
}

void* make_donors(void*) {
  while (ending == 0) {
    const std::uint32_t seen = wanted;
    bool enough;
    {
      const Locked locked(lock);
      enough = unused_count >= kReserve;
    }
    if (enough || exhausted) {
      calls::wait(wanted, seen);
    } else {
      make_one();
    }
  }
  return nullptr;
}

}  // namespace

bool on_processor() { return inside; }
void set_on_processor(bool is) { inside = is; }

Result<void> open() {
  ending = 0;
  exhausted = false;
  sigset_t before;
  signals::block_all(before);
  int refused = 0;
  for (unsigned count = 0; count < kReserve && refused == 0; ++count) refused = make_one();
  pthread_t thread;
  if (refused == 0) refused = ::pthread_create(&thread, nullptr, make_donors, nullptr);
  if (refused == 0) maker = thread;
  signals::restore(before);
  if (refused == 0) return {};
  return Error{"the host does not give the machine the threads it begins with: " + std::string(std::strerror(refused))};
}

void close() {
  ending = 1;
  calls::wake(ending);
  wanted.fetch_add(1);
  calls::wake(wanted);
  if (maker) ::pthread_join(*maker, nullptr);
  maker.reset();
  for (Donor& donor : donors) ::pthread_join(donor.thread, nullptr);
  donors.clear();
  unused = nullptr;
  unused_count = 0;
}

Donor* take() {
  for (;;) {
    Donor* donor = nullptr;
    bool few;
    {
      const Locked locked(lock);
      donor = unused;
      if (donor != nullptr) {
        unused = donor->next;
        --unused_count;
      }
      few = unused_count < kReserve;
    }
    if (few && !exhausted) {
      wanted.fetch_add(1);
      calls::wake(wanted);
    }
    if (donor != nullptr || exhausted) return donor;
    calls::give_way();  // the maker is at work
  }
}

// ThreadSanitizer has still got the calls from which an abandoned fiber never returned, and room for 65536.
void give(Donor* donor) {
  if (!sanitizer::kFindsRaces || ++donor->borrowings < kMostBorrowings) put(donor);
}

std::uintptr_t fs_of(const Donor* donor) { return donor->fs; }

}  // namespace kdpc::live::tls
