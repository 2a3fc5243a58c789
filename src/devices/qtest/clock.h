// A Clock makes QEMU's virtual time follow ours.
//
// QEMU can step to its next timer, or by a number of nanoseconds; it can neither tell when the next timer is due nor when an interrupt line changed.
// So the comparator of its HPET, which interrupts nobody, stands as a sentinel at the time we want to reach, and QEMU steps from timer to timer:
// it passes no line change and cannot overshoot.
//
//   Q.CK-1  reached() never goes back and never passes the time asked for.
//   Q.CK-2  QEMU's own clock is at most 9 ns behind reached(), and never ahead: the HPET counts units of 10 ns.
//   Q.CK-3  Both depend only on the times asked for and on what the devices do.
#pragma once
#include <cstdint>

#include "devices/qtest/channel.h"

namespace kdpc::qtest {

class Clock {
 public:
  explicit Clock(Channel& channel) : channel_(channel) {}

  // Starts the HPET. To be called once, while QEMU's clock stands at 0.
  bool start();
  std::uint64_t reached() const { return reached_; }
  // Runs towards `until`. Stops after the first timer during which `interrupted` became true. False: the channel broke.
  bool run(std::uint64_t until, const bool& interrupted);

 private:
  void place_sentinel(std::uint64_t until);

  Channel& channel_;
  std::uint64_t qemu_ = 0;      // what QEMU's clock shows
  std::uint64_t reached_ = 0;   // what we told
  std::uint64_t sentinel_ = 0;  // when the comparator will fire, in QEMU's time; not after qemu_: it has fired
};

}  // namespace kdpc::qtest
