// Drives every export with valid and invalid arguments at every IRQL. Whatever a driver does must end as a status, a bug check or a finding: never
// in a crash, a hang or a failed invariant of the simulator.
//
//   fuzz_exports --seed 1 --count 5000     these cases: the same ones every time
//   fuzz_exports --minutes 30              as many as there is time for
//   fuzz_exports --seed 4711 --calls       one case, with every call it makes and how it ended
//   fuzz_exports --export KeSetEvent …     this one as often as all others together
//
// A worker process runs the cases; this one watches it, tells what it did last if it dies or stands still, and goes on behind that case.
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/case.h"
#include "tests/fuzz/exports.h"
#include "tests/fuzz/stock.h"

#include "machine/sanitizer.h"

#ifdef KDPC_ASAN
// memcpy and its like look at the range before they touch it, and would end the process for what a driver has handed in; without that they fault, as
// they do without a sanitizer. Fibers are left where they stand when a run is over: what they hold is no leak.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "replace_intrin=0:intercept_strlen=0:detect_leaks=0"; }
#endif

namespace kdpc::fuzz {
namespace {

constexpr std::uint64_t kCasesOfAWorker = 1'000;  // then a fresh process
constexpr double kStandstill = 60;                // seconds of a case without a call that begins or ends
constexpr int kHarnessBroken = 3;

// Routines that may well never return, and why; every other one must have done so once.
struct Excuse {
  std::string_view name, why;
};
constexpr Excuse kExcuses[] = {{"PsTerminateSystemThread", "ends its thread"},
                               {"KeBugCheck", "stops the machine"},
                               {"KeBugCheckEx", "stops the machine"},
                               {"RtlFailFast", "stops the machine"},
                               {"RtlAssert", "stops the machine: nobody handles the exception"},
                               {"ExRaiseStatus", "stops the machine: nobody handles the exception"}};

struct Wanted {
  std::uint64_t seed = 1, count = 0;
  double minutes = 0;
  unsigned failures = 1;  // end after so many
  bool calls = false, table = false;
  bool every = false;  // every export must be reached: those that are not have cases of their own in the end
  Wish wish;
};

double now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::string text_of(const Call& call) {
  std::string text = fmt::format("{:>{}}irql {:<2} {}(", "", 2u + 2u * call.depth, call.irql, kExports[call.routine].name);
  for (unsigned index = 0; index < call.arguments; ++index) text += fmt::format("{}{:#x}", index == 0 ? "" : ", ", call.values[index]);
  return text + (call.returned ? fmt::format(") = {:#x}\n", call.result) : ") does not return\n");
}

void tell_calls(const Shared& shared, std::FILE* to) {
  std::fprintf(to, "seed %llu: %s\n", static_cast<unsigned long long>(shared.seed.load()), shared.setting);
  for (unsigned index = 0; index < shared.call_count && index < kMostCalls; ++index) std::fputs(text_of(shared.calls[index]).c_str(), to);
}

[[noreturn]] void work(const Wanted& wanted, Shared& shared, std::uint64_t first, std::uint64_t last, double deadline) {
  if (!Stock::map()) {
    std::fputs("fuzz_exports: the memory for the driver's data could not be mapped\n", stderr);
    ::_exit(kHarnessBroken);
  }
  for (std::uint64_t seed = first; seed < last && now() < deadline; ++seed) {
    shared.seed = seed;
    std::string said;
    const End end = run_case(seed, wanted.wish, shared, said);
    if (end == End::Count) {
      std::fprintf(stderr, "fuzz_exports: there is no machine: %s\n", said.c_str());
      ::_exit(kHarnessBroken);
    }
    ++shared.cases;
    if (wanted.calls) {
      tell_calls(shared, stdout);
      std::printf("it ended: %s\n%s\n", kNamesOfEnds[static_cast<unsigned>(end)], said.c_str());
    } else if (end == End::NoProgress) {
      tell_calls(shared, stdout);
      std::printf("no progress: %s\n", said.c_str());
    }
    shared.seed = seed + 1;
  }
  std::fflush(stdout);
  ::_exit(0);
}

// Waits for the worker. Empty: it ended well; or what was wrong.
std::string watch(pid_t worker, const Shared& shared) {
  std::uint64_t seen = ~std::uint64_t{0};
  double since = now();
  for (;;) {
    int status = 0;
    if (::waitpid(worker, &status, WNOHANG) == worker) {
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
      if (WIFEXITED(status))
        return fmt::format("the process ended with exit code {}{}", WEXITSTATUS(status), WEXITSTATUS(status) == 70 ? ", a failed invariant" : "");
      return fmt::format("the process was killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
    }
    const std::uint64_t sign = shared.alive + shared.cases;
    if (sign != seen) {
      seen = sign;
      since = now();
    } else if (now() - since > kStandstill) {
      ::kill(worker, SIGKILL);
      ::waitpid(worker, &status, 0);
      return fmt::format("nothing happened for {} s: it hangs", kStandstill);
    }
    ::usleep(20'000);
  }
}

const Excuse* excuse_of(std::string_view name) {
  for (const Excuse& excuse : kExcuses)
    if (excuse.name == name) return &excuse;
  return nullptr;
}

bool is_reached(const Shared& shared, unsigned index) {
  const Counts& of = shared.of[index];
  return of.calls != 0 && (of.returned != 0 || excuse_of(kExports[index].name) != nullptr);
}

// Says which were not.
bool is_every_one_reached(const Shared& shared) {
  bool good = true;
  for (unsigned index = 0; index < wdk::kRoutineCount; ++index) {
    if (is_reached(shared, index)) continue;
    std::printf("%s %s\n", kExports[index].name, shared.of[index].calls == 0 ? "was never called" : "has never returned");
    good = false;
  }
  return good;
}

void tell_counts(const Shared& shared, const Wanted& wanted, double seconds) {
  std::uint64_t calls = 0;
  for (const Counts& counts : shared.of) calls += counts.calls;
  std::printf("%llu cases with %llu calls of %u exports in %.0f s, first seed %llu:", static_cast<unsigned long long>(shared.cases.load()),
              static_cast<unsigned long long>(calls), wdk::kRoutineCount, seconds, static_cast<unsigned long long>(wanted.seed));
  for (unsigned end = 0; end < static_cast<unsigned>(End::Count); ++end)
    std::printf("%s %llu ended with %s", end == 0 ? "" : ",", static_cast<unsigned long long>(shared.ended[end]), kNamesOfEnds[end]);
  std::printf("\n");
  if (wanted.table) {
    std::printf("%-50s %10s %10s %10s %10s %10s\n", "export", "calls", "returned", "bug check", "finding", "other");
    for (unsigned index = 0; index < wdk::kRoutineCount; ++index) {
      const Counts& of = shared.of[index];
      const auto ended = [&of](End end) { return static_cast<unsigned long long>(of.ended[static_cast<unsigned>(end)]); };
      std::printf("%-50s %10llu %10llu %10llu %10llu %10llu\n", kExports[index].name, static_cast<unsigned long long>(of.calls),
                  static_cast<unsigned long long>(of.returned), ended(End::Bugcheck), ended(End::Finding),
                  ended(End::Deadlock) + ended(End::NoProgress));
    }
  }
}

// Cases `next` … `end`, each in the worker of a thousand, until `failures`, which are those of the whole run, are as many as were wanted.
void drive(const Wanted& wanted, Shared& shared, std::uint64_t next, std::uint64_t end, double deadline, unsigned& failures) {
  while (next < end && now() < deadline && failures < wanted.failures) {
    std::fflush(nullptr);
    const pid_t worker = ::fork();
    if (worker < 0) {
      std::fputs("fuzz_exports: no process could be made\n", stderr);
      std::exit(kHarnessBroken);
    }
    if (worker == 0) work(wanted, shared, next, std::min(end, next + kCasesOfAWorker), deadline);
    const std::string wrong = watch(worker, shared);
    next = shared.seed;
    if (wrong.empty()) continue;
    ++failures;
    std::fprintf(stderr, "FAILED: %s. To see it again: fuzz_exports --seed %llu --calls%s%s\n", wrong.c_str(),
                 static_cast<unsigned long long>(shared.seed.load()), wanted.wish.only >= 0 ? " --export " : "",
                 wanted.wish.only >= 0 ? kExports[wanted.wish.only].name : "");
    tell_calls(shared, stderr);
    ++next;
  }
}

// An export that chance has left out.
void drive_one(const Wanted& wanted, Shared& shared, unsigned index, unsigned& failures) {
  Wanted only = wanted;
  only.wish.only = static_cast<int>(index);
  for (unsigned part = 0; part < 40 && !is_reached(shared, index) && failures < wanted.failures; ++part) {
    const std::uint64_t first = wanted.seed + 10 * part;
    drive(only, shared, first, first + 10, 1e300, failures);
  }
}

int run(const Wanted& wanted) {
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return std::fputs("fuzz_exports: no shared memory\n", stderr), kHarnessBroken;
  Shared& shared = *static_cast<Shared*>(memory);
  const double begin = now();
  const double deadline = wanted.minutes > 0 ? begin + 60 * wanted.minutes : 1e300;
  const std::uint64_t end = wanted.count != 0 ? wanted.seed + wanted.count : wanted.minutes > 0 ? ~std::uint64_t{0} : wanted.seed + 1;
  unsigned failures = 0;
  drive(wanted, shared, wanted.seed, end, deadline, failures);
  if (wanted.every)
    for (unsigned index = 0; index < wdk::kRoutineCount; ++index)
      if (!is_reached(shared, index)) drive_one(wanted, shared, index, failures);
  tell_counts(shared, wanted, now() - begin);
  // A run that has ended early says nothing about what it has not come to.
  const bool reached = !wanted.every || failures >= wanted.failures || is_every_one_reached(shared);
  if (failures != 0) std::printf("%u failures\n", failures);
  return failures == 0 && reached ? 0 : 1;
}

template <class T>
bool number(std::string_view text, T& to) {
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), to);
  return wrong == std::errc{} && end == text.data() + text.size();
}

constexpr const char* kUsage =
    "usage: fuzz_exports [--seed N] [--count M] [--minutes T] [--export NAME] [--failures N] [--every] [--calls] [--table]\n"
    "Cases N, N+1, … : M of them, or as many as T minutes allow, or one. --calls tells every call, --table the counts of every export.\n"
    "--failures: how many to collect before it ends (1). --every: every export must have been called and have returned.\n";

}  // namespace
}  // namespace kdpc::fuzz

int main(int count, char** arguments) {
  using namespace kdpc::fuzz;
  Wanted wanted;
  bool good = true;
  for (int index = 1; index < count; ++index) {
    const std::string_view name = arguments[index];
    if (name == "--calls") {
      wanted.calls = wanted.wish.reports = true;
    } else if (name == "--table") {
      wanted.table = true;
    } else if (name == "--every") {
      wanted.every = true;
    } else if (index + 1 < count) {
      const std::string_view value = arguments[++index];
      if (name == "--seed")
        good &= number(value, wanted.seed);
      else if (name == "--count")
        good &= number(value, wanted.count);
      else if (name == "--minutes")
        good &= number(value, wanted.minutes);
      else if (name == "--failures")
        good &= number(value, wanted.failures);
      else if (name == "--export") {
        for (unsigned which = 0; which < kdpc::wdk::kRoutineCount; ++which)
          if (value == kExports[which].name) wanted.wish.only = static_cast<int>(which);
        good &= wanted.wish.only >= 0;
      } else
        good = false;
    } else {
      good = false;
    }
  }
  if (!good) return std::fputs(kUsage, stderr), 2;
  return run(wanted);
}
