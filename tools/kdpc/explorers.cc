#include "tools/kdpc/explorers.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "lab/explore.h"

namespace kdpc::tool {

namespace {

using Clock = std::chrono::steady_clock;

// What an explorer tells: how far it is, and at the end what it found.
struct Word {
  enum class Kind : std::uint8_t { Progress, Failed, Exhausted, Enough, Refused } kind = Kind::Progress;
  std::uint32_t deviations = 0;  // that follow, of a failure
  std::uint64_t schedules = 0;
  explore::Coverage coverage;
};

constexpr std::uint64_t kWordEvery = 64;
constexpr int kTick = 50;  // ms

void say(int pipe, const Word& word, const explore::Schedule& schedule = {}) {
  std::string bytes(reinterpret_cast<const char*>(&word), sizeof word);
  bytes.append(reinterpret_cast<const char*>(schedule.data()), schedule.size() * sizeof(explore::Deviation));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = ::write(pipe, bytes.data() + done, bytes.size() - done);
    if (wrote <= 0) ::_exit(static_cast<int>(ExitCode::SimulatorBug));  // nobody listens any more
    done += static_cast<std::size_t>(wrote);
  }
}

// In a process of its own.
void explore_alone(ScenarioLife life, const ExploreWish& wish, const explore::CampaignSettings& settings, int pipe) {
  std::string why;
  if (life.start({}, 0)) return say(pipe, {.kind = Word::Kind::Refused});
  const auto explorer = lab::Explorer::create(
      life.machine(), [&life](lab::Machine& machine) { return life(machine); }, why);
  if (explorer == nullptr) return say(pipe, {.kind = Word::Kind::Refused});
  explore::Campaign campaign(settings);
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wish.seconds));
  for (std::uint64_t tried = 0;;) {
    const auto word = [&](Word::Kind kind) { return Word{kind, 0, tried, campaign.coverage()}; };
    if ((wish.schedules != 0 && tried * settings.of + settings.which >= wish.schedules) || (wish.seconds > 0 && Clock::now() >= end))
      return say(pipe, word(Word::Kind::Enough));
    const auto attempt = campaign.next();
    if (!attempt) return say(pipe, word(Word::Kind::Exhausted));
    const lab::Execution execution = explorer->run(attempt->schedule, attempt->learn);
    ++tried;
    if (!execution.failure.empty()) {
      Word failed = word(Word::Kind::Failed);
      failed.deviations = static_cast<std::uint32_t>(attempt->schedule.size());
      return say(pipe, failed, attempt->schedule);
    }
    if (attempt->learn) campaign.learned(attempt->schedule, explorer->lesson());
    if (tried % kWordEvery == 0) say(pipe, word(Word::Kind::Progress));
  }
}

struct Worker {
  pid_t process = 0;
  int pipe = -1;
  std::string bytes;  // of a word that is not yet complete
  Word last;
  bool ended = false;
  explore::Schedule found;
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
    const std::size_t size = sizeof word + word.deviations * sizeof(explore::Deviation);
    if (worker.bytes.size() < size) return;
    worker.found.resize(word.deviations);
    std::memcpy(worker.found.data(), worker.bytes.data() + sizeof word, size - sizeof word);
    worker.bytes.erase(0, size);
    worker.last = word;
  }
}

void add(explore::Coverage& all, const explore::Coverage& one) {
  all.moves = std::max(all.moves, one.moves);
  for (std::size_t level = 0; level < std::size(all.attempts); ++level) all.attempts[level] += one.attempts[level];
  all.wandered += one.wandered;
  all.complete = std::min(all.complete, one.complete);
  all.began = all.began || one.began;
}

}  // namespace

Explored explore_with(const std::function<ScenarioLife()>& make, const ExploreWish& wish, const std::function<void(std::uint64_t)>& progress,
                      const std::function<bool()>& interrupted) {
  std::vector<Worker> workers(wish.jobs);
  for (unsigned which = 0; which < wish.jobs; ++which) {
    int pipe[2];
    if (::pipe(pipe) != 0) break;
    const pid_t process = ::fork();
    if (process == 0) {
      ::close(pipe[0]);
      explore::CampaignSettings settings = wish.campaign;
      settings.which = which;
      settings.of = wish.jobs;
      explore_alone(make(), wish, settings, pipe[1]);
      ::_exit(0);
    }
    ::close(pipe[1]);
    workers[which].process = process;
    workers[which].pipe = pipe[0];
  }
  const auto number_of = [&](const Worker& worker, unsigned which) { return (worker.last.schedules - 1) * wish.jobs + which + 1; };
  Explored explored;
  explored.coverage.complete = ~0u;
  unsigned finder = wish.jobs;
  for (bool all_ended = false; !all_ended;) {
    std::vector<pollfd> pipes;
    for (const Worker& worker : workers) pipes.push_back({worker.ended ? -1 : worker.pipe, POLLIN, 0});
    ::poll(pipes.data(), pipes.size(), kTick);
    all_ended = true;
    std::uint64_t tried = 0;
    for (unsigned which = 0; which < wish.jobs; ++which) {
      Worker& worker = workers[which];
      if ((pipes[which].revents & (POLLIN | POLLHUP)) != 0) read_words(worker);
      tried += worker.last.schedules;
      const bool better =
          worker.last.kind == Word::Kind::Failed && (finder == wish.jobs || number_of(worker, which) < number_of(workers[finder], finder));
      if (better) finder = which;
      // Who is past the number of a failure could only find a later one.
      const bool useless =
          finder != wish.jobs && which != finder && worker.last.schedules * wish.jobs + which + 1 > number_of(workers[finder], finder);
      if (!worker.ended && (useless || interrupted())) {
        ::kill(worker.process, SIGKILL);
        worker.ended = true;
      }
      all_ended = all_ended && worker.ended;
    }
    explored.schedules = tried;
    progress(tried);
  }
  explored.exhausted = true;
  for (unsigned which = 0; which < wish.jobs; ++which) {
    Worker& worker = workers[which];
    int status = 0;
    ::waitpid(worker.process, &status, 0);
    ::close(worker.pipe);
    add(explored.coverage, worker.last.coverage);
    explored.exhausted = explored.exhausted && worker.last.kind == Word::Kind::Exhausted;
    if (worker.last.kind == Word::Kind::Progress && finder == wish.jobs && !interrupted())
      explored.broken = "an exploring process has ended in the middle of it";
    if (worker.last.kind == Word::Kind::Refused) explored.broken = "an exploring process could not make its machine";
  }
  if (finder != wish.jobs) explored.failure = Failure{number_of(workers[finder], finder), workers[finder].found};
  return explored;
}

}  // namespace kdpc::tool
