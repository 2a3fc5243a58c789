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
Cards make_cards(const Scenario& scenario);

}  // namespace kdpc::tool
