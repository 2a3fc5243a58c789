// A spin lock and handles to take it with in a queue.
#pragma once
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/kernel/steps.h"

namespace kdpc::test {

inline KSPIN_LOCK lock;
inline KLOCK_QUEUE_HANDLE handles[8];

inline void initialize(lab::Machine& m) {
  reset();
  m.on(0, HIGH_LEVEL, [] {
    std::memset(handles, 0, sizeof handles);
    lock = 0;
    KeInitializeSpinLock(&lock);
  });
}

}  // namespace kdpc::test
