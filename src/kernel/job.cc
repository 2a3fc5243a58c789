#include "kernel/job.h"

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
    if (!__atomic_compare_exchange_n(&job.state, &posted, Job::State::Starting, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) continue;
    Thread* thread = thread::create(job.name, job.routine, job.context, job.priority, job.affinity);
    KDPC_INVARIANT("K.JOB-1", thread != nullptr);
    __atomic_store_n(&job.state, Job::State::Free, __ATOMIC_RELEASE);
    thread::start(*thread);
    thread::release(*thread);
  }
}

}  // namespace

void initialize(JobTable& table) { dpc::initialize(table.dpc, start_posted, nullptr); }

bool post(const char* name, ThreadRoutine* routine, void* context, ProcessorSet affinity, std::uint8_t priority) {
  for (Job& job : sys().jobs.slots) {
    if (job.state != Job::State::Free) continue;
    job.priority = priority;
    job.affinity = affinity;
    job.routine = routine;
    job.context = context;
    std::memset(job.name, 0, sizeof job.name);
    std::strncpy(job.name, name, sizeof job.name - 1);
    job.state = Job::State::Posted;
    return true;
  }
  return false;
}

void interrupt_here() { dpc::insert(&sys().jobs.dpc, nullptr, nullptr); }

}  // namespace kdpc::job
