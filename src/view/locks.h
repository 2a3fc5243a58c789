// Who owns spinning locks and who waits for them: the kernel's own, as far as NT has a number for them, and those of drivers.
#pragma once
#include <string>
#include <vector>

#include "view/world.h"

namespace kdpc::view {

struct LockRow {
  std::string name;
  int number = -1;                 // of NT's built-in queued locks, or none
  std::vector<std::string> marks;  // by processor: O, 1…n, W, C, or empty
};

// The kernel's own first, then drivers' locks that are owned, in the order of the processors that own them.
std::vector<LockRow> read_locks(const World& world);

}  // namespace kdpc::view
