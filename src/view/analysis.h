// A bug check as `!analyze -v` tells it: name and code, what the code means, the four parameters with their meanings, the sentence about this very case,
// the rule, the place in the driver, the stack, and whose thread it happened on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "view/stop_meanings.h"

namespace kdpc::view {

struct Analysis {
  std::uint32_t code = 0;
  std::string name;  // IRQL_NOT_LESS_OR_EQUAL
  std::uint64_t parameters[4] = {};
  std::string parameter_places[4];  // of those that are a routine or object of a driver
  std::string sentence;
  std::string rule;
  std::string place;            // nic!NicDpc+0x1c (nic/dpc.c:88)
  std::string image, function;  // of the place
  unsigned processor = 0;
  unsigned irql = 0;
  std::string thread;     // "thread 5 \"application\""
  bool borrowed = false;  // an ISR or DPC ran on it, which is not its own code
  struct Frame {
    std::uint64_t address;
    std::string text;
  };
  std::vector<Frame> stack;  // innermost first
};

std::string text_of(const Analysis& analysis);

}  // namespace kdpc::view
