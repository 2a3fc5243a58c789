#include "kernel/job.h"

#include <atomic>
#include <cstring>

#include "base/invariant.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::job {

namespace {

void KDPC_NTAPI start_posted(Dpc*, void*, void*, void*) {
  for (Job& job : sys().jobs.slots) {
    // The DPC may run on two processors at once, and each job has one thread.
    Job::State posted = Job::State::Posted;
    if (!std::atomic_ref(job.state).compare_exchange_strong(posted, Job::State::Starting, std::memory_order_acq_rel)) continue;
    Thread* thread = thread::create(job.name, job.routine, job.context, job.priority, job.affinity);
    KDPC_INVARIANT("K.JOB-1", thread != nullptr);
    std::atomic_ref(job.state).store(Job::State::Free, std::memory_order_release);
    thread::start(*thread);
    thread::release(*thread);
  }
}

}  // namespace

void initialize(JobTable& table) { dpc::initialize(table.dpc, start_posted, nullptr); }

bool post(const char* name, ThreadRoutine* routine, void* context, ProcessorSet affinity, std::uint8_t priority) {
  for (Job& job : sys().jobs.slots) {
    if (std::atomic_ref(job.state).load(std::memory_order_acquire) != Job::State::Free) continue;
    job.priority = priority;
    job.affinity = affinity;
    job.routine = routine;
    job.context = context;
    std::memset(job.name, 0, sizeof job.name);
    std::strncpy(job.name, name, sizeof job.name - 1);
    std::atomic_ref(job.state).store(Job::State::Posted, std::memory_order_release);  // everything above is there for whoever finds it
    return true;
  }
  return false;
}

void interrupt_here() { dpc::insert(&sys().jobs.dpc, nullptr, nullptr); }

}  // namespace kdpc::job
