// Requests to other processors. A request is a bit in the target's mailbox; the IPI vector makes it look (IPI-1).
#pragma once

namespace kdpc {
struct Processor;
}

namespace kdpc::ipi {

// Any level. The DISPATCH interrupt will come to `target` when its level allows; on this processor without an IPI.
void request_dispatch(Processor& target);
// Dispatch or above. `target` arms its clock anew (clock::rearm_here); on this processor at once.
void request_clock(Processor& target);
// At Dispatch or above. The APC interrupt will come to `target`, another processor, when its level allows.
void request_apc(Processor& target);
// At Ipi, on the target.
void receive_here();

}  // namespace kdpc::ipi
