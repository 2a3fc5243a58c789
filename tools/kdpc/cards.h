// The devices of a scenario that are cards of our own, on one board.
#pragma once
#include <memory>
#include <vector>

#include "kdpc/cards.h"
#include "tools/kdpc/recording.h"
#include "tools/kdpc/scenario.h"

namespace kdpc::tool {

inline constexpr unsigned kMostSerialLines = 4;  // as many as PCs have a place for

struct Cards {
  std::unique_ptr<cards::CardBoard> board;  // null: there are none
  cards::SerialPort* line = nullptr;        // of the first UART
  cards::SoundCard* sound = nullptr;        // the first one
};
// `far_end`: the descriptor of a line whose far end is a pseudo terminal; -1: there is none.
Cards make_cards(const Scenario& scenario, int far_end);
// What a sound card of our own has played.
std::vector<Frame> frames_of(const cards::SoundCard& card);

}  // namespace kdpc::tool
