#include "machine/sim/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/invariant.h"
#include "kernel/system.h"
#include "machine/host.h"
#include "machine/sanitizer.h"
#include "machine/sim/bus.h"
#include "machine/sim/pages.h"
#include "machine/sim/run.h"
#include "machine/sim/world.h"

namespace kdpc::host {

// One copy: the spans as they were, one behind the other in `bytes`.
struct Checkpoint {
  struct Piece {
    std::byte* base;
    std::size_t size;
  };
  std::vector<Piece> pieces;
  std::vector<std::byte> bytes;
  std::size_t pool_used[2];         // what the pool had handed out, by PoolType
  std::vector<Piece> driver_spans;  // images that are mapped later go again
  std::vector<std::size_t> marks;   // of the sinks
  sim::Slot* current;               // whose time it is that what the host calls takes
};

}  // namespace kdpc::host

namespace kdpc::sim {

const std::vector<EventSink*>& all_sinks();

namespace checkpoint {

namespace {

using Piece = host::Checkpoint::Piece;

std::vector<Piece> driver_spans;

Piece between(std::uintptr_t low, std::uintptr_t high) { return {reinterpret_cast<std::byte*>(low), high - low}; }

template <class T>
Piece all_of(T& object) {
  return {reinterpret_cast<std::byte*>(&object), sizeof object};
}

// The part of the stack under a processor that is in use: from where it was left for the one above, or from where the processor stopped.
void add_stacks_of(const Slot& slot, std::vector<Piece>& pieces) {
  const world::Bounds bounds[] = {
      {slot.thread->machine.stack_low, slot.thread->machine.stack_high}, world::dpc_stack(slot.number), world::isr_stack(slot.number)};
  for (const StackKind kind : {StackKind::Isr, StackKind::Dpc, StackKind::Thread}) {
    const auto index = static_cast<unsigned>(kind);
    const std::uintptr_t pointer = slot.stack == kind ? reinterpret_cast<std::uintptr_t>(slot.context) : slot.saved_pointers[index];
    if (pointer == 0) continue;
    KDPC_INVARIANT("K.CHECK-2", pointer >= bounds[index].low && pointer <= bounds[index].high);
    pieces.push_back(between(pointer, bounds[index].high));
  }
}

bool is_under_a_processor(const Thread& thread) {
  for (unsigned number = 0; number < state().processors; ++number)
    if (state().slots[number].thread == &thread) return true;
  return false;
}

// Hot first.
void list_data(std::vector<Piece>& pieces) {
  State& all = state();
  pieces.push_back(all_of(fixed().edge_budget));
  pieces.push_back(between(reinterpret_cast<std::uintptr_t>(&all), reinterpret_cast<std::uintptr_t>(&all.slots[all.processors])));
  pieces.push_back(between(reinterpret_cast<std::uintptr_t>(&all.stacks[0]), reinterpret_cast<std::uintptr_t>(&all.stacks[all.stacks_used])));
  pieces.push_back(
      between(reinterpret_cast<std::uintptr_t>(system_pointer), reinterpret_cast<std::uintptr_t>(&system_pointer->processors[all.processors])));
  for (const PoolType type : {PoolType::NonPaged, PoolType::Paged}) {
    const PoolArena& arena = sys().pool.arena(type);
    if (arena.used != 0) pieces.push_back({arena.base + arena.view, arena.used});
  }
  pieces.insert(pieces.end(), driver_spans.begin(), driver_spans.end());
  for (unsigned number = 0; number < all.boards_used; ++number) {
    Board& board = bus::board(number);
    if (!board.can_rewind()) continue;
    if (const auto bytes = board.state(); !bytes.empty()) pieces.push_back({bytes.data(), bytes.size()});
    if (const DmaMemory memory = board.dma(); memory.size != 0) pieces.push_back({memory.host, memory.size});
  }
}

void list_stacks(std::vector<Piece>& pieces) {
  State& all = state();
  for (unsigned number = 0; number < all.processors; ++number) add_stacks_of(all.slots[number], pieces);
  for (unsigned index = 0; index < all.stacks_used; ++index) {
    const Thread* thread = all.stacks[index].owner;
    if (thread == nullptr || is_under_a_processor(*thread)) continue;
    pieces.push_back(between(reinterpret_cast<std::uintptr_t>(thread->machine.resume), thread->machine.stack_high));
  }
}

// What abandoned or restored frames have left in the sanitizer's shadow.
void unpoison_stacks() {
#ifdef KDPC_ASAN
  for (unsigned number = 0; number < state().processors; ++number) {
    sanitizer::unpoison(reinterpret_cast<void*>(world::isr_stack(number).low), world::kStackSize);
    sanitizer::unpoison(reinterpret_cast<void*>(world::dpc_stack(number).low), world::kStackSize);
  }
  for (unsigned index = 0; index < state().stacks_used; ++index)
    sanitizer::unpoison(reinterpret_cast<void*>(world::thread_stack(index).low), world::kStackSize);
#endif
}

KDPC_NO_ASAN std::uint64_t hash_bytes(const std::byte* bytes, std::size_t size, std::uint64_t hash) {
  constexpr std::uint64_t kPrime = 0x100000001b3;  // FNV-1a
  for (std::size_t index = 0; index < size; ++index) hash = (hash ^ static_cast<std::uint64_t>(bytes[index])) * kPrime;
  return hash;
}

}  // namespace

void add_span(void* base, std::size_t size) { driver_spans.push_back({static_cast<std::byte*>(base), size}); }
void forget_spans() { driver_spans.clear(); }

std::uint64_t hash_of_world() {
  std::vector<Piece> pieces;
  list_data(pieces);
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const Piece& piece : pieces) hash = hash_bytes(piece.base, piece.size, hash);
  return hash;
}

}  // namespace checkpoint
}  // namespace kdpc::sim

namespace kdpc::host {

using namespace sim;

Result<Checkpoint*> checkpoint() {
  KDPC_INVARIANT("K.CHECK-1", !fixed().inside);
  for (unsigned number = 0; number < state().boards_used; ++number)
    if (!bus::board(number).can_rewind())
      return Error{"board " + std::to_string(number) + " keeps its state outside this process's memory, so the run cannot be checkpointed"};
  if (run::ended()) return Error{"the run has ended; there is nothing to go on from"};
  auto* made = new Checkpoint;
  checkpoint::list_data(made->pieces);
  checkpoint::list_stacks(made->pieces);
  std::size_t total = 0;
  for (const auto& piece : made->pieces) total += piece.size;
  made->bytes.resize(total);
  std::byte* to = made->bytes.data();
  for (const auto& piece : made->pieces) {
    sanitizer::copy(to, piece.base, piece.size);
    to += piece.size;
  }
  for (const PoolType type : {PoolType::NonPaged, PoolType::Paged}) made->pool_used[static_cast<unsigned>(type)] = sys().pool.arena(type).used;
  made->driver_spans = checkpoint::driver_spans;
  made->current = fixed().current;
  for (EventSink* sink : all_sinks()) made->marks.push_back(sink->mark());
  return made;
}

void restore(const Checkpoint& checkpoint) {
  KDPC_INVARIANT("K.CHECK-1", !fixed().inside);
  KDPC_INVARIANT("K.CHECK-3", checkpoint.marks.size() == all_sinks().size());
  checkpoint::unpoison_stacks();
  const std::size_t used_now[] = {sys().pool.arena(PoolType::NonPaged).used, sys().pool.arena(PoolType::Paged).used};
  const auto pageable = [] { return std::tuple(state().pageable_used, state().locked_used, state().all_resident); };
  const auto pageable_now = pageable();
  const std::byte* from = checkpoint.bytes.data();
  for (const auto& piece : checkpoint.pieces) {
    sanitizer::copy(piece.base, from, piece.size);
    from += piece.size;
  }
  fixed().current = checkpoint.current;
  bus::forget_boards_after(state().boards_used);
  // What the pool has handed out since was zero before.
  for (const PoolType type : {PoolType::NonPaged, PoolType::Paged}) {
    const PoolArena& arena = sys().pool.arena(type);
    const std::size_t then = checkpoint.pool_used[static_cast<unsigned>(type)], now = used_now[static_cast<unsigned>(type)];
    if (now > then) std::memset(arena.base + arena.view + then, 0, now - then);
  }
  checkpoint::driver_spans = checkpoint.driver_spans;
  // What is open stays so; where pages are or were locked, or there are other ranges now, what is closed is not what should be.
  if (pageable() != pageable_now || state().locked_used != 0) pages::open_all();
  for (std::size_t index = 0; index < checkpoint.marks.size(); ++index) all_sinks()[index]->rewind(checkpoint.marks[index]);
  run::forget_end();
}

void wipe_stacks() {
  KDPC_INVARIANT("K.CHECK-1", !fixed().inside);
  std::vector<Checkpoint::Piece> in_use;
  checkpoint::list_stacks(in_use);
  const auto wipe = [&](world::Bounds stack) {
    const auto is_its = [&](const Checkpoint::Piece& piece) { return reinterpret_cast<std::uintptr_t>(piece.base) + piece.size == stack.high; };
    const auto its = std::find_if(in_use.begin(), in_use.end(), is_its);
    const std::uintptr_t end = its == in_use.end() ? stack.high : reinterpret_cast<std::uintptr_t>(its->base);
    sanitizer::unpoison(reinterpret_cast<void*>(stack.low), end - stack.low);
    std::memset(reinterpret_cast<void*>(stack.low), 0, end - stack.low);
  };
  for (unsigned number = 0; number < state().processors; ++number) {
    wipe(world::isr_stack(number));
    wipe(world::dpc_stack(number));
  }
  for (unsigned index = 0; index < world::thread_stacks_opened(); ++index) wipe(world::thread_stack(index));
}

void discard(Checkpoint* checkpoint) {
  const std::vector<EventSink*>& sinks = all_sinks();
  for (std::size_t index = 0; index < checkpoint->marks.size() && index < sinks.size(); ++index) sinks[index]->forget_mark(checkpoint->marks[index]);
  delete checkpoint;
}
std::size_t size_of(const Checkpoint& checkpoint) { return checkpoint.bytes.size(); }

}  // namespace kdpc::host
