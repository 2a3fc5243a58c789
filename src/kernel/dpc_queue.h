// The DPCs of one processor that wait for their run, in two parts.
//
// Its processor, the owner, has a list, on which it works with plain loads and stores. Others send: they push onto the inbox, one word, and the owner
// takes in what has come before it inserts or takes anything itself. So the way of a DPC that is queued where it runs has no lock on it, and one
// interlocked exchange: the claim of the Dpc.
//
//   K.QUE-1  Who is inside may touch the list: the owner, at High; or a visitor, at High, that holds `visitors_`, has said so by `wanted_`, and has
//            then seen the owner outside. The owner's store to `inside_` and its load of `wanted_` need no fence between them, because the visitor
//            makes every processor pass one (Machine::fence_everywhere).
//   K.QUE-2  What is in the inbox came later than all that is in the list; so they are together in the order of their insertions.
//   K.QUE-3  Dpc::where says Listed, and in which queue, exactly while the Dpc is linked in the list; only then can it be removed. Between its claim and
//            that moment the insertion is still under way, and a removal comes before it.
//   K.QUE-4  A Dpc leaves the queue by an exchange, so that its routine sees what was stored before an insertion that was refused until then (INS-1).
//   K.QUE-5  While a visitor takes the inbox in, a Dpc is in neither part. Whoever decides that nothing is left asks has_any(), which is true then.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/list.h"
#include "kernel/spinlock.h"

namespace kdpc {

struct Dpc;
class DpcQueue;

using DpcRoutine = void KDPC_NTAPI(Dpc* dpc, void* context, void* argument1, void* argument2);

enum class Importance : std::uint8_t { Low = 0, Medium = 1, High = 2, MediumHigh = 3 };

// NT's KDPC, field for field (SEMANTICS 3.1). Where NT has padding and its link area, the fields are ours.
struct Dpc {
  enum class Place : std::uint8_t { None, Listed };

  // While it is queued; read as one, as a Dpc can go from one queue to another between two readings.
  struct alignas(4) Where {
    std::uint16_t home;  // the number of its queue
    Place place;         // K.QUE-3
    bool urgent;         // it was of high importance when it was inserted
  };

  std::uint8_t type;
  std::uint8_t importance;
  volatile std::uint16_t number;  // 0: untargeted; kTargeted + n: processor n
  Where where;
  Link link;
  DpcRoutine* routine;
  void* context;
  void* argument1;
  void* argument2;
  DpcQueue* volatile queue;  // null: not queued

  static constexpr std::uint16_t kTargeted = 64;
};
static_assert(sizeof(Dpc) == 0x40 && offsetof(Dpc, link) == 8 && offsetof(Dpc, routine) == 0x18 && offsetof(Dpc, queue) == 0x38);

// A Dpc on its way from a queue to its call: copies, because the object is its owner's again.
struct DueDpc {
  Dpc* dpc;
  DpcRoutine* routine;
  void *context, *argument1, *argument2;
};

class DpcQueue {
 public:
  void initialize(std::uint16_t number);

  // Any processor, at High. False: it is queued already, here or elsewhere, and whoever runs it sees what the caller has done before.
  [[nodiscard]] bool claim(Dpc& dpc);
  // Then, once, by the owner at High: high importance goes to the head, everything else to the tail (SEMANTICS 5.1).
  void insert_here(Dpc& dpc);
  // Or by another processor, at High. From here on it may run, and be gone.
  void send(Dpc& dpc);

  // The owner, at High. False: empty. `active` names the Dpc before it stops being queued: who waits for its run sees the one or the other (REM-4).
  bool pop_here(DueDpc& due, Dpc* volatile& active);

  // Any processor, at High. False: it is not in this queue, or not yet.
  bool remove(Dpc& dpc);
  bool contains(const Dpc& dpc);
  // Calls `visit(Dpc&)` for each, in the order in which they would run, while nobody else is inside.
  template <class Visit>
  void for_each(Visit&& visit) {
    const Inside inside(*this);
    for (Link* link = list_.first(); link != nullptr; link = list_.after(link)) visit(*owner_of<&Dpc::link>(link));
  }

  // False: it is empty, and what is sent from now on sees all that this processor has stored before its last full fence.
  bool has_any() const {
    if (__atomic_load_n(&inbox_, __ATOMIC_ACQUIRE) != 0 || __atomic_load_n(&wanted_, __ATOMIC_ACQUIRE) != 0) return true;
    return __atomic_load_n(&listed_, __ATOMIC_ACQUIRE) != 0;
  }
  // Exact while nobody else is inside; a hint for the thresholds.
  std::int32_t depth() const { return listed_ + static_cast<std::int32_t>(inbox_ >> kCountShift); }
  // Ever, never decremented: NT's DpcCount.
  std::uint32_t inserted() const { return ever_listed_ + static_cast<std::uint32_t>(inbox_ >> kCountShift); }

  // For those who only read, while nothing runs: the list; and the last one in the inbox, from which Dpc::link.next leads to the one sent before it.
  // A visitor of all of them in their order would see the urgent ones in the inbox first, last sent first; then the list; then the rest as sent.
  const List& list() const { return list_; }
  const Dpc* last_sent() const { return reinterpret_cast<const Dpc*>(inbox_ & kAddress); }

 private:
  static constexpr unsigned kCountShift = 48;
  static constexpr std::uintptr_t kAddress = (std::uintptr_t{1} << kCountShift) - 1;
  static constexpr std::uintptr_t kMostCounted = 0xFFFF;

  // For the rest of the scope its maker is inside, and the inbox has been taken in.
  class Inside {
   public:
    explicit Inside(DpcQueue& queue) : queue_(queue), owner_(queue.is_owned_here()) { owner_ ? queue_.enter_here() : queue_.visit(); }
    ~Inside() { owner_ ? queue_.leave_here() : queue_.end_visit(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    DpcQueue& queue_;
    bool owner_;
  };

  bool is_owned_here() const;
  void enter_here();
  void leave_here();
  void visit() NO_PERMISSION_CHECK;
  void end_visit() NO_PERMISSION_CHECK;
  void take_in();
  void enlist(Dpc& dpc);

  // The owner's line; a visitor writes there only when it comes.
  alignas(64) List list_;                          // inside
  volatile std::int32_t listed_ = 0;               // inside
  volatile std::uint32_t ever_listed_ = 0;         // inside
  volatile std::uint32_t inside_ = 0;              // H  the owner is inside
  volatile std::uint32_t wanted_ = 0;              // X  a visitor is inside, or waits for the owner to leave
  std::uint16_t number_ = 0;                       // I
  alignas(64) volatile std::uintptr_t inbox_ = 0;  // X  the last one sent; above its address, how many there are, at most kMostCounted
  SpinLock visitors_;
};

}  // namespace kdpc
