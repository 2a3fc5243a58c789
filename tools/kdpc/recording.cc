#include "tools/kdpc/recording.h"

#include <fmt/format.h>
#include <sndfile.h>

#include <memory>

namespace kdpc::tool {

Result<Recording> read_recording(const std::filesystem::path& file) {
  std::error_code failed;
  if (!std::filesystem::exists(file, failed)) return Error{fmt::format("there is no recording {}", file.string())};
  if (!std::filesystem::is_regular_file(file, failed)) return Error{fmt::format("the recording {} is no file", file.string())};

  SF_INFO info{};
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> sound(sf_open(file.c_str(), SFM_READ, &info), &sf_close);
  if (sound == nullptr) return Error{fmt::format("the recording {} cannot be read: {}", file.string(), sf_strerror(nullptr))};
  if (info.channels < 1 || info.channels > 2)
    return Error{fmt::format("the recording {} has {} channels; one or two can be played", file.string(), info.channels)};

  Recording recording;
  recording.rate = static_cast<unsigned>(info.samplerate);
  recording.channels = static_cast<unsigned>(info.channels);
  std::vector<std::int16_t> samples(4096U * recording.channels);
  for (;;) {
    const sf_count_t frames = sf_readf_short(sound.get(), samples.data(), 4096);
    if (frames <= 0) break;
    for (sf_count_t i = 0; i < frames; ++i) {
      const std::int16_t* const frame = samples.data() + static_cast<std::size_t>(i) * recording.channels;
      recording.frames.push_back({frame[0], frame[recording.channels - 1]});
    }
  }
  if (sf_error(sound.get()) != SF_ERR_NO_ERROR) return Error{fmt::format("the recording {} is damaged: {}", file.string(), sf_strerror(sound.get()))};
  if (recording.frames.empty()) return Error{fmt::format("the recording {} is empty", file.string())};
  return recording;
}

bool write_recording(const std::filesystem::path& file, unsigned rate, const std::vector<Frame>& frames) {
  SF_INFO info{};
  info.samplerate = static_cast<int>(rate);
  info.channels = 2;
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> sound(sf_open(file.c_str(), SFM_WRITE, &info), &sf_close);
  const auto count = static_cast<sf_count_t>(frames.size());
  return sound != nullptr && (count == 0 || sf_writef_short(sound.get(), &frames.data()->left, count) == count);
}

}  // namespace kdpc::tool
