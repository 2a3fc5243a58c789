#include "tests/soak/threads.h"

#include <cerrno>

#include "kernel/dpc.h"
#include "kernel/flush.h"
#include "kernel/system.h"
#include "tests/machine/polled.h"
#include "tests/soak/scene.h"
#include "this_machine.h"

namespace kdpc::soak {

namespace {

constexpr std::int64_t kMillisecond = 10'000;  // of 100 ns
constexpr unsigned kMostMemory = 500;
constexpr unsigned kShortly = 10'000;  // turns of computing

bool is_at_passive() { return Machine::irql() == Irql::Passive; }

}  // namespace

void Alarm::ring() {
  std::uint32_t answered = 0;
  rung.compare_exchange_strong(answered, scene.tick.now(), std::memory_order_acq_rel);
  wait::set_event(event, 0);
}

void KDPC_NTAPI Alarm::live(void* context) {
  auto& self = *static_cast<Alarm*>(context);
  Belongings belongings(1000 + self.processor);
  for (;;) {
    wait::for_object(self.event.header, nullptr);
    const std::uint32_t since = self.rung.exchange(0, std::memory_order_acq_rel);
    const std::uint32_t ticks = since == 0 ? 0 : self.scene.tick.now() - since;
    self.activity.waited(Wait::Alarm, ticks);
    expect(bounds::holds(ticks, bounds::kAlarm), "the ready thread of the highest priority runs within a counted number of ticks", self.processor,
           ticks);
    expect(is_at_passive() && number_here() == self.processor, "a thread runs at PASSIVE_LEVEL, where it may", self.processor);
    belongings.check();
    belongings.renew(self.activity);
    self.activity.count(Count::Alarms);
    if (stopping) break;
  }
  ++self.scene.ended;
}

void Belongings::exchange(std::size_t size) {
  std::vector<unsigned> fresh(size, mark_ + static_cast<unsigned>(size));
  memory_.swap(fresh);
}

void Belongings::check() const {
  expect(errno == error_, "errno is a thread's own", mark_, static_cast<std::uint64_t>(errno));
  for (const unsigned word : memory_) expect(word == mark_ + memory_.size(), "what a thread has from the heap is its own", mark_, word);
}

void Belongings::renew(Activity& by) {
  exchange(by.random.below(kMostMemory));
  by.count(Count::Allocations);
  error_ = static_cast<int>(by.random.below(1 << 20));
  errno = error_;
}

void Belongings::compute(unsigned turns) {
  std::uint64_t left = turns, sum = mark_;
  asm volatile("1: add %[mark], %[sum]\n dec %[left]\n jnz 1b" : [left] "+&r"(left), [sum] "+&r"(sum) : [mark] "r"(std::uint64_t{mark_}) : "cc");
  expect(sum == std::uint64_t{mark_} * (turns + 1), "a thread's registers are its own", mark_, sum);
  look_if_polled();
}

Worker::Worker(Scene& scene, unsigned index, unsigned group)
    : scene_(scene),
      index_(index),
      group_(group),
      belongings_(index + 1),
      allowed_(processors_of(group, scene.wish.processors)),
      last_processor_(allowed_.lowest()) {
  activity_.random.state = scene.wish.seed * 1000 + 500 + index;
}

void Worker::wake() {
  woken_.store(scene_.tick.now(), std::memory_order_release);
  wait::set_event(event_, 0);
}

void KDPC_NTAPI Worker::live(void* context) { static_cast<Worker*>(context)->live(); }

void Worker::live() {
  errno = 0;
  last_tick_ = scene_.tick.now();
  count_migration();
  while (!stopping) {
    look_around();
    if (is_calm()) {
      be_calm();
    } else {
      do_batch();
      go_on();
    }
  }
  if (timer::cancel(timer_)) activity_.count(Count::TimersTaken);
  scene_.worker(scene_.partner_of(index_)).wake();
  ++scene_.ended;
}

void Worker::count_migration() {
  const unsigned number = number_here();
  if (number != last_processor_) activity_.count(Count::Migrations);
  last_processor_ = number;
  expect(allowed_.has(number), "a thread runs where its affinity lets it", index_, number);
}

void Worker::look_around() {
  const std::uint32_t now = scene_.tick.now(), ticks = now - last_tick_;
  last_tick_ = now;
  activity_.waited(Wait::Worker, ticks);
  expect(bounds::holds(ticks, bounds::worker(scene_.equals())), "every ready thread runs within a counted number of ticks", index_, ticks);
  expect(is_at_passive(), "a thread runs at PASSIVE_LEVEL", index_);
  count_migration();
  belongings_.check();
  if (activity_.random.one_in(8)) belongings_.renew(activity_);
}

void Worker::do_batch() {
  const unsigned batch = scene_.batch.load(std::memory_order_relaxed);
  for (unsigned turn = 0; turn < batch; ++turn) do_one();
}

void Worker::do_one() {
  Random& random = activity_.random;
  const unsigned what = random.below(128);
  switch (what) {
    case 0: scene_.works.remove(scene_.works.any(random), activity_); return;
    case 1: do_raised(); return;
    case 2: scene_.devices.lock(group_, activity_); return;
    case 3:
      if (random.one_in(4)) scene_.devices.synchronize(group_, activity_);
      return;
    case 4:
      if (random.one_in(8)) scene_.works.remove_or_wait(scene_.works.any(random), activity_);
      return;
    case 5:
      if (random.one_in(4)) scene_.alarm(random.below(scene_.wish.processors)).ring();
      return;
    case 6:
      if (random.one_in(4)) scene_.devices.offer_work(random, activity_);
      return;
    default: break;
  }
  if (what < 7 + scene_.messages.load(std::memory_order_relaxed)) {
    const bool far = random.one_in(8);
    scene_.devices.send_message(far ? random.below(scene_.wish.processors) : last_processor_, activity_);
  } else {
    scene_.works.insert(scene_.works.any(random), activity_);
  }
}

void Worker::do_raised() {
  const Irql before = raise_here(static_cast<Irql>(1 + activity_.random.below(15)));
  for (unsigned turn = 0; turn < 8; ++turn) scene_.works.insert(scene_.works.any(activity_.random), activity_);
  lower_here(before);
}

void Worker::go_on() {
  const unsigned what = activity_.random.below(32);
  if (what < 20) {
    migrate();
  } else if (what < 26) {
    activity_.count(Count::Yields);
    thread::yield();
  } else if (what < 29) {
    hand_on();
  } else if (what == 29) {
    belongings_.compute(1 + activity_.random.below(100'000));
  } else if (what == 30) {
    use_timer();
  } else {
    take_part();
  }
}

// To the other processor of the group, or only away from this one's exclusive use.
void Worker::migrate() {
  const ProcessorSet group = processors_of(group_, scene_.wish.processors);
  ProcessorSet next = group;
  if (!activity_.random.one_in(8)) next.remove(last_processor_);
  if (next.empty()) next = group;
  thread::set_affinity_of_current(next);
  allowed_ = next;
  count_migration();
}

void Worker::hand_on() {
  scene_.worker(scene_.partner_of(index_)).wake();
  const std::int64_t limit = -2 * kMillisecond;
  const std::uint32_t began = scene_.tick.now();
  const bool woken = wait::for_object(event_.header, &limit) == status::Success;
  const std::uint32_t now = scene_.tick.now(), since = std::max(began, woken_.load(std::memory_order_acquire));
  if (woken) {
    activity_.waited(Wait::Worker, now - since);
    expect(bounds::holds(now - since, bounds::worker(scene_.equals())), "a thread that was woken runs within a counted number of ticks", index_,
           now - since);
  }
  activity_.count(Count::HandOns);
  last_tick_ = now;
}

void Worker::wait_for_time() {
  wait::delay(-1 - static_cast<std::int64_t>(activity_.random.below(3 * kMillisecond)));
  activity_.count(Count::Waits);
  last_tick_ = scene_.tick.now();
}

void Worker::use_timer() {
  bool taken = false;
  if (activity_.random.one_in(4)) {
    taken = timer::cancel(timer_);
  } else {
    const std::int64_t due = -static_cast<std::int64_t>(1 + activity_.random.below(20 * kMillisecond));
    taken = timer::set(timer_, {.due = due, .dpc = &timer_dpc_});
    activity_.count(Count::TimersSet);
  }
  if (taken) activity_.count(Count::TimersTaken);
}

void KDPC_NTAPI Worker::on_timer(Dpc*, void* context, void*, void*) {
  auto& self = *static_cast<Worker*>(context);
  expect(Machine::irql() == Irql::Dispatch, "a timer's DPC routine runs at DISPATCH_LEVEL", self.index_);
  Activity& by = self.scene_.works.of_dpcs(Machine::here().number);
  by.count(Count::Timers);
  self.scene_.works.insert(self.scene_.works.any(by.random), by);
}

namespace {

bool take_one(std::atomic<unsigned>& tokens) {
  unsigned there = tokens.load(std::memory_order_relaxed);
  return there != 0 && tokens.compare_exchange_strong(there, there - 1);
}

}  // namespace

void Worker::take_part() {
  if (take_one(scene_.calls_wanted)) {
    scene_.call_everywhere(activity_);
  } else if (take_one(scene_.flushes_wanted)) {
    flush();
  } else if (activity_.random.one_in(32)) {
    wait_for_time();
  }
}

void Worker::flush() {
  Work& probe = scene_.works.probe(index_);
  scene_.works.insert(probe, activity_);
  dpc::flush();
  expect(probe.has_ended(probe.generation), "what was queued before a flush has run after it", index_);
  activity_.count(Count::Flushes);
  last_tick_ = scene_.tick.now();
}

void Worker::be_calm() {
  if (index_ != scene_.prober) {
    belongings_.compute(kShortly);
  } else if (activity_.random.one_in(3)) {
    Alarm& alarm = scene_.alarm(activity_.random.below(scene_.wish.processors));
    alarm.ring();
    compute_while([&] { return alarm.rung != 0; });
  } else {
    Work& probe = scene_.works.probe(index_);
    scene_.works.change(probe, activity_.random);
    if (scene_.works.insert(probe, activity_)) compute_while([&] { return !probe.has_ended(probe.generation); });
    compute_while([&] { return probe.running; });
  }
}

template <class Condition>
void Worker::compute_while(Condition&& condition) {
  while (condition() && !stopping) {
    belongings_.compute(kShortly);
    look_around();
  }
}

void KDPC_NTAPI Porter::live(void* context) {
  auto& self = *static_cast<Porter*>(context);
  errno = 0;
  while (!stopping) {
    self.belongings.compute(100'000);
    self.belongings.check();
    self.belongings.renew(self.activity);
    wait::delay(-3 * kMillisecond);
  }
  ++self.scene.ended;
}

}  // namespace kdpc::soak
