// The one-second timer of a device object (IoInitializeTimer): its routine runs at Dispatch about once a second while it is started.
#pragma once
#include "io/objects.h"

namespace kdpc::io {

struct IoTimer {
  Timer timer;
  Dpc dpc;
  DEVICE_OBJECT* device;      // I
  IO_TIMER_ROUTINE* routine;  // I
  void* context;              // I
};

namespace device_timer {
// Stops and frees it, if the device has one.
void remove(DEVICE_OBJECT* device);
}  // namespace device_timer

}  // namespace kdpc::io
