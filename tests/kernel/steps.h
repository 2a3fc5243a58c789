// Who did what in which order: code inside notes letters, and threads wait for events before they do.
#pragma once
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/due_time.h"

namespace kdpc::test {

inline char order[64];
inline volatile int steps = 0;
inline void note(char step) {
  order[steps % 63] = step;
  steps = steps + 1;
}
inline void reset() {
  std::memset(order, 0, sizeof order);
  steps = 0;
}
inline VOID NTAPI note_in_dpc(PKDPC, PVOID Context, PVOID, PVOID) { note(*static_cast<const char*>(Context)); }

inline KEVENT events[4];
inline NTSTATUS wait_for(PVOID object) { return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, nullptr); }
inline NTSTATUS poll(PVOID object) {
  LARGE_INTEGER zero = hundreds_of_ns(0);
  return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &zero);
}

// A thread that waits for its event and then says its letter.
inline lab::Task waiter(lab::Machine& m, unsigned processor, unsigned priority, KEVENT& event, char letter) {
  auto task = m.start(processor, PASSIVE_LEVEL,
                      [&event, letter] {
                        KDPC_EXPECT_EQ(wait_for(&event), STATUS_SUCCESS);
                        note(letter);
                      },
                      {.priority = priority});
  let_rest(m, processor);
  return task;
}

inline void initialize_events(lab::Machine& m, EVENT_TYPE type = SynchronizationEvent) {
  reset();
  m.on(0, PASSIVE_LEVEL, [type] {
    for (KEVENT& event : events) KeInitializeEvent(&event, type, FALSE);
  });
}

}  // namespace kdpc::test
