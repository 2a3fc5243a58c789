// Pageable memory: what may be touched below Dispatch only (IRQL-2). A machine may take it away while a processor's level is at or above Dispatch;
// then whoever touches it there is found at once, as with Driver Verifier's forced IRQL checking (SEMANTICS 12.1).
#pragma once
#include "kernel/thread.h"

namespace kdpc {

// For the scope: the kernel works on what a caller below Dispatch has given it, which may be pageable, although a lock of the kernel's own has raised
// the level meanwhile. Such touches are the kernel's business and no driver's mistake.
class MayTouchPageable {
 public:
  explicit MayTouchPageable(Irql of_caller) : thread_(of_caller < Irql::Dispatch ? &thread::current() : nullptr) {
    if (thread_ != nullptr) ++thread_->may_touch_pageable;
  }
  ~MayTouchPageable() {
    if (thread_ != nullptr) --thread_->may_touch_pageable;
  }
  MayTouchPageable(const MayTouchPageable&) = delete;
  MayTouchPageable& operator=(const MayTouchPageable&) = delete;

 private:
  Thread* thread_;
};

}  // namespace kdpc
