#include "tools/kdpc/explored_workload.h"

#include <fmt/format.h>

#include <algorithm>

#include "kdpc/explore.h"
#include "tools/kdpc/arrival.h"

namespace kdpc::tool {

namespace {

constexpr unsigned kBitsOfCharacter = 10;
constexpr unsigned kCharactersInChip = 17;  // a 16550's FIFO, and its shift register

void keep_first(std::string& bytes, std::size_t count) { bytes.resize(std::min(bytes.size(), count)); }

// The first device with a name that the driver of the used device has made.
std::string device_to_open(const lab::Machine& machine, const Scenario& scenario) {
  const DeviceWanted* const device = scenario.worked_on();
  for (const DriverWanted& driver : scenario.drivers)
    if (device != nullptr && driver.device == device->name)
      if (const std::vector<std::string> names = machine.device_names(driver.name); !names.empty()) return names.front();
  return {};
}

}  // namespace

std::optional<Refusal> ExploredWorkload::read(const Scenario& scenario) {
  if (auto refusal = read_workload_files(scenario, files_)) return refusal;
  const WorkloadWanted& workload = *scenario.workload;
  if (files_.recording) {
    std::vector<Frame>& frames = files_.recording->frames;
    frames.resize(std::min(frames.size(), static_cast<std::size_t>(workload.explore_ms * files_.recording->rate / 1000) + 1));
  }
  const auto characters = static_cast<std::size_t>(workload.explore_ms * workload.baud / kBitsOfCharacter / 1000) + 1;
  keep_first(files_.to_receive, characters);
  keep_first(files_.to_send, characters);
  return {};
}

std::string ExploredWorkload::operator()(lab::Machine& machine, const Scenario& scenario, const Cards& cards) {
  return scenario.workload->uses_line() ? use_line(machine, scenario, cards) : play(machine, scenario, cards);
}

std::string ExploredWorkload::run(lab::Machine& machine, const Scenario& scenario, Application& application, const std::function<void()>& between) {
  const WorkloadWanted& workload = *scenario.workload;
  if (application.opens.empty()) application.opens = device_to_open(machine, scenario);
  const lab::Task task =
      machine.start(workload.processor, lab::Level(0), [&application] { application.run(); }, {.name = "application", .priority = workload.priority});
  const auto is_done = [&] {
    between();
    return task.done();
  };
  if (!machine.run_until(is_done, scenario.time_limit_ns)) {
    if (machine.outcome().over()) return {};
    lab::did_not_end();
    return machine.outcome().how == lab::Ended::Quiescent
               ? "Stuck: the application waits, and nothing will ever happen again.\n" + machine.outcome().text
               : "The application is not done within the time limit of the scenario.";
  }
  if (application.failed_at == nullptr || (application.is_cancelled() && machine.hand_has_cancelled())) return {};
  return fmt::format("The application's device {} refused {}: {}", application.opens, application.failed_at, lab::status_text(application.status));
}

std::string ExploredWorkload::play(lab::Machine& machine, const Scenario& scenario, const Cards& cards) {
  player_ = player_for(*scenario.workload, files_);
  const std::string wrong = run(machine, scenario, player_, [] {});
  if (!wrong.empty() || machine.outcome().over()) return wrong;
  return judge_sound(player_.frames, frames_of(*cards.sound), !machine.hand_has_cancelled());
}

// The far end begins when the port is open.
std::string ExploredWorkload::use_line(lab::Machine& machine, const Scenario& scenario, const Cards& cards) {
  terminal_ = terminal_for(*scenario.workload, files_);
  bool begun = false;
  const std::string wrong = run(machine, scenario, terminal_, [&] {
    if (terminal_.ready && !begun) cards.line->send(files_.to_receive);
    begun = terminal_.ready;
  });
  if (!wrong.empty() || machine.outcome().over()) return wrong;
  std::vector<std::size_t> overrun;
  for (const cards::SerialPort::Overrun& one : cards.line->overruns()) overrun.push_back(one.number);
  std::sort(overrun.begin(), overrun.end());
  const std::string_view received(terminal_.room.data(), terminal_.received);
  // What comes while the system sleeps, or to a card that is gone, nobody hears, nor what was cancelled; but what is heard was sent, in this order.
  const std::uint64_t excused = machine.deeds_of_hand().empty() ? 0 : ~std::uint64_t{0};
  const std::string in = judge_line(files_.to_receive, received, overrun, std::max<std::uint64_t>(terminal_.ring_overruns, excused));
  return in.empty() ? judge_line(files_.to_send, heard_at_the_end(machine, scenario, cards), {}, excused) : in;
}

// What the chip was given last is still on its way when the application is done.
std::string ExploredWorkload::heard_at_the_end(lab::Machine& machine, const Scenario& scenario, const Cards& cards) {
  std::string heard = cards.line->received_text();
  if (heard.size() >= files_.to_send.size()) return heard;
  machine.run_for(std::chrono::microseconds((kCharactersInChip + 1) * kBitsOfCharacter * 1'000'000 / scenario.workload->baud));
  return cards.line->received_text();
}

}  // namespace kdpc::tool
