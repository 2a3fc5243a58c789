#include "tests/soak/devices.h"

#include <algorithm>

#include "kernel/queued_lock.h"
#include "kernel/system.h"
#include "machine/host.h"
#include "this_machine.h"

namespace kdpc::soak {

namespace {

constexpr std::uint8_t kMessageVector = 0x52, kFirstLevelVector = 0x70, kFirstLatchedVector = 0x90;
constexpr Irql kShared = static_cast<Irql>(7);  // the level at which the group's interrupt lock is held
constexpr const char* kIrqlOfRoutine = "a service routine runs at its synchronize IRQL";
constexpr const char* kAlone = "who holds an interrupt lock is alone behind it";
constexpr const char* kAloneSpin = "who holds a spin lock is alone behind it";

void expect_connected(const InterruptSpec& spec) {
  Interrupt* interrupt = nullptr;
  const ConnectResult result = interrupt::connect(spec, interrupt);
  expect(result == ConnectResult::Connected, "an interrupt object connects", static_cast<std::uint64_t>(result), spec.vector);
}

}  // namespace

Devices::Devices(unsigned processors, CommonTick& tick, Works& works, std::uint64_t seed)
    : processors_(processors),
      groups_(group_of(processors - 1) + 1),
      lines_(std::min(processors, kWithLines)),
      tick_(tick),
      works_(works),
      groups_memory_(std::make_unique<Group[]>(groups_)),
      answered_(std::make_unique<Answered[]>(processors)),
      devices_(std::make_unique<Device[]>(4 * lines_)),
      activities_(std::make_unique<Activity[]>(kLevels * processors)) {
  for (unsigned index = 0; index < activities(); ++index) activities_[index].random.state = seed * 1000 + 200 + index;
}

void Devices::connect_messages(unsigned group) {
  Group& its = groups_memory_[group];
  its.interrupt_lock.initialize();
  its.spin_lock.initialize_for_driver();
  its.queued_lock.initialize_for_driver();
  InterruptSpec spec{};
  spec.routine = serve_message;
  spec.context = this;
  spec.lock = &its.interrupt_lock;
  spec.vector = kMessageVector;
  spec.irql = irql_of(kMessageVector);
  spec.synchronize_irql = kShared;
  spec.trigger = Trigger::Latched;
  spec.processors = processors_of(group, processors_);
  const ConnectResult result = interrupt::connect(spec, its.message);
  expect(result == ConnectResult::Connected, "an interrupt object connects", static_cast<std::uint64_t>(result), group);
}

void Devices::connect_line(Device& device, std::uint8_t vector, unsigned processor) {
  device.all = this;
  device.group = group_of(processor);
  device.level = irql_of(vector) == irql_of(kFirstLevelVector);
  device.line = host::add_line(device.level);
  InterruptSpec spec{};
  spec.routine = device.level ? serve_level : serve_latched;
  spec.context = &device;
  spec.lock = device.level ? &groups_memory_[device.group].interrupt_lock : nullptr;
  spec.vector = vector;
  spec.irql = spec.synchronize_irql = irql_of(vector);
  spec.trigger = device.level ? Trigger::Level : Trigger::Latched;
  spec.shared = true;
  spec.processors = ProcessorSet::only(processor);
  expect_connected(spec);
  host::assign_line(device.line, vector, device.level);
}

void Devices::prepare() {
  for (unsigned group = 0; group < groups_; ++group) connect_messages(group);
  for (unsigned number = 0; number < lines_; ++number)
    for (unsigned index = 0; index < 4; ++index) {
      const unsigned first = index < 2 ? kFirstLevelVector : kFirstLatchedVector;
      connect_line(devices_[4 * number + index], static_cast<std::uint8_t>(first + number), number);
    }
}

void Devices::send_message(unsigned processor, Activity& by) {
  answered_[processor].asked.fetch_add(1, std::memory_order_acq_rel);
  host::raise_message(kMessageVector, processor);
  by.count(Count::MessagesSent);
}

void Devices::offer_work(Random& random, Activity& by) {
  Device& device = devices_[random.below(4 * lines_)];
  const live::Locked locked(device.lock);
  ++device.status;
  ++device.offered;
  host::set_line(device.line, true);
  if (!device.level) host::set_line(device.line, false);
  by.count(device.level ? Count::WorkOffered : Count::LatchedOffered);
}

// The device's registers: what was to be done, and the line at rest.
bool Devices::take_work(Device& device) {
  const live::Locked locked(device.lock);
  if (device.status == 0) return false;
  device.done += device.status;
  device.status = 0;
  if (device.level) host::set_line(device.line, false);
  return true;
}

void Devices::work_a_little(Activity& by) {
  if (is_calm()) return;
  if (by.random.one_in(4)) works_.insert(works_.any(by.random), by);
  if (by.random.one_in(64)) works_.remove(works_.any(by.random), by);
}

unsigned char Devices::serve_message(Interrupt* interrupt, void* context) {
  auto& all = *static_cast<Devices*>(context);
  expect(Machine::irql() == kShared, kIrqlOfRoutine, static_cast<std::uint64_t>(Machine::irql()));
  const Processor& self = Machine::here();
  Group& group = all.groups_memory_[group_of(self.number)];
  group.behind_interrupt_lock.enter(kAlone);
  expect(interrupt->processor == self.number, "an interrupt object serves its own processor", interrupt->processor, self.number);
  Answered& its = all.answered_[self.number];
  its.answered.store(its.asked.load(std::memory_order_acquire), std::memory_order_release);
  all.tick_.see_here(self);
  Activity& by = all.of(Message, self.number);
  by.count(Count::Messages);
  all.work_a_little(by);
  group.behind_interrupt_lock.leave(kAlone);
  return 1;
}

unsigned char Devices::serve_line(const Interrupt& interrupt, Device& device, Guarded& guarded, Level level, Count count) {
  expect(interrupt.processor == Machine::here().number, "an interrupt object serves its own processor");
  guarded.enter(kAlone);
  Activity& by = of(level, interrupt.processor);
  const bool mine = take_work(device);
  by.count(mine ? count : Count::NotMine);
  if (mine) work_a_little(by);
  guarded.leave(kAlone);
  return mine ? 1 : 0;
}

unsigned char Devices::serve_level(Interrupt* interrupt, void* context) {
  auto& device = *static_cast<Device*>(context);
  expect(Machine::irql() == kShared, kIrqlOfRoutine, static_cast<std::uint64_t>(Machine::irql()));
  return device.all->serve_line(*interrupt, device, device.all->groups_memory_[device.group].behind_interrupt_lock, LevelLine,
                                Count::LevelInterrupts);
}

unsigned char Devices::serve_latched(Interrupt* interrupt, void* context) {
  auto& device = *static_cast<Device*>(context);
  expect(Machine::irql() == irql_of(kFirstLatchedVector), kIrqlOfRoutine, static_cast<std::uint64_t>(Machine::irql()));
  return device.all->serve_line(*interrupt, device, device.behind_interrupt_lock, Latched, Count::LatchedInterrupts);
}

unsigned char Devices::count_synchronized(void* context) {
  auto& group = *static_cast<Group*>(context);
  expect(Machine::irql() == kShared, "a synchronized routine runs at the synchronize IRQL", static_cast<std::uint64_t>(Machine::irql()));
  group.behind_interrupt_lock.enter(kAlone);
  group.behind_interrupt_lock.leave(kAlone);
  return 1;
}

void Devices::synchronize(unsigned group, Activity& by) {
  Group& its = groups_memory_[group];
  expect(interrupt::synchronize(*its.message, count_synchronized, &its) == 1, "a synchronized routine's answer is handed on");
  its.synchronized.fetch_add(1, std::memory_order_relaxed);
  by.count(Count::Synchronized);
}

void Devices::lock(unsigned group, Activity& by) NO_PERMISSION_CHECK {
  Group& its = groups_memory_[group];
  const bool in_order = by.random.one_in(2);
  const Irql before = raise_here(Irql::Dispatch);
  if (in_order) {
    LockHandle handle{};
    LockQueue::acquire_here(its.queued_lock, handle, LockForm::Kernel);
    its.behind_queued_lock.enter(kAloneSpin);
    its.behind_queued_lock.leave(kAloneSpin);
    LockQueue::release_here(handle, LockForm::Kernel);
    its.queued.fetch_add(1, std::memory_order_relaxed);
  } else {
    its.spin_lock.acquire_here();
    its.behind_spin_lock.enter(kAloneSpin);
    its.behind_spin_lock.leave(kAloneSpin);
    its.spin_lock.release_here();
    its.spun.fetch_add(1, std::memory_order_relaxed);
  }
  lower_here(before);
}

bool Devices::are_quiet() const {
  for (unsigned number = 0; number < processors_; ++number)
    if (answered_[number].answered != answered_[number].asked) return false;
  for (unsigned index = 0; index < 4 * lines_; ++index)
    if (devices_[index].offered != devices_[index].done) return false;
  return true;
}

void Devices::check() const {
  for (unsigned number = 0; number < processors_; ++number)
    expect(answered_[number].answered == answered_[number].asked, "every message is answered by a service routine that begins after it", number);
  for (unsigned index = 0; index < 4 * lines_; ++index)
    expect(devices_[index].offered == devices_[index].done, "no line's interrupt is lost", index, devices_[index].offered - devices_[index].done);
  // What was counted behind a lock is what those counted who were there.
  for (unsigned group = 0; group < groups_; ++group) {
    const Group& its = groups_memory_[group];
    std::uint64_t routines = 0;
    for (const unsigned number : processors_of(group, processors_)) {
      for (const Count what : {Count::Messages, Count::LevelInterrupts, Count::NotMine})
        for (const Level level : {Message, LevelLine}) routines += activities_[level * processors_ + number].counted(what);
    }
    expect(its.behind_interrupt_lock.entered == routines + its.synchronized, "nothing is lost behind an interrupt lock", group);
    expect(its.behind_spin_lock.entered == its.spun && its.behind_queued_lock.entered == its.queued, "nothing is lost behind a spin lock", group);
  }
}

}  // namespace kdpc::soak
