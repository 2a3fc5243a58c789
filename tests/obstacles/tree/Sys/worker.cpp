// A part of it in C++.
extern "C" {
#include "OldTree.h"
}
#include "worker.tmh"

namespace {

class Doubler {
 public:
  explicit Doubler(ULONG value) : value_(value) {}
  virtual ULONG get() const { return 2 * value_; }

 private:
  const ULONG value_;
};

}  // namespace

extern "C" ULONG OldTreeWork(ULONG Value) {
  TraceEvents(TRACE_LEVEL_VERBOSE, TRACE_IO, "%!FUNC! %u", Value);
  return Doubler(Value).get();
}
