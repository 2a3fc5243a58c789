#include "lab/hand.h"

#include "io/pnp.h"
#include "io/requests.h"
#include "kernel/job.h"
#include "kernel/system.h"
#include "machine/host.h"

namespace kdpc::lab {

namespace {

// NT's PnP and power managers work in system worker threads, and go before drivers' threads and applications. So may a thread of an application's whose
// priority is boosted.
constexpr std::uint8_t kPriority = 12;

void KDPC_NTAPI lose_device(void* device) { io::pnp::lose(*static_cast<io::PhysicalDevice*>(device)); }
void KDPC_NTAPI sleep_and_wake(void*) { io::system_power::sleep_and_wake(); }
void KDPC_NTAPI cancel_requests(void*) { io::requests::cancel_all(); }

ThreadRoutine* routine_for(Hand::Deed deed) {
  switch (deed) {
    case Hand::Deed::PullsOut: return lose_device;
    case Hand::Deed::SleepsAndWakes: return sleep_and_wake;
    case Hand::Deed::Cancels: return cancel_requests;
  }
  return nullptr;
}

}  // namespace

Hand::Hand(std::string_view device, std::function<void()> pull_out)
    : deed_(Deed::PullsOut), text_(std::string(device) + " is pulled out"), pull_out_(std::move(pull_out)) {}

Hand::Hand(Deed deed) : deed_(deed), text_(deed == Deed::Cancels ? "the application cancels its requests" : "the system sleeps and wakes") {}

bool Hand::may_come() const {
  if (state_.has_come) return false;
  switch (deed_) {
    case Deed::PullsOut: return state_.device != nullptr && state_.device->state != io::PnpState::Gone;
    case Deed::SleepsAndWakes: return true;
    case Deed::Cancels: return io::requests::any_pending();
  }
  return false;
}

Nanoseconds Hand::next_event() const { return may_come() ? kWhenever : kNever; }

Nanoseconds Hand::advance_to(Nanoseconds until) {
  // Without room for the thread nothing happens, and may later.
  if (!may_come() || !job::post(text_.c_str(), routine_for(deed_), state_.device, active_processors(), kPriority)) return until;
  state_.has_come = true;
  if (pull_out_) pull_out_();
  host::job_posted(0);
  return until;
}

}  // namespace kdpc::lab
