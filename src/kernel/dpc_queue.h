// The DPCs of one processor that wait for their run, in two parts.
//
// Its processor, the owner, has a list, on which it works with plain loads and stores. Others send: they push onto the inbox, one word, and the owner
// takes in what has come before it inserts or takes anything itself. So the way of a DPC that is queued where it runs has no lock on it, and one
// interlocked exchange: that by which it is claimed.
//
//   K.QUE-1  Who is inside may touch the list: the owner, at High; or a visitor, at High, that holds `visitors_`, has said so by `wanted_`, and has
//            then seen the owner outside. The owner's store to `inside_` and its load of `wanted_` need no fence between them, because the visitor
//            makes every processor pass one (Machine::fence_everywhere).
//   K.QUE-2  What is in the inbox came later than all that is in the list; so they are together in the order of their insertions. Only what is urgent goes
//            before the list, and who has sent such a one says so by `urgent_sent_`: so the owner takes from its list without a look at the inbox, in
//            whose line the senders are.
//   K.QUE-3  Dpc::where says Listed, and in which queue, exactly while the Dpc is linked in the list; only then can it be removed. Between its claim and
//            that moment the insertion is still under way, and a removal comes before it.
//   K.QUE-4  A Dpc is called after it has stopped being queued, so that its routine sees what was stored before an insertion that was refused until then
//            (INS-1). Who is refused by the processor in whose list it is has that by the order of the program. Anybody else passes a full fence before he
//            reads that it is queued; the owner passes one between the store that ends that and the call if `refused_` is set, and until somebody
//            is refused elsewhere for the first time nobody needs that. He sets it in all queues, not knowing in which one the Dpc is, makes every
//            processor pass a fence, and asks again: what was being called at that fence is not queued any more for whoever asks after it.
//   K.QUE-5  While a visitor takes the inbox in, a Dpc is in neither part. Whoever decides that nothing is left asks has_any(), which is true then.
//   K.QUE-6  The owner says that its drain is over, then looks at its inbox; a sender sends, then looks whether the drain is over: one of them must see
//            what the other did (RET-3b). A sender passes a full fence with each Dpc. The owner passes one between its two steps if `fenced_` is set,
//            and until somebody sends to it for the first time nobody needs that. Who finds `known_` not set sets `fenced_`, makes every processor
//            pass a fence, and sets `known_`, before it sends. An owner that read `fenced_` before that fence of its processor has already said what
//            it had to say when the fence came, so the sender, which looks afterwards, sees it; one that reads it later passes its own.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/list.h"
#include "base/prefetch.h"
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

  // Any processor, at High; or kNobodys: a thread outside. False: it is queued already, here or elsewhere, and whoever runs it sees what the caller has
  // done before.
  [[nodiscard]] bool claim(Dpc& dpc, unsigned processor);
  static constexpr unsigned kNobodys = ~0u;
  // Then, once, by the owner at High: high importance goes to the head, everything else to the tail (SEMANTICS 5.1).
  void insert_here(Dpc& dpc);
  // Or by another processor, at High. From here on it may run, and be gone.
  void send(Dpc& dpc);

  // The owner, at High. False: empty. `active` names the Dpc before it stops being queued: who waits for its run sees the one or the other (REM-4).
  bool pop_here(DueDpc& due, Dpc* volatile& active);

  // The owner: what it has stored before is seen by whoever sends from now on, or has_any() then says what was sent before (K.QUE-6).
  void order_here() {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (fenced_) __atomic_thread_fence(__ATOMIC_SEQ_CST);
  }

  // The number of the queue in which it is, or was last; it may go to another one at any time.
  static std::uint16_t home_of(const Dpc& dpc) { return load(dpc.where).home; }
  // Any processor, at High. False: it is not in this queue, or not yet.
  bool remove(Dpc& dpc);
  bool contains(const Dpc& dpc);
  // Calls `visit(Dpc&)` for each, in the order in which they would run, while nobody else is inside.
  template <class Visit>
  void for_each(Visit&& visit) {
    const Inside inside(*this);
    for (Link* link = list_.first(); link != nullptr; link = list_.after(link)) visit(*owner_of<&Dpc::link>(link));
  }

  // Hints. Before claim(), by who is about to send: the inbox is brought here while the Dpc is.
  void expect_to_send() const { fetch_for_writing(&inbox_); }
  // By the owner: the last one sent is brought here while it gets ready to take in.
  void expect_to_take_in() const { fetch_for_writing(last_sent()); }

  // False: it is empty, and what is sent from now on sees all that this processor has stored before order_here().
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
    explicit Inside(DpcQueue& queue) : queue_(queue), owner_(queue.is_owned_here()) {
      owner_ ? queue_.enter_here() : queue_.visit();
      queue_.take_in_here();
    }
    ~Inside() { owner_ ? queue_.leave_here() : queue_.end_visit(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    DpcQueue& queue_;
    bool owner_;
  };

  bool is_owned_here() const;
  void enter_here();
  void take_in_here();
  void leave_here();
  void visit() NO_PERMISSION_CHECK;
  void end_visit() NO_PERMISSION_CHECK;
  bool claim_once_more(Dpc& dpc, unsigned processor);
  void let_others_send();
  static void let_others_be_refused();
  void wait_for_visitors();
  void take_in();
  void count_in(Dpc& dpc);

  static void store(Dpc::Where& to, Dpc::Where where) { __atomic_store(&to, &where, __ATOMIC_RELAXED); }
  static Dpc::Where load(const Dpc::Where& from) {
    Dpc::Where where;
    __atomic_load(&from, &where, __ATOMIC_RELAXED);
    return where;
  }

  // The owner's line; a visitor writes there only when it comes.
  alignas(64) List list_;                   // inside
  volatile std::int32_t listed_ = 0;        // inside
  volatile std::uint32_t ever_listed_ = 0;  // inside
  volatile std::uint32_t inside_ = 0;       // H  the owner is inside
  volatile std::uint32_t wanted_ = 0;       // X  a visitor is inside, or waits for the owner to leave
  volatile bool urgent_sent_ = false;       // X  since the inbox was taken in
  // What is seldom written.
  alignas(64) std::uint16_t number_ = 0;           // I
  volatile bool fenced_ = false;                   // X  K.QUE-6
  volatile bool known_ = false;                    // X  … and every processor knows
  volatile bool refused_ = false;                  // X  K.QUE-4
  alignas(64) volatile std::uintptr_t inbox_ = 0;  // X  the last one sent; above its address, how many there are, at most kMostCounted
  SpinLock visitors_;
};

// Whoever loses the race for a Dpc leaves another queue's address in it, which says no less that it is queued.
inline bool DpcQueue::claim(Dpc& dpc, unsigned processor) {
  if (dpc.queue != nullptr || __atomic_exchange_n(&dpc.queue, this, __ATOMIC_SEQ_CST) != nullptr) [[unlikely]]
    if (!claim_once_more(dpc, processor)) return false;
  store(dpc.where, {number_, Dpc::Place::None, dpc.importance == static_cast<std::uint8_t>(Importance::High)});
  return true;
}

inline void DpcQueue::insert_here(Dpc& dpc) {
  enter_here();
  take_in_here();
  if (dpc.where.urgent) {
    list_.push_front(dpc.link);
  } else {
    list_.push_back(dpc.link);
  }
  count_in(dpc);
  leave_here();
}

inline bool DpcQueue::pop_here(DueDpc& due, Dpc* volatile& active) {
  enter_here();
  if (list_.empty() || urgent_sent_) take_in_here();
  Link* link = list_.pop_front();
  if (link != nullptr) {
    listed_ = listed_ - 1;
    Dpc* dpc = owner_of<&Dpc::link>(link);
    due = {dpc, dpc->routine, dpc->context, dpc->argument1, dpc->argument2};
    store(dpc->where, {number_, Dpc::Place::None, false});
    __atomic_store_n(&active, dpc, __ATOMIC_RELAXED);
    __atomic_store_n(&dpc->queue, nullptr, __ATOMIC_RELEASE);  // K.DPC-2: from here on the object is its owner's again
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (refused_) __atomic_thread_fence(__ATOMIC_SEQ_CST);  // K.QUE-4
  }
  leave_here();
  return link != nullptr;
}

inline void DpcQueue::enter_here() {
  __atomic_store_n(&inside_, 1u, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);  // K.QUE-1
  if (__atomic_load_n(&wanted_, __ATOMIC_ACQUIRE) != 0) [[unlikely]]
    wait_for_visitors();
}

inline void DpcQueue::take_in_here() {
  if (inbox_ != 0) [[unlikely]]
    take_in();
}

inline void DpcQueue::leave_here() { __atomic_store_n(&inside_, 0u, __ATOMIC_RELEASE); }

// It is linked, in its place.
inline void DpcQueue::count_in(Dpc& dpc) {
  listed_ = listed_ + 1;
  ever_listed_ = ever_listed_ + 1;
  store(dpc.where, {number_, Dpc::Place::Listed, dpc.where.urgent});
}

}  // namespace kdpc
