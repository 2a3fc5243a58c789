#include "tests/soak/scene.h"

#include <algorithm>

#include "kernel/clock.h"
#include "kernel/ipi.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::soak {

namespace {

constexpr std::uint8_t kWorkers = 8, kPorters = 4;
constexpr unsigned kFewProcessors = 8;
constexpr std::int64_t kMillisecond = 10'000;  // of 100 ns
constexpr std::int64_t kPeriod = 40;           // ms: longer than two full ticks, as each expiry drains what may wait for one (TAB-7)

}  // namespace

Scene::Scene(const Wish& its_wish)
    : wish(its_wish),
      tick(wish.processors),
      works(wish.processors, tick, wish.seed),
      devices(wish.processors, tick, works, wish.seed),
      workers_each_(wish.processors <= kFewProcessors ? 3 : 2),
      periodic_(std::make_unique<Periodic[]>(wish.processors)),
      of_calls_(std::make_unique<Activity[]>(wish.processors)) {
  works.sideline = sideline;
  works.sideline_context = this;
  outside_.random.state = wish.seed;
  for (unsigned number = 0; number < wish.processors; ++number) {
    of_calls_[number].random.state = wish.seed * 1000 + 400 + number;
    alarms_.push_back(std::make_unique<Alarm>(*this, number));
    alarms_.back()->activity.random.state = wish.seed * 1000 + 800 + number;
    for (unsigned index = 0; index < workers_each_; ++index)
      workers_.push_back(std::make_unique<Worker>(*this, static_cast<unsigned>(workers_.size()), group_of(number)));
    if (number % 2 == 0) {
      porters_.push_back(std::make_unique<Porter>(*this, 2000 + number));
      porters_.back()->activity.random.state = wish.seed * 1000 + 900 + number;
    }
  }
  static_assert(kMaxProcessors * 3 <= Works::kProbes);
}

void Scene::start(const char* name, ThreadRoutine* routine, void* context, std::uint8_t priority, ProcessorSet where) {
  Thread* thread = thread::create(name, routine, context, priority, where);
  expect(thread != nullptr, "a thread is made");
  if (thread == nullptr) return;
  ++threads_;
  thread::start(*thread);
  thread::release(*thread);
}

void Scene::prepare() {
  works.prepare();
  devices.prepare();
  for (unsigned number = 0; number < wish.processors; ++number) {
    Periodic& its = periodic_[number];
    its.scene = this;
    its.processor = number;
    its.threaded = number % 2 == 1;
    timer::initialize(its.timer, timer::Kind::Synchronization);
    dpc::initialize(its.dpc, on_period, &its, its.threaded ? DpcType::Threaded : DpcType::Ordinary);
    dpc::set_target(its.dpc, number);
    timer::set(its.timer, {.due = -kPeriod * kMillisecond, .period = static_cast<std::uint32_t>(kPeriod + number % 3), .dpc = &its.dpc});
    Alarm& alarm = *alarms_[number];
    wait::initialize_event(alarm.event, ObjectType::SynchronizationEvent, false);
    start("alarm", Alarm::live, &alarm, static_cast<std::uint8_t>(kLowRealtimePriority + number % 3), ProcessorSet::only(number));
  }
  for (const auto& worker : workers_) {
    wait::initialize_event(worker->event_, ObjectType::SynchronizationEvent, false);
    timer::initialize(worker->timer_, timer::Kind::Notification);
    dpc::initialize(worker->timer_dpc_, Worker::on_timer, worker.get());
  }
  for (const auto& worker : workers_) start("worker", Worker::live, worker.get(), kWorkers, worker->allowed_);
  for (unsigned group = 0; group < porters_.size(); ++group)
    start("porter", Porter::live, porters_[group].get(), kPorters, processors_of(group, wish.processors));
  clock::set_resolution(kShortestClockInterval, true);
}

void Scene::wind_up() {
  for (unsigned number = 0; number < wish.processors; ++number) timer::cancel(periodic_[number].timer);
  for (const auto& alarm : alarms_) alarm->ring();
}

// A routine does this and that before it returns.
void Scene::sideline(void* context, Work& work, Activity& by) {
  auto& scene = *static_cast<Scene*>(context);
  const unsigned what = by.random.below(256);
  if (what >= 64 || is_calm()) return;
  const unsigned group = group_of(number_here());
  if (what < 24) {
    scene.works.insert(scene.works.any(by.random), by);
  } else if (what < 28) {
    scene.works.insert(work, by);  // itself
  } else if (what < 32) {
    scene.works.remove(scene.works.any(by.random), by);
  } else if (what < 36) {
    scene.alarm(by.random.below(scene.wish.processors)).ring();
  } else if (what < 38) {
    scene.devices.lock(group, by);
  } else if (what < 39) {
    scene.devices.synchronize(group, by);
  } else if (what < 40) {
    scene.devices.offer_work(by.random, by);
  } else if (what < 44) {
    scene.devices.send_message(number_here(), by);
  }
}

void Scene::on_period(Dpc*, void* context, void*, void*) {
  auto& its = *static_cast<Periodic*>(context);
  Works& works = its.scene->works;
  expect(Machine::irql() == (its.threaded ? Irql::Passive : Irql::Dispatch) && number_here() == its.processor,
         "a periodic timer's DPC runs at its IRQL, on its target", its.processor);
  Activity& by = its.threaded ? works.of_threaded(its.processor) : works.of_dpcs(its.processor);
  if (!is_calm()) works.insert(works.any(by.random), by);
}

std::uintptr_t Scene::on_call(std::uintptr_t argument) {
  auto& scene = *reinterpret_cast<Scene*>(argument);
  expect(Machine::irql() == Irql::Ipi, "the function of a call to all processors runs at IPI_LEVEL", static_cast<std::uint64_t>(Machine::irql()));
  const unsigned number = Machine::here().number;
  Activity& by = scene.of_calls_[number];
  by.count(Count::Called);
  scene.works.insert(scene.works.any(by.random), by);
  return number;
}

void Scene::call_everywhere(Activity& by) {
  ipi::call_everywhere(on_call, reinterpret_cast<std::uintptr_t>(this));
  by.count(Count::Calls);
}

template <class Visit>
void Scene::for_each_activity(Visit&& visit) const {
  auto& self = const_cast<Scene&>(*this);
  for (unsigned number = 0; number < wish.processors; ++number) {
    visit(self.works.of_dpcs(number));
    visit(self.works.of_threaded(number));
    visit(self.of_calls_[number]);
    visit(alarms_[number]->activity);
  }
  for (unsigned index = 0; index < devices.activities(); ++index) visit(self.devices.activity(index));
  for (const auto& worker : workers_) visit(worker->activity());
  for (const auto& porter : porters_) visit(porter->activity);
  visit(outside_);
}

std::uint64_t Scene::sum(Count what) const {
  std::uint64_t all = 0;
  for_each_activity([&](const Activity& activity) { all += activity.counted(what); });
  return all;
}

std::uint32_t Scene::longest(Wait what) const {
  std::uint32_t most = 0;
  for_each_activity([&](const Activity& activity) { most = std::max<std::uint32_t>(most, activity.longest[static_cast<unsigned>(what)]); });
  return most;
}

void Scene::set_pace() {
  const auto share = [](std::uint64_t done, std::uint64_t wanted) {
    return wanted == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(wanted);
  };
  const double dpcs = share(sum(Count::Ran), wish.dpcs), migrations = share(sum(Count::Migrations), wish.migrations);
  const double interrupts = share(sum(Count::Messages) + sum(Count::LevelInterrupts) + sum(Count::LatchedInterrupts), wish.interrupts);
  constexpr double kAlike = 0.02;
  batch = dpcs > migrations + kAlike ? 8 : dpcs < migrations - kAlike ? 192 : 48;
  messages = interrupts > dpcs + kAlike ? 1 : interrupts < dpcs - kAlike ? 32 : 8;
}

void Scene::check() const {
  works.check();
  devices.check();
  expect(sum(Count::Inserted) == sum(Count::Ran) + sum(Count::Removed), "inserted = ran + removed", sum(Count::Inserted),
         sum(Count::Ran) + sum(Count::Removed));
  expect(sum(Count::Called) == sum(Count::Calls) * wish.processors, "every call comes once to every processor", sum(Count::Called),
         sum(Count::Calls));
  expect(sum(Count::TimersSet) == sum(Count::Timers) + sum(Count::TimersTaken), "every timer that was set expires or is cancelled",
         sum(Count::TimersSet), sum(Count::Timers) + sum(Count::TimersTaken));
}

}  // namespace kdpc::soak
