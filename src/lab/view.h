// What a log of events knows about a queued DPC.
#pragma once
#include <optional>

#include "view/world.h"

namespace kdpc {
class EventLog;
}

namespace kdpc::lab {

std::optional<view::QueuedBy> queued_by(const EventLog& log, Symbols& symbols, std::uintptr_t dpc);

}  // namespace kdpc::lab
