#include "tools/kdpc/explorers.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <vector>

#include "lab/explore.h"
#include "tools/kdpc/interruption.h"
#include "tools/kdpc/last_schedule.h"

namespace kdpc::tool {

namespace {

using Clock = std::chrono::steady_clock;

// What an explorer tells: how far it is, and at the end what it found.
struct Word {
  enum class Kind : std::uint8_t { Progress, Failed, Exhausted, Enough, Refused } kind = Kind::Progress;
  ExitCode code = ExitCode::AsExpected;  // of a refusal
  bool directed = false;                 // of a failure: Failure::directed
  std::size_t more = 0;                  // bytes that follow: a failure's schedule, a refusal's text
  std::uint64_t schedules = 0;
  std::uint64_t not_alone = 0;
  explore::Coverage coverage;
};

constexpr std::uint64_t kWordEvery = 64;  // schedules, or
constexpr Clock::duration kWordAfter = std::chrono::milliseconds(100);
constexpr int kTick = 50;  // ms

Clock::time_point after(double seconds) { return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)); }

void say(int pipe, const Word& word, std::span<const char> more = {}) {
  std::string bytes(reinterpret_cast<const char*>(&word), sizeof word);
  bytes.append(more.data(), more.size());
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = ::write(pipe, bytes.data() + done, bytes.size() - done);
    if (wrote <= 0) ::_exit(static_cast<int>(ExitCode::SimulatorBug));  // nobody listens any more
    done += static_cast<std::size_t>(wrote);
  }
}

// In a process of its own.
void explore_alone(ScenarioLife& life, const ExploreWish& wish, const explore::CampaignSettings& settings, int pipe, const LastSchedule& last) {
  const auto refuse = [pipe](const Refusal& refusal) {
    say(pipe, {.kind = Word::Kind::Refused, .code = refusal.code, .more = refusal.text.size()}, refusal.text);
  };
  std::string why;
  if (const auto refusal = life.start(0)) return refuse(*refusal);
  const auto explorer = life.explorer(why);
  if (explorer == nullptr) return refuse({ExitCode::BadInput, why});
  explorer->endure(life.endurance());
  explorer->explore_faults(wish.faults);
  explore::Campaign campaign(settings);
  const auto end = after(wish.seconds);
  auto said = Clock::now();
  std::uint64_t not_alone = 0;
  for (std::uint64_t tried = 0;;) {
    const auto word = [&](Word::Kind kind) {
      return Word{.kind = kind, .schedules = tried, .not_alone = not_alone, .coverage = campaign.coverage()};
    };
    if ((wish.schedules != 0 && tried * settings.of + settings.which >= wish.schedules) || (wish.seconds > 0 && Clock::now() >= end))
      return say(pipe, word(Word::Kind::Enough));
    const auto attempt = campaign.next();
    if (!attempt) return say(pipe, word(Word::Kind::Exhausted));
    last.show(attempt->schedule);
    const lab::Execution execution = explorer->carry_out(*attempt, campaign);
    ++tried;
    const bool has_failed = !execution.failure.empty();
    const bool fails_alone = has_failed && !explorer->run_alone(attempt->schedule).failure.empty();
    not_alone += has_failed && !fails_alone;
    if (fails_alone) {
      Word failed = word(Word::Kind::Failed);
      failed.directed = attempt->source == explore::Attempt::Source::Directed;
      const std::span<const explore::Deviation> schedule = attempt->schedule;
      failed.more = schedule.size_bytes();
      return say(pipe, failed, {reinterpret_cast<const char*>(schedule.data()), schedule.size_bytes()});
    }
    if (tried % kWordEvery == 0 || (wish.seconds > 0 && Clock::now() >= said + kWordAfter)) {
      say(pipe, word(Word::Kind::Progress));
      said = Clock::now();
    }
  }
}

struct Worker {
  pid_t process = 0;
  int pipe = -1;
  LastSchedule schedule_it_runs;
  std::string bytes;  // of a word that is not yet complete
  Word last;
  bool ended = true;  // or has never begun
  std::optional<Crash> died;
  std::string more;  // what followed the last word
  explore::Schedule schedule() const {
    explore::Schedule schedule(more.size() / sizeof(explore::Deviation));
    std::memcpy(schedule.data(), more.data(), more.size());
    return schedule;
  }
};

void read_words(Worker& worker) {
  char buffer[65536];
  const ssize_t got = ::read(worker.pipe, buffer, sizeof buffer);
  if (got <= 0) {
    worker.ended = true;
    return;
  }
  worker.bytes.append(buffer, static_cast<std::size_t>(got));
  while (worker.bytes.size() >= sizeof(Word)) {
    Word word;
    std::memcpy(&word, worker.bytes.data(), sizeof word);
    const std::size_t size = sizeof word + word.more;
    if (worker.bytes.size() < size) return;
    worker.more = worker.bytes.substr(sizeof word, word.more);
    worker.bytes.erase(0, size);
    worker.last = word;
  }
}

void add(explore::Coverage& all, const explore::Coverage& one) {
  all.moves = std::max(all.moves, one.moves);
  for (std::size_t level = 0; level < std::size(all.attempts); ++level) all.attempts[level] += one.attempts[level];
  all.wandered += one.wandered;
  all.directed += one.directed;
  all.reduced += one.reduced;
  all.complete = std::min(all.complete, one.complete);
  all.exhaustive = all.exhaustive || one.exhaustive;
}

class Workers {
 public:
  Workers(ScenarioLife& life, const ExploreWish& wish) : all_(wish.jobs) {
    if (wish.seconds > 0) patience_ends_ = after(wish.seconds + std::max(wish.seconds, kLeastPatience));
    for (unsigned which = 0; which < all_.size() && !why_not_; ++which) begin(which, life, wish);
  }
  ~Workers() {
    for (Worker& worker : all_) {
      if (worker.process == 0) continue;
      if (!worker.died) ::waitpid(worker.process, nullptr, 0);
      ::close(worker.pipe);
    }
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Hears what they say for a moment. False: all have ended.
  bool go_on() {
    std::vector<pollfd> pipes;
    for (const Worker& worker : all_) pipes.push_back({worker.ended ? -1 : worker.pipe, POLLIN, 0});
    ::poll(pipes.data(), pipes.size(), kTick);
    bool any = false;
    for (unsigned which = 0; which < all_.size(); ++which) {
      Worker& worker = all_[which];
      if ((pipes[which].revents & (POLLIN | POLLHUP)) != 0) read_words(worker);
      if (pipes[which].fd >= 0 && worker.ended && worker.last.kind == Word::Kind::Progress) bury(worker);
      if (worker.last.kind == Word::Kind::Failed && (finder_ == nullptr || number_of(worker) < number_of(*finder_))) finder_ = &worker;
      // Who is past the number of a failure could only find a later one.
      const bool is_useless = finder_ != nullptr && finder_ != &worker && number_of(worker) + all_.size() > number_of(*finder_);
      const bool is_too_late = !worker.ended && Clock::now() >= patience_ends_;
      given_up_ = given_up_ || is_too_late;
      if (!worker.ended && (is_useless || is_too_late || interrupted() || why_not_)) end(worker);
      any = any || !worker.ended;
    }
    return any;
  }

  std::uint64_t schedules() const {
    std::uint64_t tried = 0;
    for (const Worker& worker : all_) tried += worker.last.schedules;
    return tried;
  }

  Explored result() const {
    Explored explored{.schedules = schedules(), .coverage = {.complete = ~0u}, .exhausted = true, .given_up = given_up_, .broken = why_not_};
    if (finder_ != nullptr) explored.failure = Failure{number_of(*finder_), finder_->schedule(), finder_->last.directed};
    for (const Worker& worker : all_) {
      explored.not_alone += worker.last.not_alone;
      add(explored.coverage, worker.last.coverage);
      explored.exhausted = explored.exhausted && worker.last.kind == Word::Kind::Exhausted;
      if (!explored.crash) explored.crash = worker.died;
      if (why_not_ || finder_ != nullptr || interrupted()) continue;
      if (worker.last.kind == Word::Kind::Refused) explored.broken = Refusal{worker.last.code, worker.more};
    }
    return explored;
  }

 private:
  void begin(unsigned which, ScenarioLife& life, const ExploreWish& wish) {
    int pipe[2];
    if (!all_[which].schedule_it_runs.is_there()) return refuse_with("memory");
    if (::pipe(pipe) != 0) return refuse_with("pipe");
    const pid_t process = ::fork();
    if (process < 0) {
      refuse_with("process");
      ::close(pipe[0]);
    } else if (process == 0) {
      ::close(pipe[0]);
      explore::CampaignSettings settings = wish.campaign;
      settings.which = which;
      settings.of = wish.jobs;
      explore_alone(life, wish, settings, pipe[1], all_[which].schedule_it_runs);
      ::_exit(0);
    } else {
      all_[which].process = process;
      all_[which].pipe = pipe[0];
      all_[which].ended = false;
    }
    ::close(pipe[1]);
  }
  void refuse_with(const char* what) {
    why_not_ = Refusal{ExitCode::HostLacks, fmt::format("the host gives no {} for exploring: {}", what, std::strerror(errno))};
  }
  // It has died in the middle of a run.
  static void bury(Worker& worker) {
    int status = 0;
    ::waitpid(worker.process, &status, 0);
    worker.died = Crash{WIFSIGNALED(status) ? fmt::format("signal {}, {}", WTERMSIG(status), ::strsignal(WTERMSIG(status)))
                                            : fmt::format("exit {}", WEXITSTATUS(status)),
                        worker.schedule_it_runs.read()};
  }
  static void end(Worker& worker) {
    ::kill(worker.process, SIGKILL);
    worker.ended = true;
  }
  // Of the last schedule that it has tried, among those of all.
  std::uint64_t number_of(const Worker& worker) const {
    return (worker.last.schedules - 1) * all_.size() + static_cast<std::size_t>(&worker - all_.data()) + 1;
  }

  std::vector<Worker> all_;
  const Worker* finder_ = nullptr;  // of the failure with the lowest number so far
  std::optional<Refusal> why_not_;  // the host could not do it
  Clock::time_point patience_ends_ = Clock::time_point::max();
  bool given_up_ = false;
};

}  // namespace

Explored explore_with(ScenarioLife& life, const ExploreWish& wish, const std::function<void(std::uint64_t)>& progress) {
  Workers workers(life, wish);
  while (workers.go_on()) progress(workers.schedules());
  return workers.result();
}

}  // namespace kdpc::tool
