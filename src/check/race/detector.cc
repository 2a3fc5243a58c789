#include "check/race/detector.h"

#include <utility>

namespace kdpc::race {

Detector::Detector(unsigned processors, const Surroundings& surroundings, const Options& options)
    : surroundings_(surroundings), options_(options), is_alone_(processors == 1), state_(processors) {}

void Detector::event(const Stamp& stamp, const Event& event) {
  std::visit(
      [&](const auto& fact) {
        using Fact = std::decay_t<decltype(fact)>;
        // What a device does is nobody's who was spoken of before.
        if constexpr (!std::is_same_v<Fact, ActivityBegan> && !std::is_same_v<Fact, DmaAccessed>) settle(stamp);
        if constexpr (requires { on(stamp, fact); }) on(stamp, fact);
      },
      event);
}

std::size_t Detector::mark() {
  marks_.emplace(next_mark_, Mark{state_, shadow_.copy()});
  return next_mark_++;
}

void Detector::rewind(std::size_t mark) {
  const Mark& its = marks_.at(mark);
  state_ = its.state;
  shadow_.restore(its.shadow);
}

namespace {

// x++ of a volatile x. Who comes between the two, if only an ISR, is told of between them.
bool is_change(const Access& load, const Access& store) {
  return load.is_volatile() && store.is_volatile() && !load.is_write() && store.is_write() && load.at == store.at && load.size() == store.size();
}

constexpr std::uint32_t kMemoryOfDevices = 0x4D616D44;  // the tag of what drivers get of a board's memory: DmaM

// What drivers and devices hand each other over by: words, whichever part of one is looked at. Of much that is moved at once nobody waits for one.
constexpr std::uintptr_t kByDevice = std::uintptr_t{1} << 62, kForDevice = std::uintptr_t{1} << 63;
template <class Do>
void for_words(std::uintptr_t at, std::size_t size, const Do& each) {
  constexpr std::uintptr_t kWord = 4, kMostWords = 16;
  if (size > kMostWords * kWord) return;
  for (std::uintptr_t word = at & ~(kWord - 1); word < at + size; word += kWord) each(word);
}

}  // namespace

// -- accesses -------------------------------------------------------------------------------------------------------------------------------

void Detector::about_to_access(Index index, const Stamp& stamp) {
  catch_up(index);
  state_.ordering.hold_levels(index, stamp.processor);
  name_context(index);
}

void Detector::name_context(Index index) {
  Activity& its = activity(index);
  if (its.context != kUnknown) return;
  Context context;
  context.lane = its.lane;
  context.acting = its.acting;
  context.irql = its.irql;
  context.entry = its.entry;
  context.pinned = its.pinned;
  context.processor = its.processor;
  context.thread = its.thread;
  context.locks = contexts_.number_of_locks(its.locks);
  context.routine = its.routine;
  if (!its.calls.empty()) {
    context.acting = its.calls.back().acting;
    context.routine = its.calls.back().routine;
  }
  its.context = contexts_.number_of(context);
}

Shadow::Visitor Detector::visitor(Index index) {
  const Activity& its = activity(index);
  return {std::uint64_t{its.context} << 32 | state_.ordering.now(its.lane), its.lane, its.first, &its.order};
}

void Detector::accesses(const Stamp& stamp, std::span<const Access> batch) {
  settle(stamp);
  const Index index = acting(stamp);
  set_level(index, stamp.irql);
  about_to_access(index, stamp);
  const StackRange stack = surroundings_.stack_here != nullptr ? surroundings_.stack_here() : StackRange{};
  Shadow::Visitor its = visitor(index);
  std::uint64_t step = stamp.step - batch.size();
  Access& last = activity(index).last;
  for (const Access& access : batch) {
    ++step;
    if (access.at - stack.low < stack.high - stack.low) continue;
    const Access before = std::exchange(last, access);
    Now now{index, access.at, access.size(), access.pc(), step, 0, &access == &batch.back()};
    if (access.is_write()) now.manner |= kWrite;
    if (access.is_volatile()) now.manner |= kVolatile;
    const bool orders = access.is_atomic() || (access.is_volatile() && options_.memory_model == MemoryModel::X64);
    if (!orders) {
      record(now, its);
      continue;
    }
    now.manner |= kAtomic;
    const bool is_torn = access.is_write() ? is_change(before, access) : &access != &batch.back() && is_change(access, *(&access + 1));
    if (is_torn && access.is_write()) now.manner |= kTorn;
    // An interlocked operation takes over and hands over; of Microsoft's volatile accesses a load does the one and a store the other.
    const bool takes_over = access.is_atomic() || !access.is_write();
    if (takes_over && !((is_torn || access.is_write()) && is_counter(now, its))) {
      state_.ordering.acquire(index, access.at, EdgeKind::Interlocked);
      if (state_.devices)
        for_words(access.at, access.size(), [&](std::uintptr_t word) { state_.ordering.acquire(index, word | kByDevice, EdgeKind::Interlocked); });
    }
    record(now, its);
    if (!access.is_write()) continue;
    state_.ordering.release(index, access.at, EdgeKind::Interlocked);
    if (state_.devices)
      for_words(access.at, access.size(), [&](std::uintptr_t word) { state_.ordering.release(index, word | kForDevice, EdgeKind::Interlocked); });
    its = visitor(index);
  }
}

// Where several activities change a variable, and not all of them by interlocked operations, none of them learns anything by its change.
bool Detector::is_counter(const Now& now, const Shadow::Visitor& visitor) {
  if (state_.counters.contains(now.at)) return true;
  const std::uint8_t manner = (now.manner & kWrite) != 0 ? now.manner : std::uint8_t{kWrite | kAtomic | kTorn};
  const Context& context = contexts_.at(activity(now.index).context);
  const bool is_one = shadow_.any_of_others(now.at, visitor, [&](const Cell& cell) {
    return (cell.manner & kAtomic) != 0 && conflict(cell.manner, manner) && !contexts_.exclude(context, contexts_.at(cell.context()));
  });
  if (is_one) state_.counters.insert(now.at);
  return is_one;
}

void Detector::record(const Now& now, const Shadow::Visitor& visitor) {
  for (std::uintptr_t at = now.at, end = now.at + now.size; at < end;) {
    const std::uintptr_t eight = at & ~std::uintptr_t{7};
    const auto first = static_cast<unsigned>(at - eight);
    const auto behind = static_cast<unsigned>(std::min<std::uintptr_t>(end - eight, 8));
    const auto mask = static_cast<std::uint8_t>((1u << behind) - (1u << first));
    shadow_.touch(
        eight, mask, now.manner, now.pc, now.step, visitor, [&](const Cell& cell, bool is_certain) { met(now, eight, cell, is_certain); },
        [&] { untouched(now, visitor, eight); });
    if ((now.manner & (kWrite | kAtomic)) == kWrite && !state_.armed.empty() && shadow_.is_armed(eight)) met_armed(now, at);
    at = eight + 8;
  }
}

// The kernel's stores are as good as interlocked; only those that are interlocked order, as a driver's do.
void Detector::on(const Stamp& stamp, const KernelAccess& fact) {
  const Index index = acting(stamp);
  about_to_access(index, stamp);
  const Now now{index, fact.at.value, fact.size, activity(index).caller, stamp.step, kWrite | kAtomic | kKernel, true};
  if (fact.interlocked && !is_counter(now, visitor(index))) state_.ordering.acquire(index, now.at, EdgeKind::Interlocked);
  record(now, visitor(index));
  if (fact.interlocked) state_.ordering.release(index, now.at, EdgeKind::Interlocked);
}

// From when there is memory that devices reach; nothing that was done before is a device's.
Detector::Index Detector::devices() {
  if (!state_.devices) {
    state_.devices = activities().begin_apart();
    activity(*state_.devices).acting = Acting::Device;
    state_.ordering.begin_behind_all(*state_.devices, {false, kUnknown, 0, 0});
  }
  return *state_.devices;
}

// A word that is written by itself publishes what was written before it.
void Detector::on(const Stamp&, const DmaAccessed& fact) {
  const Index index = devices();
  for_words(fact.at.value, fact.size, [&](std::uintptr_t word) { state_.ordering.acquire(index, word | kForDevice, EdgeKind::Interlocked); });
  name_context(index);
  const auto manner = static_cast<std::uint8_t>(kAtomic | kDevice | (fact.write ? kWrite : 0));
  record({index, fact.at.value, fact.size, 0, 0, manner, false}, visitor(index));
  if (!fact.write) return;
  for_words(fact.at.value, fact.size, [&](std::uintptr_t word) { state_.ordering.release(index, word | kByDevice, EdgeKind::Interlocked); });
}

// -- memory ---------------------------------------------------------------------------------------------------------------------------------

// To free memory is to write all of it.
void Detector::on(const Stamp& stamp, const PoolFreed& fact) {
  const std::uintptr_t low = fact.block.value, high = low + fact.size;
  const Index index = acting(stamp);
  about_to_access(index, stamp);
  const Now now{index, low, static_cast<std::uint32_t>(fact.size), activity(index).caller, stamp.step, kWrite | kFreed, true};
  const Shadow::Visitor its = visitor(index);
  shadow_.take(low, high, now.manner, its, [&](std::uintptr_t address, const Cell& cell, bool is_certain) { met(now, address, cell, is_certain); });
  forget(low, high);
  state_.freed[low] = {high, {its.who, now.step, now.pc, 0, its.lane, 0xff, now.manner}};
}

void Detector::on(const Stamp&, const PoolAllocated& fact) {
  const std::uintptr_t low = fact.block.value, high = low + fact.size;
  forget(low, high);
  auto before = state_.blocks.lower_bound(low);
  if (before != state_.blocks.begin() && std::prev(before)->first + std::prev(before)->second.size > low) --before;
  while (before != state_.blocks.end() && before->first < high) before = state_.blocks.erase(before);
  state_.blocks[low] = {low, fact.size, fact.tag};
  if (fact.tag == kMemoryOfDevices) devices();
}
Block Detector::block_of(std::uintptr_t address) const {
  const auto behind = state_.blocks.upper_bound(address);
  if (behind == state_.blocks.begin()) return {};
  const Block& block = std::prev(behind)->second;
  return address - block.base < block.size ? block : Block{};
}
void Detector::on(const Stamp&, const ImageUnloading& fact) { forget(fact.base.value, fact.base.value + fact.size); }

// What lies there from now on is something else.
void Detector::forget(std::uintptr_t low, std::uintptr_t high) {
  const auto erase_from = [&](auto& all) { all.erase(all.lower_bound(low), all.lower_bound(high)); };
  shadow_.forget(low, high);
  state_.ordering.forget(low, high);
  for (auto armed = state_.armed.lower_bound(low); armed != state_.armed.end() && armed->first < high;) disarm((armed++)->first);
  erase_from(state_.counters);
  erase_from(state_.pinned_dpcs);
  auto block = state_.freed.upper_bound(low);
  if (block != state_.freed.begin() && std::prev(block)->second.end > low) --block;
  while (block != state_.freed.end() && block->first < high) block = state_.freed.erase(block);
}

// Memory that nobody has accessed since it was freed, if it was.
void Detector::untouched(const Now& now, const Shadow::Visitor& visitor, std::uintptr_t address) {
  auto block = state_.freed.upper_bound(address);
  if (block == state_.freed.begin() || (--block)->second.end <= address) return;
  const Cell& cell = block->second.cell;
  if (cell.lane == visitor.lane && cell.epoch() >= visitor.first) return;
  const bool is_certain = cell.epoch() > visitor.order->full[cell.lane];
  if (is_certain || cell.epoch() > visitor.order->hard[cell.lane]) met(now, address, cell, is_certain);
}

void Detector::arm(const Stamp& stamp, std::uintptr_t object, std::uintptr_t size, std::uint32_t period) {
  const Index index = acting(stamp);
  name_context(index);
  Side by = side_of({index, object, static_cast<std::uint32_t>(size), activity(index).caller, stamp.step, kWrite | kAtomic | kKernel, true});
  state_.armed[object] = {object + size, period, std::move(by)};
  shadow_.set_armed(object, object + size, true);
}

void Detector::disarm(std::uintptr_t object) {
  const auto armed = state_.armed.find(object);
  if (armed == state_.armed.end()) return;
  shadow_.set_armed(object, armed->second.end, false);
  state_.armed.erase(armed);
}

// -- what is found --------------------------------------------------------------------------------------------------------------------------

Side Detector::side_of(const Context& context) const {
  Side side;
  side.acting = context.acting;
  side.irql = context.irql;
  side.entry = context.entry;
  side.processor = context.processor;
  side.pinned = context.pinned;
  side.thread = context.thread;
  side.routine = context.routine;
  side.locks = contexts_.locks_of(context);
  return side;
}

namespace {

void set_manner(Side& side, std::uint8_t manner) {
  side.write = (manner & kWrite) != 0;
  side.is_volatile = (manner & kVolatile) != 0;
  side.atomic = (manner & kAtomic) != 0 && !side.is_volatile && (manner & (kKernel | kDevice)) == 0;
  side.freed = (manner & kFreed) != 0;
  side.kernel = (manner & kKernel) != 0;
}

}  // namespace

Side Detector::side_of(const Now& now) {
  const Activity& its = activity(now.index);
  Side side = side_of(contexts_.at(its.context));
  side.pc = now.pc;
  side.at = now.at;
  side.size = now.size;
  side.step = now.step;
  side.edge = its.ordered_by;
  set_manner(side, now.manner);
  return side;
}

void Detector::met(const Now& now, std::uintptr_t address, const Cell& cell, bool is_certain) {
  const std::uint8_t either = cell.manner | now.manner;
  const bool one_reads = (cell.manner & now.manner & kWrite) == 0;
  const bool is_atomic_write = (((cell.manner & kWrite) != 0 ? cell.manner : now.manner) & kAtomic) != 0;
  Kind kind = Kind::Data;
  if ((either & kFreed) != 0) {
    kind = Kind::Freed;
  } else if (one_reads && is_atomic_write && (either & kDevice) == 0) {
    kind = Kind::BenignLooking;
  }
  if (kind == Kind::BenignLooking && !options_.benign_looking) return;
  const Context& context = contexts_.at(cell.context());
  if (!is_certain && contexts_.exclude(context, contexts_.at(activity(now.index).context))) return;

  Side first = side_of(context);
  first.pc = cell.pc;
  first.step = cell.step;
  unsigned begin = 0, size = 8;
  while ((cell.mask >> begin & 1) == 0) ++begin;
  while (begin + size > 8 || (cell.mask >> (begin + size - 1) & 1) == 0) --size;
  first.at = address + begin;
  first.size = size;
  set_manner(first, cell.manner);
  const Lanes::Lane& lane = state_.ordering.lanes()[cell.lane];
  if (lane.handed_over_at >= cell.epoch()) first.edge = lane.handed_over;
  add(kind, is_certain ? Verdict::Certain : Verdict::Potential, std::move(first), side_of(now), now.is_last);
}

void Detector::met_armed(const Now& now, std::uintptr_t at) {
  auto armed = state_.armed.upper_bound(at);
  if (armed == state_.armed.begin() || (--armed)->second.end <= at) return;
  add(Kind::ArmedObject, Verdict::Certain, armed->second.by, side_of(now), now.is_last);
}

void Detector::add(Kind kind, Verdict verdict, Side first, Side second, bool has_stack) {
  const auto [low, high] = std::minmax(first.pc, second.pc);
  const auto [number, is_new] = state_.numbers.try_emplace({kind, low, high}, state_.races.size());
  if (is_new) state_.races.emplace_back();
  Race& race = state_.races[number->second];
  if (!is_new) ++race.count;
  if (!is_new && (race.verdict == Verdict::Certain || verdict == Verdict::Potential)) return;
  if (has_stack && surroundings_.stack != nullptr) {
    std::uintptr_t frames[40];
    second.stack.assign(frames, frames + surroundings_.stack(frames, std::size(frames)));
  }
  const Block block = block_of(second.freed ? first.at : second.at);
  race = {kind, verdict, std::move(first), std::move(second), block, race.count};
}

}  // namespace kdpc::race
