#include "tools/kdpc/interruption.h"

#include <signal.h>
#include <unistd.h>

#include "tools/kdpc/exit_code.h"

namespace kdpc::tool {
namespace {

volatile sig_atomic_t interrupts = 0;

void interrupt(int) {
  if (interrupts != 0) ::_exit(static_cast<int>(ExitCode::Interrupted));
  interrupts = 1;
}

}  // namespace

void heed_interrupts() {
  struct sigaction action {};
  action.sa_handler = &interrupt;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupts != 0; }

}  // namespace kdpc::tool
