// IRPs: a dispatch routine that says STATUS_PENDING has marked the IRP, and one that has marked it says so; and whatever it says, the IRP has been
// completed, passed on or kept.
#pragma once
#include <map>
#include <vector>

#include "check/rules/scene.h"

namespace kdpc::rules {

class Irps {
 public:
  void on(Scene& scene, const IrpSent& fact);
  void on(Scene& scene, const IrpLocationDone& fact);
  void on(Scene& scene, const IrpReturned& fact);
  void on(Scene& scene, const IrpCompleted& fact);
  void on(Scene& scene, const IrpCancelled& fact);
  void on(Scene& scene, const PoolFreed& fact);

  struct Irp {
    Party sent, completed, cancelled;
  };
  const Irp* find(std::uintptr_t irp) const;

 private:
  // One call of a dispatch routine, until both the routine has returned and completion has gone past its location.
  struct Call {
    std::uint64_t actor;
    std::uintptr_t irp;
    std::uint8_t location;
    bool done, pending;  // done: completion has gone past, and pending was marked
    bool returned, says_pending;
    bool sent_by_driver;  // what the system sends for an application, the I/O manager looks after itself
    Party by;
  };
  void judge(Scene& scene, const Call& call);
  bool is_kept_below(const Call& call) const;

  std::map<std::uintptr_t, Irp> irps_;
  std::vector<Call> calls_;  // under way
};

}  // namespace kdpc::rules
