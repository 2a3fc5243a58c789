#include "kernel/workitem.h"

#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

extern "C" {

VOID NTAPI ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType) {
  KDPC_ROUTINE(ExQueueWorkItem);
  work::queue(as_work_item(WorkItem), static_cast<std::uint32_t>(QueueType));
}

}  // extern "C"
