// Work that nobody will ever do: looked for where a life ends, when nothing can happen any more.
#include <fmt/format.h>

#include "base/fixed_places.h"
#include "io/irp.h"
#include "kdpc/explore.h"
#include "kernel/pool.h"
#include "kernel/thread.h"

namespace kdpc::lab {

namespace {

// Every thread that is ready has run by then, and the clock has ticked often enough to show that it brings nothing.
constexpr Duration kLongEnough = std::chrono::milliseconds(100);

bool is_of_driver(const Thread& thread) {
  const auto routine = reinterpret_cast<std::uintptr_t>(thread.routine);
  return routine >= kDriversBegin && routine < kDriversEnd;
}

// A system worker that has nothing to do, or the thread of a processor's threaded DPCs, is at its place.
bool waits_for_work(const Thread& thread) {
  if (thread.wait_reason == WaitReason::Worker) return true;
  for (const WorkerPool& pool : sys().workers)
    if (thread.waiting_for == &pool.available.header) return true;
  for (const unsigned number : active_processors())
    if (processor(number).dpc_thread == &thread) return true;
  return false;
}

// A driver's own thread may wait for ever as long as the driver is there; its unloading looks for it.
const Thread* thread_at_work() {
  for (Link* link = sys().threads.first(); link != nullptr; link = sys().threads.after(link)) {
    const Thread& thread = *owner_of<&Thread::all_link>(link);
    if (thread.state != ThreadState::Terminated && !thread.is_idle && !is_of_driver(thread) && !waits_for_work(thread)) return &thread;
  }
  return nullptr;
}

const IRP* pending_request() {
  const IRP* pending = nullptr;
  io::irp::for_each_sent([&](const IRP& irp) { pending = pending == nullptr ? &irp : pending; });
  return pending;
}

}  // namespace

std::string left_over(Machine& machine) {
  if (!is_simulated() || machine.outcome().over() || (thread_at_work() == nullptr && pending_request() == nullptr)) return {};
  machine.run_until([] { return false; }, kLongEnough);
  if (machine.outcome().how != Ended::Quiescent) return {};
  std::string text;
  if (const Thread* thread = thread_at_work(); thread != nullptr) {
    text = fmt::format("work is left over: the thread \"{}\" waits for something that will never happen", thread->name);
  } else if (const IRP* irp = pending_request(); irp != nullptr) {
    text = fmt::format("work is left over: a request with major function {:#x} is never completed",
                       unsigned{irp->Tail.Overlay.CurrentStackLocation->MajorFunction});
  }
  if (text.empty()) return {};
  did_not_end();
  return text + '\n' + machine.outcome().text;
}

}  // namespace kdpc::lab
