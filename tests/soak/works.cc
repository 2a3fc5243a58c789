#include "tests/soak/works.h"

#include "kernel/system.h"
#include "machine/host.h"
#include "this_machine.h"

namespace kdpc::soak {

namespace {

// SystemArgument2.
struct Note {
  std::uint32_t tick = 0;     // 24 bits of it
  std::uint32_t seal = 0;     // 24 bits that belong to the ticket and the object
  std::uint8_t where = kAny;  // the processor it must run on
  bool timed = false, deferred = false;

  static constexpr std::uint8_t kAny = 0xFF;
  static constexpr std::uint32_t kMask = (1u << 24) - 1;

  void* packed() const {
    return reinterpret_cast<void*>(std::uint64_t{tick & kMask} | std::uint64_t{seal} << 24 | std::uint64_t{where} << 48 | std::uint64_t{timed} << 56 |
                                   std::uint64_t{deferred} << 57);
  }
  static Note of(void* argument) {
    const auto bits = reinterpret_cast<std::uint64_t>(argument);
    return {static_cast<std::uint32_t>(bits & kMask), static_cast<std::uint32_t>(bits >> 24 & kMask), static_cast<std::uint8_t>(bits >> 48),
            (bits >> 56 & 1) != 0, (bits >> 57 & 1) != 0};
  }
};

std::uint32_t seal_of(std::uint64_t ticket, unsigned index) {
  const std::uint64_t mixed = (ticket + index + 1) * 0x9E3779B97F4A7C15;
  return static_cast<std::uint32_t>(mixed >> 40);
}

// Does 5.2 let it wait for the next full tick? `elsewhere`: it is queued on another processor than inserts it.
bool may_be_deferred(const Work& work, bool elsewhere) {
  if (work.threaded) return false;  // TAB-6
  return work.importance == Importance::Low || (elsewhere && work.importance == Importance::Medium);
}

void end_generation(Work& work, std::uint64_t generation, const char* promise) {
  const std::uint64_t bit = std::uint64_t{1} << generation % 64;
  const std::uint64_t before = work.ended.fetch_xor(bit, std::memory_order_acq_rel);
  expect(((before & bit) != 0) == ((generation / 64 & 1) == 0), promise, work.index, generation);
}

// Somebody else is about to do something with it: then not.
class Taken {
 public:
  explicit Taken(Work& work) : work_(work), mine_(!work.taken.exchange(true, std::memory_order_acquire)) {}
  ~Taken() {
    if (mine_) work_.taken.store(false, std::memory_order_release);
  }
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
  explicit operator bool() const { return mine_; }

 private:
  Work& work_;
  const bool mine_;
};

constexpr unsigned kLeast = 64, kEach = 8;

}  // namespace

unsigned number_here() {
  const Irql before = Machine::irql();
  if (before < Irql::Dispatch) raise_here(Irql::Dispatch);
  const unsigned number = Machine::here().number;
  if (before < Irql::Dispatch) lower_here(before);
  return number;
}

Works::Works(unsigned processors, CommonTick& tick, std::uint64_t seed)
    : processors_(processors),
      count_(std::max(kLeast, kEach * processors)),
      tick_(tick),
      works_(std::make_unique<Work[]>(count_ + kProbes)),
      of_dpcs_(std::make_unique<Activity[]>(processors)),
      of_threaded_(std::make_unique<Activity[]>(processors)) {
  for (unsigned number = 0; number < processors; ++number) {
    of_dpcs_[number].random.state = seed * 1000 + number;
    of_threaded_[number].random.state = seed * 1000 + 100 + number;
  }
}

void Works::prepare() {
  for (unsigned index = 0; index < count_ + kProbes; ++index) {
    Work& work = works_[index];
    const bool is_probe = index >= count_;
    work.all = this;
    work.index = static_cast<std::uint16_t>(index);
    work.importance = static_cast<Importance>(index % 4);
    work.targeted = index / 4 % 4 == 0;  // as most drivers', most run where they are inserted
    work.target = static_cast<std::uint16_t>(index / 16 % processors_);
    work.threaded = !is_probe && index % 16 == 9;
    work.single = is_probe || index / 2 % 2 == 0;
    work.removable = work.single || index / 8 % 2 == 0;
    if (is_probe) work.targeted = true;
    dpc::initialize(work.dpc, run, &work, work.threaded ? DpcType::Threaded : DpcType::Ordinary);
    dpc::set_importance(work.dpc, work.importance);
    if (work.targeted) dpc::set_target(work.dpc, work.target);
  }
}

bool Works::hand_in(Work& work, std::uint64_t ticket, Activity& by, From from) {
  void* const first = reinterpret_cast<void*>(ticket);
  Note note{.seal = seal_of(ticket, work.index)};
  bool accepted = false;
  if (from == From::Outside) {
    note.tick = tick_.now();
    note.timed = true;
    note.where = static_cast<std::uint8_t>(work.targeted ? work.target : 0);
    note.deferred = may_be_deferred(work, true);
    accepted = host::insert_dpc(work.dpc, first, note.packed());
  } else if (by.random.one_in(8)) {
    accepted = dpc::insert(&work.dpc, first, note.packed());  // from whatever level it is
  } else {
    const Irql before = raise_here(Irql::High);  // K.SOAK-1
    const unsigned here = Machine::here().number;
    note.tick = tick_.now();
    note.timed = true;
    note.where = static_cast<std::uint8_t>(work.targeted ? work.target : here);
    note.deferred = may_be_deferred(work, note.where != here);
    accepted = dpc::insert(&work.dpc, first, note.packed());
    lower_here(before);
  }
  by.count(accepted ? Count::Inserted : Count::Refused);
  return accepted;
}

bool Works::insert_single(Work& work, Activity& by, From from) {
  const Taken taken(work);
  if (!taken) return false;
  const std::uint64_t generation = work.generation + 1;
  if (!work.has_ended(generation - 64)) return false;  // a processor is about to call it, and the host does not let it
  if (!hand_in(work, generation, by, from)) return false;
  work.generation = generation;
  work.accepted.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool Works::insert_raced(Work& work, Activity& by, From from) {
  const std::uint64_t ticket = by.random.next();
  if (!hand_in(work, ticket, by, from)) return false;
  work.accepted.fetch_add(1, std::memory_order_relaxed);
  work.tickets.fetch_add(ticket, std::memory_order_relaxed);
  return true;
}

bool Works::insert(Work& work, Activity& by, From from) { return work.single ? insert_single(work, by, from) : insert_raced(work, by, from); }

bool Works::remove(Work& work, Activity& by) {
  if (!work.removable) return false;
  if (!work.single) {
    if (!dpc::remove(work.dpc)) return false;
  } else {
    const Taken taken(work);
    if (!taken || !dpc::remove(work.dpc)) return false;
    end_generation(work, work.generation, "what has run, or was removed, is not removed once more");
  }
  work.removed.fetch_add(1, std::memory_order_relaxed);
  by.count(Count::Removed);
  return true;
}

bool Works::remove_or_wait(Work& work, Activity& by) {
  if (!work.single) return false;
  const Taken taken(work);
  if (!taken) return false;
  if (!dpc::remove_or_wait(work.dpc)) {
    expect(work.has_ended(work.generation), "who was told that it has run finds that it has", work.index, work.generation);
    expect(!work.running, "who was told that it runs no more finds that it does not", work.index);
    return false;
  }
  end_generation(work, work.generation, "what has run, or was removed, is not removed once more");
  work.removed.fetch_add(1, std::memory_order_relaxed);
  by.count(Count::Removed);
  return true;
}

void Works::change(Work& probe, Random& random) {
  probe.importance = static_cast<Importance>(random.below(4));
  probe.target = static_cast<std::uint16_t>(random.below(processors_));
  dpc::set_importance(probe.dpc, probe.importance);
  dpc::set_target(probe.dpc, probe.target);
}

void Works::run(Dpc* dpc, void* context, void* argument1, void* argument2) {
  Work& work = *static_cast<Work*>(context);
  Works& all = *work.all;
  expect(Machine::irql() == (work.threaded ? Irql::Passive : Irql::Dispatch), "a DPC routine runs at its IRQL", work.index,
         static_cast<std::uint64_t>(Machine::irql()));
  const unsigned number = number_here();
  Activity& self = work.threaded ? all.of_threaded_[number] : all.of_dpcs_[number];
  expect(dpc == &work.dpc, "a DPC routine gets its own DPC", work.index);
  if (work.targeted) {
    expect(!work.running, "a targeted DPC runs on one processor at a time", work.index);
    work.running = true;
  }

  const Note note = Note::of(argument2);
  const auto ticket = reinterpret_cast<std::uint64_t>(argument1);
  expect(note.seal == seal_of(ticket, work.index), "the arguments are those of one insertion", work.index, ticket);
  expect(number == (work.targeted              ? work.target
                    : note.where == Note::kAny ? number
                                               : note.where),
         "a DPC runs on the processor on which it was queued", work.index, number);
  if (note.timed) {
    const std::uint32_t ticks = (all.tick_.now() - note.tick) & Note::kMask;
    self.waited(work.threaded ? Wait::Threaded : note.deferred ? Wait::Deferred : Wait::AtOnce, ticks);
    const std::uint32_t bound = work.threaded ? bounds::kAlarm : note.deferred ? bounds::kDeferred : bounds::kAtOnce;
    expect(bounds::holds(ticks, bound), "a queued DPC runs within a counted number of ticks", work.index, ticks);
  }
  if (work.single) {
    end_generation(work, ticket, "no insertion runs twice, or after its removal");
  } else {
    work.tickets.fetch_sub(ticket, std::memory_order_relaxed);
  }
  work.ran.fetch_add(1, std::memory_order_relaxed);
  self.count(Count::Ran);
  if (all.sideline != nullptr) all.sideline(all.sideline_context, work, self);
  if (work.targeted) work.running = false;
}

bool Works::are_even() const {
  for (unsigned index = 0; index < count_ + kProbes; ++index)
    if (const Work& work = works_[index]; work.accepted != work.ran + work.removed) return false;
  return true;
}

void Works::check() const {
  for (unsigned index = 0; index < count_ + kProbes; ++index) {
    const Work& work = works_[index];
    expect(work.accepted == work.ran + work.removed, "of each DPC: as often accepted as it ran and was removed", index,
           work.accepted - work.ran - work.removed);
    expect(!work.running && !work.taken, "of each DPC: nobody is at it any more", index);
    if (work.single) {
      expect(work.has_ended(work.generation), "of each DPC: the last insertion has ended", index, work.generation);
      expect(work.accepted == work.generation - 63, "of each DPC: as many generations as were accepted", index, work.accepted);
    } else if (!work.removable) {
      expect(work.tickets == 0, "of each DPC: those insertions ran that were accepted", index, work.tickets);
    }
  }
}

}  // namespace kdpc::soak
