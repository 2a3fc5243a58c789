#include "tools/kdpc/alignment.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

namespace kdpc::tool {
namespace {

// Sound of this length that is not silence occurs once: 2.7 ms at 48 kHz.
constexpr std::size_t kWindow = 128;

std::size_t leading_silence(std::span<const Frame> frames) {
  return static_cast<std::size_t>(std::find_if(frames.begin(), frames.end(), [](const Frame& frame) { return !frame.is_silent(); }) - frames.begin());
}

std::uint64_t hash_of(std::span<const Frame> frames) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const Frame& frame : frames)
    hash =
        (hash ^ (static_cast<std::uint64_t>(static_cast<std::uint16_t>(frame.left)) << 16 | static_cast<std::uint16_t>(frame.right))) * 0x100000001b3;
  return hash;
}

// Where windows of the source lie, by content. Made only when something other than silence was put in.
class Index {
 public:
  explicit Index(std::span<const Frame> source) : source_(source) {
    for (std::size_t i = 0; i + kWindow <= source.size(); ++i) {
      const std::span<const Frame> window = source.subspan(i, kWindow);
      if (leading_silence(window) < kWindow / 2) places_[hash_of(window)].push_back(i);
    }
  }
  // The first place at or after `from` where the source is like this window; the source's size if there is none.
  std::size_t find(std::span<const Frame> window, std::size_t from) const {
    const auto found = places_.find(hash_of(window));
    if (found == places_.end()) return source_.size();
    for (const std::size_t place : found->second)
      if (place >= from && std::equal(window.begin(), window.end(), source_.begin() + static_cast<std::ptrdiff_t>(place))) return place;
    return source_.size();
  }

 private:
  std::span<const Frame> source_;
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> places_;
};

class Aligner {
 public:
  Aligner(std::span<const Frame> source, std::span<const Frame> played, std::size_t period) : source_(source), played_(played), period_(period) {}

  Alignment run() {
    const std::size_t ours = leading_silence(source_), theirs = leading_silence(played_);
    at_played_ = result_.startup = ours == source_.size() ? 0 : theirs > ours ? theirs - ours : 0;
    while (at_source_ < source_.size()) {
      const std::size_t most = std::min(source_.size() - at_source_, played_.size() - at_played_);
      std::size_t same = 0;
      while (same < most && source_[at_source_ + same] == played_[at_played_ + same]) ++same;
      at_source_ += same;
      at_played_ += same;
      result_.equal += same;
      if (at_source_ < source_.size()) depart();
    }
    result_.after = played_.size() - at_played_;
    const std::size_t silent = leading_silence(played_.subspan(at_played_));
    if (silent < result_.after) result_.dropouts.push_back({source_.size(), at_played_ + silent, 0, result_.after - silent, 0});
    return std::move(result_);
  }

 private:
  // The frames at hand differ, or nothing more was played.
  void depart() {
    const std::size_t silent = leading_silence(played_.subspan(at_played_));
    if (at_played_ + silent == played_.size()) {  // cut off
      add({at_source_, at_played_, silent, 0, source_.size() - at_source_});
      at_source_ = source_.size();
      at_played_ = played_.size();
      return;
    }
    if (silent > 0 && continues_at(at_source_, at_played_ + silent)) {
      add({at_source_, at_played_, silent, 0, 0});
      at_played_ += silent;
      return;
    }
    resynchronise();
  }

  bool continues_at(std::size_t in_source, std::size_t in_played) const {
    const std::size_t length = std::min({kWindow, source_.size() - in_source, played_.size() - in_played});
    return std::equal(source_.begin() + static_cast<std::ptrdiff_t>(in_source), source_.begin() + static_cast<std::ptrdiff_t>(in_source + length),
                      played_.begin() + static_cast<std::ptrdiff_t>(in_played));
  }

  // Looks for the next stretch of sound that is in the source, at or after here.
  void resynchronise() {
    if (!index_) index_.emplace(source_);
    std::size_t in_played = at_played_, in_source = source_.size();
    for (; in_played + kWindow <= played_.size(); ++in_played) {
      in_source = index_->find(played_.subspan(in_played, kWindow), at_source_);
      if (in_source != source_.size()) break;
    }
    if (in_source == source_.size()) in_played = played_.size();
    // The windows match from their first frame on; what was equal just before them belongs to them too.
    while (in_source < source_.size() && in_source > at_source_ && in_played > at_played_ && source_[in_source - 1] == played_[in_played - 1])
      --in_source, --in_played;
    Dropout dropout{at_source_, at_played_, 0, 0, in_source - at_source_};
    for (const Frame& frame : played_.subspan(at_played_, in_played - at_played_)) ++(frame.is_silent() ? dropout.silent : dropout.foreign);
    add(dropout);
    at_source_ = in_source;
    at_played_ = in_played;
  }

  // Silence put in before, or inside, silence of the source could be anywhere in it.
  void add(Dropout dropout) {
    if (dropout.foreign == 0 && dropout.lost == 0 && period_ != 0) {
      const std::size_t over = dropout.source_frame % period_;
      const std::size_t free = std::min({over, dropout.source_frame, dropout.played_frame});
      bool silent = free == over;
      for (std::size_t back = 1; silent && back <= over; ++back) silent = source_[dropout.source_frame - back].is_silent();
      if (silent) dropout.source_frame -= over, dropout.played_frame -= over;
    }
    result_.dropouts.push_back(dropout);
  }

  std::span<const Frame> source_, played_;
  std::size_t period_;
  std::size_t at_source_ = 0, at_played_ = 0;
  std::optional<Index> index_;
  Alignment result_;
};

}  // namespace

std::size_t Alignment::frames_missed() const {
  std::size_t frames = 0;
  for (const Dropout& dropout : dropouts) frames += dropout.frames();
  return frames;
}

Alignment align(std::span<const Frame> source, std::span<const Frame> played, std::size_t period) { return Aligner(source, played, period).run(); }

}  // namespace kdpc::tool
