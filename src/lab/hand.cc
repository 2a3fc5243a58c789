#include "lab/hand.h"

#include "io/pnp.h"
#include "kernel/job.h"
#include "kernel/system.h"
#include "machine/host.h"

namespace kdpc::lab {

namespace {

// NT's PnP manager works in system worker threads, and goes before drivers' threads and applications.
constexpr std::uint8_t kPriority = 12;

void KDPC_NTAPI lose_device(void* device) { io::pnp::lose(*static_cast<io::PhysicalDevice*>(device)); }

}  // namespace

Hand::Hand(std::string_view device, std::function<void()> pull_out) : deed_(std::string(device) + " is pulled out"), pull_out_(std::move(pull_out)) {}

Nanoseconds Hand::next_event() const {
  return state_.device != nullptr && !state_.has_come && state_.device->state != io::PnpState::Gone ? kWhenever : kNever;
}

Nanoseconds Hand::advance_to(Nanoseconds until) {
  // Without room for the thread nothing happens, and may later.
  if (next_event() != kWhenever || !job::post(deed_.c_str(), lose_device, state_.device, active_processors(), kPriority)) return until;
  state_.has_come = true;
  pull_out_();
  host::job_posted(0);
  return until;
}

}  // namespace kdpc::lab
