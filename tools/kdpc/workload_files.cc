#include "tools/kdpc/workload_files.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

namespace kdpc::tool {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 16'000'000;  // of a file for a serial line

std::optional<Refusal> read_sound(const Scenario& scenario, std::optional<Recording>& wanted) {
  const WorkloadWanted& workload = *scenario.workload;
  auto recording = read_recording(workload.play);
  if (!recording) return Refusal{ExitCode::BadInput, fmt::format("{}: {}", workload.play_position.text(), recording.error().what)};
  const DeviceWanted* const card = scenario.sound_card();
  if (card == nullptr)
    return Refusal{ExitCode::BadInput, fmt::format("{}: there is nothing to play it on: write a table [devices.sound]", workload.position.text())};
  if (recording->rate != card->rate)
    return Refusal{ExitCode::BadInput,
                   fmt::format("{}: the recording {} has {} frames a second, but '{}' plays {}: convert it first (sox IN -r {} OUT)",
                               workload.play_position.text(), workload.play.string(), recording->rate, card->name, card->rate, card->rate)};
  wanted = std::move(recording).value();
  return {};
}

std::optional<Refusal> read_bytes(const fs::path& path, const Position& position, std::string& text) {
  if (path.empty()) return {};
  std::error_code failed;
  std::ifstream file(path, std::ios::binary);
  if (!file || !fs::is_regular_file(path, failed))
    return Refusal{ExitCode::BadInput, fmt::format("{}: the file {} cannot be read", position.text(), path.string())};
  text.assign(std::istreambuf_iterator<char>(file), {});
  if (text.empty()) return Refusal{ExitCode::BadInput, fmt::format("{}: the file {} is empty", position.text(), path.string())};
  if (text.size() > kMostBytes)
    return Refusal{ExitCode::BadInput,
                   fmt::format("{}: the file {} is longer than the {} bytes that a run can carry", position.text(), path.string(), kMostBytes)};
  return {};
}

}  // namespace

std::optional<Refusal> read_workload_files(const Scenario& scenario, WorkloadFiles& files) {
  const WorkloadWanted& workload = *scenario.workload;
  if (!workload.uses_line()) return read_sound(scenario, files.recording);
  if (auto refusal = read_bytes(workload.receive, workload.receive_position, files.to_receive)) return refusal;
  return read_bytes(workload.send, workload.send_position, files.to_send);
}

Player player_for(const WorkloadWanted& workload, const WorkloadFiles& files) {
  Player player;
  player.opens = workload.opens;
  player.frames = files.recording->frames;
  player.period_frames = static_cast<std::size_t>(workload.period_ms * files.recording->rate / 1000);
  player.outstanding = workload.outstanding;
  return player;
}

Terminal terminal_for(const WorkloadWanted& workload, const WorkloadFiles& files) {
  Terminal terminal;
  terminal.opens = workload.opens;
  terminal.baud = workload.baud;
  terminal.read_bytes = workload.read_bytes;
  terminal.rts_handshake = workload.rts_handshake;
  terminal.to_send = files.to_send;
  terminal.room.resize(files.to_receive.size());
  return terminal;
}

}  // namespace kdpc::tool
