// A fixed array, as of notes (notes.cc): told at any IRQL, on any stack.
#include "lab/goals.h"

#include <atomic>
#include <cstring>

#include "kdpc/lab.h"

namespace kdpc::lab {

namespace {

struct Goal {
  const char* text;
  bool reached;
};
constexpr std::size_t kGoals = 256;
Goal all[kGoals];
std::atomic<std::size_t> used{0};

}  // namespace

void sometimes(const char* text, bool reached) {
  const std::size_t count = used;
  for (std::size_t index = 0; index < count; ++index)
    if (all[index].text == text || std::strcmp(all[index].text, text) == 0) {
      all[index].reached = all[index].reached || reached;
      return;
    }
  if (count == kGoals) return;
  all[count] = {text, reached};
  used = count + 1;
}

void forget_goals() { used = 0; }

std::map<std::string, bool> goals() {
  std::map<std::string, bool> told;
  for (std::size_t index = 0; index < used; ++index) told[all[index].text] = all[index].reached;
  return told;
}

}  // namespace kdpc::lab
