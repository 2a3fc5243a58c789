// Where what was played departs from its source: the two are laid side by side, frame by frame, with nothing assumed about who played it.
//
//   source    AAAABBBBCCCCDDDD
//   played  ..AAAABBBB...CCCCDDDD....      start-up latency 2, one drop-out of 3 frames at source frame 8
//
// Before the first frame and after the last one there is silence only. In between each departure is one Dropout: silence, or something else, that
// was put in, and what of the source was left out there.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "tools/kdpc/recording.h"

namespace kdpc::tool {

struct Dropout {
  std::size_t source_frame = 0;  // the first that came late, or not at all
  std::size_t played_frame = 0;  // where the departure begins
  std::size_t silent = 0;        // frames of silence put in
  std::size_t foreign = 0;       // other frames put in: old sound, noise
  std::size_t lost = 0;          // frames of the source that were never heard
  std::size_t frames() const { return silent + foreign > lost ? silent + foreign : lost; }
};

struct Alignment {
  std::size_t startup = 0;  // frames of silence before the source
  std::size_t equal = 0;    // frames of the source that were heard
  std::size_t after = 0;    // frames of silence after the source
  std::vector<Dropout> dropouts;

  bool clean() const { return dropouts.empty(); }
  std::size_t frames_missed() const;
};

// `period`: what a player hands over at a time. Where silence in the source makes the place of a gap ambiguous, it is taken to be between two of
// those, as only there a card can run dry.
Alignment align(std::span<const Frame> source, std::span<const Frame> played, std::size_t period);

}  // namespace kdpc::tool
