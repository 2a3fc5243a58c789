// What is behind a system work item.
#pragma once
#include "kernel/workitem.h"

namespace kdpc::io::work_item {

// The routine of a driver that a queued item will call: an IoWorkItem's own, or else the item's.
const void* routine_of(const WorkItem& item);

}  // namespace kdpc::io::work_item
