// DPCs that say in which order they ran, for the tests of queues and drains.
#pragma once
#include <wdm.h>

#include <chrono>
#include <string>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"

namespace dpc_order {

inline int runs = 0;
inline std::string order;
inline KDPC dpcs[16];
inline volatile bool at_work = false, release_it = false;

inline VOID NTAPI append(PKDPC, PVOID Context, PVOID, PVOID) {
  ++runs;
  order += static_cast<const char*>(Context);
  order += ' ';
}
inline VOID NTAPI nothing(PKDPC, PVOID, PVOID, PVOID) { ++runs; }

inline void reset() {
  runs = 0;
  order.clear();
  order.reserve(4096);
  release_it = false;
}

inline void prepare(PKDPC dpc, const char* name, KDPC_IMPORTANCE importance, int target = -1) {
  KeInitializeDpc(dpc, append, const_cast<char*>(name));
  KeSetImportanceDpc(dpc, importance);
  if (target >= 0) KeSetTargetProcessorDpc(dpc, static_cast<CCHAR>(target));
}

// Keeps a processor busy in a thread below DISPATCH_LEVEL: neither idle nor draining.
inline kdpc::lab::Task keep_busy(kdpc::lab::Machine& m, unsigned processor) {
  at_work = false;
  auto task = m.start(processor, PASSIVE_LEVEL, [] {
    at_work = true;
    while (!release_it) KeStallExecutionProcessor(50);
  });
  EXPECT_TRUE(m.run_until([] { return at_work; }, kdpc::test::within(std::chrono::milliseconds(2))));
  return task;
}

}  // namespace dpc_order
