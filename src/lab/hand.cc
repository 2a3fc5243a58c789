#include "lab/hand.h"

#include "io/pnp.h"
#include "kernel/job.h"
#include "kernel/system.h"
#include "machine/host.h"

namespace kdpc::lab {

namespace {

// NT's PnP and power managers work in system worker threads, and go before drivers' threads and applications.
constexpr std::uint8_t kPriority = 12;

void KDPC_NTAPI lose_device(void* device) { io::pnp::lose(*static_cast<io::PhysicalDevice*>(device)); }
void KDPC_NTAPI sleep_and_wake(void*) { io::system_power::sleep_and_wake(); }

}  // namespace

Hand::Hand(std::string_view device, std::function<void()> pull_out) : deed_(std::string(device) + " is pulled out"), pull_out_(std::move(pull_out)) {}

Hand::Hand() : deed_("the system sleeps and wakes") {}

bool Hand::may_come() const {
  if (state_.has_come || !pull_out_) return !state_.has_come;
  return state_.device != nullptr && state_.device->state != io::PnpState::Gone;
}

Nanoseconds Hand::next_event() const { return may_come() ? kWhenever : kNever; }

Nanoseconds Hand::advance_to(Nanoseconds until) {
  // Without room for the thread nothing happens, and may later.
  ThreadRoutine* const routine = pull_out_ ? lose_device : sleep_and_wake;
  if (!may_come() || !job::post(deed_.c_str(), routine, state_.device, active_processors(), kPriority)) return until;
  state_.has_come = true;
  if (pull_out_) pull_out_();
  host::job_posted(0);
  return until;
}

}  // namespace kdpc::lab
