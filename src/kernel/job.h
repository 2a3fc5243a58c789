// How the host gets something done inside: a job is a routine that is given a system thread of its own.
//
// The host fills a slot and has the machine deliver kJobVector; the handler queues a DPC, and that creates the thread. So a job enters like
// everything else from outside: as an interrupt, at a time.
#pragma once
#include <cstdint>

#include "base/processor_set.h"
#include "kernel/thread.h"

namespace kdpc {

struct Job {
  enum class State : std::uint8_t { Free, Posted, Starting };
  State state;
  std::uint8_t priority;
  ProcessorSet affinity;
  ThreadRoutine* routine;
  void* context;
  char name[24];
};

inline constexpr unsigned kJobSlots = 64;
inline constexpr std::uint8_t kJobVector = 0xC0;  // level Synch: above every device, so a busy line does not keep the host out

struct JobTable {
  Job slots[kJobSlots];
  Dpc dpc;
};

namespace job {

void initialize(JobTable& table);
// On the host context, between steps. False: all slots are taken.
[[nodiscard]] bool post(const char* name, ThreadRoutine* routine, void* context, ProcessorSet affinity, std::uint8_t priority = kNormalPriority);
void interrupt_here();  // kJobVector

}  // namespace job
}  // namespace kdpc
