// The soak: the live machine under everything at once, for as long as it takes until so many DPCs have run, so many devices have interrupted and threads have
// migrated so often. Nothing may be lost, nothing come twice, nothing wait for longer than the rules allow (common_tick.h).
//
//   soak --processors 2 --dpcs 100000000 --interrupts 10000000 --migrations 1000000 [--seed S]
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "kernel/flush.h"
#include "kernel/job.h"
#include "kernel/system.h"
#include "machine/host.h"
#include "tests/soak/scene.h"
#include "this_machine.h"

namespace kdpc::soak {

namespace {

constexpr std::uint64_t kMillisecond = 1'000'000, kSecond = 1'000 * kMillisecond;
constexpr std::uint64_t kLook = 200 * kMillisecond;  // between two looks at what has been counted
constexpr unsigned kPatience = 120;                  // seconds of the host's without anything new

struct Broken {
  std::atomic<const char*> promise{nullptr};
  std::uint64_t first = 0, second = 0;
};
constexpr unsigned kKept = 16;
Broken all_broken[kKept];
std::atomic<unsigned> broken_count{0};

double host_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

bool parse(int count, char** words, Wish& wish) {
  unsigned processors = wish.processors;
  for (int index = 1; index < count; index += 2) {
    const std::string_view name = words[index];
    std::uint64_t value = 0;
    if (index + 1 == count) return false;
    const char* const end = words[index + 1] + std::strlen(words[index + 1]);
    if (const auto [rest, failed] = std::from_chars(words[index + 1], end, value); failed != std::errc() || rest != end) return false;
    if (name == "--processors") {
      processors = static_cast<unsigned>(value);
    } else if (name == "--dpcs") {
      wish.dpcs = value;
    } else if (name == "--interrupts") {
      wish.interrupts = value;
    } else if (name == "--migrations") {
      wish.migrations = value;
    } else if (name == "--seed") {
      wish.seed = value;
    } else {
      return false;
    }
  }
  wish.processors = processors;
  return processors >= 2 && processors <= kMaxProcessors && processors % 2 == 0;
}

// Runs for a while. False: the machine has ended.
bool run_for(std::uint64_t time) {
  const host::Outcome outcome = host::run_until({}, time);
  if (outcome.how == host::Ended::TimeLimit) return true;
  std::fprintf(stderr, "soak: the machine has ended: %s\n", outcome.text.c_str());
  if (outcome.report)
    std::fprintf(stderr, "soak: bug check 0x%X (0x%llx, 0x%llx, 0x%llx, 0x%llx): %s\n", outcome.report->code,
                 static_cast<unsigned long long>(outcome.report->parameters.p1), static_cast<unsigned long long>(outcome.report->parameters.p2),
                 static_cast<unsigned long long>(outcome.report->parameters.p3), static_cast<unsigned long long>(outcome.report->parameters.p4),
                 outcome.report->sentence);
  broken("the machine goes on");
  return false;
}

// Until `done()`, asked while the machine stands still; or as long as the tick goes on. If not, which processor it waits for is told.
template <class Done>
bool run_until(Scene& scene, Done&& done, const char* promise) {
  double since = host_seconds();
  std::uint64_t last = 0;
  while (!done()) {
    if (!run_for(kLook)) return false;
    const std::uint64_t sum = scene.tick.now() + scene.ended;  // messages come anyway; a tick needs the clock of every processor
    if (sum != last) since = host_seconds();
    last = sum;
    if (host_seconds() - since > kPatience) {
      broken(promise, scene.tick.advance(0), scene.ended);
      return false;
    }
  }
  return true;
}

struct Job {
  void (Scene::*what)();
  Scene& scene;
  bool done = false;
  static void KDPC_NTAPI run(void* context) {
    auto& job = *static_cast<Job*>(context);
    (job.scene.*job.what)();
    job.done = true;
  }
};

bool on_processor(Scene& scene, void (Scene::*what)()) {
  Job job{what, scene};
  expect(job::post("soak", Job::run, &job, ProcessorSet::only(0)), "a job is taken");
  host::job_posted(0);
  return host::run_until([&] { return job.done; }, 60 * kSecond).how == host::Ended::ConditionMet;
}

bool has_enough(Scene& scene) {
  scene.set_pace();
  const Wish& wish = scene.wish;
  return scene.sum(Count::Ran) >= wish.dpcs && scene.sum(Count::Migrations) >= wish.migrations &&
         scene.sum(Count::Messages) + scene.sum(Count::LevelInterrupts) + scene.sum(Count::LatchedInterrupts) >= wish.interrupts;
}

void soak(Scene& scene) {
  if (!on_processor(scene, &Scene::prepare)) return broken("the scene is prepared");
  {
    Outside outside(scene);
    const bool enough = run_until(
        scene, [&] { return stopping || has_enough(scene); }, "DPCs run and devices interrupt");
    stopping = true;
    if (!enough) return;
    outside.be_quiet();
    if (!on_processor(scene, &Scene::wind_up)) return broken("the scene is wound up");
    if (!run_until(
            scene, [&] { return scene.have_ended(); }, "every thread ends that was told to"))
      return;
  }
  // What is queued runs by itself; what is not will never run.
  for (unsigned look = 0; look < 50 && !(scene.works.are_even() && scene.devices.are_quiet()); ++look)
    if (!run_for(kLook)) return;
  scene.check();
}

unsigned long long wide(std::uint64_t number) { return number; }

void tell(const Scene& scene, double seconds) {
  std::uint64_t interrupts = 0, ticks = 0;
  for (unsigned number = 0; number < scene.wish.processors; ++number) {
    const Processor& its = processor(number);
    interrupts += its.interrupt_count;
    ticks += its.kernel_ticks + its.dpc_ticks + its.interrupt_ticks + its.idle_ticks;
  }
  const auto sum = [&](Count what) { return wide(scene.sum(what)); };
  std::printf("soak: %u processors, seed %llu, %.1f s of the host's, %.1f s of the machine's\n", scene.wish.processors, wide(scene.wish.seed),
              seconds, static_cast<double>(host::now()) / 1e9);
  std::printf("  DPCs: %llu inserted = %llu ran + %llu removed; %llu refused; %llu flushes, %llu timers\n", sum(Count::Inserted), sum(Count::Ran),
              sum(Count::Removed), sum(Count::Refused), sum(Count::Flushes), sum(Count::Timers));
  std::printf("  interrupts: %llu messages, %llu level, %llu latched, %llu not claimed, %llu in calls to all; %llu of all kinds, %llu full ticks\n",
              sum(Count::Messages), sum(Count::LevelInterrupts), sum(Count::LatchedInterrupts), sum(Count::NotMine), sum(Count::Called),
              wide(interrupts), wide(ticks));
  std::printf("  threads: %llu migrations, %llu yields, %llu hand-ons, %llu alarms\n", sum(Count::Migrations), sum(Count::Yields),
              sum(Count::HandOns), sum(Count::Alarms));
  std::printf("  longest waits in %u common ticks: DPC asked for %u of %u, deferred %u of %u, threaded %u of %u; ", scene.tick.now(),
              scene.longest(Wait::AtOnce), bounds::kAtOnce, scene.longest(Wait::Deferred), bounds::kDeferred, scene.longest(Wait::Threaded),
              bounds::kAlarm);
  std::printf("highest thread %u of %u, equal threads %u of %u\n", scene.longest(Wait::Alarm), bounds::kAlarm, scene.longest(Wait::Worker),
              bounds::worker(scene.equals()));
}

}  // namespace

void broken(const char* promise, std::uint64_t first, std::uint64_t second) {
  stopping = true;
  const unsigned place = broken_count.fetch_add(1);
  if (place >= kKept) return;
  all_broken[place].first = first;
  all_broken[place].second = second;
  all_broken[place].promise = promise;
}

unsigned tell_broken() {
  for (const Broken& each : all_broken)
    if (const char* const promise = each.promise; promise != nullptr)
      std::fprintf(stderr, "soak: NOT SO: %s (%llu, %llu)\n", promise, wide(each.first), wide(each.second));
  return broken_count;
}

}  // namespace kdpc::soak

int main(int count, char** words) {
  using namespace kdpc;
  soak::Wish wish;
  if (!soak::parse(count, words, wish)) {
    std::fputs("usage: soak [--processors 2…64, even] [--dpcs N] [--interrupts N] [--migrations N] [--seed S]\n", stderr);
    return 2;
  }
  host::Config config;
  config.processors = wish.processors;
  // The host may well not run a processor for as long as that.
  config.options.clock_watchdog_ticks = 0;
  config.options.ipi_time_limit_ms = 0;
  if (const auto created = host::create(config); !created) {
    std::fprintf(stderr, "soak: there is no machine: %s\n", created.error().what.c_str());
    return 3;
  }
  const double began = soak::host_seconds();
  auto scene = std::make_unique<soak::Scene>(wish);
  soak::soak(*scene);
  soak::tell(*scene, soak::host_seconds() - began);
  const unsigned broken = soak::tell_broken();
  host::destroy();
  return broken == 0 ? 0 : 1;
}
