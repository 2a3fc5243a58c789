// Run-down protection: an object may be used for as long as one has a reference, and its owner can wait until nobody has one and nobody gets one.
//
//   word: 2 * references · 1: run down · an address with bit 0: being run down, the references are counted there
//
//   K.RUN-1  Bit 0, once set, stays until the owner says otherwise; it is set with the dispatcher lock held.
#pragma once
#include <cstdint>

namespace kdpc {

struct RundownWait;

// NT's EX_RUNDOWN_REF.
class RundownReference {
 public:
  void initialize() { word_ = 0; }
  // At most Dispatch. False: it is, or is being, run down.
  [[nodiscard]] bool acquire(std::uint32_t count);
  // At most Dispatch. More than there are: bug check 0x18.
  void release(std::uint32_t count);
  // At most Apc. Returns at once if it is run down already.
  void wait_for_release();
  // By the owner, after that wait. Not run down: 0xC4/0x1005.
  void reinitialize();
  void completed();

 private:
  static constexpr std::uintptr_t kActive = 1;
  bool exchange(std::uintptr_t& seen, std::uintptr_t wanted);
  void release_while_waited_for(std::uint32_t count);

  volatile std::uintptr_t word_;
};
static_assert(sizeof(RundownReference) == 8);

}  // namespace kdpc
