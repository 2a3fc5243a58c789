// A static constructor, which the process runs when it maps the driver.
#include "accesses.h"

extern "C" LONG Constructed;
LONG Constructed;

namespace {
struct Early {
  Early() { ++Constructed; }
} early;
}  // namespace
