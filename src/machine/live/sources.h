// What comes from outside: file descriptors that boards watch. One thread of the host's waits for all of them; it begins with the first of a machine, and ends
// with the machine.
//
// A pipe, a socket or a terminal could also send a processor its signal directly (F_SETSIG), which reaches it some 7 µs sooner than the thread does; an eventfd, a
// timerfd or an io_uring never sends one. One way that serves all of them alike is worth more than that.
//
//   K.SOURCE-1  When a Watch has been destroyed, its routine is not running and will not run.
#pragma once
#include <functional>
#include <memory>

#include "base/result.h"
#include "kdpc/device.h"

namespace kdpc::live::sources {

// By the host, or one of its threads. The routine is called by this one's.
Result<std::unique_ptr<Watch>> watch(int descriptor, Watching how, std::function<void()> ready);
bool are_there();
void close();

}  // namespace kdpc::live::sources
