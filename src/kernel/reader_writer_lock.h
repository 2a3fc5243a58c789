// Executive spin locks: many readers, or one writer, spinning at Dispatch or above. NT's EX_SPIN_LOCK, 32 bits, zero is free.
//
//   bit 31: a writer has claimed the lock      bits 0–30: how many processors hold it shared
//
// A writer claims first and waits for the readers to leave then; a claim keeps new readers out. So a writer waits no longer than the readers
// that are in, however many want to come.
//
//   K.RW-1  Only the writer that made the claim withdraws it; the lock is its own when the claim stands and no reader is left.
#pragma once
#include <cstdint>

#include "kernel/events.h"

namespace kdpc {

class ReaderWriterLock {
 public:
  // At Dispatch or above. Own in either way: bug check 0x0F, or for ever on a free build.
  void acquire_exclusive_here(LockForm form);
  void acquire_shared_here(LockForm form);
  [[nodiscard]] bool try_acquire_exclusive_here();
  [[nodiscard]] bool try_acquire_shared_here();
  // Not owned by this processor: bug check 0x10; owned in the other way: 0xC4/0x1009.
  void release_exclusive_here(LockForm form) { release(false, form); }
  void release_shared_here(LockForm form) { release(true, form); }
  // From shared to exclusive, if this processor is the only reader and nobody has claimed the lock. False: it is still held shared.
  [[nodiscard]] bool try_convert_here();

  bool is_free() const { return word_ == 0; }

 private:
  static constexpr std::uint32_t kClaimed = 0x8000'0000;
  // More readers than this are garbage in a lock that nobody has set to zero.
  static constexpr std::uint32_t kMostReaders = 0xFFFF;

  bool exchange(std::uint32_t& seen, std::uint32_t wanted);
  void check_before_acquiring() const;
  void check_word(std::uint32_t seen) const;
  void remember(bool shared);  // that this processor waits for it or holds it
  // Adds a reader or the claim. Returns whether it had to wait.
  bool add_once_unclaimed(std::uint32_t part);
  void owned(bool shared, bool waited, LockForm form);
  void release(bool shared, LockForm form);
  const volatile std::uint32_t* word() const { return &word_; }

  volatile std::uint32_t word_;
};
static_assert(sizeof(ReaderWriterLock) == 4);

}  // namespace kdpc
