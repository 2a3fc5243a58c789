// The devices of a scenario that are cards of our own, on one board.
#pragma once
#include <memory>

#include "kdpc/cards.h"
#include "tools/kdpc/scenario.h"

namespace kdpc::tool {

struct Cards {
  std::unique_ptr<cards::CardBoard> board;  // null: there are none
  cards::SerialPort* line = nullptr;        // of the first UART
};
// `far_end`: the descriptor of a line whose far end is a pseudo terminal; -1: there is none.
Cards make_cards(const Scenario& scenario, int far_end);

}  // namespace kdpc::tool
